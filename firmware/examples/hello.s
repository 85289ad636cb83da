// Writes a line and exits with status 0: the smallest Linux program.
        .text
        .global _start
_start:
        mov     x0, #1                          // standard output
        adr     x1, message
        mov     x2, #(message_end - message)
        mov     x8, #64                         // write
        svc     #0
        mov     x0, #0
        mov     x8, #94                         // exit_group
        svc     #0

        .section .rodata
message:
        .ascii  "hello from EL0\n"
message_end:
