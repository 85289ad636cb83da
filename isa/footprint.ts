/**
 * What an instruction touches in memory, read off the calls that its semantics make.
 *
 * Reports and debuggers ask "how many bytes, load or store, data or tags?"; the answer is in the row's
 * semantics, so it is taken from there instead of from a list of mnemonics.
 */
import type { Builder, Words } from './builder.js';
import { decode } from './decode.js';
import { recordCalls } from './effects.js';

export interface Footprint {
  /** Atomics and swaps are both. */
  readonly reads: boolean;
  readonly writes: boolean;
  /** Bytes of the whole access, pairs counted as one. */
  readonly bytes: number;
  /** It reads or writes allocation tags rather than (or beside) data. */
  readonly tags: boolean;
}

const GRANULE = 16;

type Bytes = (args: readonly unknown[]) => number;
const first: Bytes = (args) => args[0] as number;
const second: Bytes = (args) => args[1] as number;
const twice: Bytes = (args) => 2 * (args[0] as number);
const fixed =
  (bytes: number): Bytes =>
  () =>
    bytes;

type MemoryOperation = Extract<
  keyof Builder<Words>,
  | 'load'
  | 'store'
  | 'loadPair'
  | 'storePair'
  | 'atomic'
  | 'compareAndSwap'
  | 'compareAndSwapPair'
  | 'loadExclusive'
  | 'loadExclusivePair'
  | 'storeExclusive'
  | 'storeExclusivePair'
  | 'loadVector'
  | 'storeVector'
  | 'loadTag'
  | 'storeTag'
  | 'storeTagPair'
  | 'loadTagBlock'
  | 'storeTagBlock'
  | 'storeTagZeroBlock'
>;

/** Effects: reads, writes, tags, and how large. Blocks: GMID_EL1.BS = 6, DCZID_EL0.BS = 4. */
const OPERATIONS: Readonly<Record<MemoryOperation, readonly [boolean, boolean, boolean, Bytes]>> = {
  load: [true, false, false, first],
  store: [false, true, false, first],
  loadPair: [true, false, false, twice],
  storePair: [false, true, false, twice],
  atomic: [true, true, false, second],
  compareAndSwap: [true, true, false, first],
  compareAndSwapPair: [true, true, false, twice],
  loadExclusive: [true, false, false, first],
  loadExclusivePair: [true, false, false, twice],
  storeExclusive: [false, true, false, first],
  storeExclusivePair: [false, true, false, twice],
  loadVector: [true, false, false, second],
  storeVector: [false, true, false, second],
  loadTag: [true, false, true, fixed(GRANULE)],
  storeTag: [false, true, true, (args) => GRANULE * (args[2] as number)],
  storeTagPair: [false, true, true, fixed(GRANULE)],
  loadTagBlock: [true, false, true, fixed(256)],
  storeTagBlock: [false, true, true, fixed(256)],
  storeTagZeroBlock: [false, true, true, fixed(64)],
};

/** The memory an instruction word accesses; undefined where it accesses none or is undefined. */
export function footprintOf(word: number): Footprint | undefined {
  const decoded = decode(word);
  if (decoded === undefined) return undefined;
  for (const { operation, args } of recordCalls(decoded, false)) {
    const effect = OPERATIONS[operation as MemoryOperation];
    if (effect === undefined) continue;
    const [reads, writes, tags, bytes] = effect;
    return { reads, writes, tags, bytes: bytes(args) };
  }
  return undefined;
}
