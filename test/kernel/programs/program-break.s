// brk: grows, holds data, shrinks, and comes back zeroed.
        .include "runtime.inc"
        .global _start
_start:
        mov     x0, #0
        call    SYS_brk
        mov     x19, x0
        add     x20, x19, #0x4000
        mov     x0, x20
        call    SYS_brk
        cmp     x0, x20
        cset    x1, eq
        show    x1                      // 1
        mov     x1, #0x77
        sub     x2, x20, #8
        str     x1, [x2]
        ldr     x1, [x2]
        show    x1                      // 77
        mov     x0, x19
        call    SYS_brk
        cmp     x0, x19
        cset    x1, eq
        show    x1                      // 1
        mov     x0, x20
        call    SYS_brk
        sub     x2, x20, #8
        ldr     x1, [x2]
        show    x1                      // 0
        mov     x0, #0x1000             // below the start: refused, the old break is returned
        call    SYS_brk
        cmp     x0, x20
        cset    x1, eq
        show    x1                      // 1
        finish
