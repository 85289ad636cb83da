/**
 * System instructions in forms: registers that are nothing but their cells, and operations on blocks of memory
 * (DC ZVA, GVA, GZVA).
 *
 * Whether the access is allowed depends on the exception level and on controls. What generated code can be
 * allowed is worked out at every entry into it (`systemPermissions`), one bit for each kind of register, and
 * asked of a cell; what is not allowed is given up, and the evaluator raises. All other registers and
 * operations are the evaluator's.
 *
 * Ref. DDI 0487, C5.3 (DC), D19; src/machine/cpu/{system-access,tag-access}.ts.
 */
import {
  type Direction,
  HCR,
  type PacKey,
  SCTLR,
  systemOperationByEncoding,
  systemRegisterByEncoding,
} from '../../../isa/index.js';
import { type Cpu, CpuLayout, cellOf, isPlainRegister } from '../../machine/index.js';
import { Cell } from './layout.js';

/** Bits of Cell.PERMISSIONS. */
export const Permission = {
  always: 1,
  /** FPCR and FPSR. */
  float: 2,
  /** Registers of EL1 that nothing traps. */
  kernel: 4,
  /** Registers of EL1 that HCR_EL2.TVM and TRVM trap. */
  memoryControl: 8,
  /** SP_EL0, where SP is another one. */
  userStack: 16,
  /** DC ZVA, DC GVA and DC GZVA. */
  blocks: 32,
  /** Address keys of pointer authentication: in the order of PAC_KEY_NAMES, a bit for keys that are on, then for those that are off. */
  keyOn: 64,
  keyOff: 64 << 4,
} as const;
export const PAC_KEY_NAMES = ['ia', 'ib', 'da', 'db'] as const satisfies readonly PacKey[];

/** A register as generated code sees it. */
export interface PlainRegister {
  /** Offset in the CPU's state block. */
  readonly offset: number;
  /** A bit of `Permission`. */
  readonly permission: number;
  /** Bits that a write keeps; the others become those of `fixed`. */
  readonly kept: bigint;
  readonly fixed: bigint;
  readonly feature: string | undefined;
}

const SCTLR_EL1 = cellOf('sctlr_el1');
const offsetOf = (name: string) => CpuLayout.SYSTEM + 8 * cellOf(name);
const ALL = 2n ** 64n - 1n;
const MEMORY_TRAPS: ReadonlySet<number | undefined> = new Set([HCR.TVM, HCR.TRVM]);

function plainRegister(encoding: number, direction: Direction): PlainRegister | undefined {
  const row = systemRegisterByEncoding(encoding, direction);
  if (row === undefined || row.nameOnly) return undefined;
  const { name, feature } = row;
  const whole = { kept: ALL, fixed: 0n, feature };
  if (name === 'dczid_el0' && direction === 'read')
    return { ...whole, offset: Cell.DCZID, permission: Permission.always };
  if (name === 'sp_el0') return { ...whole, offset: offsetOf(name), permission: Permission.userStack };
  if (!isPlainRegister(row, direction)) return undefined;
  // CPTR_EL2.TCPAC and CNTHCTL_EL2 keep these.
  if (name === 'cpacr_el1' || name.startsWith('cnt')) return undefined;
  let permission: number;
  if (name === 'fpcr' || name === 'fpsr') permission = Permission.float;
  else if ((direction === 'read' ? row.el0Read : row.el0Write) === 'always') permission = Permission.always;
  else if (row.el !== 1 && row.el !== 0) return undefined;
  else permission = Permission.kernel;
  const trap = row.hypervisorTrap;
  if (trap !== undefined) {
    const bit = direction === 'read' ? trap.read : trap.write;
    if (permission !== Permission.kernel || trap.zero === true || !MEMORY_TRAPS.has(bit)) return undefined;
    permission = Permission.memoryControl;
  }
  const fixed = row.res1;
  return { offset: offsetOf(name), permission, kept: ALL & ~row.res0 & ~fixed, fixed, feature };
}

const PLAIN = new Map<string, PlainRegister | null>();

/** The register of an MRS or MSR that generated code may do; undefined for others. `row`: of the instruction. */
export function plainRegisterOf(encoding: number, row: string): PlainRegister | undefined {
  const key = `${row} ${encoding}`;
  let known = PLAIN.get(key);
  if (known === undefined) {
    known = plainRegister(encoding, row === 'MRS' ? 'read' : 'write') ?? null;
    PLAIN.set(key, known);
  }
  return known ?? undefined;
}

/** What an operation does to its block. */
export const BlockAction = { zero: 1, check: 2, tag: 4 } as const;
const ACTIONS: ReadonlyMap<string, number> = new Map([
  ['zva', BlockAction.zero | BlockAction.check],
  ['gva', BlockAction.tag],
  ['gzva', BlockAction.zero | BlockAction.tag],
]);

/** Bits of `BlockAction` for a SYS instruction that generated code may do; undefined for others. */
export function blockActionsOf(
  encoding: number,
): { actions: number; feature: string | undefined } | undefined {
  const row = systemOperationByEncoding(encoding);
  const actions = row?.group === 'dc' && !row.nameOnly ? ACTIONS.get(row.name) : undefined;
  return actions === undefined ? undefined : { actions, feature: row?.feature };
}

/** Bits of `Permission` that the CPU has in its present state. */
export function systemPermissions(cpu: Cpu): number {
  const { el, sp } = cpu.pstate;
  const isGuest = el < 2 && cpu.el2Enabled;
  let permissions: number = Permission.always;
  if (cpu.fpTrap === 0) permissions |= Permission.float;
  if (el > 0) {
    permissions |= Permission.kernel;
    if (!isGuest || !(cpu.hcrBit(HCR.TVM) || cpu.hcrBit(HCR.TRVM))) permissions |= Permission.memoryControl;
    if (sp === 1) permissions |= Permission.userStack;
  }
  const isKept = isGuest && cpu.hcrBit(HCR.TDZ);
  if ((el > 0 || cpu.cells.bit(SCTLR_EL1, SCTLR.DZE)) && !isKept) permissions |= Permission.blocks;
  PAC_KEY_NAMES.forEach((key, i) => {
    const state = cpu.pac.stateOf(key);
    if (state === 'on') permissions |= Permission.keyOn << i;
    if (state === 'off') permissions |= Permission.keyOff << i;
  });
  return permissions;
}

/** DCZID_EL0 in the CPU's present state. */
export const dataZeroId = (cpu: Cpu): number => Number(cpu.readRegister('dczid_el0'));
