/**
 * What a system register and a system operation are: one row each.
 *
 * From a row come the MRS/MSR/SYS assembler and disassembler names, the machine's access checks and
 * masks, and the register reference. What a write does beyond storing (a TLB context changes, a timer
 * rearms) is the machine's; `effect` says that it does something, so that no row looks like a plain
 * cell when it is not one.
 *
 * Ref. DDI 0487, D19 (register descriptions), C5.1 (encodings), D1.3.1 (traps of EL0 accesses).
 */
import type { FeatureName } from '../features.js';

export type ExceptionLevel = 0 | 1 | 2 | 3;
export type Direction = 'read' | 'write';

/** How EL0 may reach a register: never, always, or while a control bit at EL1 is one. */
export type El0Rule = 'never' | 'always' | El0Control;
export interface El0Control {
  readonly register: 'sctlr_el1' | 'cntkctl_el1' | 'cpacr_el1' | 'mdscr_el1';
  /** The access is allowed while one of these bits is 1. */
  readonly bits: readonly number[];
}

/** HCR_EL2 bits that trap an EL1 access to EL2: when one (or, for `zero`, when nought). */
export interface HypervisorTrap {
  readonly read?: number;
  readonly write?: number;
  /** The trap is taken when the bit is 0 (ATA, APK). */
  readonly zero?: boolean;
}

/** What keeps the value. */
export type RegisterKind =
  /** A cell: writes keep what RES0/RES1 allow, reads give it back. */
  | 'cell'
  /** Always the reset value. */
  | 'constant'
  /** Computed from the machine's feature set. */
  | 'identification'
  /** A field of PSTATE. */
  | 'pstate'
  /** Computed by the machine (counters, banked stack pointers, interface registers). */
  | 'computed';

export interface SystemRegister {
  /** Lower case, as binutils prints it. */
  readonly name: string;
  /** op0:op1:CRn:CRm:op2, 16 bits. */
  readonly encoding: number;
  readonly width: 32 | 64;
  readonly access: 'rw' | 'ro' | 'wo';
  /** The lowest exception level that reaches it, before `el0` is looked at. */
  readonly el: ExceptionLevel;
  readonly el0Read: El0Rule;
  readonly el0Write: El0Rule;
  readonly kind: RegisterKind;
  readonly reset: bigint;
  readonly res0: bigint;
  readonly res1: bigint;
  /** Bits that are RES0 too where a feature is absent. */
  readonly featureBits: readonly (readonly [feature: FeatureName, bits: bigint])[];
  /** Written at the highest implemented level alone. */
  readonly highestWrites: boolean;
  readonly feature: FeatureName | undefined;
  readonly hypervisorTrap: HypervisorTrap | undefined;
  readonly summary: string;
  /** Assemblers know the name; the machine does not implement the register, so that access is UNDEFINED. */
  readonly nameOnly: boolean;
}

export type OperationGroup = 'dc' | 'ic' | 'at' | 'tlbi' | 'cfp' | 'dvp' | 'cpp';

export interface SystemOperation {
  readonly group: OperationGroup;
  /** Lower case: `civac`, `vae1is`, `rctx`. */
  readonly name: string;
  readonly encoding: number;
  /** Whether the assembler wants a register operand. */
  readonly hasOperand: boolean;
  readonly el: ExceptionLevel;
  readonly el0: El0Rule;
  readonly feature: FeatureName | undefined;
  readonly summary: string;
  readonly nameOnly: boolean;
}

/** A mask of single bits. */
export const bitMask = (...numbers: readonly number[]): bigint =>
  numbers.reduce((mask, n) => mask | (1n << BigInt(n)), 0n);

/** op0:op1:CRn:CRm:op2 of `3:0:1:0:0` (decimal). */
export function parseEncoding(text: string): number {
  const [op0, op1, crn, crm, op2] = text.split(':').map(Number) as [number, number, number, number, number];
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

export interface EncodingParts {
  readonly op0: number;
  readonly op1: number;
  readonly crn: number;
  readonly crm: number;
  readonly op2: number;
}

export function encodingParts(encoding: number): EncodingParts {
  return {
    op0: encoding >> 14,
    op1: (encoding >> 11) & 7,
    crn: (encoding >> 7) & 15,
    crm: (encoding >> 3) & 15,
    op2: encoding & 7,
  };
}

/** The lowest exception level that op1 allows. Ref. AArch64.CheckSystemAccess. */
export function levelOf(encoding: number): ExceptionLevel {
  const op1 = (encoding >> 11) & 7;
  return op1 === 3 ? 0 : op1 === 4 || op1 === 5 ? 2 : op1 === 6 || op1 === 7 ? 3 : 1;
}

export interface RegisterOptions {
  readonly width?: 32 | 64;
  readonly access?: 'rw' | 'ro' | 'wo';
  readonly el?: ExceptionLevel;
  readonly el0?: El0Rule;
  readonly el0Read?: El0Rule;
  readonly el0Write?: El0Rule;
  readonly kind?: RegisterKind;
  readonly reset?: bigint;
  readonly res0?: bigint;
  readonly res1?: bigint;
  readonly featureBits?: SystemRegister['featureBits'];
  readonly highestWrites?: boolean;
  readonly feature?: FeatureName;
  readonly trap?: HypervisorTrap;
}

/** A row; what `options` leave out is a 64-bit read-write cell of the level its op1 says. */
export function register(
  name: string,
  encoding: string | number,
  summary: string,
  options: RegisterOptions = {},
): SystemRegister {
  const code = typeof encoding === 'string' ? parseEncoding(encoding) : encoding;
  const el = options.el ?? levelOf(code);
  const el0 = options.el0 ?? (el === 0 ? 'always' : 'never');
  return {
    name,
    encoding: code,
    width: options.width ?? 64,
    access:
      options.access ?? (options.kind === 'constant' || options.kind === 'identification' ? 'ro' : 'rw'),
    el,
    el0Read: options.el0Read ?? el0,
    el0Write: options.el0Write ?? el0,
    kind: options.kind ?? 'cell',
    reset: options.reset ?? 0n,
    res0: options.res0 ?? 0n,
    res1: options.res1 ?? 0n,
    featureBits: options.featureBits ?? [],
    highestWrites: options.highestWrites ?? false,
    feature: options.feature,
    hypervisorTrap: options.trap,
    summary,
    nameOnly: false,
  };
}

/** A register that assemblers know by name and this machine does not have. */
export function nameOnly(
  name: string,
  encoding: string | number,
  access: SystemRegister['access'] = 'rw',
): SystemRegister {
  return { ...register(name, encoding, 'not implemented', { access }), nameOnly: true };
}

/** `s3_0_c1_c0_0`: the name every encoding has. */
export function genericName(encoding: number): string {
  const { op0, op1, crn, crm, op2 } = encodingParts(encoding);
  return `s${op0}_${op1}_c${crn}_c${crm}_${op2}`;
}
