// A hypervisor in miniature, at EL2: stage 2 faults of a guest with their syndromes, AT of both stages,
// memory types in combination, HCR_EL2's tag controls.
        .include "bare.inc"
        .equ    GUEST, 0x48000000

// Runs one instruction (or more) at EL1 under its name, and lets the handler tell what came of it.
        .macro  try name, code:vararg
        say     "\n\name:"
        \code
        .endm

// AT of both stages, from EL2: PAR_EL1.
        .macro  probe name, operation, address
        say     "\n\name:"
        ldr     x0, =\address
        at      \operation, x0
        isb
        mrs     x1, par_el1
        say     " par "
        say_hex x1
        .endm

start:  ldr     x0, =stacks_end
        mov     sp, x0
        adr     x0, vectors
        msr     vbar_el2, x0

        // Stage 1 of EL1: devices, DRAM Normal Tagged; at 4 GiB a table that stage 2 does not map.
        ldr     x0, =stage1
        mov     x1, #0x401
        str     x1, [x0]
        mov     x1, #0x40000000
        movk    x1, #0x705
        str     x1, [x0, #8]
        ldr     x1, =(GUEST + 3)
        str     x1, [x0, #32]
        msr     ttbr0_el1, x0
        set     mair_el1, 0xf000
        set     tcr_el1, 25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2 << 32) | (1 << 37)
        set     sctlr_el1, 0x30d00800 | (1 << 0) | (1 << 2) | (1 << 12) | (1 << 43)

        // Stage 2: level 1 table; devices as a block; DRAM by 2 MiB blocks, with things at GUEST.
        ldr     x0, =stage2_1
        ldr     x1, =0x4c5                      // block, AF, RW, Device
        str     x1, [x0]
        ldr     x2, =stage2_2
        add     x1, x2, #3
        str     x1, [x0, #8]
        mov     x3, #0
1:      mov     x1, #0x40000000
        add     x1, x1, x3, lsl #21
        movk    x1, #0x7fd                      // block, AF, inner shareable, RW, write-back
        str     x1, [x2, x3, lsl #3]
        add     x3, x3, #1
        cmp     x3, #512
        b.lo    1b
        add     x2, x2, #(64 * 8)
        str     xzr, [x2]                       // 48000000: nothing
        ldr     x1, [x2, #8]
        and     x1, x1, #~(1 << 7)
        str     x1, [x2, #8]                    // 48200000: read-only
        ldr     x1, [x2, #16]
        orr     x1, x1, #(1 << 54)
        str     x1, [x2, #16]                   // 48400000: not executable
        ldr     x1, [x2, #24]
        and     x1, x1, #~(1 << 10)
        str     x1, [x2, #24]                   // 48600000: no access flag
        ldr     x1, [x2, #64]
        and     x1, x1, #~(0xf << 2)
        mov     x3, #(5 << 2)
        orr     x3, x3, x1
        str     x3, [x2, #40]                   // 48a00000 -> 49000000: Non-cacheable
        str     x1, [x2, #56]                   // 48e00000 -> 49000000: Device
        ldr     x1, [x2, #64]
        str     x1, [x2, #32]                   // 48800000 -> 49000000
        dsb     sy
        ldr     x0, =stage2_1
        ldr     x1, =(5 << 48)
        orr     x0, x0, x1
        msr     vttbr_el2, x0
        // T0SZ 25, start at level 1, 4 KiB, write-back walks, 40 bits.
        set     vtcr_el2, 25 | (1 << 6) | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 16) | (1 << 31)
        set     hcr_el2, (1 << 0) | (1 << 31) | (1 << 56)
        dsb     sy
        tlbi    vmalls12e1
        dsb     sy
        isb

        probe   "at mapped", s12e1r, 0x48c01238
        probe   "at other place", s12e1r, 0x48801238
        probe   "at stage 1 only", s1e1r, 0x48801238
        probe   "at nothing", s12e1r, 0x48001238
        probe   "at read-only read", s12e1r, 0x48200000
        probe   "at table not mapped", s12e1r, 0x100000000

        // The guest.
        adr     x0, guest
        msr     elr_el2, x0
        mov     x0, #0x3c5
        msr     spsr_el2, x0
        ldr     x0, =(stacks_end - 16384)
        msr     sp_el1, x0
        eret

guest:  ldr     x19, =GUEST
        add     x20, x19, #0x200000
        add     x21, x19, #0x400000
        add     x22, x19, #0x600000
        mov     x3, #0x3333
        try     "load", ldr x3, [x19, #8]
        try     "load word", ldr w4, [x19]
        try     "load byte", ldrb w5, [x19, #3]
        try     "load signed half", ldrsh x6, [x19, #6]
        try     "load signed byte to 32", ldrsb w7, [x19, #6]
        try     "load signed word", ldrsw x8, [x19, x3, lsl #2]
        try     "store", str x9, [x20]
        try     "store zero", str wzr, [x20, #4]
        try     "store unscaled", stur x10, [x20, #-8]
        try     "store with write-back", str x11, [x20, #8]!
        try     "pair", ldp x12, x13, [x19]
        try     "acquire", ldar x14, [x19]
        try     "release", stlrb w15, [x20]
        try     "exclusive", ldxr x12, [x19]
        try     "atomic", ldadd x12, x13, [x19]
        try     "access flag", ldr x12, [x22]
        try     "read-only read", ldr x12, [x20]
        ldr     x0, =0x100000000
        try     "table not mapped", ldr x12, [x0]
        say     "\nexecute:"
        blr     x21

        // Tags: through write-back stage 2 only.
        say     "\ntags: cached"
        add     x0, x19, #0x800000
        bl      tag_it
        say     " non-cacheable"
        add     x0, x19, #0xa00000
        bl      tag_it
        say     " device"
        add     x0, x19, #0xe00000
        bl      tag_it
        say     " cached still"
        add     x0, x19, #0x800000
        ldg     x0, [x0]
        lsr     x0, x0, #56
        say_hex x0

        // Without HCR_EL2.ATA; with TID5.
        mov     x0, #1
        hvc     #1
        try     "gcr without ATA", mrs x1, gcr_el1
        try     "gmid", mrs x1, gmid_el1
        say     "\nno tags without ATA:"
        add     x0, x19, #0x800000
        bl      tag_it
        hvc     #2
        try     "gmid with TID5", mrs x1, gmid_el1
        say     "\nend\n"
        exit    0

// Gives tag 5 to the granule at x0, reads it back.
tag_it: stp     x29, x30, [sp, #-16]!
        mov     x1, #5
        orr     x1, x0, x1, lsl #56
        stg     x1, [x0]
        ldg     x0, [x0]
        lsr     x0, x0, #56
        say     " "
        say_hex x0
        ldp     x29, x30, [sp], #16
        ret

// At EL2. x0: the vector.
handler:
        stp     x29, x30, [sp, #-16]!
        mrs     x2, esr_el2
        lsr     x3, x2, #26
        cmp     x3, #0x16                       // HVC
        b.eq    hypercall
        say     " esr "
        say_hex x2
        cmp     x3, #0x18                       // no address
        b.eq    1f
        mrs     x2, far_el2
        say     " far "
        say_hex x2
        mrs     x2, hpfar_el2
        say     " hpfar "
        say_hex x2
1:      mrs     x2, elr_el2
        add     x2, x2, #4
        cmp     x3, #0x20                       // instruction abort: back to the caller
        b.ne    2f
        ldr     x2, [sp, #(16 + 168)]
2:      msr     elr_el2, x2
        ldp     x29, x30, [sp], #16
        ret
hypercall:
        and     x2, x2, #0xffff
        mrs     x3, hcr_el2
        and     x3, x3, #~(1 << 56)
        cmp     x2, #1
        b.eq    3f
        orr     x3, x3, #(1 << 58)
3:      msr     hcr_el2, x3
        isb
        ldp     x29, x30, [sp], #16
        ret

        vector_table vectors, 2, handler
        .ltorg
        .bss
        .balign 4096
stage1: .space  4096
stage2_1: .space 4096
stage2_2: .space 4096
