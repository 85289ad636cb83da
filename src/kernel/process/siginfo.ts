/**
 * siginfo: what a signal says of its cause, and its 128 bytes as user space sees them.
 *
 * Ref. include/uapi/asm-generic/siginfo.h.
 */
import type { TagFaultReport } from '../report/index.js';
import { SI_CODE, SIGNAL, type SignalCodeName, type SignalName, signalName } from './abi.js';
import { AUDIT_ARCH } from './ptrace-abi.js';

export interface SignalInfo {
  readonly signo: number;
  /** `SIGSEGV`, `SIGRT_3`. */
  readonly signal: string;
  readonly code: number;
  readonly codeName: string;
  /** si_addr; 0 for asynchronous tag faults and for signals without an address. */
  readonly address: bigint;
  /** Sent because of a fault: the address is meant. */
  readonly fault: boolean;
  readonly pid?: number;
  readonly uid?: number;
  /** si_status of SIGCHLD. */
  readonly status?: number;
  /** si_value of sigqueue and timers. */
  readonly value?: bigint;
  /** si_tid and si_overrun of SI_TIMER. */
  readonly timer?: { readonly id: number; readonly overrun: number };
  /** The whole 128 bytes, where user space made them (rt_sigqueueinfo). */
  readonly raw?: Uint8Array;
  /** Made only if the signal kills. */
  readonly report?: () => TagFaultReport;
  /** Why, in words that si_code has no room for: `it needs FEAT_SVE, which this machine has not`. */
  readonly reason?: string;
}

const SYS_SECCOMP = 1;

const CODE_NAMES: readonly SignalCodeName[] = ['SI_USER', 'SI_KERNEL', 'SI_QUEUE', 'SI_TIMER', 'SI_TKILL'];

/** A fault's siginfo. */
export function signalInfo(signal: SignalName, codeName: SignalCodeName, address: bigint): SignalInfo {
  return { signo: SIGNAL[signal], signal, code: SI_CODE[codeName], codeName, address, fault: true };
}

/** A signal that somebody sent. */
export function sentSignal(
  signo: number,
  codeName: SignalCodeName,
  more: Partial<Pick<SignalInfo, 'pid' | 'uid' | 'status' | 'value' | 'timer'>> = {},
): SignalInfo {
  const signal = signalName(signo);
  return { signo, signal, code: SI_CODE[codeName], codeName, address: 0n, fault: false, ...more };
}

/** What rt_sigqueueinfo was given. */
export function queuedSignal(signo: number, raw: Uint8Array): SignalInfo {
  const code = new DataView(raw.buffer, raw.byteOffset).getInt32(8, true);
  const codeName = CODE_NAMES.find((name) => SI_CODE[name] === code) ?? String(code);
  return { signo, signal: signalName(signo), code, codeName, address: 0n, fault: false, raw };
}

/** force_sig_seccomp(): SIGSYS with the call's address, number and architecture. */
export function seccompSignal(number: number, data: number, address: bigint): SignalInfo {
  const raw = new Uint8Array(SIGINFO_BYTES);
  const view = new DataView(raw.buffer);
  view.setInt32(4, data, true);
  view.setInt32(8, SYS_SECCOMP, true);
  view.setBigUint64(16, address, true);
  view.setInt32(24, number, true);
  view.setUint32(28, AUDIT_ARCH, true);
  const { SIGSYS: signo } = SIGNAL;
  return { signo, signal: 'SIGSYS', code: SYS_SECCOMP, codeName: 'SYS_SECCOMP', address, fault: false, raw };
}

export const SIGINFO_BYTES = 128;

export function siginfoBytes(info: SignalInfo): Uint8Array {
  const bytes = info.raw?.slice() ?? new Uint8Array(SIGINFO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, info.signo, true);
  if (info.raw !== undefined) return bytes;
  view.setInt32(8, info.code, true);
  if (info.fault) {
    view.setBigUint64(16, info.address, true);
    return bytes;
  }
  view.setInt32(16, info.timer?.id ?? info.pid ?? 0, true);
  view.setInt32(20, info.timer?.overrun ?? info.uid ?? 0, true);
  if (info.status !== undefined) view.setInt32(24, info.status, true);
  if (info.value !== undefined) view.setBigUint64(24, info.value, true);
  return bytes;
}
