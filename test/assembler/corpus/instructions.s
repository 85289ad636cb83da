// Operand shapes of all kinds, through labels, expressions and aliases of registers.
        .equ    SIZE, 64
        .equ    OFF, 16
        acc     .req x20
        Count   .req w21
        .text
        .global _start
_start: mov     x0, #SIZE
        add     acc, acc, #OFF * 2
        add     ACC, acc, #1, lsl #12
        sub     Count, count, #(OFF + 1)
        .unreq  acc
        acc     .req x22
        add     acc, acc, x1, lsl #3
        add     x0, sp, w1, uxtw #2
        add     x0, x1, w2, sxtw
        add     x0, x1, x2, lsl 4
        ldr     x0, [sp]
        ldr     x0, [sp, 8]
        ldr     x0, [sp, #OFF]
        ldr     x0, [x1, x2]
        ldr     x0, [x1, x2, lsl #3]
        ldr     x0, [x1, w2, uxtw #3]
        ldr     w0, [x1, w2, sxtw]
        ldr     x0, [x1], #8
        ldr     x0, [x1, #8]!
        str     x0, [x1, #-8]!
        stp     x0, x1, [sp, #-SIZE]!
        ldp     x0, x1, [sp], #SIZE
        ldp     w3, w4, [fp, #OFF - 8]
        stp     fp, lr, [sp, -16]!
        stg     x0, [x1, #16]!
        st2g    x0, [x0], #32
        irg     x0, x1
        addg    x0, x1, #32, #1
        ldg     x0, [x1]
        mrs     x0, sctlr_el1
        MRS     X1, NZCV
        msr     tcr_el1, x0
        msr     daifset, #2
        mrs     x2, s3_0_c1_c0_0
        dsb     sy
        dmb     ishst
        isb
        dc      civac, x0
        tlbi    vmalle1
        svc     #0
        hlt     0xf000
        cmp     x0, #0
        b.eq    1f
        bne     1f
        beq     _start
1:      cbz     x0, 1b
        cbnz    w0, 1f
        tbz     x0, #63, 1b
        tbnz    w1, #3, 1f
        csel    x0, x1, x2, lt
        cset    w0, hs
        ccmp    x0, #3, #4, ne
1:      b       .
        b       . + 8
        bl      _start + 4
        adr     x0, _start
        adr     x1, .
        adrp    x2, data
        add     x2, x2, :lo12:data
        add     x2, x2, #:lo12:data + 4
        ldr     w0, [x2, :lo12:data]
        ldrb    w0, [x2, :lo12:data + 1]
        ldr     x0, [x2, #:lo12:data]
        movz    x0, #:abs_g3:data
        movk    x0, #:abs_g2_nc:data
        movk    x0, #:abs_g1_nc:data
        movk    x0, #:abs_g0_nc:data
        movz    x1, #0x1234, lsl #16
        mov     x1, #0x12340000
        mov     x1, #-2
        mov     w1, #0xffffffff
        mov     x1, #0xff00ff00ff00ff00
        and     x0, x1, #0xff
        orr     w0, w1, #(1 << 4)
        tst     x0, #1 << 5
        ubfx    x0, x1, #4, #8
        bfi     w0, w1, #3, #5
        lsl     x0, x1, #3
        ror     x0, x1, x2
        neg     x0, x1, lsl #2
        mul     x0, x1, x2
        ldxr    x0, [x1]
        stlxr   w2, x0, [x1]
        casal   x0, x1, [x2]
        ldadd   x0, x1, [x2]
        prfm    pldl1keep, [x0, #OFF]
        .inst   0xd503201f, 0xd65f03c0
        ret
        ret     x1
        br      x3
        NOP; nop ; Nop
        .data
        .balign 8
data:   .quad   1f - data, 1f
1:
