// PROT_MTE memory: tags start at 0, stay with the page, are zeroed by DONTNEED; mprotect can add PROT_MTE.
        .include "runtime.inc"
        .macro  tag_at address
        ldg     x21, [\address]
        lsr     x21, x21, #56
        and     x21, x21, #15
        show    x21
        .endm
        .global _start
_start:
        mov     x0, #55
        ldr     x1, =(1 | 2 | (0xfffe << 3))
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        call    SYS_prctl
        map     0x4000, 0x23
        mov     x19, x0
        tag_at  x19                     // 0: untouched
        mov     x1, #5
        orr     x20, x19, x1, lsl #56
        stg     x20, [x20]
        st2g    x20, [x20, #32]
        tag_at  x19                     // 5
        add     x0, x19, #16
        tag_at  x0                      // 0
        add     x0, x19, #48
        tag_at  x0                      // 5
        mov     x1, #0x99
        str     x1, [x20]
        ldr     x1, [x20]
        show    x1                      // 99: tags match
        stzg    x20, [x20]
        ldr     x1, [x20]
        show    x1                      // 0
        mov     x0, x19
        mov     x1, #0x4000
        mov     x2, #4
        call    SYS_madvise
        tag_at  x19                     // 0 again
        // Memory without PROT_MTE: tag stores vanish, STZG still zeroes.
        map     0x1000, 3
        mov     x19, x0
        mov     x1, #0x1234
        str     x1, [x19]
        mov     x1, #7
        orr     x20, x19, x1, lsl #56
        stg     x20, [x20]
        tag_at  x19                     // 0
        ldr     x1, [x20]
        show    x1                      // 1234: not checked
        // It becomes taggable, its data stays.
        mov     x0, x19
        mov     x1, #0x1000
        mov     x2, #0x23
        call    SYS_mprotect
        show    x0                      // 0
        ldr     x1, [x19]
        show    x1                      // 1234
        tag_at  x19                     // 0
        stg     x20, [x20]
        tag_at  x19                     // 7
        ldr     x1, [x20]
        show    x1                      // 1234
        finish
