// Self-hosted debug at EL1 of a program at EL0 and of EL1 itself: software step, breakpoints,
// watchpoints.
        .include "bare.inc"
        .equ    MDSCR_SS, 1
        .equ    MDSCR_KDE, 1 << 13
        .equ    MDSCR_MDE, 1 << 15
        .equ    SPSR_SS, 1 << 21

start:  ldr     x0, =stacks_end
        mov     sp, x0
        adr     x0, vectors
        msr     vbar_el1, x0
        // DRAM for EL1, and a gigabyte further up once more for EL0: what EL0 can write, EL1 cannot execute.
        ldr     x0, =tables
        mov     x1, #0x401
        str     x1, [x0]
        mov     x1, #0x40000000
        movk    x1, #0x705
        str     x1, [x0, #8]
        movk    x1, #0x745
        str     x1, [x0, #16]
        dsb     sy
        msr     ttbr0_el1, x0
        set     mair_el1, 0xff00
        set     tcr_el1, 25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2 << 32)
        isb
        set     sctlr_el1, 0x30d00800 | (1 << 0) | (1 << 2) | (1 << 12)
        isb
        msr     oslar_el1, xzr
        isb

        // x26: what the handler adds to the return address; x27: SPSR bits with which EL0 is entered.
        say     "step of EL0:"
        mov     x26, #0
        ldr     x27, =SPSR_SS
        set     mdscr_el1, MDSCR_SS
        adr     x0, stepped
        bl      run_user
        say     "\na step is due without SPSR.SS:"
        mov     x27, #0
        adr     x0, stepped
        bl      run_user
        set     mdscr_el1, 0

        say     "\nbreakpoint in EL0:"
        adr     x0, place
        mov     x25, #0x40000000
        add     x0, x0, x25
        msr     dbgbvr0_el1, x0
        set     dbgbcr0_el1, (0xf << 5) | (2 << 1) | 1
        set     mdscr_el1, MDSCR_MDE
        mov     x26, #4
        adr     x0, broken_into
        bl      run_user
        say     "\nof another context:"
        set     dbgbcr0_el1, (1 << 20) | (4 << 16) | (0xf << 5) | (2 << 1) | 1
        set     dbgbvr4_el1, 77
        set     dbgbcr4_el1, (3 << 20) | (0xf << 5) | (2 << 1) | 1
        set     contextidr_el1, 76
        isb
        adr     x0, broken_into
        bl      run_user
        say     "\nof this context:"
        set     contextidr_el1, 77
        isb
        adr     x0, broken_into
        bl      run_user
        msr     dbgbcr0_el1, xzr
        msr     dbgbcr4_el1, xzr

        say     "\nwatchpoint of a word for loads, for stores, of a half for loads:"
        adr     x0, datum
        mov     x25, #0x40000000
        add     x0, x0, x25
        msr     dbgwvr0_el1, x0
        mov     x26, #4
        set     dbgwcr0_el1, (0xf << 5) | (1 << 3) | (2 << 1) | 1
        adr     x0, watched
        bl      run_user
        say     "\n"
        set     dbgwcr0_el1, (0xf << 5) | (2 << 3) | (2 << 1) | 1
        adr     x0, watched
        bl      run_user
        say     "\n"
        set     dbgwcr0_el1, (0xc << 5) | (1 << 3) | (2 << 1) | 1
        adr     x0, watched
        bl      run_user
        say     "\nof a mask:"
        set     dbgwcr0_el1, (6 << 24) | (0xff << 5) | (2 << 3) | (2 << 1) | 1
        adr     x0, watched
        bl      run_user
        msr     dbgwcr0_el1, xzr

        // EL1 itself: with KDE, and PSTATE.D clear.
        say     "\nEL1, masked:"
        adr     x0, kernel_place
        msr     dbgbvr1_el1, x0
        set     dbgbcr1_el1, (0xf << 5) | (1 << 1) | 1
        set     mdscr_el1, MDSCR_MDE | MDSCR_KDE
        isb
        bl      kernel_place
        say     " not masked:"
        msr     daifclr, #8
        isb
        bl      kernel_place
        msr     daifset, #8
        say     "\nend\n"
        exit    0

kernel_place:
        nop
        ret

// Enters EL0 at x0 (in the alias) until it calls; x27: further SPSR bits.
run_user:
        stp     x29, x30, [sp, #-16]!
        mov     x1, #0x40000000
        add     x0, x0, x1
        msr     elr_el1, x0
        mov     x1, #0x3c0
        bic     x1, x1, #0x200
        orr     x1, x1, x27
        msr     spsr_el1, x1
        mov     x0, sp
        msr     tpidr_el1, x0
        adr     x0, datum
        mov     x1, #0x40000000
        add     x0, x0, x1
        isb
        eret

// At EL0. x0: `datum`.
stepped:
        mov     x1, #3
1:      subs    x1, x1, #1
        b.ne    1b
        ldxr    w2, [x0]
        clrex
        svc     #1
broken_into:
        nop
place:  nop
        svc     #1
watched:
        ldr     w1, [x0]
        str     w1, [x0]
        ldrb    w1, [x0, #2]
        strb    w1, [x0, #1]
        ldr     x1, [x0, #8]
        str     x1, [x0, #-4]
        stp     x1, x1, [x0, #16]
        ldp     x1, x2, [x0, #-8]
        svc     #1

handler:
        mrs     x2, esr_el1
        lsr     x3, x2, #26
        cmp     x3, #0x15
        b.eq    1f
        stp     x29, x30, [sp, #-16]!
        mrs     x4, elr_el1
        say     " "
        say_hex x2
        say     "@"
        adr     x5, start
        sub     x4, x4, x5
        and     x4, x4, #0xfff
        say_hex x4
        mrs     x2, esr_el1
        lsr     x3, x2, #26
        cmp     x3, #0x34
        b.ne    2f
        say     "="
        mrs     x4, far_el1
        adr     x5, datum
        sub     x4, x4, x5
        mov     x5, #0x40000000
        sub     x4, x4, x5
        add     x4, x4, #0x10
        say_hex x4
2:      mrs     x4, spsr_el1
        tst     x4, #SPSR_SS
        b.eq    3f
        say     "!"
3:      mrs     x2, esr_el1
        lsr     x3, x2, #26
        mrs     x4, elr_el1
        cmp     x3, #0x31                       // a breakpoint in EL1: on with the next instruction
        b.ne    4f
        add     x4, x4, #4
        b       5f
4:      add     x4, x4, x26
5:      msr     elr_el1, x4
        mrs     x4, spsr_el1
        orr     x4, x4, #SPSR_SS
        msr     spsr_el1, x4
        ldp     x29, x30, [sp], #16
        ret
        // The program's call: back to who ran it.
1:      say     " svc"
        mrs     x4, spsr_el1
        tst     x4, #SPSR_SS
        b.eq    6f
        say     "!"
6:      mrs     x0, tpidr_el1
        mov     sp, x0
        ldp     x29, x30, [sp], #16
        ret

        vector_table vectors, 1, handler
        .ltorg
        .balign 64
        .quad   0, 0
datum:  .quad   0, 0, 0, 0, 0, 0
        .bss
        .balign 4096
tables: .space  4096
