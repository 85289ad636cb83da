/**
 * Floating point and Advanced SIMD in generated code against the evaluator, row by row: random operands with
 * NaNs, infinities, subnormals, zeros and what lies at the edges of rounding, under random FPCR and FPSR.
 */
import { describe, expect, it } from 'vitest';
import { composeWord, decode, ROWS, type Row } from '../../isa/index.js';
import { PA, Random } from '../../src/base/index.js';
import { compareCpus, createEngine, type Interpreter } from '../../src/engine/index.js';
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
  for (let n = 0; n < 32; n++) cpu.writeV(n, specialVector(random));
  for (let n = 0; n < 31; n++) cpu.writeX(n, BigInt(random.below(64)) - 20n);
  cpu.writeX(1, BigInt(DATA + 0x800 + random.below(64)));
  // The lanes of loads at a register's offset.
  cpu.writeX(4, specialVector(random) & ((1n << 64n) - 1n));
  cpu.nzcv = random.below(16);
  const { fpcr, fpsr } = randomFpState(random);
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
  it.each([...CLASSES, 'load-store'] as const)('equals the evaluator: rows of class %s', (name) => {
    const sides = [side('evaluate'), side('interpret')] as const;
    const differences: string[] = [];
    let tried = 0;
    for (const row of VECTOR_ROWS.filter((r) => r.class === name)) {
      const words = new Random(1, `words of ${row.id}`);
      for (let i = 0; i < WORDS; i++) {
        const word = wordOf(row, words);
        if (word === undefined) break;
        tried++;
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
        const found = compareCpus(sides[0].machine.cpu, sides[1].machine.cpu);
        if (found.length > 0) differences.push(`${row.id} ${word.toString(16)} ${JSON.stringify(found)}`);
      }
    }
    expect(differences.slice(0, 20)).toEqual([]);
    expect(tried).toBeGreaterThan(WORDS * 20);
    // What generated code gives up is a part of it only.
    const { evaluated } = (sides[1].engine as Interpreter).statistics;
    expect(evaluated).toBeLessThan(3 * tried);
  });
});
