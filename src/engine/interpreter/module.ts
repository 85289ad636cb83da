/**
 * The interpreter's module: its bytes, compiled once for each process, instantiated for each machine.
 *
 * The build generates the module and the bundler embeds it; run from source, it is generated at first use.
 */
import embedded from '../../../dist/interpreter.wasm';
import {
  FORMS_SECTION,
  generateInterpreter,
  MEMORY_IMPORT,
  RUN_EXPORT,
  readHandlers,
  TABLE_EXPORT,
} from './generate.js';

export interface Instance {
  /** `cpu`: distance of the CPU's state; gives an `Exit`. */
  readonly run: (cpu: number, fuel: number) => number;
  readonly table: WebAssembly.Table;
  /** Handlers by key of form. */
  readonly handlers: ReadonlyMap<string, number>;
}

export class InterpreterModule {
  readonly #module: WebAssembly.Module;
  readonly #handlers: ReadonlyMap<string, number>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#module = new WebAssembly.Module(bytes);
    this.#handlers = readHandlers(WebAssembly.Module.customSections(this.#module, FORMS_SECTION)[0]!);
  }

  instantiate(memory: WebAssembly.Memory): Instance {
    const instance = new WebAssembly.Instance(this.#module, {
      [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.name]: memory },
    });
    return {
      run: instance.exports[RUN_EXPORT] as Instance['run'],
      table: instance.exports[TABLE_EXPORT] as WebAssembly.Table,
      handlers: this.#handlers,
    };
  }
}

let module: InterpreterModule | undefined;

export function interpreterModule(): InterpreterModule {
  module ??= new InterpreterModule(
    embedded === '' ? generateInterpreter().bytes : Uint8Array.from(atob(embedded), (c) => c.charCodeAt(0)),
  );
  return module;
}
