/**
 * Values of the form builder: code that leaves a number on WebAssembly's stack.
 *
 * A value that is known to have zeros in its upper half is kept in 32 bits ("narrow"), so that chains of
 * 32-bit operations are 32-bit code; what asks for the other width gets an extension or a wrap.
 */
import { type Code, i32, i64, local } from '../wasm/index.js';

export interface Value {
  readonly narrow: boolean;
  /** An i64. */
  readonly wide: () => Code;
  /** An i32: the low half. */
  readonly low: () => Code;
  /** Known when the form is made. */
  readonly constant?: bigint;
  /** The value is a local: it may be used any number of times. */
  readonly isLocal?: true;
  /** The same bits as an f32 or f64. */
  readonly real?: { readonly size: RealSize; readonly code: () => Code };
}

/** Bits of WebAssembly's floating-point types. */
export type RealSize = 32 | 64;

/** A value whose bits are at hand as an f32 or f64 too. */
export const realValue = (value: Value, size: RealSize, code: Code): Value => ({
  ...value,
  real: { size, code: () => code },
});

/** A value that code computes as an i64. */
export const wideValue = (code: Code): Value => ({
  narrow: false,
  wide: () => code,
  low: () => i32.wrap(code),
});

/** A value below 2^32 that code computes as an i32. */
export const narrowValue = (code: Code): Value => ({
  narrow: true,
  wide: () => i64.extendI32U(code),
  low: () => code,
});

export function constantValue(value: bigint): Value {
  const bits = BigInt.asUintN(64, value);
  return {
    narrow: bits < 1n << 32n,
    wide: () => i64.const(bits),
    low: () => i32.const(Number(BigInt.asIntN(32, bits))),
    constant: bits,
  };
}

export const wideLocal = (index: number): Value => ({ ...wideValue(local.get(index)), isLocal: true });
export const narrowLocal = (index: number): Value => ({ ...narrowValue(local.get(index)), isLocal: true });

/** The low half alone, as a narrow value. */
export const lowHalf = (value: Value): Value => (value.narrow ? value : narrowValue(value.low()));
