/**
 * Error numbers of the kernel's own calls (include/uapi/asm-generic/errno-base.h and errno.h).
 *
 * Kernel functions return 0 or a count on success and a negative errno on failure, as in Linux, so
 * that a reader can hold the original beside them.
 */
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const EINVAL = 22;
export const ENOSPC = 28;
