/** Experiments: conformance vectors, the differential fuzzer, pictures of tag storage. */
export { allocationRate } from './allocation-rate.js';
export * from './conform.js';
export {
  bootContentFree,
  type ContentFree,
  type ContentFreeOptions,
  ContentFreePort,
} from './content-free.js';
export * from './fuzz/index.js';
export {
  BENCH_SIZES,
  type BenchAmounts,
  FULL_AMOUNTS,
  type KernelBench,
  type KernelOperation,
  kernelBench,
  type Work,
} from './kernel-bench.js';
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
  type World,
  waitingScenarios,
} from './scenarios/index.js';
