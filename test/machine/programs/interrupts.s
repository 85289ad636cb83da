// Interrupts at EL1: timers, SGIs, SPIs, priorities, masks, groups, WFI, the UART's line, PSCI by HVC.
        .include "bare.inc"

start:  ldr     x0, =stacks_end
        mov     sp, x0
        adr     x0, vectors
        msr     vbar_el1, x0
        isb
        mov     x28, #0                         // interrupts taken so far

        // PSCI: version, and which calls there are.
        ldr     x0, =0x84000000
        hvc     #0
        say     "psci version "
        say_hex x0
        ldr     x0, =0x8400000a
        ldr     x1, =0xc4000003
        hvc     #0
        say     " cpu_on "
        say_hex x0
        ldr     x0, =0x8400000a
        ldr     x1, =0x8400001f
        hvc     #0
        sxtw    x0, w0
        neg     x0, x0
        say     " unknown -"
        say_hex x0
        say     "\n"

        // The interrupt controller: all interrupts group 1, priority 0xa0.
        ldr     x0, =GICD
        mov     w1, #(1 << 4)                   // ARE
        str     w1, [x0]
        mov     w1, #(3 | (1 << 4))
        str     w1, [x0]
        ldr     x0, =GICR
        ldr     w1, [x0, #0x14]
        and     w1, w1, #~2
        str     w1, [x0, #0x14]
1:      ldr     w1, [x0, #0x14]
        tbnz    w1, #2, 1b
        add     x0, x0, #0x10000
        mov     w1, #-1
        str     w1, [x0, #0x80]                 // group 1
        ldr     w1, =0xa0a0a0a0
        mov     x2, #0
2:      add     x3, x0, x2
        str     w1, [x3, #0x400]
        add     x2, x2, #4
        cmp     x2, #32
        b.lo    2b
        mov     w1, #(1 << 27)
        orr     w1, w1, #(1 << 30)
        orr     w1, w1, #0xff                   // SGIs 0..7
        str     w1, [x0, #0x100]
        mov     x1, #7
        msr     icc_sre_el1, x1
        isb
        mov     x1, #0xf0
        msr     icc_pmr_el1, x1
        mov     x1, #1
        msr     icc_igrpen1_el1, x1
        msr     icc_igrpen0_el1, x1
        isb

        // The virtual timer, waited for.
        say     "virtual timer:"
        msr     daifclr, #3
        add     x27, x28, #1
        mov     x0, #1000
        msr     cntv_tval_el0, x0
        mov     x0, #1
        msr     cntv_ctl_el0, x0
        bl      wait_one
        say     "\nphysical timer:"
        add     x27, x28, #1
        mov     x0, #1000
        msr     cntp_tval_el0, x0
        mov     x0, #1
        msr     cntp_ctl_el0, x0
        bl      wait_one

        // Masked: WFI ends all the same, ISR_EL1 shows it, and it is taken when the mask goes.
        say     "\nmasked:"
        msr     daifset, #2
        mov     x0, #1000
        msr     cntv_tval_el0, x0
        mov     x0, #1
        msr     cntv_ctl_el0, x0
        isb
1:      wfi
        mrs     x1, isr_el1
        cbz     x1, 1b
        say     " isr "
        say_hex x1
        mrs     x1, cntv_ctl_el0
        say     " ctl "
        say_hex x1
        say     " taken"
        say_hex x28
        msr     daifclr, #2
        isb
        say     "\nimasked timer: "
        mov     x0, #3                          // ENABLE, IMASK
        msr     cntp_ctl_el0, x0
        msr     cntp_cval_el0, xzr
        isb
        mrs     x1, cntp_ctl_el0
        say_hex x1
        msr     cntp_ctl_el0, xzr

        // SGIs: to oneself, and held back by the priority mask.
        say     "\nsgi:"
        ldr     x0, =((3 << 24) | 1)
        msr     icc_sgi1r_el1, x0
        isb
        bl      wait_seen
        say     "\npriority mask:"
        mov     x0, #0x80
        msr     icc_pmr_el1, x0
        ldr     x0, =((4 << 24) | 1)
        msr     icc_sgi1r_el1, x0
        isb
        nop
        nop
        mrs     x1, icc_hppir1_el1
        say     " pending "
        say_hex x1
        mrs     x1, isr_el1
        say     " isr "
        say_hex x1
        mrs     x1, icc_iar1_el1
        say     " iar "
        say_hex x1
        mov     x0, #0xf0
        msr     icc_pmr_el1, x0
        isb
        bl      wait_seen

        // The higher priority goes first.
        say     "\norder:"
        msr     daifset, #2
        ldr     x2, =(GICR + 0x10000)
        mov     w1, #0x40
        strb    w1, [x2, #(0x400 + 6)]
        ldr     x0, =((5 << 24) | 1)
        msr     icc_sgi1r_el1, x0
        ldr     x0, =((6 << 24) | 1)
        msr     icc_sgi1r_el1, x0
        isb
        add     x27, x28, #2
        msr     daifclr, #2
1:      cmp     x28, x27
        b.lo    1b

        // Preemption: SGI 1 sends SGI 6 from its handler and unmasks.
        say     "\npreemption:"
        ldr     x0, =((1 << 24) | 1)
        add     x27, x28, #2
        msr     icc_sgi1r_el1, x0
        isb
1:      cmp     x28, x27
        b.lo    1b

        // A shared interrupt, made pending by hand; then with its own deactivation.
        say     "\nspi:"
        ldr     x0, =GICD
        mov     w1, #(1 << 8)                   // interrupt 40
        str     w1, [x0, #(0x80 + 4)]
        mov     w2, #0xa0
        strb    w2, [x0, #(0x400 + 40)]
        add     x3, x0, #0x6000
        str     xzr, [x3, #(8 * 40)]
        str     w1, [x0, #(0x100 + 4)]
        str     w1, [x0, #(0x200 + 4)]
        dsb     sy
        bl      wait_seen
        say     "\nsplit end:"
        mov     x2, #2                          // EOImode
        msr     icc_ctlr_el1, x2
        isb
        str     w1, [x0, #(0x200 + 4)]
        dsb     sy
        bl      wait_seen
        ldr     w3, [x0, #(0x300 + 4)]
        say     " active "
        say_hex x3
        mrs     x3, icc_rpr_el1
        say     " running "
        say_hex x3
        mov     x3, #40
        msr     icc_dir_el1, x3
        isb
        ldr     w3, [x0, #(0x300 + 4)]
        say     " active "
        say_hex x3
        msr     icc_ctlr_el1, xzr
        isb

        // Group 0 is FIQ.
        say     "\ngroup 0:"
        ldr     x2, =(GICR + 0x10000)
        mov     w1, #~(1 << 7)
        str     w1, [x2, #0x80]
        ldr     x0, =((7 << 24) | 1)
        msr     icc_sgi0r_el1, x0
        isb
        bl      wait_seen

        // The UART's transmit interrupt: a level that stays until it is cleared.
        say     "\nuart:"
        ldr     x0, =GICD
        mov     w1, #(1 << 1)                   // interrupt 33
        str     w1, [x0, #(0x80 + 4)]
        mov     w2, #0xa0
        strb    w2, [x0, #(0x400 + 33)]
        str     w1, [x0, #(0x100 + 4)]
        mov     x2, #UART
        mov     w1, #(1 << 5)
        str     w1, [x2, #0x44]
        str     w1, [x2, #0x38]
        mov     w1, #' '
        str     w1, [x2]
        bl      wait_seen
        say     "\nend\n"

        // PSCI SYSTEM_OFF.
        ldr     x0, =0x84000008
        hvc     #0
        b       .

// Waits with WFI until x27 interrupts were taken.
wait_one:
1:      msr     daifset, #2
        cmp     x28, x27
        b.hs    2f
        wfi
        msr     daifclr, #2
        isb
        b       1b
2:      msr     daifclr, #2
        ret

// Waits without.
wait_seen:
        ldr     x26, =1000000
1:      cbnz    x25, 2f
        sub     x26, x26, #1
        cbnz    x26, 1b
        say_hex x30
        exit    3
2:      mov     x25, #0
        ret

// x0: the vector. Interrupts only: 5 is IRQ, 6 FIQ, with SP_EL1.
handler:
        stp     x29, x30, [sp, #-16]!
        mrs     x8, elr_el1
        mrs     x9, spsr_el1
        cmp     x0, #5
        b.eq    1f
        cmp     x0, #6
        b.eq    5f
        say     " vector "
        say_hex x0
        mrs     x1, esr_el1
        say     " esr "
        say_hex x1
        say     " elr "
        say_hex x8
        exit    2
1:      mrs     x10, icc_iar1_el1
        say     " irq "
        say_hex x10
        // Quiet the source.
        cmp     x10, #27
        b.ne    2f
        msr     cntv_ctl_el0, xzr
2:      cmp     x10, #30
        b.ne    3f
        msr     cntp_ctl_el0, xzr
3:      cmp     x10, #33
        b.ne    4f
        mov     x1, #UART
        str     wzr, [x1, #0x38]
4:      cmp     x10, #1
        b.ne    6f
        ldr     x0, =((6 << 24) | 1)
        msr     icc_sgi1r_el1, x0
        isb
        add     x11, x28, #1
        msr     daifclr, #2
7:      cmp     x28, x11
        b.lo    7b
        msr     daifset, #2
        say     " back"
6:      mrs     x11, icc_rpr_el1
        say     " at "
        say_hex x11
        msr     icc_eoir1_el1, x10
        b       8f
5:      mrs     x10, icc_iar0_el1
        say     " fiq "
        say_hex x10
        msr     icc_eoir0_el1, x10
8:      isb
        add     x28, x28, #1
        mov     x25, #1
        msr     elr_el1, x8
        msr     spsr_el1, x9
        ldp     x29, x30, [sp], #16
        ret

        vector_table vectors, 1, handler
        .ltorg
