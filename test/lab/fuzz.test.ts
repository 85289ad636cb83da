/**
 * The differential fuzzer: a bounded run against qemu-aarch64, and that it would find something.
 *
 * Longer runs are `mtemu fuzz --seed N --cases N` by hand.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { decode } from '../../isa/index.js';
import {
  countRows,
  FUZZ_CLASSES,
  type FuzzCase,
  FuzzMachine,
  fuzz,
  fuzzedRows,
  makeCase,
  oracleProgram,
  QEMU_OPTIONS,
  renderFailure,
} from '../../src/lab/index.js';
import { hasQemu, QEMU } from './qemu.js';

const directory = mkdtempSync(join(tmpdir(), 'mtemu-fuzz-test-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function qemu(elf: Uint8Array): Uint8Array {
  const file = join(directory, 'cases');
  writeFileSync(file, elf);
  chmodSync(file, 0o755);
  return spawnSync(QEMU, [...QEMU_OPTIONS, file], { maxBuffer: 1 << 28, timeout: 60_000 }).stdout;
}

const ROWS = fuzzedRows(FUZZ_CLASSES);
const cases = (count: number, seed = 0) => Array.from({ length: count }, (_, i) => makeCase(seed, i, ROWS));

/** Rows whose every word is left out by name. */
const NEVER_DRAWN = ['FCVTZS_asisdshf_h', 'SVC_exception', 'WFI'];

describe('fuzz cases', () => {
  it('depend on seed and number alone', () => {
    expect(makeCase(3, 17, ROWS)).toEqual(makeCase(3, 17, ROWS));
    expect(makeCase(4, 17, ROWS).x).not.toEqual(makeCase(3, 17, ROWS).x);
  });

  it('draw every row', () => {
    const counts = countRows(cases(6000));
    const missing = ROWS.filter((row) => !counts.has(row.id)).map((row) => row.id);
    expect(missing.filter((id) => !NEVER_DRAWN.includes(id))).toEqual([]);
    expect(NEVER_DRAWN.filter((id) => counts.has(id))).toEqual([]);
  });

  it('end on our machine, most of them without a fault before their end', () => {
    const machine = new FuzzMachine();
    const all = cases(500);
    machine.load(all);
    const outcomes = all.map((c) => machine.run(c));
    expect(outcomes.every((o) => o.signal !== undefined)).toBe(true);
    const complete = outcomes.filter((o) => o.signal?.name === 'SIGTRAP').length;
    expect(complete).toBeGreaterThan(150);
    expect(complete).toBeLessThan(450);
  });

  it('of our machine are the same whichever ran before', () => {
    const machine = new FuzzMachine();
    const all = cases(50);
    machine.load(all);
    const first = all.map((c) => machine.run(c));
    expect([...all].reverse().map((c) => machine.run(c))).toEqual([...first].reverse());
  });
});

describe('what fuzzing found', () => {
  /** V22 after the words, on our machine, with V22, V30 and V31 as found. */
  function fmlsl2(...words: readonly number[]): bigint {
    const machine = new FuzzMachine();
    const base = makeCase(0, 0, ROWS);
    const v = base.v.map(() => 0n);
    v[22] = 0x8000_0000_0000_0000_3ff0_0000_0000_0000n;
    v[30] = 0x6931_74a9_8650_1e78_63f5_48d6n;
    v[31] = 0x7ff0_0000_0000_0001n;
    const found: FuzzCase = { ...base, words, v, fpcr: 0x300_0000 };
    machine.load([found]);
    return machine.run(found).v[22]!;
  }

  it('FMLSL2 of short vectors takes the upper half of 64 bits, whatever ran before', () => {
    // fmlsl2 v22.2s, v31.2h, v30.2h, alone and behind fmlsl2 v7.4s, v10.4h, v1.4h.
    const wanted = 0x7fc0_0000_0000_0000n;
    expect(fmlsl2(0x2ebecff6)).toBe(wanted);
    expect(fmlsl2(0x6ea1cd47, 0x2ebecff6)).toBe(wanted);
  });
});

describe.skipIf(!hasQemu())('differential fuzzing [needs qemu-aarch64-static]', () => {
  it('finds no difference in 8000 cases', () => {
    const result = fuzz({ seed: 2024, cases: 8000 }, qemu);
    expect(result.failures.flatMap(renderFailure)).toEqual([]);
    expect(result.compared).toBeGreaterThan(7500);
    // Reasons for not comparing are few, and each is named.
    const hidden = Object.values(result.skipped).reduce((sum, n) => sum + n, 0);
    expect(hidden).toBeLessThan(1500);
  });

  it.each(['interpret', 'translate'])(
    'finds no difference in generated code for V registers: %s',
    (engine) => {
      const result = fuzz(
        { seed: 77, cases: 2500, engine, classes: ['fp', 'simd', 'crypto', 'load-store'] },
        qemu,
      );
      expect(result.failures.flatMap(renderFailure)).toEqual([]);
      expect(result.compared).toBeGreaterThan(2300);
    },
  );

  it('reads no bits that only AArch32 has', () => {
    // A value of MSR FPCR with Len, read back by MRS: QEMU keeps it.
    expect(fuzz({ seed: 77, first: 1683, cases: 1, classes: ['system'] }, qemu).failures).toEqual([]);
  });

  it('finds a wrong result, makes the case small and says what differs', () => {
    const wanted = cases(1000).find((c) => c.words.length > 4 && endsWell(c))!;
    // The oracle's X5 is off by one: byte 0 of the register in the first result.
    const wrong = (elf: Uint8Array) => {
      const out = Uint8Array.from(qemu(elf));
      out[24 + 5 * 8]! ^= 1;
      return out;
    };
    const { failures } = fuzz({ seed: 0, first: wanted.index, cases: 1 }, wrong);
    expect(failures.length).toBe(1);
    expect(failures[0]!.differences.map((d) => d.name)).toEqual(['x5']);
    // No instruction matters, so all went.
    expect(failures[0]!.minimal.words.every((word) => decode(word)?.row.id === 'NOP')).toBe(true);
    expect(renderFailure(failures[0]!)[0]).toMatch(/^case \d+: nzcv=[01]{4} tco=/);
  });

  it('goes on behind a case that ends the program', () => {
    let runs = 0;
    // The first program stops writing in the middle of its third result.
    const cut = (elf: Uint8Array) => (runs++ === 0 ? qemu(elf).subarray(0, 9152 * 2 + 100) : qemu(elf));
    const { failures, compared } = fuzz({ seed: 0, cases: 6, mostFailures: 1 }, cut);
    expect(compared).toBe(6);
    expect(failures.map((f) => f.index)).toEqual([2]);
  });

  it('runs its program in any place of a batch', () => {
    const all = cases(20);
    const alone = qemu(oracleProgram([all[13]!], all));
    const together = qemu(oracleProgram(all));
    expect(alone.length).toBe(9152);
    expect(together.subarray(13 * 9152, 14 * 9152)).toEqual(alone);
  });
});

function endsWell(c: FuzzCase): boolean {
  const machine = new FuzzMachine();
  machine.load([c]);
  return machine.run(c).signal?.name === 'SIGTRAP';
}
