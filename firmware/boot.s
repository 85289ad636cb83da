// Boot firmware: the first instructions a machine executes, at EL3.
//
// It programs the memory controller's tag ranges, opens memory tagging to the lower exception levels,
// says what it did on the serial line, and enters the next stage with the device tree's address in x0.
// CPUs that PSCI switches on start at secondary_start.
//
// At reset the board gives it
//     x0  the device tree blob
//     x1  the board description, 64-bit words:
//             0  base of the tag controller's registers, or 0
//             8  base of a PL011, or 0
//            16  entry point of the next stage
//            24  exception level of the next stage, 1 to 3
//            32  number of tag ranges, then for each range
//                memory base, memory size, tag base, block size, log2 of the interleave's ways
//
// Ref. src/machine/devices/tag-controller.ts (registers), DDI 0487 D19.2 (system registers).

        .equ    DESCRIPTION_CONTROLLER, 0
        .equ    DESCRIPTION_UART, 8
        .equ    DESCRIPTION_ENTRY, 16
        .equ    DESCRIPTION_LEVEL, 24
        .equ    DESCRIPTION_RANGES, 32
        .equ    DESCRIPTION_FIRST_RANGE, 40

        .equ    RANGE_MEMORY, 0
        .equ    RANGE_SIZE, 8
        .equ    RANGE_TAGS, 16
        .equ    RANGE_BLOCK, 24
        .equ    RANGE_INTERLEAVE, 32
        .equ    RANGE_BYTES, 40

        .equ    CONTROLLER_COUNT, 0x004
        .equ    CONTROLLER_ERROR, 0x008
        .equ    CONTROLLER_FIRST_RANGE, 0x100
        .equ    CONTROLLER_STRIDE, 0x40
        .equ    CONTROLLER_MEMORY, 0x00
        .equ    CONTROLLER_SIZE, 0x08
        .equ    CONTROLLER_TAGS, 0x10
        .equ    CONTROLLER_BLOCK, 0x18
        .equ    CONTROLLER_CONTROL, 0x1c
        .equ    CONTROLLER_STATUS, 0x20

        .equ    UART_DR, 0x00
        .equ    UART_FR, 0x18
        .equ    UART_FR_TXFF_BIT, 5

        // NS, RES1, HCE, RW, APK, API, ATA: the next levels are non-secure, 64-bit, and may use tags.
        .equ    SCR_EL3_VALUE, (1 << 0) | (3 << 4) | (1 << 8) | (1 << 10) | (1 << 16) | (1 << 17) | (1 << 26)
        // RW, APK, API, ATA: EL1 is 64-bit and may use tags.
        .equ    HCR_EL2_VALUE, (1 << 31) | (1 << 40) | (1 << 41) | (1 << 56)
        .equ    CPTR_EL2_VALUE, 0x33ff
        .equ    SCTLR_EL2_RES1, 0x30c50830
        .equ    SCTLR_EL1_RES1, 0x30d00980
        // D, A, I, F masked; ELxh.
        .equ    SPSR_MASKED, 0x3c0
        .equ    SPSR_ELXH, 1

        .text
        .global _start
_start:
        mov     x19, x0
        mov     x20, x1
        bl      set_up_levels
        bl      program_ranges                  // x21: ranges in force
        bl      announce
        ldr     x1, [x20, #DESCRIPTION_ENTRY]
        ldr     x2, [x20, #DESCRIPTION_LEVEL]

// Enters x1 at level x2, with x19 in x0.
enter_next:
        lsl     x3, x2, #2
        add     x3, x3, #(SPSR_MASKED | SPSR_ELXH)
        msr     spsr_el3, x3
        msr     elr_el3, x1
        mov     x0, x19
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        dsb     sy
        isb
        eret

// A CPU that was switched on: x0 goes to the next stage in x0, x1 is where that begins, x2 its level.
        .global secondary_start
secondary_start:
        mov     x19, x0
        mov     x20, x1
        mov     x21, x2
        bl      set_up_levels
        mov     x1, x20
        mov     x2, x21
        b       enter_next

// What the levels below EL3 may do, and how they start.
        .type   set_up_levels, %function
set_up_levels:
        adr     x0, vectors
        msr     vbar_el3, x0
        ldr     x0, =SCR_EL3_VALUE
        msr     scr_el3, x0
        msr     cptr_el3, xzr
        ldr     x0, =HCR_EL2_VALUE
        msr     hcr_el2, x0
        mov     x0, #CPTR_EL2_VALUE
        msr     cptr_el2, x0
        ldr     x0, =SCTLR_EL2_RES1
        msr     sctlr_el2, x0
        mov     x0, #3                          // EL1PCTEN, EL1PCEN: the counter and timer are EL1's too
        msr     cnthctl_el2, x0
        msr     cntvoff_el2, xzr
        ldr     x0, =SCTLR_EL1_RES1
        msr     sctlr_el1, x0
        isb
        ret
        .size   set_up_levels, . - set_up_levels

// Programs every range of the description that the controller has room for.
        .type   program_ranges, %function
program_ranges:
        mov     x21, #0
        ldr     x0, [x20, #DESCRIPTION_CONTROLLER]
        cbz     x0, 9f
        ldr     x1, [x20, #DESCRIPTION_RANGES]
        ldr     w2, [x0, #CONTROLLER_COUNT]
        cmp     x1, x2
        csel    x1, x1, x2, ls
        add     x2, x20, #DESCRIPTION_FIRST_RANGE
        add     x3, x0, #CONTROLLER_FIRST_RANGE
1:      cbz     x1, 9f
        ldr     x4, [x2, #RANGE_MEMORY]
        str     x4, [x3, #CONTROLLER_MEMORY]
        ldr     x4, [x2, #RANGE_SIZE]
        str     x4, [x3, #CONTROLLER_SIZE]
        ldr     x4, [x2, #RANGE_TAGS]
        str     x4, [x3, #CONTROLLER_TAGS]
        ldr     w4, [x2, #RANGE_BLOCK]
        str     w4, [x3, #CONTROLLER_BLOCK]
        ldr     w4, [x2, #RANGE_INTERLEAVE]
        lsl     w4, w4, #4
        orr     w4, w4, #1                      // ENABLE
        str     w4, [x3, #CONTROLLER_CONTROL]
        dsb     sy
        ldr     w4, [x3, #CONTROLLER_STATUS]
        and     w4, w4, #1
        add     x21, x21, x4
        add     x2, x2, #RANGE_BYTES
        add     x3, x3, #CONTROLLER_STRIDE
        sub     x1, x1, #1
        b       1b
9:      ret
        .size   program_ranges, . - program_ranges

// One line about what was done.
        .type   announce, %function
announce:
        mov     x22, x30
        adr     x0, text_tag_ranges
        bl      put_string
        mov     x0, x21
        bl      put_decimal
        adr     x0, text_of
        bl      put_string
        ldr     x0, [x20, #DESCRIPTION_RANGES]
        bl      put_decimal
        adr     x0, text_entering
        bl      put_string
        ldr     x0, [x20, #DESCRIPTION_LEVEL]
        bl      put_decimal
        adr     x0, text_newline
        bl      put_string
        ret     x22
        .size   announce, . - announce

// x0: a string. Without a serial line it goes nowhere.
        .type   put_string, %function
put_string:
        ldr     x1, [x20, #DESCRIPTION_UART]
        cbz     x1, 9f
1:      ldrb    w2, [x0], #1
        cbz     w2, 9f
2:      ldr     w3, [x1, #UART_FR]
        tbnz    w3, #UART_FR_TXFF_BIT, 2b
        str     w2, [x1, #UART_DR]
        b       1b
9:      ret
        .size   put_string, . - put_string

// x0: a number below 100.
        .type   put_decimal, %function
put_decimal:
        ldr     x1, [x20, #DESCRIPTION_UART]
        cbz     x1, 9f
        mov     x4, #10
        udiv    x5, x0, x4
        msub    x6, x5, x4, x0
        cbz     x5, 3f
        add     x5, x5, #'0'
1:      ldr     w3, [x1, #UART_FR]
        tbnz    w3, #UART_FR_TXFF_BIT, 1b
        str     w5, [x1, #UART_DR]
3:      add     x6, x6, #'0'
4:      ldr     w3, [x1, #UART_FR]
        tbnz    w3, #UART_FR_TXFF_BIT, 4b
        str     w6, [x1, #UART_DR]
9:      ret
        .size   put_decimal, . - put_decimal

// An exception at EL3 is the end: nothing below may call up here yet.
        .type   unexpected, %function
unexpected:
        adr     x0, text_unexpected
        bl      put_string
        mov     x0, #0x18                       // SYS_EXIT
        mov     x1, #1
        hlt     #0xf000
        b       .
        .size   unexpected, . - unexpected

text_tag_ranges:
        .asciz  "firmware: tag ranges in force: "
text_of:
        .asciz  " of "
text_entering:
        .asciz  "; entering EL"
text_newline:
        .asciz  "\n"
text_unexpected:
        .asciz  "firmware: unexpected exception at EL3\n"

        .balign 2048
vectors:
        .rept   16
        b       unexpected
        .balign 128
        .endr

        .ltorg
