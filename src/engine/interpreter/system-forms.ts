/**
 * System instructions in forms: registers that are nothing but their cells, PSTATE fields and the counter, and
 * operations on blocks of memory (DC ZVA, GVA, GZVA; cleaning of caches, which does nothing where none are modelled).
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
  SCR,
  SCTLR,
  systemOperationByEncoding,
  systemRegisterByEncoding,
  systemRegisterByName,
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
  /** PSTATE.DAIF. */
  masks: 64,
  /** CTR_EL0. */
  cacheType: 128,
  /** CNTVCT_EL0. */
  counter: 256,
  /** Maintenance of caches by address. */
  maintenance: 512,
  /** CNTV_CTL_EL0. */
  timer: 4096,
  /** Address keys of pointer authentication: in the order of PAC_KEY_NAMES, a bit for keys that are on, then for those that are off. */
  keyOn: 1 << 16,
  keyOff: 1 << 20,
  /** The generic key. */
  generic: 1 << 24,
  /** GCR_EL1 and its like, which HCR_EL2.ATA and SCR_EL3.ATA allow. */
  tags: 1024,
  /** CONTEXTIDR_EL1: as memoryControl, while nothing compares it. */
  contextId: 2048,
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
const CNTKCTL_EL1 = cellOf('cntkctl_el1');
const SCR_EL3 = cellOf('scr_el3');
const EL0VCTEN = 1;
const EL0VTEN = 8;
/** HCR_EL2.TID2. */
const HCR_TID2 = systemRegisterByName('ctr_el0')!.hypervisorTrap!.read!;
const offsetOf = (name: string) => CpuLayout.SYSTEM + 8 * cellOf(name);
const ALL = 2n ** 64n - 1n;
const MEMORY_TRAPS: ReadonlySet<number | undefined> = new Set([HCR.TVM, HCR.TRVM]);

/** Registers that are no cell of their own, but have one of the engine's here. `kept`: bits that can be written. */
const ENGINE_CELLS: Readonly<
  Record<string, Pick<PlainRegister, 'offset' | 'permission'> & { readonly kept?: bigint }>
> = {
  dczid_el0: { offset: Cell.DCZID, permission: Permission.always },
  ctr_el0: { offset: Cell.CTR, permission: Permission.cacheType },
  cntvct_el0: { offset: Cell.COUNTER, permission: Permission.counter },
  cntvctss_el0: { offset: Cell.COUNTER, permission: Permission.counter },
  daif: { offset: Cell.DAIF, permission: Permission.masks, kept: 0xfn << 6n },
  ssbs: { offset: Cell.SSBS, permission: Permission.always, kept: 1n << 12n },
  midr_el1: { offset: Cell.MIDR, permission: Permission.kernel },
  cntv_ctl_el0: { offset: Cell.TIMER_CONTROL, permission: Permission.timer },
  dit: { offset: Cell.DIT, permission: Permission.always, kept: 1n << 24n },
  tco: { offset: Cell.TCO, permission: Permission.always, kept: 1n << 25n },
};

function plainRegister(encoding: number, direction: Direction): PlainRegister | undefined {
  const row = systemRegisterByEncoding(encoding, direction);
  if (row === undefined || row.nameOnly) return undefined;
  const { name, feature } = row;
  const whole = { kept: ALL, fixed: 0n, feature };
  const own = ENGINE_CELLS[name];
  if (own !== undefined) {
    return direction === 'write' && own.kept === undefined ? undefined : { ...whole, ...own };
  }
  if (name === 'sp_el0') return { ...whole, offset: offsetOf(name), permission: Permission.userStack };
  if (name === 'contextidr_el1') {
    return { ...whole, kept: ALL & ~row.res0, offset: offsetOf(name), permission: Permission.contextId };
  }
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
    if (permission !== Permission.kernel) return undefined;
    if (trap.zero === true && bit === HCR.ATA) permission = Permission.tags;
    else if (trap.zero !== true && MEMORY_TRAPS.has(bit)) permission = Permission.memoryControl;
    else return undefined;
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

/** What an operation does to its block; the last three only count where no caches are modelled. */
export const BlockAction = {
  zero: 1,
  check: 2,
  tag: 4,
  maintainData: 8,
  maintainTags: 16,
  maintainCode: 32,
} as const;
const ACTIONS: ReadonlyMap<string, number> = new Map([
  ['zva', BlockAction.zero | BlockAction.check],
  ['gva', BlockAction.tag],
  ['gzva', BlockAction.zero | BlockAction.tag],
]);
/** Cleaning, which needs read permission; invalidation needs more. */
const CLEANING = /^ci?(g|gd)?(vac|vau|vap|vadp)$/;

function actionsOf(group: string, name: string): number | undefined {
  if (group === 'ic') return name === 'ivau' ? BlockAction.maintainCode : undefined;
  if (group !== 'dc') return undefined;
  const match = CLEANING.exec(name);
  if (match === null) return ACTIONS.get(name);
  const tags = match[1] === undefined ? 0 : BlockAction.maintainTags;
  return tags | (match[1] === 'g' ? 0 : BlockAction.maintainData);
}

/** Bits of `BlockAction` for a SYS instruction that generated code may do; undefined for others. */
export function blockActionsOf(
  encoding: number,
): { actions: number; feature: string | undefined } | undefined {
  const row = systemOperationByEncoding(encoding);
  if (row === undefined || row.nameOnly) return undefined;
  const actions = actionsOf(row.group, row.name);
  return actions === undefined ? undefined : { actions, feature: row.feature };
}

/** Bits of `Permission` that the CPU has in its present state. */
export function systemPermissions(cpu: Cpu): number {
  const { el, sp } = cpu.pstate;
  const isGuest = el < 2 && cpu.el2Enabled;
  let permissions: number = Permission.always;
  if (cpu.fpTrap === 0) permissions |= Permission.float;
  if (el > 0) {
    permissions |= Permission.kernel;
    if (!isGuest || !(cpu.hcrBit(HCR.TVM) || cpu.hcrBit(HCR.TRVM))) {
      permissions |= Permission.memoryControl;
      if (!cpu.debug.isOn) permissions |= Permission.contextId;
    }
    const isKept = cpu.environment.hasEl3 && el !== 3 && !cpu.cells.bit(SCR_EL3, SCR.ATA);
    if (!isKept && (!isGuest || cpu.hcrBit(HCR.ATA))) permissions |= Permission.tags;
    if (sp === 1) permissions |= Permission.userStack;
  }
  const isKept = isGuest && cpu.hcrBit(HCR.TDZ);
  if ((el > 0 || cpu.cells.bit(SCTLR_EL1, SCTLR.DZE)) && !isKept) permissions |= Permission.blocks;
  if (el > 0 || cpu.cells.bit(SCTLR_EL1, SCTLR.UMA)) permissions |= Permission.masks;
  const isHost = cpu.hcrBit(HCR.TGE) && el === 0;
  const isTrapped = (...bits: number[]) => isGuest && !isHost && bits.some((bit) => cpu.hcrBit(bit));
  if ((el > 0 || cpu.cells.bit(SCTLR_EL1, SCTLR.UCT)) && !isTrapped(HCR_TID2)) {
    permissions |= Permission.cacheType;
  }
  if ((el > 0 || cpu.cells.bit(SCTLR_EL1, SCTLR.UCI)) && !isTrapped(HCR.TPCP, HCR.TPU)) {
    permissions |= Permission.maintenance;
  }
  if (el > 0 || cpu.cells.bit(CNTKCTL_EL1, EL0VCTEN)) permissions |= Permission.counter;
  if (el > 0 || cpu.cells.bit(CNTKCTL_EL1, EL0VTEN)) permissions |= Permission.timer;
  if (cpu.pac.isAllowed) permissions |= Permission.generic;
  PAC_KEY_NAMES.forEach((key, i) => {
    const state = cpu.pac.stateOf(key);
    if (state === 'on') permissions |= Permission.keyOn << i;
    if (state === 'off') permissions |= Permission.keyOff << i;
  });
  return permissions;
}

/** DCZID_EL0 in the CPU's present state. */
export const dataZeroId = (cpu: Cpu): number => Number(cpu.readRegister('dczid_el0'));
