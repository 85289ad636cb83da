/** Experiments: conformance vectors, the differential fuzzer, pictures of tag storage. */
export { allocationRate } from './allocation-rate.js';
export * from './conform.js';
export * from './fuzz/index.js';
export * from './model/index.js';
export * from './picture.js';
export {
  findScenario,
  type RunOptions,
  runScenario,
  type Scenario,
  scenarios,
  type Verdict,
  type Waiting,
  waitingScenarios,
} from './scenarios/index.js';
