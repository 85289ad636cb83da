/**
 * Whether this host's WebAssembly has tail calls, with which regions go on to one another directly.
 *
 * Without them every region returns to the interpreter's loop, which enters the next.
 */
import { i32, ModuleWriter, returnCall, ValueType } from '../wasm/index.js';

let known: boolean | undefined;

export function hasTailCalls(): boolean {
  if (known === undefined) {
    const module = new ModuleWriter();
    module.addFunction(module.type([], [ValueType.i32]), [], returnCall(1));
    module.addFunction(module.type([], [ValueType.i32]), [], i32.const(0));
    known = WebAssembly.validate(module.finish());
  }
  return known;
}
