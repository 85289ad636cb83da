/**
 * The assembler: GNU syntax in, a program at its addresses out.
 *
 * Start at `assemble.ts` (the two passes); `source.ts` cuts lines, `grammar.ts` reads operands,
 * `directives/` holds what begins with a dot. Instructions are none of its business: it hands operands
 * to `encode` of the instruction set.
 */
export { type AssemblySource, assemble } from './assemble.js';
export type { AssembleOptions } from './assembly.js';
export {
  type AssembledProgram,
  type LineEntry,
  type ProgramSection,
  type ProgramSymbol,
  toFlat,
  toHex,
} from './program.js';
