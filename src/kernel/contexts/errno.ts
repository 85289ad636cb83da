/**
 * Error numbers of the kernel's own calls (include/uapi/asm-generic/errno-base.h and errno.h).
 *
 * Kernel functions return 0 or a count on success and a negative errno on failure, as in Linux, so
 * that a reader can hold the original beside them.
 */
export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const E2BIG = 7;
export const ENOEXEC = 8;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENOTTY = 25;
export const ENOSPC = 28;
export const EOPNOTSUPP = 95;
export const EPIPE = 32;
export const ENOSYS = 38;
