// Arithmetic and branches only: steps of the 3n+1 problem for 1..N, N from argv[1] (default 2000).
        .text
        .global _start
_start:
        mov     x19, #2000
        ldr     x0, [sp]
        cmp     x0, #2
        b.lo    1f
        ldr     x0, [sp, #16]
        bl      parse_number
        mov     x19, x0
1:      mov     x20, #1                         // n
        mov     x21, #0                         // steps
outer:  mov     x0, x20
inner:  cmp     x0, #1
        b.eq    next
        add     x21, x21, #1
        tbnz    x0, #0, odd
        lsr     x0, x0, #1
        b       inner
odd:    add     x0, x0, x0, lsl #1
        add     x0, x0, #1
        b       inner
next:   add     x20, x20, #1
        cmp     x20, x19
        b.ls    outer
        and     x0, x21, #0x7f
        mov     x8, #94
        svc     #0

        .include "parse-number.s"
