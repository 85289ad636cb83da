// Asks for its parent's number N times (argv[1], default 100): nothing but entry, one word read, return.
        .text
        .global _start
_start:
        mov     x19, #100
        ldr     x0, [sp]
        cmp     x0, #2
        b.lo    1f
        ldr     x0, [sp, #16]
        bl      parse_number
        mov     x19, x0
1:      mov     x8, #173
        svc     #0
        subs    x19, x19, #1
        b.ne    1b
        mov     x0, #0
        mov     x8, #94
        svc     #0

        .include "parse-number.s"
