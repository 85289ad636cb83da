// mmap, munmap, madvise(DONTNEED), MAP_FIXED: zero on first touch, zero again after DONTNEED.
        .include "runtime.inc"
        .global _start
_start:
        map     0x10000, 3
        mov     x19, x0
        ldr     x1, [x19]
        show    x1                      // 0
        mov     x1, #0x5a5a
        str     x1, [x19]
        str     x1, [x19, #8]
        add     x2, x19, #0x3000
        str     x1, [x2]
        mov     x0, x19
        mov     x1, #0x1000
        mov     x2, #4
        call    SYS_madvise
        show    x0                      // 0
        ldr     x1, [x19]
        show    x1                      // 0: dropped
        ldr     x1, [x19, #0x3000]
        show    x1                      // 5a5a: kept
        // A new mapping over the old one.
        add     x0, x19, #0x3000
        mov     x1, #0x1000
        mov     x2, #3
        mov     x3, #0x32               // MAP_FIXED
        mov     x4, #-1
        mov     x5, #0
        call    SYS_mmap
        sub     x0, x0, x19
        show    x0                      // 3000
        ldr     x1, [x19, #0x3000]
        show    x1                      // 0
        mov     x0, x19
        mov     x1, #0x10000
        call    SYS_munmap
        show    x0                      // 0
        mov     x0, x19
        mov     x1, #0x10000
        call    SYS_munmap
        show    x0                      // 0: nothing there is no error
        finish
