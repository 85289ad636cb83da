/**
 * The soft-float core against GNU MPFR: correctly rounded results in all rounding modes, with overflow,
 * underflow and inexactness. mpfr.c made the fixture and says how.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type FloatEnvironment,
  type FloatRounding,
  type FloatSize,
  fixedToFP,
  fpAdd,
  fpConvert,
  fpDiv,
  fpMul,
  fpMulAdd,
  fpRoundInt,
  fpSqrt,
  fpSub,
  fpToFixed,
} from '../../src/base/index.js';

const FILE = new URL('./fixtures/mpfr.txt', import.meta.url);

const IXC = 16;
const RMODE: Readonly<Record<string, number>> = { tieEven: 0, posInf: 1, negInf: 2, zero: 3 };

type Run = (size: FloatSize, o: readonly bigint[], env: FloatEnvironment, mode: FloatRounding) => bigint;

const convertTo =
  (to: FloatSize): Run =>
  (size, [a], env, mode) =>
    fpConvert(to, size, a!, env, mode);
const toInteger =
  (bits: number, unsigned: boolean): Run =>
  (size, [a], env, mode) =>
    fpToFixed(bits, size, a!, 0, unsigned, env, mode);
const fromInteger =
  (unsigned: boolean): Run =>
  (size, [a], env, mode) =>
    fixedToFP(size, 64, a!, 0, unsigned, env, mode);

const OPERATIONS: Readonly<Record<string, Run>> = {
  add: (size, [a, b], env) => fpAdd(size, a!, b!, env),
  sub: (size, [a, b], env) => fpSub(size, a!, b!, env),
  mul: (size, [a, b], env) => fpMul(size, a!, b!, env),
  div: (size, [a, b], env) => fpDiv(size, a!, b!, env),
  sqrt: (size, [a], env) => fpSqrt(size, a!, env),
  mulAdd: (size, [a, b, c], env) => fpMulAdd(size, c!, a!, b!, env),
  convert16: convertTo(16),
  convert32: convertTo(32),
  convert64: convertTo(64),
  fromSigned: fromInteger(false),
  fromUnsigned: fromInteger(true),
  roundInt: (size, [a], env, mode) => fpRoundInt(size, a!, env, mode, true),
  toSigned32: toInteger(32, false),
  toUnsigned32: toInteger(32, true),
  toSigned64: toInteger(64, false),
  toUnsigned64: toInteger(64, true),
};

const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n');

/** The line as we would write it; `before`: FPSR's bits from earlier, which the flags then contain. */
function ours(line: string, before = 0): string {
  const [asked] = line.split(' = ') as [string];
  const [name, size, mode, ...operands] = asked.split(' ') as [string, string, FloatRounding, ...string[]];
  const env = { fpcr: (RMODE[mode] ?? 0) << 22, fpsr: before };
  const values = operands.map((o) => BigInt(`0x${o}`));
  const result = OPERATIONS[name]!(Number(size) as FloatSize, values, env, mode);
  return `${asked} = ${result.toString(16)} ${env.fpsr.toString(16)}`;
}

describe('correctly rounded results', () => {
  it.each(Object.keys(OPERATIONS))('of %s are those of MPFR', (name) => {
    const mine = lines.filter((line) => line.startsWith(`${name} `));
    expect(mine.length).toBeGreaterThanOrEqual(1000);
    expect(mine.map((line) => [line, ours(line)]).filter(([theirs, our]) => theirs !== our)).toEqual([]);
  });

  // With FPSR.IXC set the host's own arithmetic is used where it can be.
  it.each(['add', 'sub', 'mul', 'div'])('of %s stay the same where inexactness is known', (name) => {
    const mine = lines.filter((line) => line.startsWith(`${name} `));
    const withInexact = (line: string) => {
      const [, head, flags] = /^(.*) (\w+)$/.exec(line)!;
      return `${head} ${(Number.parseInt(flags!, 16) | IXC).toString(16)}`;
    };
    const wrong = mine.map((line) => [withInexact(line), ours(line, IXC)]).filter(([a, b]) => a !== b);
    expect(wrong).toEqual([]);
  });
});
