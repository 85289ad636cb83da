// Copies 64 KiB by 8 bytes, N times (argv[1], default 4). With argv[2] present the buffers are
// PROT_MTE, tagged, and checked synchronously: every load and store fetches a tag.
        .equ    BYTES, 65536

        .text
        .global _start
_start:
        mov     x19, #4
        mov     x22, #0                         // tagged?
        ldr     x20, [sp]
        cmp     x20, #2
        b.lo    1f
        ldr     x0, [sp, #16]
        bl      parse_number
        mov     x19, x0
        cmp     x20, #3
        cset    x22, hs
1:      mov     x9, #3
        cbz     x22, 2f
        mov     x9, #0x23                       // PROT_MTE too
        mov     x0, #55                         // PR_SET_TAGGED_ADDR_CTRL
        ldr     x1, =(1 | 2 | (0xfffe << 3))
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        mov     x8, #167
        svc     #0
2:      mov     x0, #0
        mov     x1, #(2 * BYTES)
        mov     x2, x9
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        mov     x20, x0                         // from
        add     x21, x0, #BYTES                 // to
        cbz     x22, copies
        irg     x20, x20
        irg     x21, x21
        mov     x0, x20
        mov     x1, x21
        mov     x2, #BYTES
3:      stg     x0, [x0], #16
        stg     x1, [x1], #16
        subs    x2, x2, #16
        b.ne    3b
copies: mov     x0, x20
        mov     x1, x21
        mov     x2, #BYTES
4:      ldr     x3, [x0], #8
        str     x3, [x1], #8
        subs    x2, x2, #8
        b.ne    4b
        subs    x19, x19, #1
        b.ne    copies
        mov     x0, #0
        mov     x8, #94
        svc     #0

        .include "parse-number.s"
