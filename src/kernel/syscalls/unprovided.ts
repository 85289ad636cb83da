/**
 * System calls of Linux 6.8 that this kernel does not provide, each under its name: --strace says what was asked for,
 * and the answer is what a kernel gives that was built without the part, or that refuses it.
 *
 * Ref. include/uapi/asm-generic/unistd.h (what is for 32-bit machines only is left out), kernel/sys_ni.c.
 */
import { EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EPERM } from '../contexts/index.js';
import type { ArgumentKind, Syscall } from './row.js';

type Absent = readonly [number, string, ...ArgumentKind[]];

/** Not configured: quotas, kexec, modules, keys, NUMA policies, bpf, io_uring, landlock and others. */
const NOT_BUILT_IN: readonly Absent[] = [
  [18, 'lookup_dcookie', 'hex', 'pointer', 'unsigned'],
  [42, 'nfsservctl', 'int', 'pointer', 'pointer'],
  [60, 'quotactl', 'hex', 'string', 'int', 'pointer'],
  [89, 'acct', 'string'],
  [104, 'kexec_load', 'hex', 'unsigned', 'pointer', 'hex'],
  [105, 'init_module', 'pointer', 'unsigned', 'string'],
  [106, 'delete_module', 'string', 'hex'],
  [217, 'add_key', 'string', 'string', 'buffer', 'unsigned', 'int'],
  [218, 'request_key', 'string', 'string', 'string', 'int'],
  [219, 'keyctl', 'int', 'hex', 'hex', 'hex', 'hex'],
  [235, 'mbind', 'pointer', 'unsigned', 'hex', 'pointer', 'unsigned', 'hex'],
  [236, 'get_mempolicy', 'pointer', 'pointer', 'unsigned', 'pointer', 'hex'],
  [237, 'set_mempolicy', 'hex', 'pointer', 'unsigned'],
  [238, 'migrate_pages', 'int', 'unsigned', 'pointer', 'pointer'],
  [239, 'move_pages', 'int', 'unsigned', 'pointer', 'pointer', 'pointer', 'hex'],
  [262, 'fanotify_init', 'hex', 'hex'],
  [263, 'fanotify_mark', 'fd', 'hex', 'hex', 'fd', 'string'],
  [273, 'finit_module', 'fd', 'string', 'hex'],
  [280, 'bpf', 'int', 'pointer', 'unsigned'],
  [282, 'userfaultfd', 'hex'],
  [288, 'pkey_mprotect', 'pointer', 'unsigned', 'prot', 'int'],
  [289, 'pkey_alloc', 'hex', 'hex'],
  [290, 'pkey_free', 'int'],
  [292, 'io_pgetevents', 'hex', 'int', 'int', 'pointer', 'pointer', 'pointer'],
  [294, 'kexec_file_load', 'fd', 'fd', 'unsigned', 'string', 'hex'],
  [425, 'io_uring_setup', 'unsigned', 'pointer'],
  [426, 'io_uring_enter', 'fd', 'unsigned', 'unsigned', 'hex', 'pointer', 'unsigned'],
  [427, 'io_uring_register', 'fd', 'unsigned', 'pointer', 'unsigned'],
  [428, 'open_tree', 'fd', 'string', 'hex'],
  [429, 'move_mount', 'fd', 'string', 'fd', 'string', 'hex'],
  [430, 'fsopen', 'string', 'hex'],
  [431, 'fsconfig', 'fd', 'unsigned', 'string', 'pointer', 'int'],
  [432, 'fsmount', 'fd', 'hex', 'hex'],
  [433, 'fspick', 'fd', 'string', 'hex'],
  [442, 'mount_setattr', 'fd', 'string', 'hex', 'pointer', 'unsigned'],
  [443, 'quotactl_fd', 'fd', 'hex', 'int', 'pointer'],
  [444, 'landlock_create_ruleset', 'pointer', 'unsigned', 'hex'],
  [445, 'landlock_add_rule', 'fd', 'int', 'pointer', 'hex'],
  [446, 'landlock_restrict_self', 'fd', 'hex'],
  [447, 'memfd_secret', 'hex'],
  [448, 'process_mrelease', 'fd', 'hex'],
  [450, 'set_mempolicy_home_node', 'pointer', 'unsigned', 'unsigned', 'hex'],
  [451, 'cachestat', 'fd', 'pointer', 'pointer', 'hex'],
  [453, 'map_shadow_stack', 'pointer', 'unsigned', 'hex'],
  [454, 'futex_wake', 'pointer', 'hex', 'int', 'hex'],
  [455, 'futex_wait', 'pointer', 'hex', 'hex', 'hex', 'pointer', 'clock'],
  [456, 'futex_requeue', 'pointer', 'hex', 'int', 'int'],
  [457, 'statmount', 'pointer', 'pointer', 'unsigned', 'hex'],
  [458, 'listmount', 'pointer', 'pointer', 'unsigned', 'hex'],
  [459, 'lsm_get_self_attr', 'unsigned', 'pointer', 'pointer', 'hex'],
  [460, 'lsm_set_self_attr', 'unsigned', 'pointer', 'unsigned', 'hex'],
  [461, 'lsm_list_modules', 'pointer', 'pointer', 'hex'],
];

const REFUSED: readonly (readonly [errno: number, ...Absent])[] = [
  // The root is the first file system there ever was, which cannot move (Documentation/filesystems/ramfs-rootfs-initramfs.rst).
  [EINVAL, 41, 'pivot_root', 'string', 'string'],
  // The clock is the machine's: nobody sets or steers it.
  [EPERM, 170, 'settimeofday', 'pointer', 'pointer'],
  [EPERM, 171, 'adjtimex', 'pointer'],
  [EPERM, 266, 'clock_adjtime', 'clock', 'pointer'],
  // Swap is the machine's, and always on where there is some.
  [EPERM, 224, 'swapon', 'string', 'hex'],
  [EPERM, 225, 'swapoff', 'string'],
  [EINVAL, 234, 'remap_file_pages', 'pointer', 'unsigned', 'prot', 'unsigned', 'hex'],
  // No counters in this machine.
  [ENOENT, 241, 'perf_event_open', 'pointer', 'int', 'int', 'fd', 'hex'],
  [EOPNOTSUPP, 264, 'name_to_handle_at', 'fd', 'string', 'pointer', 'pointer', 'hex'],
  [EOPNOTSUPP, 265, 'open_by_handle_at', 'fd', 'pointer', 'hex'],
];

function row([number, name, ...args]: Absent, errno: number): Syscall {
  return { number, name, args, run: () => -errno };
}

export const unprovidedSyscalls: readonly Syscall[] = [
  ...NOT_BUILT_IN.map((absent) => row(absent, ENOSYS)),
  ...REFUSED.map(([errno, ...absent]) => row(absent, errno)),
];
