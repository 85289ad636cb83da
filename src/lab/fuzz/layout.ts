/**
 * Where things are in the fuzzer's address space and in its records, for both sides: the harness under
 * qemu (firmware/fuzz/harness.s is assembled with these numbers) and our machine.
 */
import { changeFeatures, DEFAULT_FEATURES, type FeatureName } from '../../../isa/index.js';

const CHANGES = ['-lse2', '+rdm', '+pmull', '+sha3', '+dotprod', '+fhm', '+jscvt', '+fcma', '+frintts'];
/** What our machine has: all of FP and SIMD; not FEAT_LSE2, which qemu-aarch64 7.2 lacks. */
export const FUZZ_FEATURES = [...changeFeatures(DEFAULT_FEATURES, CHANGES)] as readonly FeatureName[];

/** One page each; nothing is mapped around them. */
export const PAGE = 4096;
export const TAGGED = 0x4100_0000;
export const UNTAGGED = 0x4120_0000;
export const READONLY = 0x4160_0000;
/** Never mapped. */
export const HOLE = 0x4180_0000;

/** Sequences, one a slot, in one read-only executable area; what is left of a slot is BRK. */
export const CODE = 0x4140_0000;
export const SLOT_BYTES = 64;
export const MOST_WORDS = 8;
export const END_BRK = 0xd42fcae0;
/** A case has the slot of its number modulo this, whichever others run with it. */
export const SLOTS = 1000;
/** A page larger than the slots need, so that a sequence near the end can read on. */
export const CODE_BYTES = Math.ceil((SLOTS * SLOT_BYTES) / PAGE + 1) * PAGE;
/** Where the sequence of a case starts. */
export const entryOf = (index: number): number => CODE + (index % SLOTS) * SLOT_BYTES;

export const GRANULES = PAGE / 16;
/** The read-only page's content comes from this generator state, the tag of granule i is i modulo 16. */
export const READONLY_FILL = 1;

/** The harness and its records: where few addresses that are made up lie. */
export const HARNESS = 0x4a5a_0000;
export const CASES = 0x4a6b_0000;
export const CASES_HEADER = 64;

export const RECORD = {
  /** X0..X30, SP, PC, PSTATE. */
  GENERAL: 0,
  /** FPSR, FPCR. */
  FPSR: 272,
  /** Generator state for the two writable pages. */
  FILL: 280,
  /** PR_SET_TAGGED_ADDR_CTRL. */
  CONTROL: 288,
  VECTORS: 304,
  /** Tags of the tagged page, two a byte. */
  TAGS: 816,
  BYTES: 944,
} as const;

export const RESULT = {
  SIGNAL: 0,
  CODE: 8,
  ADDRESS: 16,
  GENERAL: 24,
  FPSR: 296,
  TPIDR: 304,
  VECTORS: 320,
  TAGS: 832,
  BYTES: 960,
} as const;
/** A result is followed by the two writable pages. */
export const RESULT_STRIDE = RESULT.BYTES + 2 * PAGE;

/** The end of what qemu has and our machine has not. */
export const HARNESS_END = CASES + CASES_HEADER + SLOTS * RECORD.BYTES + PAGE;

/** One step of the xorshift generator that fills pages: 32 bits, never 0 from a state that is not. */
export function xorshift(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x >>> 0;
}
