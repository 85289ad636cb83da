/**
 * Floating point and Advanced SIMD in generated code against the evaluator, row by row: random operands with
 * NaNs, infinities, subnormals, zeros and what lies at the edges of rounding, under random FPCR and FPSR.
 */
import { describe, expect, it } from 'vitest';
import { composeWord, decode, ROWS, type Row } from '../../isa/index.js';
import { PA, Random } from '../../src/base/index.js';
import {
  compareCpus,
  createEngine,
  generateFloats,
  generateVectors,
  type Interpreter,
} from '../../src/engine/index.js';
import type { Cpu, Engine, Machine } from '../../src/machine/index.js';
import { CODE, DATA, mappedMachine } from '../machine/support.js';
import { randomFpState, specialVector } from './random-programs.js';

/** Words tried of each row; more by hand. */
const WORDS = Number(process.env['LOCKSTEP_WORDS'] ?? 12);
const CLASSES: readonly Row['class'][] = ['fp', 'simd', 'crypto'];
const isVectorMemory = (row: Row) => row.class === 'load-store' && /AdvSIMD|FEAT_FP/.test(row.feature ?? '');
const VECTOR_ROWS = ROWS.filter((row) => CLASSES.includes(row.class) || isVectorMemory(row));

/** A word of the row that decodes as it; base registers are x1, which points into DATA. */
function wordOf(row: Row, random: Random): number | undefined {
  for (let i = 0; i < 200; i++) {
    const fields: Record<string, number> = {};
    for (const { name, width } of row.fields) {
      fields[name] = Math.floor(random.u32() / 2 ** (32 - width));
      if (row.class === 'load-store' && name === 'Rn') fields[name] = 1;
      // The literal forms reach their own neighbourhood.
      if (name === 'imm19') fields[name] = random.below(64);
    }
    const word = composeWord(row, fields);
    if (decode(word)?.row === row) return word;
  }
  return undefined;
}

function setState(cpu: Cpu, random: Random): void {
  const kind = random.below(2) === 0 ? 'any' : 'ordinary';
  const lane = random.below(2) === 0 ? 32 : 64;
  for (let n = 0; n < 32; n++) cpu.writeV(n, specialVector(random, kind, kind === 'any' ? 0 : lane));
  for (let n = 0; n < 31; n++) cpu.writeX(n, BigInt(random.below(64)) - 20n);
  cpu.writeX(1, BigInt(DATA + 0x800 + random.below(64)));
  // The lanes of loads at a register's offset.
  cpu.writeX(4, specialVector(random) & ((1n << 64n) - 1n));
  cpu.nzcv = random.below(16);
  const { fpcr, fpsr } =
    kind === 'any'
      ? randomFpState(random)
      : { fpcr: BigInt(random.below(2)) << 24n, fpsr: BigInt(random.below(32)) };
  cpu.writeRegister('fpcr', fpcr);
  cpu.writeRegister('fpsr', fpsr);
}

interface Side {
  readonly machine: Machine;
  readonly engine: Engine;
}

function side(name: string): Side {
  const { machine } = mappedMachine();
  machine.cpu.writeRegister('cpacr_el1', 3n << 20n);
  machine.cpu.setLevel(1, 1);
  const data = new Random(5, 'data');
  for (let at = 0; at < 0x1000; at += 16)
    machine.memory.write64(PA(DATA + at), specialVector(data) & ((1n << 64n) - 1n));
  return { machine, engine: createEngine(machine, name) };
}

describe('generated code for V registers', () => {
  it('does all rows of V registers', () => {
    expect([...generateVectors().missing]).toEqual([]);
    expect([...generateFloats().missing]).toEqual([]);
  });

  it.each([...CLASSES, 'load-store'] as const)('equals the evaluator: rows of class %s', (name) => {
    const sides = [side('evaluate'), side('interpret')] as const;
    const differences: string[] = [];
    let tried = 0;
    const left = new Set<string>();
    const evaluatedSoFar = () => (sides[1].engine as Interpreter).statistics.evaluated;
    for (const row of VECTOR_ROWS.filter((r) => r.class === name)) {
      const words = new Random(1, `words of ${row.id}`);
      for (let i = 0; i < WORDS; i++) {
        const word = wordOf(row, words);
        if (word === undefined) break;
        tried++;
        const before = evaluatedSoFar();
        for (const { machine, engine } of sides) {
          machine.memory.write32(PA(CODE), word);
          // One word, several states: the record is decoded once.
          const states = new Random(i, row.id);
          for (let turn = 0; turn < 3; turn++) {
            setState(machine.cpu, states);
            machine.cpu.pc = BigInt(CODE);
            engine.run(machine.cpu, 1);
          }
        }
        // Loads and stores may fault.
        if (evaluatedSoFar() !== before && name !== 'load-store') left.add(`${row.id} ${word.toString(16)}`);
        const found = compareCpus(sides[0].machine.cpu, sides[1].machine.cpu);
        if (found.length > 0) differences.push(`${row.id} ${word.toString(16)} ${JSON.stringify(found)}`);
      }
    }
    expect(differences.slice(0, 20)).toEqual([]);
    expect(tried).toBeGreaterThan(WORDS * 20);
    expect([...left]).toEqual([]);
    // What generated code gives up is a part of it only.
    const { evaluated } = (sides[1].engine as Interpreter).statistics;
    expect(evaluated).toBeLessThan(3 * tried);
  });

  it('rounds fused products once: sums that cancel, tie, or are far apart', () => {
    const sides = [side('evaluate'), side('interpret')] as const;
    // fmadd d0, d1, d2, d3; fmsub s0, s1, s2, s3; fmla v3.2d, v1.2d, v2.2d; fmls v3.4s, v1.4s, v2.4s; frsqrts.
    const words = [0x1f420c20, 0x1f028c20, 0x4e62cc23, 0x4ea2cc23, 0x5ee2fc20, 0x4ea2fc20];
    const random = new Random(3, 'fused');
    const view = new DataView(new ArrayBuffer(16));
    const differences: string[] = [];
    const rounds = 60 * WORDS;
    for (const word of words) {
      const is64 = [0x1f420c20, 0x4e62cc23, 0x5ee2fc20].includes(word);
      for (const { machine } of sides) machine.memory.write32(PA(CODE), word);
      for (let i = 0; i < rounds; i++) {
        // Few bits make ties; a third operand near the product, or a power of two away from it.
        const factor = () => {
          const bits = 1 + random.below(is64 ? 53 : 24);
          const value =
            (1 + Math.floor(random.below(2 ** 30) * 2 ** (bits - 30)) / 2 ** bits) *
            2 ** (random.below(41) - 20);
          return random.below(2) ? value : -value;
        };
        const lanes = [0, 1].map(() => {
          const [a, b] = [factor(), factor()];
          const near = random.below(3) === 0 ? random.below(240) - 120 : random.below(3) - 1;
          const c =
            a *
            b *
            2 ** near *
            (random.below(2) ? 1 : -1) *
            (1 + (random.below(5) - 2) * 2 ** -(is64 ? 52 : 23));
          return [a, b, c] as const;
        });
        const vector = (which: 0 | 1 | 2): bigint => {
          for (let at = 0; at < 16; at += is64 ? 8 : 4) {
            const value = lanes[(at >> (is64 ? 3 : 2)) & 1]![which];
            if (is64) view.setFloat64(at, value, true);
            else view.setFloat32(at, value, true);
          }
          return view.getBigUint64(0, true) | (view.getBigUint64(8, true) << 64n);
        };
        const operands = [vector(0), vector(1), vector(2)];
        const fpsr = BigInt(16 * random.below(2));
        for (const { machine, engine } of sides) {
          operands.forEach((value, n) => {
            machine.cpu.writeV(n + 1, value);
          });
          machine.cpu.writeRegister('fpcr', 0n);
          machine.cpu.writeRegister('fpsr', fpsr);
          machine.cpu.pc = BigInt(CODE);
          engine.run(machine.cpu, 1);
        }
        const found = compareCpus(sides[0].machine.cpu, sides[1].machine.cpu);
        if (found.length > 0)
          differences.push(
            `${word.toString(16)} ${operands.map((v) => v.toString(16))} ${JSON.stringify(found)}`,
          );
      }
    }
    expect(differences.slice(0, 10)).toEqual([]);
    // Nearly all of them are done by generated code.
    const { evaluated } = (sides[1].engine as Interpreter).statistics;
    expect(evaluated).toBeLessThan((rounds * words.length) / 5);
  });
});
