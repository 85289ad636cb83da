// Shared by the benchmark programs.
// x0: string -> x0: number
parse_number:
        mov     x1, x0
        mov     x0, #0
        mov     x3, #10
1:      ldrb    w2, [x1], #1
        subs    w2, w2, #'0'
        b.lo    2f
        cmp     w2, #9
        b.hi    2f
        madd    x0, x0, x3, x2
        b       1b
2:      ret
