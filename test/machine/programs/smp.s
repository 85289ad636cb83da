// Four CPUs: PSCI, a lock of exclusives with WFE, atomics, SGIs between CPUs, sending and waiting.
        .include "bare.inc"
        .equ    CPUS, 4
        .equ    TIMES, 500
        .equ    CPU_OFF, 0x84000002
        .equ    CPU_ON, 0xc4000003
        .equ    AFFINITY_INFO, 0xc4000004

start:  ldr     x0, =stacks_end
        mov     sp, x0
        mov     x29, #0
        bl      set_up_cpu
        // Translation on: exclusives want Normal memory.
        bl      set_up_gic

        say     "on:"
        mov     x19, #1
1:      ldr     x0, =CPU_ON
        mov     x1, x19
        adr     x2, secondary
        add     x3, x19, #0x100
        hvc     #0
        say     " "
        say_hex x0
        add     x19, x19, #1
        cmp     x19, #CPUS
        b.lo    1b
        // Switching on may take its time.
5:      ldr     x0, =AFFINITY_INFO
        mov     x1, #1
        mov     x2, #0
        hvc     #0
        cbnz    x0, 5b
        ldr     x0, =CPU_ON
        mov     x1, #1
        adr     x2, secondary
        hvc     #0
        sxtw    x0, w0
        neg     x0, x0
        say     " again -"
        say_hex x0
        ldr     x0, =CPU_ON
        mov     x1, #77
        hvc     #0
        sxtw    x0, w0
        neg     x0, x0
        say     " nobody -"
        say_hex x0

        bl      work
        ldr     x2, =finished
2:      ldar    x0, [x2]
        cmp     x0, #CPUS
        b.eq    3f
        wfe
        b       2b
3:      say     "\nlocked sum "
        ldr     x0, =sum
        ldr     x0, [x0]
        say_hex x0
        say     " atomic sum "
        ldr     x0, =atomic
        ldr     x0, [x0]
        say_hex x0
        say     " contexts "
        ldr     x0, =contexts
        ldr     x0, [x0]
        say_hex x0

        // An SGI to everyone else, then to CPU 2 alone.
        ldr     x0, =(1 << 40) | (2 << 24)
        msr     icc_sgi1r_el1, x0
        isb
        mov     x5, #(CPUS - 1)
        bl      await_interrupts
        say     "\nsgi to others "
        say_hex x0
        ldr     x0, =(2 << 24) | (1 << 2)
        msr     icc_sgi1r_el1, x0
        isb
        mov     x5, #CPUS
        bl      await_interrupts
        say     " to one "
        say_hex x0

        // They switch themselves off.
        ldr     x0, =leave
        mov     x1, #1
        stlr    x1, [x0]
        dsb     sy
        sev
        ldr     x0, =(1 << 40) | (2 << 24)
        msr     icc_sgi1r_el1, x0
        isb
        say     "\noff:"
        mov     x19, #1
4:      ldr     x0, =AFFINITY_INFO
        mov     x1, x19
        mov     x2, #0
        hvc     #0
        cmp     x0, #1
        b.ne    4b
        say     " "
        say_hex x19
        add     x19, x19, #1
        cmp     x19, #CPUS
        b.lo    4b
        say     "\n"
        exit    0

// x5: how many. Gives x0.
await_interrupts:
        ldr     x2, =interrupts
1:      ldar    x0, [x2]
        cmp     x0, x5
        b.hs    2f
        wfe
        b       1b
2:      ret

secondary:
        // x0: 0x100 + number.
        and     x29, x0, #0xff
        mrs     x1, mpidr_el1
        and     x1, x1, #0xff
        cmp     x1, x29
        b.ne    broken
        ldr     x1, =stacks_end
        sub     x1, x1, x29, lsl #13
        mov     sp, x1
        mov     x19, x0
        bl      set_up_cpu
        bl      set_up_gic
        ldr     x1, =contexts
        ldadd   x19, xzr, [x1]
        bl      work
        // Wait for interrupts until told to leave.
1:      msr     daifset, #2
        ldr     x0, =leave
        ldar    x0, [x0]
        cbnz    x0, 2f
        wfi
        msr     daifclr, #2
        isb
        b       1b
2:      ldr     x0, =CPU_OFF
        hvc     #0
broken: exit    4

work:   mov     x20, #TIMES
        ldr     x2, =lock
        ldr     x3, =sum
        ldr     x4, =atomic
1:      sevl
2:      wfe
3:      ldaxr   w0, [x2]
        cbnz    w0, 2b
        mov     w0, #1
        stxr    w1, w0, [x2]
        cbnz    w1, 3b
        ldr     x0, [x3]
        nop
        nop
        add     x0, x0, #1
        str     x0, [x3]
        stlr    wzr, [x2]
        mov     x0, #2
        stadd   x0, [x4]
        subs    x20, x20, #1
        b.ne    1b
        ldr     x2, =finished
4:      ldxr    x0, [x2]
        add     x0, x0, #1
        stlxr   w1, x0, [x2]
        cbnz    w1, 4b
        dsb     sy
        sev
        ret

// One table of 1 GiB blocks, devices and Normal.
set_up_cpu:
        ldr     x0, =tables
        mov     x1, #0x401
        str     x1, [x0]
        mov     x1, #0x40000000
        movk    x1, #0x705
        str     x1, [x0, #8]
        dsb     sy
        adr     x1, vectors
        msr     vbar_el1, x1
        msr     ttbr0_el1, x0
        set     mair_el1, 0xff00
        set     tcr_el1, 25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2 << 32)
        isb
        set     sctlr_el1, 0x30d00800 | (1 << 0) | (1 << 2) | (1 << 12)
        isb
        ret

// x29: the CPU.
set_up_gic:
        ldr     x0, =GICD
        mov     w1, #(3 | (1 << 4))
        str     w1, [x0]
        ldr     x0, =GICR
        add     x0, x0, x29, lsl #17
        ldr     w1, [x0, #0x14]
        and     w1, w1, #~2
        str     w1, [x0, #0x14]
1:      ldr     w1, [x0, #0x14]
        tbnz    w1, #2, 1b
        ldr     x1, [x0, #8]
        lsr     x1, x1, #32
        cmp     x1, x29
        b.ne    broken
        add     x0, x0, #0x10000
        mov     w1, #-1
        str     w1, [x0, #0x80]
        mov     w1, #0xff
        str     w1, [x0, #0x100]
        mov     x1, #7
        msr     icc_sre_el1, x1
        isb
        mov     x1, #0xf0
        msr     icc_pmr_el1, x1
        mov     x1, #1
        msr     icc_igrpen1_el1, x1
        isb
        ret

handler:
        cmp     x0, #5
        b.ne    broken
        mrs     x10, icc_iar1_el1
        cmp     x10, #2
        b.ne    broken
        ldr     x1, =interrupts
        mov     x2, #1
        stadd   x2, [x1]
        dsb     sy
        sev
        msr     icc_eoir1_el1, x10
        isb
        ret

        vector_table vectors, 1, handler
        .ltorg
        .bss
        .balign 64
lock:   .space  64
sum:    .space  64
atomic: .space  64
contexts: .space 64
finished: .space 64
interrupts: .space 64
leave:  .space  64
        .balign 4096
tables: .space  4096
