// The differential fuzzer's harness: runs many short sequences of instructions, each from a state of its
// own, in one process under qemu-aarch64, and writes what became of each to standard output.
//
// Everything happens in a signal handler. A sequence ends with BRK or with a fault; the handler writes
// the interrupted state, puts the next case's state into the signal frame and returns into its code.
// No register is lost to the harness that way: the kernel's signal frame holds them all.
//
// Assembled with these names (src/lab/fuzz/layout.ts): TAGGED, UNTAGGED, READONLY (pages of PAGE bytes),
// CODE and CODE_BYTES (the sequences), HARNESS (its own start), CASES (count, then records from CASES + 64), RECORD_BYTES; and the
// offsets in records and results.
//
// Ref. Linux arch/arm64 signal frames (struct rt_sigframe, sigcontext, fpsimd_context), prctl(2).

        .equ    SYS_WRITEV, 66
        .equ    SYS_EXIT, 93
        .equ    SYS_SIGALTSTACK, 132
        .equ    SYS_RT_SIGACTION, 134
        .equ    SYS_RT_SIGRETURN, 139
        .equ    SYS_PRCTL, 167
        .equ    SYS_MUNMAP, 215
        .equ    SYS_MMAP, 222
        .equ    SYS_MPROTECT, 226

        .equ    PROT_READ_MTE, 0x21
        .equ    PROT_READ_WRITE, 0x3
        .equ    PROT_READ_WRITE_MTE, 0x23
        .equ    MAP_PRIVATE_FIXED_ANONYMOUS, 0x32
        .equ    SA_SIGINFO_ONSTACK, 0x08000004
        .equ    PR_SET_TAGGED_ADDR_CTRL, 55
        .equ    PR_TAGGED_ADDR_ENABLE, 1

        .equ    SIGINFO_CODE, 8
        .equ    SIGINFO_ADDRESS, 16
        .equ    UCONTEXT_REGISTERS, 184         // mcontext (176), behind fault_address
        .equ    UCONTEXT_FPSIMD, 464            // mcontext.__reserved; the first record is FPSIMD's
        .equ    FPSIMD_STATUS, 8
        .equ    FPSIMD_VREGS, 16
        .equ    GENERAL_WORDS, 34               // X0..X30, SP, PC, PSTATE
        .equ    STACK_BYTES, 0x10000

        .text
        .global _start
_start:
        mov     x0, #PR_SET_TAGGED_ADDR_CTRL
        mov     x1, #PR_TAGGED_ADDR_ENABLE
        bl      prctl
        // QEMU reserves all that lies between a program's segments; unmapped, it faults as a hole does.
        ldr     x0, =CODE + CODE_BYTES
        ldr     x1, =HARNESS - CODE - CODE_BYTES
        mov     x8, #SYS_MUNMAP
        svc     #0
        ldr     x0, =TAGGED
        mov     x2, #PROT_READ_WRITE_MTE
        bl      map
        ldr     x0, =UNTAGGED
        mov     x2, #PROT_READ_WRITE
        bl      map
        ldr     x0, =READONLY
        mov     x2, #PROT_READ_WRITE_MTE
        bl      map
        mov     w1, #1
        ldr     x0, =READONLY
        bl      fill
        ldr     x0, =READONLY
        mov     x1, #0
0:      add     x2, x0, x1, lsl #4              // the granule's tag is its number
        bfi     x2, x1, #56, #4
        stg     x2, [x2]
        add     x1, x1, #1
        cmp     x1, #PAGE / 16
        b.ne    0b
        mov     x1, #PAGE
        mov     x2, #PROT_READ_MTE
        mov     x8, #SYS_MPROTECT
        svc     #0

        ldr     x0, =alternate
        mov     x1, #0
        mov     x8, #SYS_SIGALTSTACK
        svc     #0
        mov     x19, #4                         // SIGILL
        bl      catch
        mov     x19, #5                         // SIGTRAP
        bl      catch
        mov     x19, #7                         // SIGBUS
        bl      catch
        mov     x19, #8                         // SIGFPE
        bl      catch
        mov     x19, #11                        // SIGSEGV
        bl      catch
        brk     #0

catch:  mov     x0, x19
        ldr     x1, =action
        mov     x2, #0
        mov     x3, #8
        mov     x8, #SYS_RT_SIGACTION
        svc     #0
        ret

map:    mov     x1, #PAGE
        mov     x3, #MAP_PRIVATE_FIXED_ANONYMOUS
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #SYS_MMAP
        svc     #0
        ret

prctl:  mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        mov     x8, #SYS_PRCTL
        svc     #0
        ret

// Fills the page at x0 from the xorshift generator in w1, which goes on.
fill:   mov     x2, #PAGE / 4
0:      eor     w1, w1, w1, lsl #13
        eor     w1, w1, w1, lsr #17
        eor     w1, w1, w1, lsl #5
        str     w1, [x0], #4
        subs    x2, x2, #1
        b.ne    0b
        ret

// x2 words of eight bytes from x0 to x1.
copy:   ldr     x3, [x0], #8
        str     x3, [x1], #8
        subs    x2, x2, #1
        b.ne    copy
        ret

// x0 signal number, x1 siginfo, x2 ucontext; SP stays at the frame for rt_sigreturn.
handler:
        msr     tco, #1
        mov     x21, x2
        ldr     x19, =index
        ldr     x20, [x19]
        tbnz    x20, #63, next

        ldr     x25, =result
        str     x0, [x25, #RESULT_SIGNAL]
        ldrsw   x9, [x1, #SIGINFO_CODE]
        str     x9, [x25, #RESULT_CODE]
        ldr     x9, [x1, #SIGINFO_ADDRESS]
        str     x9, [x25, #RESULT_ADDRESS]
        add     x0, x21, #UCONTEXT_REGISTERS
        add     x1, x25, #RESULT_GENERAL
        mov     x2, #GENERAL_WORDS
        bl      copy
        ldr     x9, [x21, #UCONTEXT_FPSIMD + FPSIMD_STATUS]
        str     x9, [x25, #RESULT_FPSR]
        add     x0, x21, #UCONTEXT_FPSIMD + FPSIMD_VREGS
        add     x1, x25, #RESULT_VECTORS
        mov     x2, #64
        bl      copy
        mrs     x9, tpidr_el0
        str     x9, [x25, #RESULT_TPIDR]
        ldr     x0, =TAGGED
        add     x1, x25, #RESULT_TAGS
        mov     x2, #PAGE / 32
0:      mov     x3, x0
        ldg     x3, [x3]
        add     x4, x0, #16
        ldg     x4, [x4]
        ubfx    x3, x3, #56, #4
        ubfx    x4, x4, #56, #4
        orr     x3, x3, x4, lsl #4
        strb    w3, [x1], #1
        add     x0, x0, #32
        subs    x2, x2, #1
        b.ne    0b
        mov     x0, #1
        ldr     x1, =pieces
        mov     x2, #3
        mov     x8, #SYS_WRITEV
        svc     #0

next:   add     x20, x20, #1
        str     x20, [x19]
        ldr     x26, =CASES
        ldr     x9, [x26]
        cmp     x20, x9
        b.hs    done
        mov     x9, #RECORD_BYTES
        madd    x26, x20, x9, x26
        add     x26, x26, #64

        mov     x0, #PR_SET_TAGGED_ADDR_CTRL
        ldr     x1, [x26, #RECORD_CONTROL]
        bl      prctl
        add     x0, x26, #RECORD_GENERAL
        add     x1, x21, #UCONTEXT_REGISTERS
        mov     x2, #GENERAL_WORDS
        bl      copy
        ldr     x9, [x26, #RECORD_FPSR]
        str     x9, [x21, #UCONTEXT_FPSIMD + FPSIMD_STATUS]
        add     x0, x26, #RECORD_VECTORS
        add     x1, x21, #UCONTEXT_FPSIMD + FPSIMD_VREGS
        mov     x2, #64
        bl      copy
        msr     tpidr_el0, xzr
        ldr     x1, [x26, #RECORD_FILL]
        ldr     x0, =TAGGED
        bl      fill
        ldr     x0, =UNTAGGED
        bl      fill
        ldr     x0, =TAGGED
        add     x1, x26, #RECORD_TAGS
        mov     x2, #PAGE / 32
0:      ldrb    w3, [x1], #1
        bfi     x0, x3, #56, #4
        stg     x0, [x0], #16
        lsr     w3, w3, #4
        bfi     x0, x3, #56, #4
        stg     x0, [x0], #16
        subs    x2, x2, #1
        b.ne    0b
        // The frame says so too; but QEMU notices a change of TCO only where an instruction makes it.
        ldr     x9, [x26, #RECORD_GENERAL + 264]
        msr     tco, x9
        mov     x8, #SYS_RT_SIGRETURN
        svc     #0

done:   mov     x0, #0
        mov     x8, #SYS_EXIT
        svc     #0
        .ltorg

        .data
        .balign 16
index:  .quad   -1
alternate:
        .quad   stack, 0, STACK_BYTES
action: .quad   handler, SA_SIGINFO_ONSTACK, 0, 0
pieces: .quad   result, RESULT_BYTES, TAGGED, PAGE, UNTAGGED, PAGE

        .bss
        .balign 16
result: .space  RESULT_BYTES
        .balign 16
stack:  .space  STACK_BYTES
