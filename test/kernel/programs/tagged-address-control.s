// prctl(PR_SET_TAGGED_ADDR_CTRL) and its read-back, and IRG under the include mask.
        .include "runtime.inc"
        .macro  set value
        mov     x0, #55
        ldr     x1, =\value
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        call    SYS_prctl
        .endm
        .macro  get
        mov     x0, #56
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        call    SYS_prctl
        .endm
        .global _start
_start:
        get
        show    x0                      // 0
        set     (1 | 2 | (4 << 3))      // sync, IRG may give 2 only
        show    x0                      // 0
        get
        show    x0                      // 23
        mov     x1, #0x1000
        irg     x1, x1
        lsr     x1, x1, #56
        show    x1                      // 2
        irg     x1, x1
        lsr     x1, x1, #56
        show    x1                      // 2
        set     (1 | (0 << 3))          // nothing included: tag 0
        show    x0                      // 0
        mov     x1, #0x1000
        irg     x1, x1
        lsr     x1, x1, #56
        show    x1                      // 0
        set     (1 << 20)
        show    x0                      // EINVAL
        mov     x0, #55
        mov     x1, #1
        mov     x2, #1
        mov     x3, #0
        mov     x4, #0
        call    SYS_prctl
        show    x0                      // EINVAL: arguments 3 to 5 must be 0
        finish
