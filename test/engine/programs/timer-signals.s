// A hot loop over registers, flags, floating point and tagged memory that timer signals interrupt wherever
// they like; the handler spoils all of them, and after 40 signals the loop's result must be what it is
// without. Exits with 0 where it is.
        .equ    ROUNDS, 60000

        .macro  system number
        mov     x8, #\number
        svc     #0
        .endm

        .global _start
_start: mov     x0, #0                          // mmap: a page with tags
        mov     x1, #4096
        mov     x2, #0x23
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        system  222
        mov     x1, #7
        orr     x19, x0, x1, lsl #56
        stg     x19, [x19]
        stg     x19, [x19, #16]
        bl      loop
        mov     x20, x0
        mov     x0, #14                         // rt_sigaction(SIGALRM)
        adr     x1, action
        mov     x2, #0
        mov     x3, #8
        system  134
        mov     x0, #0                          // setitimer(ITIMER_REAL)
        adr     x1, interval
        mov     x2, #0
        system  103
        adr     x22, signals
1:      bl      loop
        eor     x0, x0, x20
        cbnz    x0, 2f
        ldr     w1, [x22]
        cmp     w1, #40
        b.lo    1b
2:      cmp     x0, #0
        cset    x0, ne
        system  94

loop:   mov     x2, #ROUNDS
        mov     x3, #0
        mov     x4, #1
        fmov    d0, #1.0
        fmov    d1, #0.5
        movi    v2.2d, #0
        movi    v3.16b, #3
        str     xzr, [x19]
        str     xzr, [x19, #24]
3:      ldr     x5, [x19]
        adds    x4, x4, x4, lsl #3
        adcs    x3, x3, x5
        ror     x6, x3, #9
        str     x6, [x19]
        fmadd   d0, d0, d1, d1
        add     v2.16b, v2.16b, v3.16b
        ldr     x7, [x19, #24]
        cinc    x7, x7, mi
        str     x7, [x19, #24]
        sub     x2, x2, #1
        cbnz    x2, 3b
        fmov    x5, d0
        mov     x6, v2.d[1]
        eor     x0, x3, x4
        eor     x0, x0, x5
        add     x0, x0, x6
        add     x0, x0, x7
        ret

handler:
        adr     x1, signals
        ldr     w2, [x1]
        add     w2, w2, #1
        str     w2, [x1]
        mov     x3, #-1
        mov     x4, #-1
        mov     x5, #-1
        mov     x6, #-1
        mov     x7, #-1
        fmov    d0, #2.0
        fmov    d1, #2.0
        movi    v2.16b, #255
        movi    v3.16b, #255
        cmp     x3, x4
        ret
restorer:
        system  139

        .data
        .balign 8
action: .quad   handler, 0x04000000, restorer, 0
interval:
        .quad   0, 100, 0, 100                  // seconds, microseconds
signals:
        .quad   0
