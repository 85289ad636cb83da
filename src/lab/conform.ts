/**
 * Conformance vectors: sets the state of each case, runs it, compares everything that may have changed.
 *
 * A case passes if registers, flags, memory, tags and the exception are as the vector says. It is
 * `unsupported` if it failed because an instruction of it is one that no row decodes, so that what is
 * missing is not confused with what is wrong.
 */

import { decode } from '../../isa/index.js';
import { hex, PA } from '../base/index.js';
import { createEngine } from '../engine/index.js';
import type { Cpu, Engine, Machine } from '../machine/index.js';
import {
  CODE,
  CODE_ENTRY,
  CODE_SIZE,
  clearRegions,
  conformMachine,
  DATA_REGIONS,
  FINAL_BRK,
  FINAL_BRK_IMM,
  SCTLR,
  snapshot,
  TCR,
  WATCHED,
} from './conform-machine.js';
import { parseVector, type Run, type Vector } from './conform-vector.js';

export interface ConformOptions {
  /** A name of `--engine`; default `auto`. */
  readonly engine?: string;
  /** With write-back data and tag caches. */
  readonly caches?: boolean;
  /** A family (`mte`) or a class (`mte/irg`). */
  readonly only?: string;
}

export interface ConformFailure {
  readonly id: number;
  readonly cls: string;
  /** The differing parts alone, under the vector's names. */
  readonly expected: Readonly<Record<string, string>>;
  readonly actual: Readonly<Record<string, string>>;
}

export interface ClassCounts {
  passed: number;
  failed: number;
  unsupported: number;
}

export interface ConformResult {
  total: number;
  passed: number;
  failed: number;
  unsupported: number;
  readonly byClass: Record<string, ClassCounts>;
  readonly failures: ConformFailure[];
}

/** More instructions than any case executes; a case that goes on is a failure, not a hang. */
const MOST_STEPS = 100_000;

/** The lines of a vector file; `name` is for complaints. Empty lines are skipped. */
export interface VectorSource {
  readonly name: string;
  readonly lines: Iterable<string>;
}

/** Runs all vectors. Throws InputError for a malformed line, an unknown engine, or a class that no vector has. */
export function runVectors(
  sources: Iterable<string> | readonly VectorSource[],
  options: ConformOptions = {},
): ConformResult {
  const runner = new VectorRunner(options.engine ?? 'auto', options.caches ?? false);
  const result: ConformResult = {
    total: 0,
    passed: 0,
    failed: 0,
    unsupported: 0,
    byClass: {},
    failures: [],
  };
  for (const { name, lines } of namedSources(sources)) {
    let line = 0;
    for (const text of lines) {
      line++;
      if (text.trim() === '') continue;
      const vector = parseVector({ file: name, line, text });
      const { only } = options;
      if (only !== undefined && vector.cls !== only && !vector.cls.startsWith(`${only}/`)) continue;
      count(result, vector, runner.run(vector));
    }
  }
  return result;
}

function namedSources(sources: Iterable<string> | readonly VectorSource[]): readonly VectorSource[] {
  if (Array.isArray(sources) && sources.every((s) => typeof s === 'object')) {
    return sources as readonly VectorSource[];
  }
  return [{ name: 'vectors', lines: sources as Iterable<string> }];
}

function count(result: ConformResult, vector: Vector, outcome: Outcome): void {
  const counts = result.byClass[vector.cls] ?? { passed: 0, failed: 0, unsupported: 0 };
  result.byClass[vector.cls] = counts;
  result.total++;
  result[outcome.kind]++;
  counts[outcome.kind]++;
  if (outcome.kind === 'failed') {
    const { expected, actual } = outcome;
    result.failures.push({ id: vector.id, cls: vector.cls, expected, actual });
  }
}

type Outcome =
  | { readonly kind: 'passed' | 'unsupported' }
  | {
      readonly kind: 'failed';
      readonly expected: Readonly<Record<string, string>>;
      readonly actual: Readonly<Record<string, string>>;
    };

/** X registers that a vector does not list. */
const defaultX = (n: number) => 0x00c0_ffee_0000_0000n | BigInt((n << 8) | (0xa0 + n));

/** What a run ended with. */
interface Ending {
  readonly pc: bigint;
  readonly exc: { readonly esr: bigint; readonly far: bigint; readonly vec: number } | undefined;
  readonly nzcv: number;
  readonly tco: number;
  readonly note: string | undefined;
}

class VectorRunner {
  readonly #machine: Machine;
  readonly #cpu: Cpu;
  readonly #engine: Engine;
  #lastCode = 0;

  constructor(engine: string, caches: boolean) {
    this.#machine = conformMachine(caches);
    this.#cpu = this.#machine.cpu;
    this.#engine = createEngine(this.#machine, engine);
    this.#machine.setSupervisor({ exceptionTaken: () => {} });
  }

  run(vector: Vector): Outcome {
    this.#prepare(vector);
    const before = snapshot(this.#machine);
    const stop = this.#engine.run(this.#cpu, MOST_STEPS);
    const ending = this.#ending(stop.kind === 'supervisor' ? undefined : `the run ended with '${stop.kind}'`);
    const after = snapshot(this.#machine);
    const differences = new Differences();
    this.#compareState(vector, ending, differences);
    compareMemory(vector, before, after, differences);
    this.#compareElsewhere(vector, differences);
    if (differences.isEmpty) return { kind: 'passed' };
    if (this.#endedAtUnknownWord(vector, ending)) return { kind: 'unsupported' };
    return { kind: 'failed', expected: differences.expected, actual: differences.actual };
  }

  #prepare({ code, in: given }: Vector): void {
    const cpu = this.#cpu;
    const { memory } = this.#machine;
    clearRegions(this.#machine);
    for (let i = 0; i < Math.max(code.length, this.#lastCode); i++) {
      memory.write32(PA(CODE_ENTRY + 4 * i), code[i] ?? FINAL_BRK);
    }
    this.#lastCode = code.length;
    for (const run of given.mem) memory.writeBytes(PA(run.address), bytesOf(run.hex));
    memory.icacheInval(PA(CODE), CODE_SIZE);
    for (const run of given.tags) {
      [...run.hex].forEach((digit, i) => {
        memory.writeTag(PA(run.address + 16 * i), Number.parseInt(digit, 16));
      });
    }
    const { el } = given;
    const place = (own: number, other: number, low: bigint, high: bigint) =>
      el === 0
        ? (BigInt(own) << low) | (BigInt(other) << high)
        : (BigInt(other) << low) | (BigInt(own) << high);
    const sctlr =
      (SCTLR & ~((3n << 38n) | (3n << 40n) | (3n << 42n))) |
      place(given.tcf, given.tcfOther, 38n, 40n) |
      place(given.ata, given.ataOther, 42n, 43n);
    const tcr =
      TCR |
      (BigInt(given.tbi0) << 37n) |
      (BigInt(given.tbi1) << 38n) |
      (BigInt(given.tcma0) << 57n) |
      (BigInt(given.tcma1) << 58n);
    cpu.writeRegister('sctlr_el1', sctlr);
    cpu.writeRegister('tcr_el1', tcr);
    cpu.writeRegister('gcr_el1', given.gcr);
    cpu.writeRegister('rgsr_el1', given.rgsr);
    for (const name of ['tfsr_el1', 'tfsre0_el1', 'esr_el1', 'far_el1', 'tpidr_el0'])
      cpu.writeRegister(name, 0n);
    cpu.writeRegister('fpcr', given.fpcr);
    cpu.writeRegister('fpsr', given.fpsr);
    for (let n = 0; n < 31; n++) cpu.writeX(n, given.x.get(n) ?? defaultX(n));
    for (let n = 0; n < 32; n++) cpu.writeV(n, given.v.get(n) ?? 0n);
    cpu.nzcv = given.nzcv;
    Object.assign(cpu.pstate, {
      daif: 15,
      il: 0,
      ss: 0,
      pan: 0,
      uao: 0,
      dit: 0,
      ssbs: 0,
      btype: 0,
      tco: given.tco,
    });
    // At EL1 the cases use SP_EL0.
    cpu.setLevel(el, 0);
    cpu.sp = given.sp;
    cpu.access.clearExclusive();
    cpu.pc = BigInt(CODE_ENTRY);
  }

  #ending(note: string | undefined): Ending {
    const cpu = this.#cpu;
    if (note !== undefined) {
      return { pc: cpu.pc, exc: undefined, nzcv: cpu.nzcv, tco: cpu.pstate.tco, note };
    }
    const esr = cpu.readRegister('esr_el1');
    const spsr = cpu.readRegister('spsr_el1');
    const isFinal = esr >> 26n === 0x3cn && (esr & 0xffffn) === BigInt(FINAL_BRK_IMM);
    return {
      pc: cpu.readRegister('elr_el1'),
      exc: isFinal ? undefined : { esr, far: cpu.readRegister('far_el1'), vec: cpu.vectorOffset / 0x80 },
      nzcv: Number((spsr >> 28n) & 15n),
      tco: Number((spsr >> 25n) & 1n),
      note: undefined,
    };
  }

  #compareState({ in: given, out, loose }: Vector, ending: Ending, d: Differences): void {
    const cpu = this.#cpu;
    if (ending.note !== undefined) d.add('end', 'a BRK or an exception', ending.note);
    for (let n = 0; n < 31; n++) {
      d.number(`x${n}`, out.x.get(n) ?? given.x.get(n) ?? defaultX(n), cpu.readX(n));
    }
    for (let n = 0; n < 32; n++) d.number(`v${n}`, out.v.get(n) ?? given.v.get(n) ?? 0n, cpu.readV(n));
    const value = (name: string, initial: bigint) => out.values.get(name) ?? initial;
    d.number('sp', value('sp', given.sp), cpu.spOf(0));
    d.number('nzcv', value('nzcv', BigInt(given.nzcv)), BigInt(ending.nzcv));
    d.number('tco', value('tco', BigInt(given.tco)), BigInt(ending.tco));
    d.number('gcr', value('gcr', given.gcr), cpu.readRegister('gcr_el1'));
    d.number('rgsr', value('rgsr', given.rgsr), cpu.readRegister('rgsr_el1'));
    d.number('fpcr', value('fpcr', given.fpcr), cpu.readRegister('fpcr'));
    d.number('fpsr', value('fpsr', given.fpsr), cpu.readRegister('fpsr'));
    d.number('tfsr_el1', value('tfsr_el1', 0n), cpu.readRegister('tfsr_el1'));
    d.number('tfsre0_el1', value('tfsre0_el1', 0n), cpu.readRegister('tfsre0_el1'));
    d.number('pc', out.pc, ending.pc);
    if (out.exc === undefined) {
      if (ending.exc !== undefined) d.add('exc', 'none', `esr ${hex(ending.exc.esr)}`);
      return;
    }
    if (ending.exc === undefined) {
      d.add('exc', `${out.exc.kind ?? ''} esr ${hex(out.exc.esr)}`.trim(), 'none');
      return;
    }
    const mask = loose.has('wnr') ? ~(1n << 6n) : -1n;
    d.number('esr', out.exc.esr & mask, ending.exc.esr & mask);
    if (out.exc.vec !== undefined) d.number('vec', BigInt(out.exc.vec), BigInt(ending.exc.vec));
    if (out.exc.far !== undefined && !loose.has('far')) d.number('far', out.exc.far, ending.exc.far);
  }

  /** Changes that a vector expects outside the watched windows. */
  #compareElsewhere({ out, loose }: Vector, d: Differences): void {
    const { memory } = this.#machine;
    for (const run of loose.has('mem') ? [] : out.mem) {
      if (regionOf(run.address) >= 0) continue;
      const found = digits(memory.readBytes(PA(run.address), run.hex.length / 2));
      if (found !== run.hex.toLowerCase()) d.add(`mem ${hex(run.address)}`, run.hex, found);
    }
    for (const run of loose.has('tags') ? [] : out.tags) {
      if (regionOf(run.address) >= 0) continue;
      const found = [...run.hex]
        .map((_, i) => memory.readTag(PA(run.address + 16 * i)).toString(16))
        .join('');
      if (found !== run.hex.toLowerCase()) d.add(`tags ${hex(run.address)}`, run.hex, found);
    }
  }

  /** An Undefined Instruction exception at a word that no row decodes, which the vector did not expect. */
  #endedAtUnknownWord(vector: Vector, ending: Ending): boolean {
    if (ending.exc === undefined || ending.exc.esr >> 26n !== 0n) return false;
    const index = (Number(BigInt.asUintN(32, ending.pc)) - CODE_ENTRY) / 4;
    const word = vector.code[index];
    return word !== undefined && decode(word) === undefined;
  }
}

class Differences {
  readonly expected: Record<string, string> = {};
  readonly actual: Record<string, string> = {};

  get isEmpty(): boolean {
    for (const _ in this.expected) return false;
    return true;
  }

  add(name: string, expected: string, actual: string): void {
    this.expected[name] = expected;
    this.actual[name] = actual;
  }

  number(name: string, expected: bigint, actual: bigint): void {
    if (expected !== actual) this.add(name, hex(expected), hex(actual));
  }
}

function bytesOf(hexDigits: string): Uint8Array {
  const out = new Uint8Array(hexDigits.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(hexDigits.slice(2 * i, 2 * i + 2), 16);
  return out;
}

type Snapshot = ReturnType<typeof snapshot>;

/** Compares the watched regions with what they should be: their contents before, and the vector's changes. */
function compareMemory(vector: Vector, before: Snapshot, after: Snapshot, d: Differences): void {
  if (!vector.loose.has('mem')) {
    for (const run of vector.out.mem) {
      patch(before.data, run, 1, bytesOf(run.hex), (bytes, at, value) => {
        bytes[at] = value;
      });
    }
    DATA_REGIONS.forEach((base, r) => {
      const wanted = before.data[r]!;
      const found = after.data[r]!;
      if (sameWords(wanted, found)) return;
      for (let at = 0; at < WATCHED; at += 8) {
        const w = wanted.subarray(at, at + 8);
        const f = found.subarray(at, at + 8);
        if (!sameBytes(w, f)) d.add(`mem ${hex(base + at)}`, digits(w), digits(f));
      }
    });
  }
  if (!vector.loose.has('tags')) {
    for (const run of vector.out.tags) {
      const values = Uint8Array.from([...run.hex].map((c) => Number.parseInt(c, 16)));
      patch(before.tags, run, 16, values, (bytes, at, value) => {
        const byte = bytes[at >> 1]!;
        bytes[at >> 1] = at & 1 ? (byte & 15) | (value << 4) : (byte & 0xf0) | value;
      });
    }
    DATA_REGIONS.forEach((base, r) => {
      const wanted = before.tags[r]!;
      const found = after.tags[r]!;
      if (sameWords(wanted, found)) return;
      for (let i = 0; i < wanted.length; i++) {
        if (wanted[i] !== found[i]) {
          d.add(`tags ${hex(base + 32 * i)}`, hex(wanted[i]!, 2), hex(found[i]!, 2));
        }
      }
    });
  }
}

/** The watched region of an address, or -1. */
const regionOf = (address: number) =>
  DATA_REGIONS.findIndex((base) => address >= base && address < base + WATCHED);

/** Applies a run of changed units (bytes, or granules of 16) to the region it is in. */
function patch(
  regions: readonly Uint8Array[],
  run: Run,
  unit: number,
  values: Uint8Array,
  put: (bytes: Uint8Array, at: number, value: number) => void,
): void {
  const region = regionOf(run.address);
  if (region < 0) return;
  const from = Math.floor((run.address - DATA_REGIONS[region]!) / unit);
  values.forEach((value, i) => {
    put(regions[region]!, from + i, value);
  });
}

/** As sameBytes for whole arrays of their own, a multiple of four long. */
function sameWords(a: Uint8Array, b: Uint8Array): boolean {
  const left = new Uint32Array(a.buffer);
  const right = new Uint32Array(b.buffer);
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  return true;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

const digits = (bytes: Uint8Array) => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
