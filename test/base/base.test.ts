import { describe, expect, it } from 'vitest';
import {
  bits,
  bytesOfText,
  formatSize,
  logicalTag,
  parseSize,
  Random,
  replicate,
  rotateRight,
  signExtend,
  textOfBytes,
  untagged,
  withBits,
} from '../../src/base/index.js';

describe('bits', () => {
  it('slices, replaces, extends and rotates', () => {
    expect(bits(0xf0en, 11, 8)).toBe(0xfn);
    expect(withBits(0xffffn, 11, 4, 0n)).toBe(0xf00fn);
    expect(signExtend(0x80n, 8, 64)).toBe(0xffffffffffffff80n);
    expect(replicate(0x5n, 4, 16)).toBe(0x5555n);
    expect(rotateRight(0x1n, 1, 32)).toBe(0x80000000n);
    expect(rotateRight(0x3n, 64, 64)).toBe(0x3n);
  });
});

describe('addresses', () => {
  it('reads the logical tag and ignores the top byte by bit 55', () => {
    expect(logicalTag(0x0a00_0000_4000_0000n)).toBe(0xa);
    expect(untagged(0x0a00_0000_4000_0000n)).toBe(0x4000_0000n);
    expect(untagged(0x0a80_0000_0000_0000n)).toBe(0xff80_0000_0000_0000n);
  });
});

describe('random', () => {
  it('repeats for a seed and differs between seeds and streams', () => {
    const take = (r: Random) => [r.u32(), r.u32(), r.u32()];
    expect(take(new Random(7, 'irg'))).toEqual(take(new Random(7, 'irg')));
    expect(take(new Random(7, 'irg'))).not.toEqual(take(new Random(8, 'irg')));
    expect(take(new Random(7, 'irg'))).not.toEqual(take(new Random(7, 'caches')));
  });

  it('spreads evenly below a bound', () => {
    const random = new Random(1);
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) counts[random.below(16)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1200);
  });
});

describe('sizes', () => {
  it('reads and prints binary units', () => {
    expect(parseSize('64M')).toBe(64 * 2 ** 20);
    expect(parseSize('0x1000')).toBe(4096);
    expect(parseSize('12 parsecs')).toBeUndefined();
    expect(formatSize(60 * 2 ** 20)).toBe('60 MiB');
    expect(formatSize(1.5 * 2 ** 30)).toBe('1.5 GiB');
  });
});

describe('text of a guest', () => {
  it.each([
    [[0x63, 0x61, 0x66, 0xc3, 0xa9], 'café'],
    [[0x63, 0x61, 0x66, 0xe9], 'caf\udce9'],
    [[0xff, 0xfe], '\udcff\udcfe'],
    // A byte order mark is two more characters' worth of name; half a pair is no character of UTF-8.
    [[0xef, 0xbb, 0xbf, 0x61], '\ufeffa'],
    [[0xed, 0xb2, 0x80], '\udced\udcb2\udc80'],
    [[0xf0, 0x9f, 0x98, 0x80, 0xf0, 0x9f, 0x98], '😀\udcf0\udc9f\udc98'],
    [[0xc0, 0x80], '\udcc0\udc80'],
  ])('%j is %j and back', (bytes, text) => {
    expect(textOfBytes(Uint8Array.from(bytes))).toBe(text);
    expect([...bytesOfText(text)]).toEqual(bytes);
  });
});
