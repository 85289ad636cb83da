// Parent and child send a byte through two pipes N times (argv[1], default 100): two switches of process each.
        .text
        .global _start
_start:
        mov     x19, #100
        ldr     x0, [sp]
        cmp     x0, #2
        b.lo    1f
        ldr     x0, [sp, #16]
        bl      parse_number
        mov     x19, x0
1:      sub     sp, sp, #32
        mov     x0, sp
        mov     x1, #0
        mov     x8, #59
        svc     #0
        add     x0, sp, #8
        mov     x1, #0
        mov     x8, #59
        svc     #0
        mov     x0, #17
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        mov     x8, #220
        svc     #0
        cbz     x0, child
        ldr     w20, [sp, #4]           // writes to the first, reads from the second
        ldr     w21, [sp, #8]
2:      bl      send
        bl      receive
        subs    x19, x19, #1
        b.ne    2b
        b       quit
child:  ldr     w20, [sp, #12]
        ldr     w21, [sp]
3:      bl      receive
        bl      send
        subs    x19, x19, #1
        b.ne    3b
quit:   mov     x0, #0
        mov     x8, #94
        svc     #0
send:   mov     w0, w20
        add     x1, sp, #16
        mov     x2, #1
        mov     x8, #64
        svc     #0
        ret
receive:
        mov     w0, w21
        add     x1, sp, #16
        mov     x2, #1
        mov     x8, #63
        svc     #0
        ret

        .include "parse-number.s"
