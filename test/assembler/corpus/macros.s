// Macros, repetitions and conditions.
        .data
        .macro  none
        .byte   1
        .endm
        none
        none
        .macro  two a, b
        .asciz  "\a-\b"
        .endm
        two     x, y
        two     x y
        two     b=1, a=2
        two     "with, comma", z
        two     #1 + 2, (3 + 4)
        two     , second
        two     first
        two     x-1, y * 2
        .macro  defaults a=1, b=2, c
        .byte   \a, \b, 0\c
        .endm
        defaults
        defaults 5
        defaults 5, , 7
        defaults c=3
        defaults c=3, a=9
        .macro  needs a:req, rest:vararg
        .byte   \a
        .ifnb   \rest
        .byte   \rest
        .endif
        .endm
        needs   1
        needs   1, 2, 3, 4
        .macro  count n
        .if     \n
        .byte   \n
        count   "(\n - 1)"
        .endif
        .endm
        count   5
        .macro  unique
.Lu\@:  .byte   \@
        .word   .Lu\@ - .
        .endm
        unique
        unique
        .macro  label name
\name\()_start: .byte 3
\name\()_end:
        .word   \name\()_end - \name\()_start
        .endm
        label   foo
        label   bar
        .macro  leave n
        .byte   1
        .if     \n
        .exitm
        .endif
        .byte   2
        .endm
        leave   0
        leave   1
        .macro  outer name, value
        .macro  \name
        .byte   \value
        .endm
        .endm
        outer   inner, 77
        inner
        .purgem inner
        .macro  inner
        .byte   78
        .endm
        inner
        .macro  rest args:vararg
        .asciz  "\args"
        .endm
        rest    hi , there  [x0, #8]
        .macro  stop_early
        .rept   2
        .byte   1
        .exitm
        .endr
        .byte   2
        .endm
        stop_early
        .ifc    a  b, a b
        .byte   0x5a
        .endif
        .rept   3
        .byte   9
        .rept   2
        .byte   8
        .endr
        .endr
        .rept   0
        .byte   99
        .endr
        .irp    x, 1, 2, 3
        .byte   \x
        .endr
        .irp    x, a b, "c d"
        .asciz  "\x"
        .endr
        .irp    empty
        .byte   5
        .endr
        .irpc   c, 0123
        .byte   \c + 1
        .endr
        .irp    x, 1, 2
        .irp    y, 3, 4
        .byte   \x * 16 + \y
        .endr
        .endr
        .equ    DEFINED, 1
        .ifdef  DEFINED
        .byte   1
        .else
        .byte   2
        .endif
        .ifndef NOT_DEFINED
        .byte   3
        .endif
        .if     0
        this is not assembled, [ #
        .if     1
        .byte   4
        .else
        .byte   5
        .endif
        .elseif 0
        .byte   6
        .elseif 1
        .byte   7
        .else
        .byte   8
        .endif
        .ifc    abc, abc
        .byte   10
        .endif
        .ifnc   abc, abd
        .byte   11
        .endif
        .ifc    a b , a b
        .byte   12
        .endif
        .ifb
        .byte   13
        .endif
        .ifnb   x
        .byte   14
        .endif
        .ifeq   0
        .byte   15
        .endif
        .ifgt   1
        .byte   16
        .endif
        .ifge   0
        .byte   17
        .endif
        .iflt   -1
        .byte   18
        .endif
        .ifle   1
        .byte   19
        .endif
        .ifne   2
        .byte   20
        .endif
        .ifeqs  "a", "a"
        .byte   21
        .endif
        .ifnes  "a", "b"
        .byte   22
        .endif
        .text
        .macro  push_pair a, b
        stp     \a, \b, [sp, #-16]!
        .endm
        .macro  adr_l dst, sym
        adrp    \dst, \sym
        add     \dst, \dst, :lo12:\sym
        .endm
        .macro  mov_q reg, val
        .if     (((\val) >> 31) == 0 || ((\val) >> 31) == 0x1ffffffff)
        movz    \reg, :abs_g1_s:\val
        .else
        .if     (((\val) >> 47) == 0 || ((\val) >> 47) == 0x1ffff)
        movz    \reg, :abs_g2_s:\val
        .else
        movz    \reg, :abs_g3:\val
        movk    \reg, :abs_g2_nc:\val
        .endif
        movk    \reg, :abs_g1_nc:\val
        .endif
        movk    \reg, :abs_g0_nc:\val
        .endm
        .global _start
_start: push_pair x29, x30
        adr_l   x0, foo_start
        mov_q   x1, 0x1234
        mov_q   x2, 0x123456789abc
        mov_q   x3, 0x123456789abcdef0
        mov_q   x4, -2
        mov_q   x5, 0xffff0000ffff0000
        .irp    n, 0, 1, 2, 3
        mov     x\n, #\n
        .endr
