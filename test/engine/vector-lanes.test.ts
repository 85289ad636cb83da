/**
 * The evaluator's operations on lanes against their definitions in plain terms, lane by lane: those that
 * have a quick path, and those whose definition is short. What instructions do with them is compared with
 * qemu elsewhere (test/isa/*-oracle.test.ts).
 */
import { describe, expect, it } from 'vitest';
import type { LaneSize, VectorBinary } from '../../isa/index.js';
import { Random } from '../../src/base/index.js';
import { EvaluatorBuilder } from '../../src/engine/index.js';
import { testMachine } from '../machine/support.js';

const b = new EvaluatorBuilder(testMachine().cpu);
const SIZES: readonly LaneSize[] = [8, 16, 32, 64];

const lanes = (size: number, v: bigint) =>
  Array.from({ length: 128 / size }, (_, i) => BigInt.asUintN(size, v >> BigInt(size * i)));
const join = (size: number, values: readonly bigint[]) =>
  values.reduce((out, value, i) => out | (BigInt.asUintN(size, value) << BigInt(size * i)), 0n);

type Lane = (x: bigint, y: bigint, sx: bigint, sy: bigint) => bigint;
const DEFINITIONS: Readonly<Partial<Record<VectorBinary, Lane>>> = {
  and: (x, y) => x & y,
  or: (x, y) => x | y,
  xor: (x, y) => x ^ y,
  andNot: (x, y) => x & ~y,
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  umax: (x, y) => (x > y ? x : y),
  umin: (x, y) => (x < y ? x : y),
  smax: (_x, _y, x, y) => (x > y ? x : y),
  smin: (_x, _y, x, y) => (x < y ? x : y),
  eq: (x, y) => (x === y ? -1n : 0n),
  gtu: (x, y) => (x > y ? -1n : 0n),
  geu: (x, y) => (x >= y ? -1n : 0n),
  gts: (_x, _y, x, y) => (x > y ? -1n : 0n),
  ges: (_x, _y, x, y) => (x >= y ? -1n : 0n),
  uhadd: (x, y) => (x + y) >> 1n,
  urhadd: (x, y) => (x + y + 1n) >> 1n,
  shadd: (_x, _y, x, y) => (x + y) >> 1n,
};

/** Lanes that are often equal, extreme or neighbours. */
function someVector(random: Random, size: number): bigint {
  const values = Array.from({ length: 128 / size }, () => {
    const extremes = [
      0n,
      1n,
      (1n << BigInt(size)) - 1n,
      1n << BigInt(size - 1),
      (1n << BigInt(size - 1)) - 1n,
    ];
    return random.below(3) === 0 ? extremes[random.below(5)]! : random.u64();
  });
  return join(size, values);
}

describe('operations on lanes', () => {
  it.each(Object.entries(DEFINITIONS) as [VectorBinary, Lane][])('%s', (operation, define) => {
    const random = new Random(1, `lanes ${operation}`);
    for (const size of SIZES) {
      for (let i = 0; i < 50; i++) {
        const x = someVector(random, size);
        const y = random.below(8) === 0 ? x : someVector(random, size);
        const ys = lanes(size, y);
        const expected = lanes(size, x).map((lane, at) =>
          define(lane, ys[at]!, BigInt.asIntN(size, lane), BigInt.asIntN(size, ys[at]!)),
        );
        expect(b.v2(operation, size, x, y)).toBe(join(size, expected));
      }
    }
  });

  it('shuffle, swizzle, splat', () => {
    const random = new Random(1, 'permutations');
    for (let i = 0; i < 50; i++) {
      const x = someVector(random, 8);
      const y = someVector(random, 8);
      const both = [...lanes(8, x), ...lanes(8, y)];
      const pattern = Array.from({ length: 16 }, () => random.below(32));
      expect(b.shuffle(x, y, pattern)).toBe(
        join(
          8,
          pattern.map((at) => both[at]!),
        ),
      );
      const indices = join(
        8,
        Array.from({ length: 16 }, () => BigInt(random.below(20))),
      );
      const picked = lanes(8, indices).map((at) => (at < 16n ? both[Number(at)]! : 0n));
      expect(b.swizzle(x, indices)).toBe(join(8, picked));
      for (const size of SIZES) {
        const value = random.u64();
        expect(b.splat(size, value)).toBe(
          join(
            size,
            Array.from({ length: 128 / size }, () => value),
          ),
        );
      }
    }
  });

  it('reads and replaces single lanes', () => {
    const x = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10n;
    expect(b.getLane(16, x, 7n)).toBe(0x0102n);
    expect(b.getLane(64, x, 0n)).toBe(0x090a_0b0c_0d0e_0f10n);
    expect(b.setLane(8, x, 15n, 0xabcdn)).toBe(0xcd02_0304_0506_0708_090a_0b0c_0d0e_0f10n);
    expect(b.setLane(32, x, 1n, -1n)).toBe(0x0102_0304_0506_0708_ffff_ffff_0d0e_0f10n);
  });

  it('notes saturation in FPSR.QC and nothing else', () => {
    const { cpu } = testMachine();
    const builder = new EvaluatorBuilder(cpu);
    builder.v2('sqadd', 8, 0x7en, 0x01n);
    builder.v2('add', 8, 0xffn, 0x01n);
    expect(cpu.readRegister('fpsr')).toBe(0n);
    expect(builder.v2('sqadd', 8, 0x7fn, 0x01n)).toBe(0x7fn);
    expect(cpu.readRegister('fpsr')).toBe(1n << 27n);
  });

  it('shifts to nothing, or to the sign, at the lane size', () => {
    expect(b.vShift('shr', 16, 0x8000_7fffn, 16n)).toBe(0n);
    expect(b.vShift('sar', 16, 0x8000_7fffn, 16n)).toBe(0xffff_0000n);
    expect(b.vShift('shl', 16, 0x8001_7fffn, 1n)).toBe(0x0002_fffen);
  });

  it('multiplies without carries', () => {
    expect(b.polynomialProduct(3n, 3n)).toBe(5n);
    expect(b.polynomialProduct((1n << 64n) - 1n, 2n)).toBe((1n << 65n) - 2n);
    expect(b.polynomialProduct(1n << 63n, 1n << 63n)).toBe(1n << 126n);
  });
});
