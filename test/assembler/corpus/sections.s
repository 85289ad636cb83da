// Sections, alignment, .org, and where symbols end up.
        .text
        .global _start
        .type   _start, %function
_start: nop
        b       1f
        .byte   1, 2, 3
        .align  4
1:      nop
        .balign 16, 0xff
        nop
        .p2align 4, , 3
        nop
        .p2align 5, , 31
        .balignw 8, 0x1234
        nop
        .balignl 16, 0x11223344
        .even
        .org    0x80
        nop
        .org    0x90, 0xee
        nop
        .byte   7
        nop
        .size   _start, . - _start
        .section .rodata
constant: .quad constant
        .asciz  "read only"
        .section .rodata.str1.8, "aMS", @progbits, 1
        .string "merged"
        .data
value:  .word   1
        .section .rodata
        .data
        .previous
        .byte   3
        .previous
        .word   2
        .pushsection .rodata
        .byte   0x11
        .pushsection .data
        .byte   0x22
        .popsection
        .byte   0x33
        .popsection
        .word   3
        .section ".custom.data", "aw"
        .quad   value, constant, _start
        .section .custom.text, "ax", %progbits
other:  b       _start
        bl      other
        adr     x0, other
        adrp    x1, value
        ldr     x2, [x1, :lo12:buffer]
        ldr     w3, [x1, #:lo12:value]
        .section .init_array, "aw", %init_array
        .quad   _start
        .bss
        .align  3
buffer: .space  100
        .balign 16
        .skip   4
        .local  shared
        .comm   shared, 24, 8
        .comm   common, 40, 16
        .lcomm  mine, 4
        .text
        .align  2
        adrp    x0, shared
        add     x0, x0, :lo12:shared
        adrp    x1, common
        add     x1, x1, #:lo12:common
        adrp    x2, mine
        ldr     w2, [x2, :lo12:mine]
        .weak   nowhere
        .quad   nowhere
        .quad   common
        .hidden value
        .globl  value
        .section .note.GNU-stack, "", @progbits
