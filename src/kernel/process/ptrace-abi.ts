/**
 * Numbers of ptrace(2): requests, options, events, register sets.
 *
 * Ref. include/uapi/linux/{ptrace,elf}.h, arch/arm64/include/uapi/asm/ptrace.h of Linux 6.x.
 */

export const PTRACE = {
  TRACEME: 0,
  PEEKTEXT: 1,
  PEEKDATA: 2,
  PEEKUSR: 3,
  POKETEXT: 4,
  POKEDATA: 5,
  POKEUSR: 6,
  CONT: 7,
  KILL: 8,
  SINGLESTEP: 9,
  ATTACH: 16,
  DETACH: 17,
  SYSCALL: 24,
  SYSEMU: 31,
  SYSEMU_SINGLESTEP: 32,
  PEEKMTETAGS: 33,
  POKEMTETAGS: 34,
  SETOPTIONS: 0x4200,
  GETEVENTMSG: 0x4201,
  GETSIGINFO: 0x4202,
  SETSIGINFO: 0x4203,
  GETREGSET: 0x4204,
  SETREGSET: 0x4205,
  SEIZE: 0x4206,
  INTERRUPT: 0x4207,
  LISTEN: 0x4208,
  PEEKSIGINFO: 0x4209,
  GETSIGMASK: 0x420a,
  SETSIGMASK: 0x420b,
  GET_SYSCALL_INFO: 0x420e,
} as const;

export const PTRACE_EVENT = {
  FORK: 1,
  VFORK: 2,
  CLONE: 3,
  EXEC: 4,
  VFORK_DONE: 5,
  EXIT: 6,
  SECCOMP: 7,
  STOP: 128,
} as const;

/** An event's option is the bit of its number. */
export const PTRACE_O = { TRACESYSGOOD: 1, EXITKILL: 1 << 20, SUSPEND_SECCOMP: 1 << 21 } as const;
/** PTRACE_O_MASK without PTRACE_O_SUSPEND_SECCOMP, which needs seccomp. */
export const PTRACE_O_MASK = 0xff | PTRACE_O.EXITKILL;

export const PTRACE_EVENTMSG_SYSCALL_ENTRY = 1n;
export const PTRACE_EVENTMSG_SYSCALL_EXIT = 2n;

/** Register sets, and the notes of a core file that hold them. */
export const NT = {
  PRSTATUS: 1,
  FPREGSET: 2,
  PRPSINFO: 3,
  AUXV: 6,
  ARM_TLS: 0x401,
  ARM_HW_BREAK: 0x402,
  ARM_HW_WATCH: 0x403,
  ARM_SYSTEM_CALL: 0x404,
  ARM_PAC_MASK: 0x406,
  ARM_TAGGED_ADDR_CTRL: 0x409,
  SIGINFO: 0x53494749,
  FILE: 0x46494c45,
} as const;

/** AUDIT_ARCH_AARCH64. */
export const AUDIT_ARCH = 0xc00000b7;
/** syscall_get_nr() of a thread that is in no call. */
export const NO_SYSCALL = -1;

/** `PTRACE_CONT` for 7. */
export function ptraceRequestName(request: number): string {
  for (const [name, number] of Object.entries(PTRACE)) if (number === request) return `PTRACE_${name}`;
  return `0x${request.toString(16)}`;
}
