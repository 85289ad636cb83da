/**
 * Soft-float of generated code against src/base/softfloat, routine by routine: every pair of numbers at the
 * edges of a format, and random ones, under every rounding mode, flushing, default NaNs and the alternative
 * half precision; results and FPSR. And loops of such instructions, which stay in regions.
 */
import { describe, expect, it } from 'vitest';
import * as base from '../../src/base/index.js';
import { FPCR_AHP, FPCR_DN, FPCR_FZ, FPCR_FZ16, FPCR_RMODE_SHIFT, Random } from '../../src/base/index.js';
import { compareCpus, createEngine, generateFloats, type Interpreter } from '../../src/engine/index.js';
import { FIRST_SOFT_ROUTINE, FPCR, FPSR, STATE } from '../../src/engine/interpreter/layout.js';
import {
  type HowOptions,
  howOf,
  SOFT_OPERATIONS,
  type SoftOperation,
} from '../../src/engine/interpreter/soft-calls.js';
import { CODE, load, mappedMachine } from '../machine/support.js';

type Size = 16 | 32 | 64;
type Routine = (cpu: number, how: number, a: bigint, b: bigint, c: bigint) => bigint;
type Env = base.FloatEnvironment;

const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536 });
const table = new WebAssembly.Table({ element: 'anyfunc', initial: FIRST_SOFT_ROUTINE + 64 });
new WebAssembly.Instance(new WebAssembly.Module(generateFloats().bytes), { machine: { memory, table } });
const words = new Uint32Array(memory.buffer);

function call(operation: SoftOperation, how: number, env: Env, a: bigint, b = 0n, c = 0n): bigint {
  words[(STATE + FPCR) >>> 2] = env.fpcr;
  words[(STATE + FPSR) >>> 2] = env.fpsr;
  const routine = table.get(FIRST_SOFT_ROUTINE + SOFT_OPERATIONS.indexOf(operation)) as Routine;
  const result = routine(0, how, BigInt.asIntN(64, a), BigInt.asIntN(64, b), BigInt.asIntN(64, c));
  env.fpsr = words[(STATE + FPSR) >>> 2]!;
  return BigInt.asUintN(64, result);
}

const FRACTION = { 16: 10n, 32: 23n, 64: 52n } as const;

/** Numbers at the edges of a format, of both signs. */
function edges(size: Size): bigint[] {
  const fraction = FRACTION[size];
  const ones = (1n << (BigInt(size) - 1n - fraction)) - 1n;
  const bias = ones >> 1n;
  const last = (1n << fraction) - 1n;
  const at = (field: bigint, rest: bigint) => (field << fraction) | rest;
  const out = [
    0n,
    1n,
    2n,
    last >> 1n,
    last,
    at(1n, 0n),
    at(1n, 1n),
    at(1n, last),
    at(2n, 0n),
    at(bias - fraction, 3n),
    at(bias - 1n, 0n),
    at(bias - 1n, last),
    at(bias, 0n),
    at(bias, 1n),
    at(bias, 1n << (fraction - 1n)),
    at(bias + 1n, 0n),
    at(bias + 2n, last ^ 1n),
    at(bias + fraction, 1n),
    at(bias + fraction + 1n, 0n),
    at(bias + 14n, last),
    at(2n * bias - 1n, 0n),
    at(2n * bias, last),
    at(2n * bias, last ^ 5n),
    at(ones, 0n),
    at(ones, 1n),
    at(ones, 1n << (fraction - 1n)),
    at(ones, last),
  ];
  return out.flatMap((n) => [n, n | (1n << BigInt(size - 1))]);
}

function numberOf(random: Random, size: Size): bigint {
  const all = edges(size);
  if (random.below(3) === 0) return all[random.below(all.length)]!;
  const bits = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
  const fraction = FRACTION[size];
  const ones = (1n << (BigInt(size) - 1n - fraction)) - 1n;
  // Near one, so that sums cancel and quotients are ordinary.
  const near = (ones >> 1n) + BigInt(random.below(9) - 4);
  const field = random.below(2) === 0 ? near : (bits >> 3n) & ones;
  const rest = random.below(2) === 0 ? bits >> 20n : (bits & 3n) << (fraction - 2n);
  const sign = BigInt(random.below(2)) << BigInt(size - 1);
  return sign | (field << fraction) | (rest & ((1n << fraction) - 1n));
}

function environment(random: Random): Env {
  const flags = [FPCR_FZ, FPCR_FZ16, FPCR_DN, FPCR_AHP].filter(() => random.below(4) === 0);
  const fpcr = flags.reduce((a, b) => a | b, random.below(4) << FPCR_RMODE_SHIFT);
  return { fpcr, fpsr: 0 };
}

const SIZES = [16, 32, 64] as const;
const ROUNDINGS = ['fpcr', 'tieEven', 'posInf', 'negInf', 'zero', 'tieAway', 'odd'] as const;
const modeOf = (rounding: (typeof ROUNDINGS)[number], env: Env) =>
  rounding === 'fpcr' ? base.fpRoundingMode(env) : rounding;

interface Case {
  readonly operation: SoftOperation;
  readonly options?: HowOptions;
  readonly operands: number;
  /** Of the first operand; the size of the case where left out. */
  readonly from?: Size;
  readonly expected: (size: Size, a: bigint, b: bigint, c: bigint, env: Env) => bigint;
  readonly sizes?: readonly Size[];
  /** What the second operand is, where it is no number. */
  readonly second?: (random: Random) => bigint;
}

const CASES: Record<string, Case> = {
  add: { operation: 'add', operands: 2, expected: (s, a, b, _, e) => base.fpAdd(s, a, b, e) },
  sub: {
    operation: 'add',
    options: { flag: true },
    operands: 2,
    expected: (s, a, b, _, e) => base.fpSub(s, a, b, e),
  },
  mul: { operation: 'mul', operands: 2, expected: (s, a, b, _, e) => base.fpMul(s, a, b, e) },
  mulX: {
    operation: 'mul',
    options: { flag: true },
    operands: 2,
    expected: (s, a, b, _, e) => base.fpMulX(s, a, b, e),
  },
  div: { operation: 'div', operands: 2, expected: (s, a, b, _, e) => base.fpDiv(s, a, b, e) },
  sqrt: { operation: 'sqrt', operands: 1, expected: (s, a, _b, _c, e) => base.fpSqrt(s, a, e) },
  mulAdd: { operation: 'mulAdd', operands: 3, expected: (s, a, b, c, e) => base.fpMulAdd(s, a, b, c, e) },
  recipStep: {
    operation: 'step',
    operands: 2,
    expected: (s, a, b, _, e) => base.fpRecipStepFused(s, a, b, e),
  },
  rsqrtStep: {
    operation: 'step',
    options: { flag: true },
    operands: 2,
    expected: (s, a, b, _, e) => base.fpRSqrtStepFused(s, a, b, e),
  },
  max: { operation: 'extreme', operands: 2, expected: (s, a, b, _, e) => base.fpMax(s, a, b, e) },
  min: {
    operation: 'extreme',
    options: { flag: true },
    operands: 2,
    expected: (s, a, b, _, e) => base.fpMin(s, a, b, e),
  },
  maxNum: {
    operation: 'extreme',
    options: { other: true },
    operands: 2,
    expected: (s, a, b, _, e) => base.fpMaxNum(s, a, b, e),
  },
  minNum: {
    operation: 'extreme',
    options: { flag: true, other: true },
    operands: 2,
    expected: (s, a, b, _, e) => base.fpMinNum(s, a, b, e),
  },
  compare: {
    operation: 'compare',
    operands: 2,
    expected: (s, a, b, _, e) => BigInt(base.fpCompare(s, a, b, false, e)),
  },
  compareSignalling: {
    operation: 'compare',
    options: { flag: true },
    operands: 2,
    expected: (s, a, b, _, e) => BigInt(base.fpCompare(s, a, b, true, e)),
  },
  recipEstimate: {
    operation: 'recipEstimate',
    operands: 1,
    expected: (s, a, _b, _c, e) => base.fpRecipEstimate(s, a, e),
  },
  rsqrtEstimate: {
    operation: 'rsqrtEstimate',
    operands: 1,
    expected: (s, a, _b, _c, e) => base.fpRSqrtEstimate(s, a, e),
  },
  recpX: { operation: 'recpX', operands: 1, expected: (s, a, _b, _c, e) => base.fpRecpX(s, a, e) },
  toFixedJS: {
    operation: 'toFixedJS',
    operands: 1,
    sizes: [64],
    expected: (_s, a, _b, _c, e) => base.fpToFixedJS(a, e),
  },
  mulAddH: {
    operation: 'mulAdd',
    options: { other: true },
    operands: 3,
    sizes: [32],
    expected: (_s, a, b, c, e) => base.fpMulAddH(a, b, c, e),
  },
};
for (const from of SIZES) {
  for (const rounding of ['fpcr', 'odd'] as const) {
    CASES[`convert from ${from}, ${rounding}`] = {
      operation: 'convert',
      options: { from, rounding },
      operands: 1,
      from,
      sizes: SIZES.filter((s) => s !== from),
      expected: (s, a, _b, _c, e) => base.fpConvert(s, from, a, e, modeOf(rounding, e)),
    };
  }
}
for (const rounding of ROUNDINGS.filter((r) => r !== 'odd')) {
  for (const flag of [false, true]) {
    CASES[`integral, ${rounding}, ${flag}`] = {
      operation: 'integral',
      options: { rounding, flag },
      operands: 1,
      expected: (s, a, _b, _c, e) => base.fpRoundInt(s, a, e, modeOf(rounding, e), flag),
    };
    for (const bits of SIZES) {
      CASES[`to ${flag ? 'unsigned' : 'signed'} ${bits}, ${rounding}`] = {
        operation: 'toFixed',
        options: { rounding, flag, bits },
        operands: 2,
        second: (random) => (random.below(2) ? 0n : BigInt(random.below(bits + 1))),
        expected: (s, a, b, _, e) => base.fpToFixed(bits, s, a, Number(b), flag, e, modeOf(rounding, e)),
      };
    }
    CASES[`from ${flag ? 'unsigned' : 'signed'}, ${rounding}`] = {
      operation: 'fromFixed',
      options: { rounding, flag },
      operands: 2,
      from: 64,
      second: (random) => (random.below(2) ? 0n : BigInt(random.below(65))),
      expected: (s, a, b, _, e) => base.fixedToFP(s, 64, a, Number(b), flag, e, modeOf(rounding, e)),
    };
  }
  for (const bits of [32, 64] as const) {
    CASES[`integral of ${bits} bits, ${rounding}`] = {
      operation: 'integralN',
      options: { rounding, bits },
      operands: 1,
      sizes: [32, 64],
      expected: (s, a, _b, _c, e) => base.fpRoundIntN(s, a, e, modeOf(rounding, e), bits),
    };
  }
}

/** Random operands of each case; more by hand. */
const ROUNDS = Number(process.env['SOFT_FLOAT_ROUNDS'] ?? 400);

function differences(name: string, { operation, options, operands, expected, from, sizes, second }: Case) {
  const out: string[] = [];
  const random = new Random(7, name);
  const factor = (size: Size): Size => (options?.other === true && operands === 3 ? 16 : size);
  for (const size of sizes ?? SIZES) {
    const how = howOf(size, options);
    const one = (a: bigint, b: bigint, c: bigint) => {
      const start = environment(random);
      const [wanted, found] = [{ ...start }, { ...start }];
      const right = expected(size, a, b, c, wanted);
      const result = call(operation, how, found, a, b, c);
      if (result === right && found.fpsr === wanted.fpsr) return;
      const text = [a, b, c, result, right].map((n) => n.toString(16)).join(' ');
      out.push(`${size}: ${text}, FPCR ${start.fpcr.toString(16)}, FPSR ${found.fpsr} ${wanted.fpsr}`);
    };
    const firsts = edges(from ?? size);
    const seconds = operands === 1 || second !== undefined ? [0n] : edges(factor(size));
    for (const a of firsts) {
      for (const b of seconds)
        one(a, second?.(random) ?? b, operands < 3 ? 0n : numberOf(random, factor(size)));
    }
    for (let i = 0; i < ROUNDS; i++) {
      const a = numberOf(random, from ?? size);
      const b = second?.(random) ?? (operands === 1 ? 0n : numberOf(random, factor(size)));
      one(a, b, operands < 3 ? 0n : numberOf(random, factor(size)));
    }
  }
  return out;
}

describe('soft-float of generated code', () => {
  it.each(Object.entries(CASES))('%s', (name, tested) => {
    expect(differences(name, tested).slice(0, 5)).toEqual([]);
  });

  it('estimates integers', () => {
    const random = new Random(1, 'estimates');
    for (let i = 0; i < 2000; i++) {
      const a = i < 1024 ? (i << 22) >>> 0 : random.u32();
      const env = { fpcr: 0, fpsr: 0 };
      const results = [false, true].map((flag) =>
        call('unsignedEstimate', howOf(32, { flag }), env, BigInt(a)),
      );
      expect(results).toEqual([base.unsignedRecipEstimate(a), base.unsignedRSqrtEstimate(a)].map(BigInt));
    }
  });
});

/** Runs at EL0 until the supervisor call. */
function runUnder(name: string, source: string) {
  const { machine, cpu } = mappedMachine();
  cpu.writeRegister('cpacr_el1', 3n << 20n);
  load(machine, source);
  cpu.setLevel(0, 1);
  cpu.pc = BigInt(CODE);
  const engine = createEngine(machine, name);
  expect(engine.run(cpu, 1_000_000).kind).toBe('supervisor');
  return { cpu, engine };
}

const loop = (body: string) => `
    mov x0, #0
    fmov v1.8h, #0.75
    fmov v2.8h, #1.5
    fmov v3.4s, #3.0
    fmov d4, #7.0
    fmov d5, #3.0
 1: ${body.replaceAll(';', '\n')}
    add x0, x0, #1
    cmp x0, #3000
    b.ne 1b
    svc #0`;

describe('a loop with', () => {
  it.each([
    ['half precision', 'fmla v0.8h, v1.8h, v2.8h; fmul v1.8h, v0.8h, v1.8h; fadd h2, h1, h2; fcvt s6, h2'],
    ['estimates', 'frecpe v3.4s, v3.4s; frsqrte d4, d4; urecpe v6.4s, v0.4s; frecpx d7, d4'],
    ['products of halves', 'fmlal v3.4s, v1.4h, v2.4h; fmlsl2 v3.4s, v2.4h, v1.4h'],
    ['rounding to odd', 'fcvtxn v6.2s, v4.2d; fadd d4, d4, d5'],
    [
      'a rounding mode',
      'fdiv d4, d4, d5; fadd d4, d4, d5; scvtf s6, x0; fcvtzs x2, d4; fmul v3.4s, v3.4s, v3.4s',
    ],
  ])('%s stays in a region', (name, body) => {
    const mode = name === 'a rounding mode' ? 'mov x1, #0x400000; msr fpcr, x1' : 'nop';
    const source = `${mode.replaceAll(';', '\n')}\n${loop(body)}`;
    const { cpu, engine } = runUnder('translate', source);
    expect(compareCpus(runUnder('evaluate', source).cpu, cpu)).toEqual([]);
    const { translated, leaves, evaluated } = (engine as Interpreter).statistics;
    expect(translated).toBeGreaterThan(14_000);
    expect(leaves).toBeLessThan(100);
    expect(evaluated).toBeLessThan(10);
  });

  it('NaNs and subnormal results goes on in generated code', () => {
    const source = loop('fdiv d6, d31, d31; fmul d7, d6, d5; fmov d8, #0.5; fmul d4, d4, d8; fsqrt d9, d4');
    const { cpu, engine } = runUnder('interpret', source);
    expect(compareCpus(runUnder('evaluate', source).cpu, cpu)).toEqual([]);
    expect((engine as Interpreter).statistics.evaluated).toBeLessThan(10);
  });
});
