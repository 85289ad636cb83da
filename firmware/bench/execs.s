// Runs itself without arguments, which ends at once, N times (argv[1]): vfork, execve, exit, wait.
        .text
        .global _start
_start:
        ldr     x0, [sp]
        cmp     x0, #2
        b.lo    quit
        ldr     x20, [sp, #8]
        ldr     x0, [sp, #16]
        bl      parse_number
        mov     x19, x0
        sub     sp, sp, #16
        str     x20, [sp]
        str     xzr, [sp, #8]
1:      mov     x0, #0x4111             // CLONE_VM, CLONE_VFORK, SIGCHLD
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        mov     x8, #220
        svc     #0
        cbz     x0, child
        mov     x0, #-1
        mov     x1, sp
        add     x1, x1, #-16
        mov     x2, #0
        mov     x3, #0
        mov     x8, #260
        svc     #0
        ldur    w0, [sp, #-16]
        cbnz    w0, failed
        subs    x19, x19, #1
        b.ne    1b
quit:   mov     x0, #0
        mov     x8, #94
        svc     #0
failed: brk     #1                      // no exit status can be taken for success
child:  mov     x0, x20
        mov     x1, sp
        add     x2, sp, #8
        mov     x8, #221
        svc     #0
        brk     #2

        .include "parse-number.s"
