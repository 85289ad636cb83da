/** Writing WebAssembly modules. */
export * from './code.js';
export * from './encode.js';
export * from './float.js';
export { type Code, Label, ValueType } from './instruction.js';
export * from './module.js';
export { Routine, type Variable } from './routine.js';
export * from './simd.js';
