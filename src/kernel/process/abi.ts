/**
 * Numbers of the Linux arm64 user ABI beyond those the memory manager names: signals, prctl, auxv, hwcaps.
 *
 * Ref. include/uapi/asm-generic/siginfo.h, arch/arm64/include/uapi/asm,
 * include/uapi/linux/{prctl,auxvec}.h of Linux 6.x.
 */
import type { FeatureName } from '../../../isa/index.js';

export const SIGNAL = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
} as const;
export type SignalName = keyof typeof SIGNAL;
/** Signals 1..64: _NSIG. */
export const SIGNALS = 64;
export const SIGRTMIN = 32;

/** The first of a number's names. */
const SIGNAL_NAMES: ReadonlyMap<number, string> = new Map<number, string>(
  Object.entries(SIGNAL)
    .reverse()
    .map(([name, number]) => [number, name]),
);

/** `SIGSEGV`, `SIGRT_3`. */
export function signalName(signo: number): string {
  return SIGNAL_NAMES.get(signo) ?? `SIGRT_${signo - SIGRTMIN}`;
}

/** si_code values. */
export const SI_CODE = {
  ILL_ILLOPC: 1,
  FPE_INTDIV: 1,
  FPE_FLTDIV: 3,
  FPE_FLTOVF: 4,
  FPE_FLTUND: 5,
  FPE_FLTRES: 6,
  FPE_FLTINV: 7,
  TRAP_BRKPT: 1,
  TRAP_TRACE: 2,
  TRAP_HWBKPT: 4,
  BUS_ADRALN: 1,
  BUS_ADRERR: 2,
  SEGV_MAPERR: 1,
  SEGV_ACCERR: 2,
  SEGV_MTEAERR: 8,
  SEGV_MTESERR: 9,
  CLD_EXITED: 1,
  CLD_KILLED: 2,
  CLD_DUMPED: 3,
  CLD_TRAPPED: 4,
  CLD_STOPPED: 5,
  CLD_CONTINUED: 6,
  SI_USER: 0,
  SI_KERNEL: 0x80,
  SI_QUEUE: -1,
  SI_TIMER: -2,
  SI_MESGQ: -3,
  SI_TKILL: -6,
} as const;
export type SignalCodeName = keyof typeof SI_CODE;

/** sigaction flags. */
export const SA = {
  NOCLDSTOP: 0x1,
  NOCLDWAIT: 0x2,
  SIGINFO: 0x4,
  EXPOSE_TAGBITS: 0x800,
  RESTORER: 0x04000000,
  ONSTACK: 0x08000000,
  RESTART: 0x10000000,
  NODEFER: 0x40000000,
  RESETHAND: 0x80000000,
} as const;
/** What a kernel keeps of sa_flags: anything else, SA_UNSUPPORTED first, reads back as 0. */
export const SA_KNOWN = Object.values(SA).reduce((all, bit) => all | bit, 0);

/** prctl(PR_SET_TAGGED_ADDR_CTRL): Documentation/arch/arm64/memory-tagging-extension.rst. */
export const PRCTL = { SET_TAGGED_ADDR_CTRL: 55, GET_TAGGED_ADDR_CTRL: 56 } as const;
export const TAGGED_ADDR = {
  ENABLE: 1,
  TCF_SYNC: 2,
  TCF_ASYNC: 4,
  TAG_SHIFT: 3,
  TAG_MASK: 0x7fff8,
} as const;

export const AT = {
  NULL: 0,
  PHDR: 3,
  PHENT: 4,
  PHNUM: 5,
  PAGESZ: 6,
  BASE: 7,
  FLAGS: 8,
  ENTRY: 9,
  UID: 11,
  EUID: 12,
  GID: 13,
  EGID: 14,
  PLATFORM: 15,
  HWCAP: 16,
  CLKTCK: 17,
  SECURE: 23,
  RANDOM: 25,
  HWCAP2: 26,
  RSEQ_FEATURE_SIZE: 27,
  RSEQ_ALIGN: 28,
  EXECFN: 31,
  MINSIGSTKSZ: 51,
} as const;

/** AT_HWCAP and AT_HWCAP2 bits, and the feature each reports. */
export const HWCAP_BITS: readonly (readonly [bit: number, feature: FeatureName])[] = [
  [0, 'FEAT_FP'],
  [1, 'FEAT_AdvSIMD'],
  [3, 'FEAT_AES'],
  [4, 'FEAT_PMULL'],
  [5, 'FEAT_SHA1'],
  [6, 'FEAT_SHA256'],
  [7, 'FEAT_CRC32'],
  [8, 'FEAT_LSE'],
  // FPHP and ASIMDHP.
  [9, 'FEAT_FP16'],
  [10, 'FEAT_FP16'],
  [12, 'FEAT_RDM'],
  [13, 'FEAT_JSCVT'],
  [14, 'FEAT_FCMA'],
  [15, 'FEAT_LRCPC'],
  [16, 'FEAT_DPB'],
  [17, 'FEAT_SHA3'],
  [18, 'FEAT_SM3'],
  [19, 'FEAT_SM4'],
  [20, 'FEAT_DotProd'],
  [21, 'FEAT_SHA512'],
  [23, 'FEAT_FHM'],
  [24, 'FEAT_DIT'],
  [25, 'FEAT_LSE2'],
  [26, 'FEAT_LRCPC2'],
  [27, 'FEAT_FlagM'],
  [28, 'FEAT_SSBS2'],
  [29, 'FEAT_SB'],
  [30, 'FEAT_PAuth'],
  [31, 'FEAT_PAuth'],
];
/** ID registers read from EL0 are emulated by Linux: HWCAP_CPUID. */
export const HWCAP_CPUID = 1 << 11;
export const HWCAP2_BITS: readonly (readonly [bit: number, feature: FeatureName])[] = [
  [0, 'FEAT_DPB2'],
  [7, 'FEAT_FlagM2'],
  [8, 'FEAT_FRINTTS'],
  [16, 'FEAT_RNG'],
  [17, 'FEAT_BTI'],
  [18, 'FEAT_MTE2'],
  [19, 'FEAT_ECV'],
  [22, 'FEAT_MTE3'],
];
