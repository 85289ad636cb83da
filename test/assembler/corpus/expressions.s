// Operators, ranks, and what symbols do to them.
        .data
        .quad   1 + 2 * 3, (1 + 2) * 3, 10 - 3 - 2, 100 / 7, -7 / 2, -7 % 3, 7 % -3
        .quad   1 << 4, 1 << 63, -16 >> 2, 1 << 3 + 1, 3 | 4 + 1, 0xff & 0x0f ^ 0x3, 7 ! 2
        .quad   1 < 2, 2 < 1, 1 == 1, 1 != 1, 1 <> 2, 2 >= 2, 1 > 2, 2 <= 1, -1 < 1
        .quad   2 && 3, 0 && 1, 0 || 5, 0 || 0, !0, !5, ~0, -5, - -5, -~5, +7
        .quad   5 & 3 == 1, 1 + 1 == 2, 1 || 0 && 0
        .quad   ((((((((1))))))))
        .quad   0x7fffffffffffffff + 1, 0xffffffffffffffff, 0x8000000000000000
        .equ    A, 5
        .set    B, A * 2
        C = B + 1
        D == 17
        .equiv  E, D + 1
        .quad   A, B, C, D, E
        .set    B, B + 100
        .quad   B
        C = C << 2
        .quad   C
        .set    later, end - start
        .quad   later, end - start, (end - start) / 4
start:  .space  20
end:
        .quad   start - end, start - . , . - start
        .equ    alias, start
        .quad   alias, alias + 4
        .if     end - start == 20
        .byte   1
        .else
        .byte   2
        .endif
        .set    n, 0
        .rept   4
        .byte   n
        .set    n, n + 1
        .endr
        .quad   forward + 1
        .equ    forward, 41
        .equ    chain1, chain2 + 1
        .equ    chain2, chain3 * 2
        .equ    chain3, 20
        .quad   chain1
