/**
 * Moving a process's registers between the CPU and the process.
 *
 * While a process is current its registers stay in the CPU across system calls and faults; they move
 * only when another process becomes current.
 *
 * Ref. arch/arm64/kernel/process.c (__switch_to), arch/arm64/kernel/mte.c (mte_thread_switch).
 */
import type { Cpu } from '../../machine/index.js';
import type { UserRegisters } from './process.js';
import { resolveTcf0, type TaggedAddressControl } from './tagged-address-control.js';

export function saveUserRegisters(cpu: Cpu, registers: UserRegisters): void {
  for (let i = 0; i < 31; i++) registers.x[i] = cpu.readX(i);
  registers.sp = cpu.spOf(0);
  registers.pc = cpu.readRegister('elr_el1');
  registers.pstate = cpu.readRegister('spsr_el1');
  registers.tls = cpu.readRegister('tpidr_el0');
  for (let i = 0; i < 32; i++) {
    const value = cpu.readV(i);
    registers.v[2 * i] = value;
    registers.v[2 * i + 1] = value >> 64n;
  }
  registers.fpcr = cpu.readRegister('fpcr');
  registers.fpsr = cpu.readRegister('fpsr');
}

export function loadUserRegisters(cpu: Cpu, registers: UserRegisters): void {
  for (let i = 0; i < 31; i++) cpu.writeX(i, registers.x[i]!);
  cpu.setSpOf(0, registers.sp);
  cpu.writeRegister('elr_el1', registers.pc);
  cpu.writeRegister('spsr_el1', registers.pstate);
  cpu.writeRegister('tpidr_el0', registers.tls);
  for (let i = 0; i < 32; i++) cpu.writeV(i, registers.v[2 * i]! | (registers.v[2 * i + 1]! << 64n));
  cpu.writeRegister('fpcr', registers.fpcr);
  cpu.writeRegister('fpsr', registers.fpsr);
}

const SCTLR_TCF0_SHIFT = 38n;
const GCR_RRND = 1n << 16n;

/** mte_update_sctlr_user and mte_update_gcr_excl: what EL0 may do with tags from now on. */
export function loadTaggedAddressControl(cpu: Cpu, control: TaggedAddressControl): void {
  const sctlr = cpu.readRegister('sctlr_el1') & ~(3n << SCTLR_TCF0_SHIFT);
  cpu.writeRegister('sctlr_el1', sctlr | (BigInt(resolveTcf0(control)) << SCTLR_TCF0_SHIFT));
  cpu.writeRegister('gcr_el1', GCR_RRND | BigInt(~control.include & 0xffff));
}
