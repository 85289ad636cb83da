// Executes instruction words, one a record, each from a state of its own, for comparison with mtemu.
//
// Assembled by mtemu and run by qemu-aarch64. Records come on standard input, 128 bytes each:
//     0 word, 4 FPCR, 8 X0, 16 X1, 24 NZCV (bits 31:28), 32 V0, 48 V1, 64 V2, 80 V3, 96 V4, 112 V5
// and results go to standard output, 64 bytes each:
//     0 X0, 8 X1, 16 NZCV, 24 FPSR, 32 V0, 48 V1
        .text
        .globl  _start
_start:
        // x19: records, x20: results, x21: the word's page, x22: end of records.
        mov     x0, #0
        mov     x1, #0x8000000
        mov     x2, #7
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        mov     x19, x0
        mov     x22, x0
        mov     x20, #0x4000000
        add     x20, x0, x20
        mov     x21, #0x7f00000
        add     x21, x0, x21
        mov     x23, x20
1:      mov     x0, #0
        mov     x1, x22
        mov     x2, #0x100000
        mov     x8, #63
        svc     #0
        cmp     x0, #0
        b.le    2f
        add     x22, x22, x0
        b       1b
2:      adr     x0, return
        ldr     w0, [x0]
        str     w0, [x21, #4]
3:      add     x0, x19, #128
        cmp     x0, x22
        b.hi    4f
        ldr     w0, [x19]
        str     w0, [x21]
        dc      cvau, x21
        dsb     ish
        ic      ivau, x21
        dsb     ish
        isb
        ldr     w0, [x19, #4]
        msr     fpcr, x0
        msr     fpsr, xzr
        ldr     x0, [x19, #24]
        msr     nzcv, x0
        ldp     q0, q1, [x19, #32]
        ldp     q2, q3, [x19, #64]
        ldp     q4, q5, [x19, #96]
        ldp     x0, x1, [x19, #8]
        blr     x21
        mrs     x2, nzcv
        mrs     x3, fpsr
        msr     fpcr, xzr
        stp     x0, x1, [x20]
        stp     x2, x3, [x20, #16]
        stp     q0, q1, [x20, #32]
        add     x20, x20, #64
        add     x19, x19, #128
        b       3b
4:      mov     x0, #1
        mov     x1, x23
        sub     x2, x20, x23
        cbz     x2, 5f
        mov     x8, #64
        svc     #0
        cmp     x0, #0
        b.le    5f
        add     x23, x23, x0
        b       4b
5:      mov     x0, #0
        mov     x8, #93
        svc     #0
return: ret
