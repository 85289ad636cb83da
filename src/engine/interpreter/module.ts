/**
 * The interpreter's modules: their bytes, compiled once for each process, instantiated for each machine.
 *
 * The build generates the modules and the bundler embeds them, or leaves them files that are read when they
 * are needed (for the command, which must start quickly); run from source, they are generated at first use.
 * The forms that use V registers are a module of their own, compiled when the first is met.
 */
import embedded from '../../../dist/interpreter.wasm';
import embeddedVectors from '../../../dist/vectors.wasm';
import { checkFingerprint } from './fingerprint.js';
import {
  FORMS_SECTION,
  generateInterpreter,
  generateVectors,
  MEMORY_IMPORT,
  RUN_EXPORT,
  readHandlers,
  TABLE_EXPORT,
} from './generate.js';
import { FIRST_FORM, FIRST_VECTOR_FORM } from './layout.js';

export interface Instance {
  /** `cpu`: distance of the CPU's state; gives an `Exit`. */
  readonly run: (cpu: number, fuel: number) => number;
  readonly table: WebAssembly.Table;
  /** Handlers by key of form. */
  readonly handlers: ReadonlyMap<string, number>;
  /** The same of forms that use V registers; they are in the table from the first call on. */
  readonly vectorHandlers: () => ReadonlyMap<string, number>;
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

export class InterpreterModule {
  readonly #main: Compiled;
  readonly #vectorBytes: () => Uint8Array<ArrayBuffer>;
  #vectors: Compiled | undefined;

  constructor(bytes: Uint8Array<ArrayBuffer>, vectorBytes: () => Uint8Array<ArrayBuffer>) {
    this.#main = compile(bytes, FIRST_FORM);
    this.#vectorBytes = vectorBytes;
  }

  instantiate(memory: WebAssembly.Memory): Instance {
    const machine = { [MEMORY_IMPORT.name]: memory };
    const { exports } = new WebAssembly.Instance(this.#main.module, { [MEMORY_IMPORT.module]: machine });
    const table = exports[TABLE_EXPORT] as WebAssembly.Table;
    let isThere = false;
    return {
      run: exports[RUN_EXPORT] as Instance['run'],
      table,
      handlers: this.#main.handlers,
      vectorHandlers: () => {
        this.#vectors ??= compile(this.#vectorBytes(), FIRST_VECTOR_FORM);
        if (!isThere) {
          const imports = { [MEMORY_IMPORT.module]: { ...machine, [TABLE_EXPORT]: table } };
          new WebAssembly.Instance(this.#vectors.module, imports);
          isThere = true;
        }
        return this.#vectors.handlers;
      },
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
  module ??= new InterpreterModule(bytesOf(embedded, generateInterpreter), () =>
    bytesOf(embeddedVectors, generateVectors),
  );
  return module;
}
