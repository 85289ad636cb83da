// DC by address, each form, seen from below: DRAM is read through a Non-cacheable alias of the same
// memory. The status is the number of the first check that fails.
        .equ    MEMORY, 0x48000000              // cached, Normal Tagged
        .equ    ALIAS, 0x80000000               // + physical address: Non-cacheable
        .equ    STORAGE, 0x60400000
        .macro  check number, register, value
        mov     x28, #\number
        ldr     x27, =\value
        cmp     \register, x27
        b.ne    fail
        .endm
        .macro  from_dram register, address
        ldr     \register, =(\address + ALIAS)
        ldr     \register, [\register]
        .endm

        .text
        .global _start
_start: adr     x0, tables
        mov     x1, #0x401
        str     x1, [x0]
        mov     x1, #0x40000000
        movk    x1, #0x705
        str     x1, [x0, #8]                    // attribute 1: Tagged
        movk    x1, #0x709
        str     x1, [x0, #24]                   // 3 GiB: the same, attribute 2
        dsb     sy
        msr     ttbr0_el1, x0
        ldr     x1, =0x44f000
        msr     mair_el1, x1
        ldr     x1, =(25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2 << 32) | (1 << 37))
        msr     tcr_el1, x1
        isb
        ldr     x1, =(0x30d00800 | (1 << 0) | (1 << 2) | (1 << 12) | (1 << 43))
        msr     sctlr_el1, x1
        isb

        // Clean writes the line back: whatever was evicted before, DRAM has the value now.
        ldr     x1, =MEMORY
        mov     x2, #0x11
        str     x2, [x1, #8]
        dc      cvac, x1
        from_dram x3, (MEMORY + 8)
        check   1, x3, 0x11
        mov     x2, #0x12
        str     x2, [x1, #8]
        dc      civac, x1
        from_dram x3, (MEMORY + 8)
        check   2, x3, 0x12
        mov     x2, #0x13
        str     x2, [x1, #8]
        dc      cvap, x1
        from_dram x3, (MEMORY + 8)
        check   3, x3, 0x13
        mov     x2, #0x14
        str     x2, [x1, #8]
        dc      cvadp, x1
        from_dram x3, (MEMORY + 8)
        check   4, x3, 0x14
        mov     x2, #0x15
        str     x2, [x1, #8]
        dc      cvau, x1
        from_dram x3, (MEMORY + 8)
        check   5, x3, 0x15

        // Invalidate: what is in DRAM is read afterwards.
        dc      civac, x1
        ldr     x4, =(MEMORY + ALIAS)
        mov     x2, #0x16
        str     x2, [x4, #8]
        dc      ivac, x1
        ldr     x3, [x1, #8]
        check   6, x3, 0x16

        // Tags: two a byte in tag storage.
        mov     x2, #5
        lsl     x2, x2, #56
        add     x2, x2, x1
        stg     x2, [x1]
        dc      cgvac, x1
        from_dram x3, STORAGE
        and     x3, x3, #15
        check   7, x3, 5
        mov     x2, #6
        lsl     x2, x2, #56
        add     x2, x2, x1
        stg     x2, [x1, #16]
        dc      cigvac, x1
        from_dram x3, STORAGE
        and     x3, x3, #0xff
        check   8, x3, 0x65
        ldr     x4, =(STORAGE + ALIAS)
        mov     x2, #0x87
        str     x2, [x4]
        dc      igvac, x1
        ldg     x3, [x1]
        lsr     x3, x3, #56
        check   9, x3, 7

        // Both at once.
        mov     x2, #0x17
        str     x2, [x1, #8]
        mov     x2, #9
        lsl     x2, x2, #56
        add     x2, x2, x1
        stg     x2, [x1]
        dc      cgdvac, x1
        from_dram x3, (MEMORY + 8)
        check   10, x3, 0x17
        from_dram x3, STORAGE
        and     x3, x3, #15
        check   11, x3, 9
        dc      cigdvac, x1
        ldr     x4, =(STORAGE + ALIAS)
        str     xzr, [x4]
        ldr     x4, =(MEMORY + ALIAS)
        mov     x2, #0x18
        str     x2, [x4, #8]
        dc      igdvac, x1
        ldr     x3, [x1, #8]
        check   12, x3, 0x18
        ldg     x3, [x1]
        lsr     x3, x3, #56
        check   13, x3, 0

        // DC GZVA: a block of zeros with the pointer's tag.
        mov     x2, #11
        lsl     x2, x2, #56
        add     x2, x2, x1
        dc      gzva, x2
        dc      cigdvac, x1
        from_dram x3, (MEMORY + 8)
        check   14, x3, 0
        from_dram x3, STORAGE
        and     x3, x3, #0xffff
        check   15, x3, 0xbbbb

        // By set and way: every line of both caches.
        mov     x2, #0x19
        str     x2, [x1, #8]
        mov     x2, #12
        lsl     x2, x2, #56
        add     x2, x2, x1
        stg     x2, [x1]
        mov     x5, #0
1:      mov     x6, #0
2:      lsl     x7, x6, #6
        orr     x7, x7, x5, lsl #30
        dc      cigdsw, x7
        add     x6, x6, #1
        cmp     x6, #128
        b.lo    2b
        add     x5, x5, #1
        cmp     x5, #4
        b.lo    1b
        from_dram x3, (MEMORY + 8)
        check   16, x3, 0x19
        from_dram x3, STORAGE
        and     x3, x3, #15
        check   17, x3, 12
        mov     x28, #0

fail:   adr     x1, block
        str     x28, [x1, #8]
        dc      civac, x1
        mov     x0, #0x18
        hlt     #0xf000
        b       .
        .ltorg
        .balign 64
block:  .quad   0x20026, 0
        .balign 4096
tables: .space  4096
