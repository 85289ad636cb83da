/** Slots of the TLB: who fights for one with whom, and that invalidation finds all of them. */
import { describe, expect, it } from 'vitest';
import { fetchTlbSlot, LinearMemory, secondTlbSlot, Tlb, TlbKind } from '../../src/machine/index.js';

const LOW = 0x40_0000;
const KINDS = [TlbKind.read, TlbKind.write, TlbKind.fetch] as const;

function filled(contexts: readonly number[]): Tlb {
  const tlb = new Tlb(new LinearMemory());
  for (const context of contexts) {
    for (const kind of KINDS) tlb.fill(kind, LOW, 0, context, 0x4000_0000, 0, 0x100_0000, -1, 4096);
  }
  return tlb;
}

/** Contexts whose entry in a second-level table has their key. */
function inSecond(tlb: Tlb, contexts: readonly number[]): number[] {
  const { i32 } = tlb.linear;
  // Behind three tables of 8192 entries of 16 bytes.
  const table = (tlb.base + 3 * 8192 * 16) >>> 2;
  return contexts.filter((context) => i32[table + 4 * secondTlbSlot(LOW, context) + 1] === context << 12);
}

describe('slots of the TLB', () => {
  const contexts = [1, 2, 3, 4, 5, 6, 7, 8];

  it('are different ones for fetches of neighbouring contexts, and in the second level', () => {
    expect(new Set(contexts.map((context) => fetchTlbSlot(LOW, context))).size).toBe(8);
    const tlb = filled(contexts);
    expect(contexts.filter((c) => tlb.find(TlbKind.fetch, LOW, 0, c) >= 0)).toEqual(contexts);
    expect(inSecond(tlb, contexts)).toEqual(contexts);
    // One slot of the first level for all.
    expect(contexts.filter((c) => tlb.find(TlbKind.read, LOW, 0, c) >= 0)).toEqual([8]);
  });

  it('are all found when an address is invalidated', () => {
    const tlb = filled([...contexts, 0x7_fff8]);
    tlb.flushRange(LOW, 0, 4096);
    for (const kind of KINDS) {
      expect([...contexts, 0x7_fff8].filter((c) => tlb.find(kind, LOW, 0, c) >= 0)).toEqual([]);
    }
    expect(inSecond(tlb, contexts)).toEqual([]);
  });

  it('give way to another context eight numbers on', () => {
    const tlb = filled([3, 11]);
    expect(tlb.find(TlbKind.fetch, LOW, 0, 3)).toBe(-1);
    expect(tlb.find(TlbKind.fetch, LOW, 0, 11)).toBeGreaterThanOrEqual(0);
  });
});

describe('invalidation by address', () => {
  const HIGH = 0xffff_8000 | 0;
  const isThere = (tlb: Tlb, low: number) => tlb.find(TlbKind.read, low, HIGH, 1) >= 0;
  const withPage = (tlb: Tlb, low: number, size: number) =>
    tlb.fill(TlbKind.read, low, HIGH, 1, 0x4000_0000, 0, 0x100_0000, -1, size);

  it('finds all pieces of the block there, and of that one only', () => {
    const tlb = new Tlb(new LinearMemory());
    const [block, other, page] = [0x20_0000, 0x40_0000, 0x80_0000];
    for (const low of [block, block + 0x5000, block + 0x1f_f000, other + 0x1000])
      withPage(tlb, low, 0x20_0000);
    withPage(tlb, page, 4096);
    tlb.flushRange(page, HIGH, 4096);
    expect(isThere(tlb, page)).toBe(false);
    expect(isThere(tlb, block)).toBe(true);
    tlb.flushRange(block + 0x10_0000, HIGH, 4096);
    expect([0, 0x5000, 0x1f_f000].map((at) => isThere(tlb, block + at))).toEqual([false, false, false]);
    expect(isThere(tlb, other + 0x1000)).toBe(true);
    // A block that is larger than what is dropped one by one.
    withPage(tlb, 0x4000_0000, 0x4000_0000);
    tlb.flushRange(0x5000_0000, HIGH, 4096);
    expect(isThere(tlb, 0x4000_0000)).toBe(false);
  });
});
