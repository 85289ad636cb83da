/**
 * Numbers of the Linux arm64 user ABI beyond those the memory manager names: signals, prctl, auxv, hwcaps.
 *
 * Ref. include/uapi/asm-generic/siginfo.h, arch/arm64/include/uapi/asm,
 * include/uapi/linux/{prctl,auxvec}.h of Linux 6.x.
 */
import type { FeatureName } from '../../../isa/index.js';

export const SIGNAL = {
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
} as const;
export type SignalName = keyof typeof SIGNAL;

/** si_code values. */
export const SI_CODE = {
  ILL_ILLOPC: 1,
  TRAP_BRKPT: 1,
  BUS_ADRALN: 1,
  BUS_ADRERR: 2,
  SEGV_MAPERR: 1,
  SEGV_ACCERR: 2,
  SEGV_MTEAERR: 8,
  SEGV_MTESERR: 9,
} as const;

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
  [17, 'FEAT_SHA3'],
  [20, 'FEAT_DotProd'],
  [21, 'FEAT_SHA512'],
  [23, 'FEAT_FHM'],
  [26, 'FEAT_LRCPC2'],
  [27, 'FEAT_FlagM'],
  [30, 'FEAT_PAuth'],
];
/** ID registers read from EL0 are emulated by Linux: HWCAP_CPUID. */
export const HWCAP_CPUID = 1 << 11;
export const HWCAP2_BITS: readonly (readonly [bit: number, feature: FeatureName])[] = [
  [7, 'FEAT_FlagM2'],
  [8, 'FEAT_FRINTTS'],
  [17, 'FEAT_BTI'],
  [18, 'FEAT_MTE2'],
  [22, 'FEAT_MTE3'],
];
