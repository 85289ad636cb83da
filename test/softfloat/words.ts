/**
 * Single instruction words run from given states: by qemu-aarch64 through a harness that mtemu itself
 * assembles, and by mtemu's engines on a bare machine.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_FEATURES, FP_FEATURES } from '../../isa/index.js';
import { assemble } from '../../src/assembler/index.js';
import { PA } from '../../src/base/index.js';
import { toElf } from '../../src/elf/index.js';
import { createEngine } from '../../src/engine/index.js';
import { createMachine } from '../../src/machine/index.js';

export const QEMU = 'qemu-aarch64-static';

export function hasQemu(): boolean {
  return spawnSync(QEMU, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** A word and the state it runs from; registers left out are 0. FPSR is 0. */
export interface WordCase {
  readonly word: number;
  readonly fpcr: number;
  readonly nzcv: number;
  /** X0 and X1. */
  readonly x: readonly bigint[];
  /** V0 to V5. */
  readonly v: readonly bigint[];
}

export interface WordOutcome {
  readonly x: readonly [bigint, bigint];
  readonly nzcv: number;
  readonly fpsr: number;
  readonly v: readonly [bigint, bigint];
}

const RECORD = 128;
const RESULT = 64;
const GENERAL = 8;
const NZCV = 24;
const VECTORS = 32;

function harness(directory: string): string {
  const name = 'harness.s';
  const text = readFileSync(new URL(`./${name}`, import.meta.url), 'utf8');
  const file = join(directory, 'harness');
  writeFileSync(file, toElf(assemble({ name, text })), { mode: 0o755 });
  return file;
}

function records(cases: readonly WordCase[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(cases.length * RECORD));
  for (const [i, { word, fpcr, nzcv, x, v }] of cases.entries()) {
    const at = i * RECORD;
    view.setUint32(at, word, true);
    view.setUint32(at + 4, fpcr, true);
    for (let n = 0; n < 2; n++) view.setBigUint64(at + GENERAL + 8 * n, x[n] ?? 0n, true);
    view.setBigUint64(at + NZCV, BigInt(nzcv) << 28n, true);
    for (let n = 0; n < 6; n++) {
      const value = v[n] ?? 0n;
      view.setBigUint64(at + VECTORS + 16 * n, BigInt.asUintN(64, value), true);
      view.setBigUint64(at + VECTORS + 16 * n + 8, value >> 64n, true);
    }
  }
  return new Uint8Array(view.buffer);
}

/** The harness holds 64 MiB of records. */
const MOST_CASES = 500_000;

/** What qemu makes of the cases, in order. */
export function runQemu(cases: readonly WordCase[]): WordOutcome[] {
  const out: WordOutcome[] = [];
  for (let from = 0; from < cases.length; from += MOST_CASES) {
    for (const outcome of runHarness(cases.slice(from, from + MOST_CASES))) out.push(outcome);
  }
  return out;
}

function runHarness(cases: readonly WordCase[]): WordOutcome[] {
  const directory = mkdtempSync(join(tmpdir(), 'mtemu-words-'));
  try {
    const { stdout, status, signal } = spawnSync(QEMU, ['-cpu', 'max', harness(directory)], {
      input: records(cases),
      maxBuffer: 1 << 30,
    });
    if (status !== 0 || stdout.length !== cases.length * RESULT) {
      const done = stdout.length / RESULT;
      throw new Error(`${QEMU}: status ${status}, signal ${signal}, ${done} of ${cases.length} results`);
    }
    const view = new DataView(stdout.buffer, stdout.byteOffset, stdout.byteLength);
    return cases.map((_, i) => {
      const u64 = (offset: number) => view.getBigUint64(i * RESULT + offset, true);
      return {
        x: [u64(0), u64(8)],
        nzcv: Number(u64(16) >> 28n),
        fpsr: Number(u64(24)),
        v: [u64(32) | (u64(40) << 64n), u64(48) | (u64(56) << 64n)],
      };
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const BASE = 0x4000_0000;

/** What mtemu makes of the cases under the engine named. */
export function runMtemu(cases: readonly WordCase[], engineName = 'evaluate'): WordOutcome[] {
  const machine = createMachine({
    banks: [{ base: BASE, size: 0x10000 }],
    features: [...new Set([...DEFAULT_FEATURES, ...FP_FEATURES])],
  });
  const { cpu, memory } = machine;
  const engine = createEngine(machine, engineName);
  return cases.map(({ word, fpcr, nzcv, x, v }) => {
    memory.write32(PA(BASE), word);
    cpu.writeRegister('fpcr', BigInt(fpcr));
    cpu.writeRegister('fpsr', 0n);
    for (let n = 0; n < 2; n++) cpu.writeX(n, x[n] ?? 0n);
    for (let n = 0; n < 6; n++) cpu.writeV(n, v[n] ?? 0n);
    cpu.nzcv = nzcv;
    cpu.pc = BigInt(BASE);
    engine.run(cpu, 1);
    if (cpu.pc !== BigInt(BASE + 4)) throw new Error(`0x${word.toString(16)} was not executed`);
    return {
      x: [cpu.readX(0), cpu.readX(1)],
      nzcv: cpu.nzcv,
      fpsr: Number(cpu.readRegister('fpsr')),
      v: [cpu.readV(0), cpu.readV(1)],
    };
  });
}
