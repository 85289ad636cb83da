/**
 * SVC, HVC, SMC, BRK, HLT, MSR (immediate) and hints: instructions that are about the CPU's state or its
 * environment rather than data.
 *
 * Ref. DDI 0487, C6.2 (each instruction), J1 AArch64.CallSupervisor and its kin, D1.6 (WFE, WFI).
 */
import { HCR, type PstateField, SCR, SCTLR } from '../../../isa/index.js';
import type { Cpu } from './cpu.js';
import { ExceptionClass, GuestException, undefinedInstruction } from './exception.js';
import { anythingPending } from './interrupts.js';
import { cellOf } from './system-cells.js';

const RETURNS_TO_NEXT = { returnsToNext: true } as const;
const SCTLR_EL1 = cellOf('sctlr_el1');
const SCR_EL3 = cellOf('scr_el3');

/** What an engine takes when the instruction has been done: nothing of it needs to be undone, so it is not thrown. */
export function supervisorCall(imm: number): GuestException {
  return new GuestException(ExceptionClass.SVC, imm, RETURNS_TO_NEXT);
}

export function hypervisorCall(cpu: Cpu, imm: number): void {
  const { environment, pstate } = cpu;
  if (pstate.el === 0) throw undefinedInstruction();
  if (environment.firmwareCall?.(cpu, 'hvc')) return;
  const enabled = environment.hasEl3 ? cpu.cells.bit(SCR_EL3, SCR.HCE) : !cpu.hcrBit(HCR.HCD);
  if (!environment.hasEl2 || !enabled || (pstate.el === 1 && !cpu.el2Enabled)) throw undefinedInstruction();
  throw new GuestException(ExceptionClass.HVC, imm, { returnsToNext: true, target: 2 });
}

export function secureMonitorCall(cpu: Cpu, imm: number): void {
  const { environment, pstate } = cpu;
  if (pstate.el === 0) throw undefinedInstruction();
  if (pstate.el === 1 && cpu.hcrBit(HCR.TSC))
    throw new GuestException(ExceptionClass.SMC, imm, { target: 2 });
  if (environment.firmwareCall?.(cpu, 'smc')) return;
  if (!environment.hasEl3 || cpu.cells.bit(SCR_EL3, SCR.SMD)) throw undefinedInstruction();
  throw new GuestException(ExceptionClass.SMC, imm, { returnsToNext: true, target: 3 });
}

export function breakpoint(imm: number): never {
  throw new GuestException(ExceptionClass.SoftwareBreakpoint, imm);
}

/** HLT is UNDEFINED where halting debug is off, but for semihosting's number. */
export function halt(cpu: Cpu, imm: number): void {
  const semihosting = cpu.environment.semihosting;
  if (imm !== 0xf000 || semihosting === undefined) throw undefinedInstruction();
  const result = semihosting(cpu, Number(cpu.readX(0) & 0xffff_ffffn), cpu.readX(1));
  cpu.writeX(0, BigInt.asUintN(64, result));
}

/** MSR (immediate): op1:op2 of each field, for the syndrome of a trapped DAIF access. */
export function writePstate(cpu: Cpu, field: PstateField, value: number): void {
  const { pstate } = cpu;
  if (pstate.el === 0) {
    if (field === 'SPSel' || field === 'PAN' || field === 'UAO') throw undefinedInstruction();
    if ((field === 'DAIFSet' || field === 'DAIFClr') && !cpu.cells.bit(SCTLR_EL1, SCTLR.UMA)) {
      // op0 = 0, op1 = 3, CRn = 4, CRm = the immediate, Rt = 31.
      const op2 = field === 'DAIFSet' ? 6 : 7;
      const iss = (op2 << 17) | (3 << 14) | (4 << 10) | (31 << 5) | ((value & 15) << 1);
      throw new GuestException(ExceptionClass.SystemRegisterTrap, iss);
    }
  }
  switch (field) {
    case 'SPSel':
      cpu.setSpSel((value & 1) as 0 | 1);
      return;
    case 'DAIFSet':
      pstate.daif |= value & 15;
      return;
    case 'DAIFClr':
      pstate.daif &= ~value & 15;
      cpu.attention();
      return;
    case 'UAO':
      pstate.uao = value & 1;
      break;
    case 'PAN':
      pstate.pan = value & 1;
      break;
    case 'DIT':
      pstate.dit = value & 1;
      return;
    case 'SSBS':
      pstate.ssbs = value & 1;
      return;
    case 'TCO':
      pstate.tco = value & 1;
      break;
  }
  cpu.stateChanged();
}

const WFE = 2;
const WFI = 3;
const SEV = 4;
const SEVL = 5;

/** Hints without semantics of their own: everything but these four does nothing here. */
export function hint(cpu: Cpu, number: number): void {
  switch (number) {
    case WFE:
      trapWait(cpu, true);
      // Waking for no reason is allowed: that is what a CPU does that no conductor makes wait.
      if (!cpu.event && cpu.waits && !anythingPending(cpu)) {
        cpu.waiting = 'event';
        cpu.stop ??= { kind: 'wait' };
      }
      cpu.event = false;
      return;
    case WFI:
      trapWait(cpu, false);
      if (!anythingPending(cpu)) {
        cpu.waiting = 'interrupt';
        cpu.stop ??= { kind: 'wait' };
      }
      return;
    case SEV:
      for (const other of cpu.environment.cpus()) other.event = true;
      return;
    case SEVL:
      cpu.event = true;
      return;
    default:
  }
}

/** WFE and WFI at lower levels trap where the level above says so. Ref. AArch64.CheckForWFxTrap. */
function trapWait(cpu: Cpu, isWfe: boolean): void {
  const { el } = cpu.pstate;
  // CV = 1, COND = 1110, RV = 0, TI.
  const iss = (1 << 24) | (0xe << 20) | (isWfe ? 1 : 0);
  if (el === 0 && !cpu.cells.bit(SCTLR_EL1, isWfe ? SCTLR.nTWE : SCTLR.nTWI)) {
    throw new GuestException(ExceptionClass.WFxTrap, iss);
  }
  if (el < 2 && cpu.hcrBit(isWfe ? HCR.TWE : HCR.TWI)) {
    throw new GuestException(ExceptionClass.WFxTrap, iss, { target: 2 });
  }
  if (el < 3 && cpu.environment.hasEl3 && cpu.cells.bit(SCR_EL3, isWfe ? SCR.TWE : SCR.TWI)) {
    throw new GuestException(ExceptionClass.WFxTrap, iss, { target: 3 });
  }
}
