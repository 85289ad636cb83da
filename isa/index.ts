/**
 * The instruction set: encodings, syntax, semantics and system registers, one definition of each.
 *
 * Start at `row.ts` (what a row is), then `rows/` (the rows, by class) and `operands/` (how operands
 * read, print and parse). `builder.ts` is the language semantics are written in.
 */
export * from './builder.js';
export * from './decode.js';
export * from './disassemble.js';
export * from './effects.js';
export * from './encode.js';
export * from './features.js';
export * from './footprint.js';
export * from './row.js';
export { ROWS } from './rows/index.js';
export * from './syntax.js';
export * from './sysregs/index.js';
export * from './undefined.js';
