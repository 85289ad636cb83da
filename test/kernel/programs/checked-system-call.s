// The kernel's own accesses honour synchronous checks: a buffer with a wrong tag is EFAULT.
        .include "runtime.inc"
        .macro  set_none
        mov     x0, #55
        mov     x1, #1
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        call    SYS_prctl
        .endm
        .global _start
_start:
        mov     x0, #55
        ldr     x1, =(1 | 2 | (0xfffe << 3))
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        call    SYS_prctl
        map     0x1000, 0x23
        mov     x1, #3
        orr     x19, x0, x1, lsl #56
        stg     x19, [x19]
        mov     w1, #'!'
        strb    w1, [x19]
        mov     w1, #10
        strb    w1, [x19, #1]
        mov     x0, #1
        mov     x1, x19
        mov     x2, #2
        call    SYS_write
        show    x0                      // 2
        addg    x20, x19, #0, #1
        mov     x0, #1
        mov     x1, x20
        mov     x2, #2
        call    SYS_write
        show    x0                      // EFAULT
        set_none
        mov     x0, #1
        mov     x1, x20
        mov     x2, #2
        call    SYS_write
        show    x0                      // 2: not checked without synchronous checks
        finish
