// Tag storage changes hands, with the cache maintenance that this takes.
//
//      mtemu run --bare --caches model --seed 7 firmware/examples/bare-handover.s
//
// 512 bytes of DRAM at 0x60400000 are the tags of the 16 KiB of memory at 0x48000000. The program uses
// them in turns as ordinary memory and as tag storage, as a kernel that lends tag storage does. Data lines
// and tag lines are cached under different addresses and know nothing of each other, so that
//
//      before the bytes start to hold tags, their data lines are invalidated (DC IVAC), and
//      before they stop, the tag lines of the memory they belong to are invalidated (DC IGVAC).
//
// A dirty line that is left behind is written back at some later time, over what is there then.
// bare-no-data-invalidate.s and bare-no-tag-invalidate.s leave one of the two out.

        .ifndef OMIT_DATA_INVALIDATE
        .equ    OMIT_DATA_INVALIDATE, 0
        .endif
        .ifndef OMIT_TAG_INVALIDATE
        .equ    OMIT_TAG_INVALIDATE, 0
        .endif

        .equ    ROUNDS, 4
        .equ    MEMORY, 0x48000000              // whose tags they are
        .equ    MEMORY_SIZE, 0x4000
        .equ    STORAGE, 0x60400000             // 0x60000000 + (MEMORY - 0x40000000) / 32
        .equ    STORAGE_SIZE, MEMORY_SIZE / 32
        .equ    ELSEWHERE, 0x50000000           // other memory, to push lines out of the caches

        .equ    SYS_WRITE0, 0x04
        .equ    SYS_EXIT, 0x18
        .equ    APPLICATION_EXIT, 0x20026

        // Attribute 0 Device, 1 Normal Tagged.
        .equ    MAIR_VALUE, 0xf000
        // 39-bit addresses, 4 KiB, write-back walks, inner shareable, 40-bit output; no upper half.
        .equ    TCR_VALUE, 25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2 << 32)
        // M, C, I, RES1, ATA.
        .equ    SCTLR_VALUE, 0x30d00800 | (1 << 0) | (1 << 2) | (1 << 12) | (1 << 43)

        .text
        .global _start
_start:
        // One table of 1 GiB blocks: devices, then DRAM.
        adr     x0, tables
        mov     x1, #0x401                      // block, AF, attribute 0
        str     x1, [x0]
        mov     x1, #0x40000000
        movk    x1, #0x705                      // block, AF, inner shareable, attribute 1
        str     x1, [x0, #8]
        dsb     sy
        msr     ttbr0_el1, x0
        ldr     x1, =MAIR_VALUE
        msr     mair_el1, x1
        ldr     x1, =TCR_VALUE
        msr     tcr_el1, x1
        isb
        ldr     x1, =SCTLR_VALUE
        msr     sctlr_el1, x1
        isb

        // Bytes of memory that a tag line covers: 4 << CTR_EL0.TminLine.
        mrs     x0, ctr_el0
        ubfx    x0, x0, #32, #6
        mov     x1, #4
        lsl     x27, x1, x0

        mov     x19, #ROUNDS
        mov     x20, #0                         // rounds in which tags were wrong
        mov     x21, #0                         // rounds in which data were wrong
        ldr     x22, =0x5a5a00ff5a5a00ff        // changes every round
round:
        eor     x22, x22, x22, ror #13

        // The bytes are somebody's data.
        bl      write_data
        bl      other_work

        // They start to hold tags.
        .if     OMIT_DATA_INVALIDATE == 0
        ldr     x0, =STORAGE
        add     x1, x0, #STORAGE_SIZE
1:      dc      ivac, x0
        add     x0, x0, #64
        cmp     x0, x1
        b.lo    1b
        dsb     sy
        .endif
        ldr     x0, =MEMORY
        add     x1, x0, #MEMORY_SIZE
        mov     x2, x22
1:      stgm    x2, [x0]                        // the tags of 256 bytes
        eor     x2, x2, x2, ror #7
        add     x0, x0, #256
        cmp     x0, x1
        b.lo    1b

        bl      other_work
        ldr     x0, =MEMORY
        add     x1, x0, #MEMORY_SIZE
        mov     x2, x22
        mov     x4, #0
1:      ldgm    x3, [x0]
        cmp     x3, x2
        csinc   x4, x4, xzr, eq                 // 1 once one differs
        eor     x2, x2, x2, ror #7
        add     x0, x0, #256
        cmp     x0, x1
        b.lo    1b
        add     x20, x20, x4

        // They stop to hold tags, and are data again.
        .if     OMIT_TAG_INVALIDATE == 0
        ldr     x0, =MEMORY
        add     x1, x0, #MEMORY_SIZE
1:      dc      igvac, x0
        add     x0, x0, x27
        cmp     x0, x1
        b.lo    1b
        dsb     sy
        .endif
        bl      write_data
        bl      other_work
        bl      read_data
        add     x21, x21, x0

        subs    x19, x19, #1
        b.ne    round

        cbnz    x20, 1f
        cbnz    x21, 1f
        adr     x1, text_intact
        bl      print
        mov     x1, #0
        b       exit
1:      adr     x1, text_tags
        cbnz    x20, 2f
        adr     x1, text_data
        cbz     x21, 2f
        b       3f
2:      cbz     x21, 3f
        adr     x1, text_both
3:      bl      print
        mov     x1, #1

// x1: the status.
exit:   adr     x2, exit_block
        str     x1, [x2, #8]
        mov     x0, #SYS_EXIT
        mov     x1, x2
        hlt     #0xf000
        b       .

print:  mov     x0, #SYS_WRITE0
        hlt     #0xf000
        ret

// The old owner's data.
write_data:
        ldr     x0, =STORAGE
        add     x1, x0, #STORAGE_SIZE
        mvn     x2, x22
1:      str     x2, [x0], #8
        eor     x2, x2, x2, ror #5
        cmp     x0, x1
        b.lo    1b
        ret

// x0: 1 if they are not what was written.
read_data:
        ldr     x1, =STORAGE
        add     x2, x1, #STORAGE_SIZE
        mvn     x3, x22
        mov     x0, #0
1:      ldr     x4, [x1], #8
        cmp     x4, x3
        csinc   x0, x0, xzr, eq
        eor     x3, x3, x3, ror #5
        cmp     x1, x2
        b.lo    1b
        ret

// Data and tags elsewhere: enough that most lines leave the caches.
other_work:
        ldr     x0, =ELSEWHERE
        add     x1, x0, #(640 * 64)
        mov     x2, x0
1:      str     x0, [x0], #64
        ldg     x3, [x2]
        add     x2, x2, #512
        cmp     x0, x1
        b.lo    1b
        ret

text_intact:
        .asciz  "tag storage changed hands 8 times: all tags and data are intact\n"
text_tags:
        .asciz  "tag storage changed hands 8 times: tags were corrupted\n"
text_data:
        .asciz  "tag storage changed hands 8 times: data were corrupted\n"
text_both:
        .asciz  "tag storage changed hands 8 times: tags and data were corrupted\n"
        .ltorg

        .balign 8
exit_block:
        .quad   APPLICATION_EXIT, 0
        .balign 4096
tables: .space  4096
