// From EL3 down to EL1 and back up: SMC and HVC, what EL3 and EL2 keep for themselves, illegal returns.
        .include "bare.inc"

start:  ldr     x0, =stacks_end
        mov     sp, x0
        adr     x0, vectors3
        msr     vbar_el3, x0
        adr     x0, vectors2
        msr     vbar_el2, x0
        adr     x0, vectors1
        msr     vbar_el1, x0
        ldr     x0, =(stacks_end - 16384)
        msr     sp_el1, x0
        ldr     x0, =(stacks_end - 32768)
        msr     sp_el2, x0
        isb
        say     "start at "
        bl      level
        set     scr_el3, (1 << 26) | (1 << 10) | (1 << 8) | 0x31
        set     hcr_el2, (1 << 31) | (1 << 56)
        set     sctlr_el2, 0x30c50830
        set     sctlr_el1, 0x30d00800 | (1 << 43)
        msr     cptr_el3, xzr
        set     cptr_el2, 0x33ff

        adr     x0, at_el2
        msr     elr_el3, x0
        mov     x0, #0x3c9
        msr     spsr_el3, x0
        eret

at_el2: say     "\nthen "
        bl      level
        say     "\nsmc:"
        smc     #5
        say     "\nscr_el3 from EL2:"
        mrs     x1, scr_el3
        say     "\nillegal return:"
        adr     x0, 1f
        msr     elr_el2, x0
        mov     x0, #0x3cd                      // to EL3
        msr     spsr_el2, x0
        eret
1:      nop
        say     "\nto EL1"
        adr     x0, at_el1
        msr     elr_el2, x0
        mov     x0, #0x3c5
        msr     spsr_el2, x0
        eret

at_el1: say     " now "
        bl      level
        say     "\nhvc:"
        hvc     #9
        say     "\nsmc:"
        smc     #6
        say     "\ngcr_el1, kept by EL3:"
        mov     x0, #2
        smc     #2
        mrs     x1, gcr_el1
        say     "\nand by EL2:"
        smc     #1
        hvc     #1
        mrs     x1, gcr_el1
        hvc     #2
        say     "\nas its own:"
        mov     x1, #0x1ffff
        msr     gcr_el1, x1
        mrs     x1, gcr_el1
        say_hex x1
        say     "\nsmc kept by EL2:"
        hvc     #3
        smc     #7
        hvc     #2
        say     "\nsmc disabled:"
        smc     #3
        smc     #8
        say     "\nudf at EL1:"
        udf     #0
        say     "\nvttbr_el2 from EL1:"
        mrs     x1, vttbr_el2
        say     "\nend\n"
        exit    0

level:  stp     x29, x30, [sp, #-16]!
        mrs     x0, currentel
        say_hex x0
        ldp     x29, x30, [sp], #16
        ret

// Syndromes, and calls whose number is a wish.
handler3:
        stp     x29, x30, [sp, #-16]!
        say     " el3 vector "
        say_hex x0
        mrs     x2, esr_el3
        say     " esr "
        say_hex x2
        lsr     x3, x2, #26
        mrs     x4, elr_el3
        cmp     x3, #0x17                       // SMC
        b.eq    1f
        add     x4, x4, #4
        msr     elr_el3, x4
        b       9f
1:      and     x2, x2, #0xffff
        mrs     x3, scr_el3
        cmp     x2, #1
        b.ne    2f
        orr     x3, x3, #(1 << 26)              // ATA
2:      cmp     x2, #2
        b.ne    3f
        and     x3, x3, #~(1 << 26)
3:      cmp     x2, #3
        b.ne    4f
        orr     x3, x3, #(1 << 7)               // SMD
4:      msr     scr_el3, x3
9:      ldp     x29, x30, [sp], #16
        ret

handler2:
        stp     x29, x30, [sp, #-16]!
        say     " el2 vector "
        say_hex x0
        mrs     x2, esr_el2
        say     " esr "
        say_hex x2
        lsr     x3, x2, #26
        mrs     x4, elr_el2
        cmp     x3, #0x16                       // HVC
        b.eq    1f
        cmp     x3, #0x0e                       // illegal state: clear IL
        b.ne    0f
        mrs     x5, spsr_el2
        and     x5, x5, #~(1 << 20)
        msr     spsr_el2, x5
        b       9f
0:      add     x4, x4, #4
        msr     elr_el2, x4
        b       9f
1:      and     x2, x2, #0xffff
        mrs     x3, hcr_el2
        cmp     x2, #1
        b.ne    2f
        and     x3, x3, #~(1 << 56)             // ATA
2:      cmp     x2, #2
        b.ne    3f
        orr     x3, x3, #(1 << 56)
        and     x3, x3, #~(1 << 19)
3:      cmp     x2, #3
        b.ne    4f
        orr     x3, x3, #(1 << 19)              // TSC
4:      msr     hcr_el2, x3
9:      ldp     x29, x30, [sp], #16
        ret

handler1:
        stp     x29, x30, [sp, #-16]!
        say     " el1 vector "
        say_hex x0
        mrs     x2, esr_el1
        say     " esr "
        say_hex x2
        mrs     x4, elr_el1
        add     x4, x4, #4
        msr     elr_el1, x4
        ldp     x29, x30, [sp], #16
        ret

        vector_table vectors3, 3, handler3
        vector_table vectors2, 2, handler2
        vector_table vectors1, 1, handler1
        .ltorg
