/** The differential fuzzer against qemu-aarch64: start at `fuzz.ts`. */
export type { FuzzCase, FuzzOutcome, FuzzSignal } from './case.js';
export {
  type FuzzDifference,
  type FuzzFailure,
  type FuzzOptions,
  type FuzzResult,
  fuzz,
  type Oracle,
  renderFailure,
} from './fuzz.js';
export { countRows, FUZZ_CLASSES, fuzzedRows, makeCase } from './generate.js';
export { whyNotAsked } from './open.js';
export { oracleProgram, QEMU_OPTIONS, readOutcomes } from './oracle-program.js';
export { FuzzMachine } from './ours.js';
