/**
 * ID registers as user space sees them: MRS from EL0 traps, and Linux gives the fields it vouches for
 * (HWCAP_CPUID).
 *
 * Ref. Documentation/arch/arm64/cpu-feature-registers.rst; arch/arm64/kernel/cpufeature.c
 * (emulate_mrs, arm64_ftr_regs): fields user space has no business with read as their safe value.
 */
import type { Cpu } from '../../machine/index.js';

const field = (lsb: number): bigint => 0xfn << BigInt(lsb);
const fields = (...lsbs: number[]): bigint => lsbs.reduce((mask, lsb) => mask | field(lsb), 0n);

interface Shown {
  readonly register: string;
  /** Fields that show the CPU's value. */
  readonly mask: bigint;
  /** What the others read as. */
  readonly rest: bigint;
}

/** By CRm and op2 of op0 = 3, op1 = 0, CRn = 0. */
const SHOWN: Readonly<Record<string, Shown>> = {
  '0,0': { register: 'midr_el1', mask: -1n, rest: 0n },
  '0,6': { register: 'revidr_el1', mask: -1n, rest: 0n },
  // FP, AdvSIMD, SVE, DIT; EL0 and EL1 are AArch64.
  '4,0': { register: 'id_aa64pfr0_el1', mask: fields(16, 20, 32, 48), rest: 0x11n },
  // BT, SSBS, MTE.
  '4,1': { register: 'id_aa64pfr1_el1', mask: fields(0, 4, 8), rest: 0n },
  '5,0': { register: 'id_aa64dfr0_el1', mask: 0n, rest: 6n },
  '6,0': {
    register: 'id_aa64isar0_el1',
    mask: fields(4, 8, 12, 16, 20, 28, 32, 36, 40, 44, 48, 52, 60),
    rest: 0n,
  },
  '6,1': {
    register: 'id_aa64isar1_el1',
    mask: fields(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 44, 48, 52),
    rest: 0n,
  },
  // RPRES, WFxT, MOPS, CSSC.
  '6,2': { register: 'id_aa64isar2_el1', mask: fields(0, 4, 16, 52), rest: 0n },
  '7,0': { register: 'id_aa64mmfr0_el1', mask: fields(60), rest: 0xff000000n },
  '7,1': { register: 'id_aa64mmfr1_el1', mask: 0n, rest: 0n },
  // AT: LSE2.
  '7,2': { register: 'id_aa64mmfr2_el1', mask: fields(32), rest: 0n },
};

/** MPIDR_EL1 says no more than that its format is the new one. */
const MPIDR = 1n << 31n;

export interface EmulatedRead {
  readonly rt: number;
  readonly value: bigint;
}

/** What MRS of an ID register gives at EL0; undefined for any other instruction. */
export function emulateIdRead(cpu: Cpu, word: number): EmulatedRead | undefined {
  if ((word & 0xfff00000) >>> 0 !== 0xd5300000) return undefined;
  const op0 = 2 + ((word >>> 19) & 1);
  const op1 = (word >>> 16) & 7;
  const crn = (word >>> 12) & 15;
  const crm = (word >>> 8) & 15;
  const op2 = (word >>> 5) & 7;
  if (op0 !== 3 || op1 !== 0 || crn !== 0) return undefined;
  const rt = word & 31;
  if (crm === 0 && op2 === 5) return { rt, value: MPIDR };
  const shown = SHOWN[`${crm},${op2}`];
  if (shown !== undefined) {
    const value = (cpu.readRegister(shown.register) & shown.mask) | (shown.rest & ~shown.mask);
    return { rt, value: BigInt.asUintN(64, value) };
  }
  // The rest of the ID space (CRm 1 to 7) is reserved and reads as zero; CRm 0 has no other registers.
  return crm >= 1 && crm <= 7 ? { rt, value: 0n } : undefined;
}
