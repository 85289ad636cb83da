/**
 * A WebAssembly module under construction: types, one imported memory, one table (its own or imported), functions.
 *
 * Only what generated engines need; sections are written in the order the format wants.
 *
 * Ref. WebAssembly Core Specification 2.0, section 5.5 (modules).
 */
import { i32 } from './code.js';
import { Bytes, encode, type Hint } from './encode.js';
import type { Code, ValueType } from './instruction.js';

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
  /** Elements of an imported table, by place. */
  #elements: ReadonlyMap<number, number> = new Map();
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

  /** Functions by their places in table 0, which is another module's. */
  setElements(functions: ReadonlyMap<number, number>): void {
    this.#elements = functions;
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
    section(out, Section.import, () => {
      out.push(count);
      if (memory !== undefined) {
        text(out, memory.module);
        text(out, memory.name);
        // A memory with a minimum of 0 and a maximum.
        out.append([Kind.memory, 1, 0]);
        out.unsigned(memory.most);
      }
      if (table !== undefined) {
        text(out, table.module);
        text(out, table.name);
        // A minimum of 0 and no maximum.
        out.append([Kind.table, FUNCREF, 0, 0]);
      }
    });
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Bytes();
    out.append(HEADER);
    section(out, Section.type, () => {
      out.unsigned(this.#types.length);
      for (const { params, results } of this.#types) {
        out.push(FUNCTION_TYPE);
        out.unsigned(params.length);
        out.append(params);
        out.unsigned(results.length);
        out.append(results);
      }
    });
    this.#imports(out);
    section(out, Section.function, () => {
      out.unsigned(this.#functions.length);
      for (const { type } of this.#functions) out.unsigned(type);
    });
    if (this.#table.length > 0 && this.#tableImport === undefined) {
      section(out, Section.table, () => {
        out.append([1, FUNCREF, 0]);
        out.unsigned(this.#tableSize);
      });
    }
    section(out, Section.export, () => {
      out.unsigned(this.#exports.length);
      for (const { name, kind, index } of this.#exports) {
        text(out, name);
        out.push(kind);
        out.unsigned(index);
      }
    });
    const segments = this.#segments();
    if (segments.length > 0) {
      section(out, Section.element, () => {
        out.unsigned(segments.length);
        for (const { first, functions } of segments) {
          // An active segment for table 0.
          out.push(0);
          encode(i32.const(first), out);
          out.push(END);
          out.unsigned(functions.length);
          for (const index of functions) out.unsigned(index);
        }
      });
    }
    this.#code(out);
    for (const { name, bytes } of this.#customs) {
      section(out, Section.custom, () => {
        text(out, name);
        out.append(bytes);
      });
    }
    return out.finish();
  }

  /** Elements that follow one another, together. */
  #segments(): { first: number; functions: number[] }[] {
    const out: { first: number; functions: number[] }[] = [];
    if (this.#table.length > 0) out.push({ first: this.#firstElement, functions: [...this.#table] });
    let next = -1;
    for (const [place, index] of [...this.#elements].sort(([a], [b]) => a - b)) {
      if (place === next) out.at(-1)!.functions.push(index);
      else out.push({ first: place, functions: [index] });
      next = place + 1;
    }
    return out;
  }

  /** The code section, behind the hints for it, which are known when it has been written. */
  #code(out: Bytes): void {
    const code = new Bytes();
    const hints: Hint[][] = [];
    section(code, Section.code, () => {
      code.unsigned(this.#functions.length);
      for (const body of this.#functions) {
        code.sized(() => {
          const start = code.length;
          const found: Hint[] = [];
          functionBody(code, body, found);
          hints.push(found.map(({ at, isLikely }) => ({ at: at - start, isLikely })));
        });
      }
    });
    branchHints(out, hints);
    out.append(code.finish());
  }
}

function functionBody(out: Bytes, { locals, code }: FunctionBody, hints: Hint[]): void {
  const runs: { type: ValueType; count: number }[] = [];
  for (const type of locals) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  out.unsigned(runs.length);
  for (const { type, count } of runs) {
    out.unsigned(count);
    out.push(type);
  }
  encode(code, out, hints);
  out.push(END);
}

/** Ref. the branch hinting proposal: what does not know the section passes over it. */
function branchHints(out: Bytes, hints: readonly (readonly Hint[])[]): void {
  const hinted = hints.flatMap((of, index) => (of.length === 0 ? [] : [{ index, of }]));
  if (hinted.length === 0) return;
  section(out, Section.custom, () => {
    text(out, 'metadata.code.branch_hint');
    out.unsigned(hinted.length);
    for (const { index, of } of hinted) {
      out.unsigned(index);
      out.unsigned(of.length);
      for (const { at, isLikely } of of) {
        out.unsigned(at);
        // The length of the hint, and the hint.
        out.push(1);
        out.push(isLikely ? 1 : 0);
      }
    }
  });
}

function text(out: Bytes, value: string): void {
  const bytes = new TextEncoder().encode(value);
  out.unsigned(bytes.length);
  out.append(bytes);
}

function section(out: Bytes, id: number, fill: () => void): void {
  out.push(id);
  out.sized(fill);
}
