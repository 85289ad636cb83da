// A heap overflow: two neighbouring objects with different tags, and a store one granule too far.
        .equ    SYS_exit, 93
        .equ    SYS_mmap, 222
        .equ    PROT_READ_WRITE_MTE, 0x23
        .equ    MAP_PRIVATE_ANONYMOUS, 0x22

        .text
        .global _start
_start:
        mov     x0, #0
        mov     x1, #4096
        mov     x2, #PROT_READ_WRITE_MTE
        mov     x3, #MAP_PRIVATE_ANONYMOUS
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #SYS_mmap
        svc     #0

        irg     x19, x0                         // first object: 32 bytes
        st2g    x19, [x19]
        addg    x20, x19, #32, #1               // second object, behind it, with another tag
        st2g    x20, [x20]

        mov     x2, #0
fill:                                           // writes 40 bytes into 32
        str     x2, [x19, x2]
        add     x2, x2, #8
        cmp     x2, #40
        b.lo    fill

        mov     x0, #0
        mov     x8, #SYS_exit
        svc     #0
