// Sends itself a signal N times (argv[1], default 100), which a handler takes: delivery and return.
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
1:      mov     x0, #10                 // SIGUSR1
        adr     x1, action
        mov     x2, #0
        mov     x3, #8
        mov     x8, #134
        svc     #0
        mov     x8, #172
        svc     #0
        mov     x20, x0
2:      mov     x0, x20
        mov     x1, x20
        mov     x2, #10
        mov     x8, #131
        svc     #0
        subs    x19, x19, #1
        b.ne    2b
        mov     x0, #0
        mov     x8, #94
        svc     #0
handler:
        ret
restorer:
        mov     x8, #139
        svc     #0

        .include "parse-number.s"

        .data
        .balign 8
action: .quad   handler, 0x04000000, restorer, 0        // SA_RESTORER
