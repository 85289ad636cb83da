// Touches N new pages (argv[1], default 4096), then gives them back: a page fault each.
// With argv[2] present the mapping is PROT_MTE, so that each fault also needs the page's tag block.
        .text
        .global _start
_start:
        mov     x19, #4096
        mov     x9, #3
        ldr     x20, [sp]
        cmp     x20, #2
        b.lo    1f
        ldr     x0, [sp, #16]
        bl      parse_number
        mov     x19, x0
        cmp     x20, #3
        b.lo    1f
        mov     x9, #0x23
1:      mov     x0, #0
        lsl     x1, x19, #12
        mov     x2, x9
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        mov     x20, x0
        mov     x1, x19
2:      str     x1, [x0]
        add     x0, x0, #4096
        subs    x1, x1, #1
        b.ne    2b
        mov     x0, x20
        lsl     x1, x19, #12
        mov     x8, #215
        svc     #0
        mov     x0, #0
        mov     x8, #94
        svc     #0

        .include "parse-number.s"
