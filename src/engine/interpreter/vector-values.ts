/** Vectors of the form builder: code that leaves a v128, as values.ts has numbers. */
import type { LaneSize } from '../../../isa/index.js';
import { type Code, v128 } from '../wasm/index.js';

export interface VectorValue {
  readonly code: Code;
  /** The vector is a local: it may be used any number of times. */
  readonly isLocal?: true;
  /** Known when the form is made. */
  readonly constant?: bigint;
  /** Every lane of `size` bits is this number. */
  readonly splat?: { readonly size: LaneSize; readonly lane: bigint };
}

export const vectorValue = (code: Code): VectorValue => ({ code });
export const vectorLocal = (code: Code): VectorValue => ({ code, isLocal: true });

export const constantVector = (value: bigint): VectorValue => ({ code: v128.const(value), constant: value });

/** A constant with `lane` in every lane. */
export function splatConstant(size: number, lane: bigint): Code {
  let bits = 0n;
  for (let at = 0n; at < 128n; at += BigInt(size)) bits |= BigInt.asUintN(size, lane) << at;
  return v128.const(bits);
}
