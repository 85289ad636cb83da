/**
 * What an exception from EL0 asks of the kernel, from its syndrome alone.
 *
 * The counterpart of el0t_64_sync_handler and the fault_info table: a system call, a page fault to
 * handle, or a signal.
 *
 * Ref. DDI 0487, D19.2.39 (ESR_EL1); arch/arm64/kernel/entry-common.c, arch/arm64/mm/fault.c.
 */
import { untagged, type VA } from '../../base/index.js';
import { ExceptionClass, FaultStatus } from '../../machine/index.js';
import type { FaultAccess } from '../mm/index.js';
import { type SignalInfo, signalInfo } from './siginfo.js';

export type UserException =
  | { readonly kind: 'system-call' }
  | { readonly kind: 'page-fault'; readonly va: VA; readonly access: FaultAccess }
  | { readonly kind: 'tag-check-fault'; readonly va: VA; readonly write: boolean }
  /** The instruction is UNDEFINED here or traps; Linux emulates some (MRS of ID registers). */
  | { readonly kind: 'undefined' }
  /** WFI: user space waits for no interrupt, the instruction does nothing. */
  | { readonly kind: 'wait' }
  /** A software step has been made. */
  | { readonly kind: 'step' }
  | { readonly kind: 'signal'; readonly info: SignalInfo };

/**
 * @param far FAR_EL1: the whole pointer, tag included.
 * @param pc ELR_EL1; where no address comes with the exception, si_addr is this.
 * @param tagAccess the instruction at `pc` accesses tags (LDG, STG), not data.
 */
export function decodeUserException(esr: bigint, far: VA, pc: VA, tagAccess: boolean): UserException {
  const exceptionClass = Number((esr >> 26n) & 0x3fn);
  switch (exceptionClass) {
    case ExceptionClass.SVC:
      return { kind: 'system-call' };
    case ExceptionClass.InstructionAbort:
    case ExceptionClass.DataAbort:
      return decodeAbort(esr, far, exceptionClass === ExceptionClass.InstructionAbort, tagAccess);
    case ExceptionClass.WFxTrap:
      return { kind: 'wait' };
    case ExceptionClass.SoftwareBreakpoint:
      return { kind: 'signal', info: signalInfo('SIGTRAP', 'TRAP_BRKPT', pc) };
    case ExceptionClass.SoftwareStep:
      return { kind: 'step' };
    case ExceptionClass.Breakpoint:
      return { kind: 'signal', info: signalInfo('SIGTRAP', 'TRAP_HWBKPT', pc) };
    case ExceptionClass.Watchpoint:
      return { kind: 'signal', info: signalInfo('SIGTRAP', 'TRAP_HWBKPT', untagged(far)) };
    case ExceptionClass.SPAlignment:
    case ExceptionClass.PCAlignment: {
      const address = exceptionClass === ExceptionClass.PCAlignment ? far : pc;
      return { kind: 'signal', info: signalInfo('SIGBUS', 'BUS_ADRALN', address) };
    }
    case ExceptionClass.FPTrappedException:
      return { kind: 'signal', info: signalInfo('SIGFPE', fpCode(esr), pc) };
    case ExceptionClass.Uncategorized:
    case ExceptionClass.SystemRegisterTrap:
      return { kind: 'undefined' };
    default:
      // Branch target exceptions, PAC failures and the rest.
      return { kind: 'signal', info: signalInfo('SIGILL', 'ILL_ILLOPC', pc) };
  }
}

/** do_fpsimd_exc(). */
function fpCode(esr: bigint) {
  if ((esr & 1n) !== 0n) return 'FPE_FLTINV';
  if ((esr & 2n) !== 0n) return 'FPE_FLTDIV';
  if ((esr & 4n) !== 0n) return 'FPE_FLTOVF';
  return (esr & 8n) !== 0n ? 'FPE_FLTUND' : 'FPE_FLTRES';
}

function decodeAbort(esr: bigint, far: VA, fetch: boolean, tagAccess: boolean): UserException {
  const status = Number(esr & 0x3fn);
  const write = !fetch && ((esr >> 6n) & 1n) === 1n;
  if (status === FaultStatus.SynchronousTagCheck) return { kind: 'tag-check-fault', va: far, write };
  const kind = status & 0x3c;
  if (
    kind === FaultStatus.Translation ||
    kind === FaultStatus.AccessFlag ||
    kind === FaultStatus.Permission
  ) {
    return { kind: 'page-fault', va: untagged(far), access: { write, exec: fetch, user: true, tagAccess } };
  }
  if (status === FaultStatus.Alignment) {
    return { kind: 'signal', info: signalInfo('SIGBUS', 'BUS_ADRALN', far) };
  }
  return { kind: 'signal', info: signalInfo('SIGBUS', 'BUS_ADRERR', far) };
}
