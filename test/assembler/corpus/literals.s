// Literal pools.
        .text
        .global _start
_start: ldr     x0, =symbol
        ldr     x1, =symbol + 4
        ldr     x2, =0x123456789
        ldr     w3, =0x12345678
        ldr     x4, =0x12345678
        ldr     x5, =symbol
        ldrsw   x6, =0x7fffffff
        ldr     w7, =1
        ldr     x8, =1
        ldr     x9, =-1
        ldr     w10, =-1
        ldr     x11, = 0xffff0000
        ldr     x12, =symbol - 4
        ldr     x13, =CONSTANT
        nop
        .ltorg
        ldr     x0, =symbol
        ldr     w1, =0x11111111
        b       2f
        .ltorg
        .byte   1, 0, 0, 0
2:      ldr     x14, =_start
        ldr     x15, =late
        ldr     x15, =late + 8
        ldr     w16, =0x22222222
        ldr     x17, literal
        ldr     w18, literal
        .equ    CONSTANT, 0xabcdef
        .section .other, "ax"
        ldr     x0, =0x7777777777777777
        .pool
        nop
        .data
symbol: .quad   1
late:   .quad   2
        .text
literal: .quad  3
