/**
 * A WebAssembly module under construction: types, one imported memory, one table (its own or imported), functions.
 *
 * Only what generated engines need; sections are written in the order the format wants.
 *
 * Ref. WebAssembly Core Specification 2.0, section 5.5 (modules).
 */
import { Bytes, type Code, encode, i32, unsigned, type ValueType } from './code.js';

export interface Signature {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

interface FunctionBody {
  readonly type: number;
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const Section = { custom: 0, type: 1, import: 2, function: 3, table: 4, export: 7, element: 9, code: 10 };
const Kind = { function: 0, table: 1, memory: 2 };
const FUNCTION_TYPE = 0x60;
const FUNCREF = 0x70;
const END = 0x0b;

export class ModuleWriter {
  readonly #types: Signature[] = [];
  readonly #functions: FunctionBody[] = [];
  readonly #exports: { readonly name: string; readonly kind: number; readonly index: number }[] = [];
  readonly #customs: { readonly name: string; readonly bytes: Uint8Array }[] = [];
  #memory: { readonly module: string; readonly name: string; readonly most: number } | undefined;
  #table: readonly number[] = [];
  #firstElement = 0;
  #tableSize = 0;
  #tableImport: { readonly module: string; readonly name: string } | undefined;

  /** The index of a signature, the same for equal ones. */
  type(params: readonly ValueType[], results: readonly ValueType[]): number {
    const same = (a: readonly ValueType[], b: readonly ValueType[]) =>
      a.length === b.length && a.every((t, i) => t === b[i]);
    const known = this.#types.findIndex((t) => same(t.params, params) && same(t.results, results));
    if (known >= 0) return known;
    this.#types.push({ params, results });
    return this.#types.length - 1;
  }

  /** `most`: pages of 64 KiB that the memory may have. */
  importMemory(module: string, name: string, most: number): void {
    this.#memory = { module, name, most };
  }

  /** Adds a function and gives its index. `locals` come after the parameters. */
  addFunction(type: number, locals: readonly ValueType[], code: Code): number {
    this.#functions.push({ type, locals, code });
    return this.#functions.length - 1;
  }

  exportFunction(name: string, index: number): void {
    this.#exports.push({ name, kind: Kind.function, index });
  }

  /** Table 0: these functions from element `first`; `size` elements in all, where the table is the module's own. */
  setTable(functions: readonly number[], first = 0, size = first + functions.length): void {
    this.#table = functions;
    this.#firstElement = first;
    this.#tableSize = size;
  }

  /** Table 0 is another module's, of any size. */
  importTable(module: string, name: string): void {
    this.#tableImport = { module, name };
  }

  exportTable(name: string): void {
    this.#exports.push({ name, kind: Kind.table, index: 0 });
  }

  addCustom(name: string, bytes: Uint8Array): void {
    this.#customs.push({ name, bytes });
  }

  #imports(out: Bytes): void {
    const memory = this.#memory;
    const table = this.#tableImport;
    const count = Number(memory !== undefined) + Number(table !== undefined);
    if (count === 0) return;
    section(out, Section.import, (s) => {
      s.push(count);
      if (memory !== undefined) {
        text(s, memory.module);
        text(s, memory.name);
        // A memory with a minimum of 0 and a maximum.
        s.append([Kind.memory, 1, 0]);
        s.append(unsigned(memory.most));
      }
      if (table !== undefined) {
        text(s, table.module);
        text(s, table.name);
        // A minimum of 0 and no maximum.
        s.append([Kind.table, FUNCREF, 0, 0]);
      }
    });
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Bytes();
    out.append(HEADER);
    section(out, Section.type, (s) => {
      s.append(unsigned(this.#types.length));
      for (const { params, results } of this.#types) {
        s.push(FUNCTION_TYPE);
        s.append(unsigned(params.length));
        s.append(params);
        s.append(unsigned(results.length));
        s.append(results);
      }
    });
    this.#imports(out);
    section(out, Section.function, (s) => {
      s.append(unsigned(this.#functions.length));
      for (const { type } of this.#functions) s.append(unsigned(type));
    });
    if (this.#table.length > 0 && this.#tableImport === undefined) {
      section(out, Section.table, (s) => {
        s.append([1, FUNCREF, 0]);
        s.append(unsigned(this.#tableSize));
      });
    }
    section(out, Section.export, (s) => {
      s.append(unsigned(this.#exports.length));
      for (const { name, kind, index } of this.#exports) {
        text(s, name);
        s.push(kind);
        s.append(unsigned(index));
      }
    });
    if (this.#table.length > 0) {
      section(out, Section.element, (s) => {
        // One active segment for table 0.
        s.append([1, 0]);
        encode([i32.const(this.#firstElement)], s);
        s.push(END);
        s.append(unsigned(this.#table.length));
        for (const index of this.#table) s.append(unsigned(index));
      });
    }
    section(out, Section.code, (s) => {
      s.append(unsigned(this.#functions.length));
      for (const body of this.#functions) sized(s, (f) => functionBody(f, body));
    });
    for (const { name, bytes } of this.#customs) {
      section(out, Section.custom, (s) => {
        text(s, name);
        s.append(bytes);
      });
    }
    return out.finish();
  }
}

function functionBody(out: Bytes, { locals, code }: FunctionBody): void {
  const runs: { type: ValueType; count: number }[] = [];
  for (const type of locals) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  out.append(unsigned(runs.length));
  for (const { type, count } of runs) {
    out.append(unsigned(count));
    out.push(type);
  }
  encode(code, out);
  out.push(END);
}

function text(out: Bytes, value: string): void {
  const bytes = new TextEncoder().encode(value);
  out.append(unsigned(bytes.length));
  out.append(bytes);
}

function sized(out: Bytes, fill: (inner: Bytes) => void): void {
  const inner = new Bytes();
  fill(inner);
  out.append(unsigned(inner.length));
  out.append(inner.finish());
}

function section(out: Bytes, id: number, fill: (inner: Bytes) => void): void {
  out.push(id);
  sized(out, fill);
}
