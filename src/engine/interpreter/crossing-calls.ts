/**
 * How a form's own function asks for an access that ends in another page than it begins in: functions of one
 * signature, at fixed places of the table (page-crossing.ts).
 *
 * The bytes of such an access are not neighbours in host memory. So the first function gives the host offset of a
 * buffer in the CPU's cells: it holds what was read, or takes what is to be written, which the second function then
 * puts where it belongs.
 */
import { type Code, callIndirect, i32, i64, type ModuleWriter, ValueType } from '../wasm/index.js';
import { Cell, Handler, STATE } from './layout.js';

const { i32: I32, i64: I64 } = ValueType;
/** `how`, the CPU's distance, the address. */
export const CROSSING_PARAMS: readonly ValueType[] = [I32, I32, I64];
/** Index of the signature in the types of every module that calls. */
const CROSSING_TYPE = 2;

/** Gives a module the type, behind that of soft-float. */
export function crossingType(module: ModuleWriter): number {
  const type = module.type(CROSSING_PARAMS, [I32]);
  if (type !== CROSSING_TYPE) throw new Error('the type of crossing accesses is not the third');
  return type;
}

/** Bits of `how`: the bytes, at most 64; whether they are written; whether their tags are checked. */
export const Crossing = { bytes: 127, write: 128, checked: 256 } as const;

/** An i32: the host offset of the buffer. */
export const crossingBuffer = (cpu: Code): Code => i32.add(cpu, i32.const(STATE + Cell.CROSSING));

/** An i32: the host offset of the buffer; 0 where the access is not one of bytes in memory, or a check fails. */
export const beginCrossing = (cpu: Code, how: number, address: Code): Code =>
  callIndirect(CROSSING_TYPE, i32.const(Handler.crossing), i32.const(how), cpu, address);

/** An i32 without a meaning: what is in the buffer has been written. */
export const endCrossing = (cpu: Code): Code =>
  callIndirect(CROSSING_TYPE, i32.const(Handler.crossed), i32.const(0), cpu, i64.const(0n));
