/**
 * A conformance vector: one line of JSON, checked field by field.
 *
 * Numbers are hex strings without prefix unless they are small integers. A line that does not have this
 * form is bad input, reported with its file and line.
 */
import { type InputError, inputError, SourceText } from '../base/index.js';
import { CASE_MEMORY } from './conform-machine.js';

export interface VectorException {
  readonly esr: bigint;
  readonly far: bigint | undefined;
  /** Vector offset / 0x80. */
  readonly vec: number | undefined;
  readonly kind: string | undefined;
}

/** A run of memory bytes or of tags. */
export interface Run {
  readonly address: number;
  readonly hex: string;
}

export interface Vector {
  readonly id: number;
  readonly cls: string;
  readonly code: readonly number[];
  readonly loose: ReadonlySet<string>;
  readonly in: {
    readonly el: 0 | 1;
    readonly x: ReadonlyMap<number, bigint>;
    readonly v: ReadonlyMap<number, bigint>;
    readonly sp: bigint;
    readonly nzcv: number;
    readonly tco: number;
    readonly tcf: number;
    readonly tcfOther: number;
    readonly ata: number;
    readonly ataOther: number;
    readonly tbi0: number;
    readonly tbi1: number;
    readonly tcma0: number;
    readonly tcma1: number;
    readonly gcr: bigint;
    readonly rgsr: bigint;
    readonly fpcr: bigint;
    readonly fpsr: bigint;
    readonly mem: readonly Run[];
    readonly tags: readonly Run[];
  };
  readonly out: {
    readonly x: ReadonlyMap<number, bigint>;
    readonly v: ReadonlyMap<number, bigint>;
    /** Named values that changed. */
    readonly values: ReadonlyMap<string, bigint>;
    readonly pc: bigint;
    readonly mem: readonly Run[];
    readonly tags: readonly Run[];
    readonly exc: VectorException | undefined;
  };
}

/** Where a line stands, for complaints. */
export interface LinePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

type Json = Readonly<Record<string, unknown>>;

class Reader {
  readonly #place: LinePlace;

  constructor(place: LinePlace) {
    this.#place = place;
  }

  fail(message: string): InputError {
    const { file, line, text } = this.#place;
    // Only this line is shown, under its own number.
    const source = new SourceText(file, '\n'.repeat(line - 1) + text);
    const start = line - 1;
    return inputError('CONFORM-VECTOR', message, { span: { source, start, end: start + text.length } });
  }

  object(value: unknown, what: string): Json {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.fail(`${what} is not an object`);
    return value as Json;
  }

  integer(value: unknown, what: string, low: number, high: number, fallback?: number): number {
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high) {
      throw this.fail(`${what} is not an integer of ${low} to ${high}`);
    }
    return value;
  }

  hex(value: unknown, what: string, bits: number, fallback?: bigint): bigint {
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value !== 'string' || !/^[0-9a-f]+$/i.test(value) || value.length > bits / 4) {
      throw this.fail(`${what} is not a hexadecimal number of at most ${bits} bits`);
    }
    return BigInt(`0x${value}`);
  }

  registers(value: unknown, what: string, bits: number): Map<number, bigint> {
    const out = new Map<number, bigint>();
    if (value === undefined) return out;
    for (const [key, number] of Object.entries(this.object(value, what))) {
      if (!/^([0-9]|[12][0-9]|3[01])$/.test(key)) throw this.fail(`${what}: there is no register ${key}`);
      out.set(Number(key), this.hex(number, `${what}.${key}`, bits));
    }
    return out;
  }

  runs(value: unknown, what: string): Run[] {
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw this.fail(`${what} is not a list`);
    return value.map((entry: unknown, i) => {
      if (!Array.isArray(entry) || entry.length !== 2)
        throw this.fail(`${what}[${i}] is not a pair of address and digits`);
      const [address, hex] = entry as [unknown, unknown];
      if (typeof hex !== 'string' || !/^[0-9a-f]*$/i.test(hex) || (what === 'mem' && hex.length % 2 !== 0)) {
        throw this.fail(`${what}[${i}] has no string of hexadecimal digits`);
      }
      const run = { address: Number(this.hex(address, `${what}[${i}]`, 48)), hex };
      const bytes = what === 'tags' ? hex.length * 16 : hex.length / 2;
      if (run.address < CASE_MEMORY.from || run.address + bytes > CASE_MEMORY.to) {
        throw this.fail(`${what}[${i}] is outside the memory of the cases`);
      }
      return run;
    });
  }
}

/** The names of `out` besides registers and memory. */
const VALUES = ['sp', 'nzcv', 'tco', 'gcr', 'rgsr', 'fpcr', 'fpsr', 'tfsr_el1', 'tfsre0_el1'] as const;

/** Parses one line. Throws InputError where it is not a vector. */
export function parseVector(place: LinePlace): Vector {
  const r = new Reader(place);
  let json: unknown;
  try {
    json = JSON.parse(place.text);
  } catch (error) {
    throw r.fail(`this line is not JSON: ${(error as Error).message}`);
  }
  const top = r.object(json, 'the line');
  const given = r.object(top['in'], 'in');
  const wanted = r.object(top['out'], 'out');
  const code = top['code'];
  if (!Array.isArray(code) || code.length === 0 || code.length > 4096) {
    throw r.fail('code is not a list of instruction words');
  }
  if (typeof top['cls'] !== 'string') throw r.fail('cls is not a string');
  const loose = top['loose'] ?? [];
  if (!Array.isArray(loose)) throw r.fail('loose is not a list');
  const flag = (name: string, fallback: number) => r.integer(given[name], name, 0, 3, fallback);
  const values = new Map<string, bigint>();
  for (const name of VALUES) {
    const value = wanted[name];
    if (value === undefined) continue;
    values.set(
      name,
      typeof value === 'number' ? BigInt(r.integer(value, name, 0, 15)) : r.hex(value, name, 64),
    );
  }
  const exc = wanted['exc'];
  return {
    id: r.integer(top['id'], 'id', 0, Number.MAX_SAFE_INTEGER),
    cls: top['cls'],
    code: code.map((word: unknown, i) => Number(r.hex(word, `code[${i}]`, 32))),
    loose: new Set(loose.map(String)),
    in: {
      el: r.integer(given['el'], 'el', 0, 1) as 0 | 1,
      x: r.registers(given['x'], 'x', 64),
      v: r.registers(given['v'], 'v', 128),
      sp: r.hex(given['sp'], 'sp', 64, 0x41003f00n),
      nzcv: Number(r.hex(given['nzcv'], 'nzcv', 4, 0n)),
      tco: flag('tco', 0),
      tcf: flag('tcf', 0),
      tcfOther: flag('tcf_other', 0),
      ata: flag('ata', 1),
      ataOther: flag('ata_other', 1),
      tbi0: flag('tbi0', 1),
      tbi1: flag('tbi1', 1),
      tcma0: flag('tcma0', 0),
      tcma1: flag('tcma1', 0),
      gcr: r.hex(given['gcr'], 'gcr', 64, 0n),
      rgsr: r.hex(given['rgsr'], 'rgsr', 64, 0n),
      fpcr: r.hex(given['fpcr'], 'fpcr', 64, 0n),
      fpsr: r.hex(given['fpsr'], 'fpsr', 64, 0n),
      mem: r.runs(given['mem'], 'mem'),
      tags: r.runs(given['tags'], 'tags'),
    },
    out: {
      x: r.registers(wanted['x'], 'x', 64),
      v: r.registers(wanted['v'], 'v', 128),
      values,
      pc: r.hex(wanted['pc'], 'pc', 64),
      mem: r.runs(wanted['mem'], 'mem'),
      tags: r.runs(wanted['tags'], 'tags'),
      exc: exc === undefined ? undefined : parseException(r, exc),
    },
  };
}

function parseException(r: Reader, value: unknown): VectorException {
  const exc = r.object(value, 'exc');
  const kind = exc['kind'];
  return {
    esr: r.hex(exc['esr'], 'esr', 64),
    far: exc['far'] === undefined ? undefined : r.hex(exc['far'], 'far', 64),
    vec: exc['vec'] === undefined ? undefined : r.integer(exc['vec'], 'vec', 0, 15),
    kind: typeof kind === 'string' ? kind : undefined,
  };
}
