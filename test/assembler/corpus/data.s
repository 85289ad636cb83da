// Every way to store data.
        .data
        .byte   1, -1, 255, 'a', '\n', '\\', 'b', 0x7f, 0b1010, 0777 & 0xff
        .2byte  1, 0xffff, -1
        .hword  0x1234
        .short  -2, 65535
        .balign 4
        .word   1, 0xdeadbeef, -1, 'z'
        .4byte  42
        .int    -42
        .long   0x7fffffff
        .balign 8
        .quad   0x123456789abcdef0, -1, 18446744073709551615
        .8byte  1
        .xword  2, 3
        .dword  4
        .octa   0x00112233445566778899aabbccddeeff, -1
        .ascii  "plain", "two"
        .asciz  "ends", "twice"
        .string "tab\there \"quoted\" \101\x42\\ done"
        .ascii  "semi;colon // not a comment /* nor this */"
        .asciz  ""
        .string "grün"
        .balign 8
        .fill   3
        .fill   2, 2, 0x1234
        .fill   2, 4, 0x11223344
        .fill   3, 8, -1
        .fill   0, 4, 1
        .fill   5, 3, 0x010203
        .space  3
        .space  3, 0x55
        .zero   5
        .skip   2, 0xff
        .float  1.5, -0.0, 1e10
        .single 3.14159
        .double 2.718281828, -1.0
        .uleb128 0, 127, 128, 300, 0xffffffff
        .sleb128 -1, 63, 64, -64, -65, 1000000
        .balign 4
here:   .word   . - here, . - here, here - ., after - here
after:
        .quad   here, after, here + 8, after - 4
        .quad   absolute, absolute * 2 + 1
        .equ    absolute, 0x1000
        .byte   2 + 3; .byte 4 ; .byte 5
        .word   after - here /* a comment */ , 7 // and one more
# a comment at the start of a line
  # and one after blanks
        .byte   1 /* over
        several
        lines */ , 2
