// Where firmware enters the mini-kernel. The kernel is not guest code: this stub takes an exception to
// EL1, which the machine hands to the kernel as its first. x0 holds the device tree's address.
        .equ    KERNEL_ENTRY_CALL, 0x4d54

        .text
        .global _start
_start:
        svc     #KERNEL_ENTRY_CALL
        b       .
