/*
 * In the manner of a kernel's entry code: vectors, context save and restore, alternatives by hand.
 */
        .equ    S_X0, 0
        .equ    S_LR, 30 * 8
        .equ    S_SP, 31 * 8
        .equ    S_PC, 32 * 8
        .equ    S_PSTATE, 33 * 8
        .equ    S_FRAME_SIZE, 34 * 8

        .macro  ventry label
        .align  7
        sub     sp, sp, #S_FRAME_SIZE
        b       \label
        .endm

        .macro  kernel_entry, el, regsize = 64
        .irp    n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28
        .set    .Lnext, \n + 1
        stp     x\n, x\n, [sp, #8 * \n]
        .endr
        .if     \el == 0
        mrs     x21, sp_el0
        .else
        add     x21, sp, #S_FRAME_SIZE
        .endif
        mrs     x22, elr_el1
        mrs     x23, spsr_el1
        stp     lr, x21, [sp, #S_LR]
        stp     x22, x23, [sp, #S_PC]
        .ifc    \regsize, 32
        mov     w0, w0
        .endif
        .endm

        .macro  kernel_exit, el
        ldp     x21, x22, [sp, #S_PC]
        .if     \el == 0
        ldr     x23, [sp, #S_SP]
        msr     sp_el0, x23
        .endif
        msr     elr_el1, x21
        msr     spsr_el1, x22
        ldp     x0, x1, [sp, #16 * 0]
        ldr     lr, [sp, #S_LR]
        add     sp, sp, #S_FRAME_SIZE
        eret
        .endm

        .section .vectors.text, "ax"
        .align  11
        .global vectors
vectors:
        .rept   4
        ventry  el1_sync
        ventry  el1_irq
        .endr
        .rept   8
        ventry  el0_sync
        .endr
        .size   vectors, . - vectors

        .type   el1_sync, @function
el1_sync:
        kernel_entry 1
        mrs     x0, esr_el1
        lsr     x1, x0, #26
        cmp     x1, #0x25
        b.eq    9f
        cmp     x1, #0x24
        ccmp    x1, #0x1f, #4, ne
        b.ne    1f
9:      bl      handle
1:      kernel_exit 1
        .size   el1_sync, .-el1_sync

el1_irq:
        kernel_entry el=1, regsize=32
        kernel_exit 1

el0_sync:
        kernel_entry 0
        kernel_exit 0

661:    nop
        nop
662:    .pushsection .altinstr_replacement, "ax"
663:    dsb     sy
        isb
664:    .popsection
        .org    . - (664b-663b) + (662b-661b)
        .org    . - (662b-661b) + (664b-663b)
        .pushsection .altinstructions, "a"
        .word   661b - ., 663b - .
        .hword  0x7
        .byte   662b-661b, 664b-663b
        .popsection

        .text
        .global _start
_start:
        adrp    x0, vectors
        add     x0, x0, :lo12:vectors
        msr     vbar_el1, x0
        ldr     x1, =stack_top
        mov     sp, x1
        ldr     x2, =__bss_start
        ldr     x3, =__bss_end
0:      cmp     x2, x3
        b.hs    1f
        str     xzr, [x2], #8
        b       0b
1:      bl      handle
        .rept   2
        wfi
        .endr
2:      b       2b

handle: ret
        .ltorg
        .bss
        .balign 16
__bss_start:
        .space  4096
stack_top:
        .space  16
__bss_end:
