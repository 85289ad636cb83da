// What the calls refuse.
        .include "runtime.inc"
        .global _start
_start:
        mov     x0, #0
        mov     x1, #0
        mov     x2, #3
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        call    SYS_mmap
        show    x0                      // EINVAL: length 0
        mov     x0, #0
        mov     x1, #0x1000
        mov     x2, #3
        mov     x3, #0x20               // neither shared nor private
        mov     x4, #-1
        mov     x5, #0
        call    SYS_mmap
        show    x0                      // EINVAL
        mov     x0, #0
        mov     x1, #0x1000
        mov     x2, #3
        mov     x3, #2                  // a file that is not open
        mov     x4, #77
        mov     x5, #0
        call    SYS_mmap
        show    x0                      // EBADF
        mov     x0, #0x123
        mov     x1, #0x1000
        mov     x2, #3
        call    SYS_mprotect
        show    x0                      // EINVAL: not page-aligned
        mov     x0, #0x10000
        mov     x1, #0x1000
        mov     x2, #1
        call    SYS_mprotect
        show    x0                      // ENOMEM: nothing there
        mov     x0, #0x123
        mov     x1, #0x1000
        call    SYS_munmap
        show    x0                      // EINVAL
        mov     x0, #77
        adr     x1, _start
        mov     x2, #1
        call    SYS_write
        show    x0                      // EBADF
        mov     x0, #1
        mov     x1, #8
        mov     x2, #1
        call    SYS_write
        show    x0                      // EFAULT
        mov     x0, #1
        mov     x1, #8
        mov     x2, #0
        call    SYS_write
        show    x0                      // 0: nothing to write
        mov     x0, #99
        mov     x1, sp
        call    SYS_clock_gettime
        show    x0                      // EINVAL
        mov     x0, #1
        mov     x1, #8
        call    SYS_clock_gettime
        show    x0                      // EFAULT
        mov     x0, #0
        movk    x0, #0x7fff, lsl #16
        mov     x1, #0
        call    0x7ff                   // no such call
        show    x0                      // ENOSYS
        finish
