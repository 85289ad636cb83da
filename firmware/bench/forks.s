// Forks N children (argv[1], default 10), each of which writes one word of its stack and ends; waits for each.
        .text
        .global _start
_start:
        mov     x19, #10
        ldr     x0, [sp]
        cmp     x0, #2
        b.lo    1f
        ldr     x0, [sp, #16]
        bl      parse_number
        mov     x19, x0
1:      mov     x0, #17                 // SIGCHLD
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        mov     x8, #220
        svc     #0
        cbz     x0, child
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x8, #260
        svc     #0
        subs    x19, x19, #1
        b.ne    1b
        mov     x0, #0
        mov     x8, #94
        svc     #0
child:  str     x19, [sp, #-16]!
        mov     x0, #0
        mov     x8, #94
        svc     #0

        .include "parse-number.s"
