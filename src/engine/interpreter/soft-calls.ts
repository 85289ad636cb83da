/**
 * How generated code calls soft-float: functions of one signature, at fixed places of the table.
 *
 * (the CPU's distance, `how`, three operands) gives the result; exceptions go into FPSR. `how` says sizes,
 * rounding and what else an operation has to be told. Operands and results are bits, zeros above them.
 */
import type { FpSize, Rounding } from '../../../isa/index.js';
import { type Code, callIndirect, i32, i64, type ModuleWriter, ValueType } from '../wasm/index.js';

const { i32: I32, i64: I64 } = ValueType;
export const SOFT_PARAMS: readonly ValueType[] = [I32, I32, I64, I64, I64];
export const SOFT_SIGNATURE: readonly [readonly ValueType[], readonly ValueType[]] = [SOFT_PARAMS, [I64]];
/** Index of the signature in the types of every module that calls. */
export const SOFT_TYPE = 1;

/** Gives a module the type, behind that of tagging events. */
export function softType(module: ModuleWriter): void {
  if (module.type(...SOFT_SIGNATURE) !== SOFT_TYPE) throw new Error("soft-float's type is not the second");
}

/** The routines, in the order of their places. */
export const SOFT_OPERATIONS = [
  /** a + b; `flag`: a - b. */
  'add',
  /** `flag`: FPMulX. */
  'mul',
  'div',
  'sqrt',
  /** a + b * c; `other`: b and c are binary16, a is not. */
  'mulAdd',
  /** 2 - a * b; `flag`: (3 - a * b) / 2. */
  'step',
  /** The larger; `flag`: the smaller. `other`: a quiet NaN gives way. */
  'extreme',
  /** NZCV; `flag`: quiet NaNs signal. */
  'compare',
  /** From the size `from`. */
  'convert',
  /** FPRoundInt; `flag`: an inexact result raises. */
  'integral',
  /** FPRoundIntN to `bits`. */
  'integralN',
  /** FPToFixed to `bits` of a * 2^b; `flag`: unsigned. */
  'toFixed',
  'toFixedJS',
  /** The 64-bit integer a times 2^-b; `flag`: unsigned. */
  'fromFixed',
  'recipEstimate',
  'rsqrtEstimate',
  'recpX',
  /** UnsignedRecipEstimate; `flag`: UnsignedRSqrtEstimate. */
  'unsignedEstimate',
] as const;
export type SoftOperation = (typeof SOFT_OPERATIONS)[number];

/** Fields of `how`: the lowest bit of each. Sizes are 0, 1, 2 for 16, 32, 64 bits. */
export const How = { size: 0, rounding: 2, from: 5, flag: 7, other: 8, bits: 9, conversion: 11 } as const;
/** Rounding modes: those of FPCR.RMode, two that instructions have beside them, and FPCR's. */
export const MODES = { tieEven: 0, posInf: 1, negInf: 2, zero: 3, tieAway: 4, odd: 5, fpcr: 7 } as const;

const code = (size: FpSize) => Math.log2(size) - 4;

export interface HowOptions {
  readonly rounding?: Rounding;
  readonly from?: FpSize;
  readonly flag?: boolean;
  readonly other?: boolean;
  readonly bits?: FpSize;
}

export function howOf(size: FpSize, options: HowOptions = {}): number {
  const { rounding = 'fpcr', from = size, flag = false, other = false, bits = 16 } = options;
  return (
    (code(size) << How.size) |
    (MODES[rounding] << How.rounding) |
    (code(from) << How.from) |
    (Number(flag) << How.flag) |
    (Number(other) << How.other) |
    (code(bits) << How.bits)
  );
}

const NOTHING = i64.const(0n);

/** An i64. `first`: the place of the first routine; `cpu`: an i32, the CPU's distance. */
export function callSoft(
  first: number,
  operation: SoftOperation,
  cpu: Code,
  how: number,
  a: Code,
  b: Code = NOTHING,
  c: Code = NOTHING,
): Code {
  const place = i32.const(first + SOFT_OPERATIONS.indexOf(operation));
  return callIndirect(SOFT_TYPE, place, cpu, i32.const(how), a, b, c);
}
