// Ends at once: what starting costs.
        .text
        .global _start
_start:
        mov     x0, #0
        mov     x8, #94
        svc     #0
