/**
 * Authentication codes that were computed: a table in linear memory, so that generated code finds those of calls
 * and returns, which are the same again and again, and leaves only new ones to TypeScript.
 *
 * An entry is found by pointer and modifier, and holds all that a code depends on, the key included: whatever
 * changes, no entry is ever wrong.
 */
import { CpuLayout, type LinearMemory, OutOfHostMemory } from '../memory/linear-memory.js';
import { computePac } from './qarma.js';

export const PAC_ENTRIES = 4096;
/** Byte offsets in an entry; each field is a u64. */
export const PacEntry = { BYTES: 64, POINTER: 0, MODIFIER: 8, KEY_HIGH: 16, KEY_LOW: 24, CODE: 32 } as const;

/** The entry of a pointer and a modifier, given their low halves. Generated code computes the same. */
export const pacSlot = (pointer: number, modifier: number): number =>
  ((pointer >>> 2) ^ (pointer >>> 14) ^ (modifier >>> 4)) & (PAC_ENTRIES - 1);

const tables = new WeakMap<LinearMemory, number>();

/** Byte offset of the machine's table, or 0 where there is no room for one. May grow the memory. */
function tableOf(linear: LinearMemory): number {
  let table = tables.get(linear);
  if (table === undefined) {
    try {
      table = linear.allocate(PAC_ENTRIES * PacEntry.BYTES);
      // What has never been written is the entry of pointer, modifier and key 0: found in the first place only.
      linear.u64[(table + PacEntry.CODE) >>> 3] = computePac(0n, 0n, 0n, 0n);
    } catch (thrown) {
      if (!(thrown instanceof OutOfHostMemory)) throw thrown;
      table = 0;
    }
    tables.set(linear, table);
  }
  return table;
}

/** `computePac` by way of the table. `base`: byte offset of the CPU's state block. */
export function codeOf(
  linear: LinearMemory,
  base: number,
  pointer: bigint,
  modifier: bigint,
  keyHigh: bigint,
  keyLow: bigint,
): bigint {
  const table = tableOf(linear);
  if (table === 0) return computePac(pointer, modifier, keyHigh, keyLow);
  linear.u32[(base + CpuLayout.PAC_TABLE) >>> 2] = table;
  const slot = pacSlot(Number(BigInt.asUintN(32, pointer)), Number(BigInt.asUintN(32, modifier)));
  const entry = (table + slot * PacEntry.BYTES) >>> 3;
  const words = linear.u64;
  const isKnown =
    words[entry] === pointer &&
    words[entry + 1] === modifier &&
    words[entry + 2] === keyHigh &&
    words[entry + 3] === keyLow;
  if (!isKnown) {
    words[entry] = pointer;
    words[entry + 1] = modifier;
    words[entry + 2] = keyHigh;
    words[entry + 3] = keyLow;
    words[entry + 4] = computePac(pointer, modifier, keyHigh, keyLow);
  }
  return words[entry + 4]!;
}
