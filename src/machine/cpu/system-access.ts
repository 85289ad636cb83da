/**
 * MRS, MSR and SYS: who may, what is stored, and what else happens.
 *
 * Checks follow AArch64.CheckSystemAccess: an encoding that does not exist, needs a higher level or goes
 * the wrong way is UNDEFINED; EL0 accesses under a control bit trap to EL1 (EC 0x18), as do EL0 reads of
 * the ID space (FEAT_IDST); EL2 and EL3 trap what HCR_EL2 and SCR_EL3 say.
 *
 * Registers that only keep a value are cells. What is computed has a handler in `computed-registers.ts`.
 *
 * Ref. DDI 0487, D1.3.1, D19; J1 AArch64.CheckSystemAccess.
 */
import {
  type Direction,
  type El0Rule,
  encodingParts,
  type FeatureName,
  HCR,
  type IdRegister,
  idRegisterValue,
  SCR,
  type SystemOperation,
  type SystemRegister,
  systemOperationByEncoding,
  systemRegisterByEncoding,
  systemRegisterByName,
} from '../../../isa/index.js';
import { COMPUTED, type ComputedRegister } from './computed-registers.js';
import { hasEffect } from './context-cells.js';
import type { Cpu } from './cpu.js';
import { ExceptionClass, GuestException, undefinedInstruction } from './exception.js';
import { cellOf } from './system-cells.js';
import { performOperation } from './system-operations.js';

const SCTLR_EL1 = cellOf('sctlr_el1');
const CONTROL_CELLS: Readonly<Record<string, number>> = {
  sctlr_el1: SCTLR_EL1,
  cntkctl_el1: cellOf('cntkctl_el1'),
  cpacr_el1: cellOf('cpacr_el1'),
  mdscr_el1: cellOf('mdscr_el1'),
};
const SCR_EL3 = cellOf('scr_el3');
const CNTHCTL_EL2 = cellOf('cnthctl_el2');
const CPTR_EL2 = cellOf('cptr_el2');
const CPTR_EL3 = cellOf('cptr_el3');
/** CPTR_EL2 and CPTR_EL3: accesses to CPACR_EL1 (and CPTR_EL2) trap. */
const TCPAC = 31;

interface Resolved {
  readonly row: SystemRegister;
  /** -1 where the register has no cell. */
  readonly cell: number;
  readonly computed: ComputedRegister | undefined;
}

const RESOLVED = new Map<string, Resolved>();
function resolve(row: SystemRegister): Resolved {
  const known = RESOLVED.get(row.name);
  if (known !== undefined) return known;
  const hasCell = row.kind === 'cell' || row.kind === 'computed';
  const resolved = { row, cell: hasCell ? cellOf(row.name) : -1, computed: COMPUTED[row.name] };
  RESOLVED.set(row.name, resolved);
  return resolved;
}

/** ISS of a trapped MRS, MSR or SYS. Ref. D19.2.39 "ISS encoding for ... MSR, MRS". */
function trapSyndrome(encoding: number, rt: number, direction: Direction): number {
  const { op0, op1, crn, crm, op2 } = encodingParts(encoding);
  return (
    (op0 << 20) |
    (op2 << 17) |
    (op1 << 14) |
    (crn << 10) |
    (rt << 5) |
    (crm << 1) |
    (direction === 'read' ? 1 : 0)
  );
}

/** The encodings of identification registers, of which FEAT_IDST traps EL0 reads. */
function isIdSpace(encoding: number): boolean {
  const { op0, op1, crn } = encodingParts(encoding);
  return op0 === 3 && (op1 === 0 || op1 === 1 || op1 === 3) && crn === 0;
}

/** Reserved identification encodings read as zero at EL1. Ref. D19.1, "Principles of the ID scheme". */
function isReservedId(encoding: number): boolean {
  const { op0, op1, crn, crm } = encodingParts(encoding);
  return op0 === 3 && op1 === 0 && crn === 0 && crm >= 1 && crm <= 7;
}

/** The HCR_EL2 bit that traps a system operation of EL1 or EL0. Ref. D19.2.48 HCR_EL2. */
function hypervisorTrapOf({ group, name }: SystemOperation): number | undefined {
  if (group === 'tlbi') return HCR.TTLB;
  if (group === 'ic' || (group === 'dc' && name === 'cvau')) return HCR.TPU;
  if (group !== 'dc') return undefined;
  if (name.endsWith('sw')) return HCR.TSW;
  return name.endsWith('zva') || name === 'gva' ? HCR.TDZ : HCR.TPCP;
}

/**
 * Whether an access that is allowed does nothing but read the register's cell, or write it with `res0` and `res1`.
 */
export function isPlainRegister(row: SystemRegister, direction: Direction): boolean {
  if (row.nameOnly || row.kind !== 'cell' || row.access === (direction === 'read' ? 'wo' : 'ro'))
    return false;
  const { cell, computed } = resolve(row);
  if (direction === 'read') return computed?.read === undefined;
  return (
    computed?.write === undefined && !row.highestWrites && row.featureBits.length === 0 && !hasEffect(cell)
  );
}

export class SystemAccess {
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  #trap(encoding: number, direction: Direction, target?: 1 | 2 | 3): GuestException {
    const rt = this.#cpu.instruction & 31;
    return new GuestException(
      ExceptionClass.SystemRegisterTrap,
      trapSyndrome(encoding, rt, direction),
      target === undefined ? {} : { target },
    );
  }

  /** Whether a control at EL1 lets EL0 through. */
  #allowedAtEl0(rule: El0Rule): boolean {
    if (rule === 'always') return true;
    if (rule === 'never') return false;
    const cell = CONTROL_CELLS[rule.register]!;
    return rule.bits.some((bit) => this.#cpu.cells.bit(cell, bit));
  }

  #check(encoding: number, direction: Direction): Resolved | undefined {
    const cpu = this.#cpu;
    const el = cpu.pstate.el;
    const row = systemRegisterByEncoding(encoding, direction);
    if (
      row === undefined ||
      row.nameOnly ||
      (row.feature !== undefined && !cpu.environment.has(row.feature))
    ) {
      if (direction === 'read' && el > 0 && isReservedId(encoding)) return undefined;
      if (direction === 'read' && el === 0 && isIdSpace(encoding) && this.#has('FEAT_IDST'))
        throw this.#trap(encoding, direction);
      throw undefinedInstruction();
    }
    if (row.access === (direction === 'read' ? 'wo' : 'ro')) throw undefinedInstruction();
    if (el === 0) {
      const rule = direction === 'read' ? row.el0Read : row.el0Write;
      if (!this.#allowedAtEl0(rule)) {
        const trapped =
          rule !== 'never' || (direction === 'read' && isIdSpace(encoding) && this.#has('FEAT_IDST'));
        throw trapped ? this.#trap(encoding, direction) : undefinedInstruction();
      }
    } else if (el < row.el) {
      throw undefinedInstruction();
    }
    const { hasEl2, hasEl3 } = cpu.environment;
    if ((row.el === 2 && !hasEl2) || (row.el === 3 && !hasEl3)) throw undefinedInstruction();
    if (row.highestWrites && direction === 'write' && el !== (hasEl3 ? 3 : hasEl2 ? 2 : 1)) {
      throw undefinedInstruction();
    }
    // SP_EL0 is SP where PSTATE.SP is 0, and then has no other name.
    if (row.name === 'sp_el0' && cpu.pstate.sp === 0) throw undefinedInstruction();
    // FPCR and FPSR are behind the same controls as the instructions.
    if (row.feature === 'FEAT_FP') cpu.checkFPAdvSIMDEnabled();
    this.#checkHigherTraps(row, direction);
    return resolve(row);
  }

  #has(feature: FeatureName): boolean {
    return this.#cpu.environment.has(feature);
  }

  #checkHigherTraps(row: SystemRegister, direction: Direction): void {
    const cpu = this.#cpu;
    const el = cpu.pstate.el;
    const trap = row.hypervisorTrap;
    if (trap !== undefined && el < 2 && cpu.el2Enabled && !(el === 0 && cpu.hcrBit(HCR.TGE))) {
      const bit = direction === 'read' ? trap.read : trap.write;
      if (bit !== undefined && cpu.hcrBit(bit) !== (trap.zero ?? false)) {
        throw this.#trap(row.encoding, direction, 2);
      }
    }
    if (el < 2 && cpu.el2Enabled && this.#timerTrapped(row.name))
      throw this.#trap(row.encoding, direction, 2);
    if (el === 1 && row.name === 'cpacr_el1' && cpu.el2Enabled && cpu.cells.bit(CPTR_EL2, TCPAC)) {
      throw this.#trap(row.encoding, direction, 2);
    }
    if (el === 3 || !cpu.environment.hasEl3) return;
    if (/^(cpacr_el1|cptr_el2)$/.test(row.name) && cpu.cells.bit(CPTR_EL3, TCPAC)) {
      throw this.#trap(row.encoding, direction, 3);
    }
    const keptByEl3 =
      trap?.read === HCR.ATA || row.name === 'tfsr_el2'
        ? SCR.ATA
        : trap?.read === HCR.APK
          ? SCR.APK
          : undefined;
    if (keptByEl3 !== undefined && !cpu.cells.bit(SCR_EL3, keptByEl3)) {
      throw this.#trap(row.encoding, direction, 3);
    }
  }

  /** CNTHCTL_EL2: EL1PCTEN keeps the physical counter, EL1PCEN the physical timer, from EL1 and EL0. */
  #timerTrapped(name: string): boolean {
    const { cells } = this.#cpu;
    if (/^cntpct(ss)?_el0$/.test(name)) return !cells.bit(CNTHCTL_EL2, 0);
    return /^cntp_.*_el0$/.test(name) && !cells.bit(CNTHCTL_EL2, 1);
  }

  /** MRS. */
  read(encoding: number): bigint {
    const resolved = this.#check(encoding, 'read');
    return resolved === undefined ? 0n : this.#get(resolved, encoding);
  }

  #get({ row, cell, computed }: Resolved, encoding: number): bigint {
    if (computed?.read !== undefined) {
      const value = computed.read(this.#cpu, row, cell);
      if (value === undefined) throw undefinedInstruction();
      return value;
    }
    if (row.kind === 'constant') return row.reset;
    if (row.kind === 'identification') {
      return this.#onThisBoard(
        row,
        idRegisterValue(row.name as IdRegister, (feature) => this.#has(feature)),
      );
    }
    if (cell < 0) throw this.#trap(encoding, 'read');
    return this.#cpu.cells.get(cell);
  }

  /** ID fields that the board decides: exception levels, the GIC's system register interface. */
  #onThisBoard(row: SystemRegister, value: bigint): bigint {
    if (row.name !== 'id_aa64pfr0_el1') return value;
    const { hasEl2, hasEl3, interrupts } = this.#cpu.environment;
    return (
      (value & ~((hasEl2 ? 0n : 0xfn << 8n) | (hasEl3 ? 0n : 0xfn << 12n))) |
      (interrupts === undefined ? 0n : 1n << 24n)
    );
  }

  /** MSR (register). */
  write(encoding: number, value: bigint): void {
    const resolved = this.#check(encoding, 'write');
    if (resolved !== undefined) this.#set(resolved, value);
  }

  #set({ row, cell, computed }: Resolved, value: bigint): void {
    let res0 = row.res0;
    for (const [feature, own] of row.featureBits) if (!this.#has(feature)) res0 |= own;
    const kept = BigInt.asUintN(64, (value & ~res0) | row.res1);
    if (computed?.write !== undefined) {
      if (!computed.write(this.#cpu, kept, row, cell)) throw undefinedInstruction();
      return;
    }
    this.#cpu.cells.set(cell, kept);
    this.#cpu.cellWritten(cell);
  }

  /** Without checks. Throws Error for a register that does not exist (a caller's mistake). */
  readByName(name: string): bigint {
    const row = systemRegisterByName(name);
    if (row === undefined || row.nameOnly) throw new Error(`there is no system register ${name}`);
    return this.#get(resolve(row), row.encoding);
  }

  writeByName(name: string, value: bigint): void {
    const row = systemRegisterByName(name);
    if (row === undefined || row.nameOnly) throw new Error(`there is no system register ${name}`);
    this.#set(resolve(row), value);
  }

  /** SYS. */
  operation(encoding: number, value: bigint): void {
    const cpu = this.#cpu;
    const row = systemOperationByEncoding(encoding);
    if (row === undefined || row.nameOnly || (row.feature !== undefined && !cpu.environment.has(row.feature)))
      throw undefinedInstruction();
    const el = cpu.pstate.el;
    if (el === 0) {
      if (!this.#allowedAtEl0(row.el0)) {
        throw row.el0 === 'never' ? undefinedInstruction() : this.#trap(encoding, 'write');
      }
    } else if (el < row.el) {
      throw undefinedInstruction();
    }
    if (row.el === 2 && !cpu.environment.hasEl2) throw undefinedInstruction();
    const trap = hypervisorTrapOf(row);
    if (trap !== undefined && el < 2 && cpu.hcrBit(trap) && !(el === 0 && cpu.hcrBit(HCR.TGE))) {
      throw this.#trap(encoding, 'write', 2);
    }
    performOperation(cpu, row, value);
  }
}
