/**
 * The interpreter's modules: their bytes, compiled once for each process, instantiated for each machine.
 *
 * The build generates the modules and the bundler embeds them, or leaves them files that are read when they
 * are needed (for the command, which must start quickly); run from source, they are generated at first use.
 * The forms that use V registers are a module of their own, compiled when the first is met, and soft-float
 * is another.
 */
import embeddedFloats from '../../../dist/floats.wasm';
import embedded from '../../../dist/interpreter.wasm';
import embeddedVectors from '../../../dist/vectors.wasm';
import { checkFingerprint } from './fingerprint.js';
import {
  FORMS_SECTION,
  generateInterpreter,
  MEMORY_IMPORT,
  RUN_EXPORT,
  readHandlers,
  TABLE_EXPORT,
} from './generate.js';
import { generateFloats, generateVectors } from './generate-vectors.js';
import { FIRST_FORM, FIRST_SOFT_FORM, FIRST_VECTOR_FORM } from './layout.js';
import type { HandlerModules } from './templates.js';

/** The handlers of modules beside the first are in the table from the first call on that asks for them. */
export interface Instance extends HandlerModules {
  /** `cpu`: distance of the CPU's state; gives an `Exit`. */
  readonly run: (cpu: number, fuel: number) => number;
  readonly table: WebAssembly.Table;
}

/** A compiled module and what it has handlers for. */
interface Compiled {
  readonly module: WebAssembly.Module;
  readonly handlers: ReadonlyMap<string, number>;
}

function compile(bytes: Uint8Array<ArrayBuffer>, first: number): Compiled {
  const module = new WebAssembly.Module(bytes);
  checkFingerprint(module);
  const [section] = WebAssembly.Module.customSections(module, FORMS_SECTION);
  return { module, handlers: readHandlers(section!, first) };
}

function decoded(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A module that few programs need, compiled for the first that does. */
class LaterModule {
  readonly #bytes: () => Uint8Array<ArrayBuffer>;
  readonly #first: number;
  #compiled: Compiled | undefined;

  constructor(bytes: () => Uint8Array<ArrayBuffer>, first: number) {
    this.#bytes = bytes;
    this.#first = first;
  }

  /** Gives the handlers; the first call puts them into the table. */
  in(machine: WebAssembly.ModuleImports): () => ReadonlyMap<string, number> {
    let isThere = false;
    return () => {
      this.#compiled ??= compile(this.#bytes(), this.#first);
      if (!isThere) new WebAssembly.Instance(this.#compiled.module, { [MEMORY_IMPORT.module]: machine });
      isThere = true;
      return this.#compiled.handlers;
    };
  }
}

export class InterpreterModule {
  readonly #main: Compiled;
  readonly #vectors: LaterModule;
  readonly #floats: LaterModule;

  constructor(
    bytes: Uint8Array<ArrayBuffer>,
    vectors: () => Uint8Array<ArrayBuffer>,
    floats: () => Uint8Array<ArrayBuffer>,
  ) {
    this.#main = compile(bytes, FIRST_FORM);
    this.#vectors = new LaterModule(vectors, FIRST_VECTOR_FORM);
    this.#floats = new LaterModule(floats, FIRST_SOFT_FORM);
  }

  instantiate(memory: WebAssembly.Memory): Instance {
    const machine = { [MEMORY_IMPORT.name]: memory };
    const { exports } = new WebAssembly.Instance(this.#main.module, { [MEMORY_IMPORT.module]: machine });
    const table = exports[TABLE_EXPORT] as WebAssembly.Table;
    const all = { ...machine, [TABLE_EXPORT]: table };
    return {
      run: exports[RUN_EXPORT] as Instance['run'],
      table,
      handlers: this.#main.handlers,
      vectorHandlers: this.#vectors.in(all),
      softHandlers: this.#floats.in(all),
    };
  }
}

let module: InterpreterModule | undefined;
let readFile: ((name: string) => Uint8Array<ArrayBuffer>) | undefined;

/** Says how to read a file that the build put beside the program; needed where the modules are files. */
export function readModulesWith(read: (name: string) => Uint8Array<ArrayBuffer>): void {
  readFile = read;
}

/** `embedded`: what the bundler made of the import: the module as base64, a file's name, or nothing. */
function bytesOf(
  embedded: string,
  generate: () => { readonly bytes: Uint8Array<ArrayBuffer> },
): Uint8Array<ArrayBuffer> {
  if (embedded === '') return generate().bytes;
  if (!embedded.endsWith('.wasm')) return decoded(embedded);
  if (readFile === undefined)
    throw new Error(`the module ${embedded} is a file, and nobody said how to read it`);
  return readFile(embedded);
}

export function interpreterModule(): InterpreterModule {
  module ??= new InterpreterModule(
    bytesOf(embedded, generateInterpreter),
    () => bytesOf(embeddedVectors, generateVectors),
    () => bytesOf(embeddedFloats, generateFloats),
  );
  return module;
}
