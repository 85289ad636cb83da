/**
 * The scenarios of tag-storage.md section 10: bugs and races of the series, each a small story with what a
 * correct kernel does.
 */
import { BOOTING } from './booting.js';
import { BUILDING } from './building.js';
import { COPIES } from './copies.js';
import { DEBUGGING } from './debugging.js';
import { HIBERNATING } from './hibernating.js';
import { HUGE_PAGES } from './huge-pages.js';
import { MERGING } from './merging.js';
import { RACES } from './races.js';
import { RESERVING } from './reserving.js';
import type { RunOptions, Scenario, Verdict, Waiting } from './scenario.js';
import { SWAPPING } from './swapping.js';
import { WAITING } from './waiting.js';
import { World } from './world.js';

export { Program } from './program.js';
export type { RunOptions, Scenario, Verdict, Waiting } from './scenario.js';
export { Broken, World, type WorldOptions } from './world.js';

/** R1, R2, ..., F1, F2, ... */
const inOrder = (a: { readonly id: string }, b: { readonly id: string }): number =>
  a.id[0] === b.id[0] ? Number(a.id.slice(1)) - Number(b.id.slice(1)) : a.id[0] === 'R' ? -1 : 1;

const ALL: readonly Scenario[] = [
  ...RESERVING,
  ...RACES,
  ...COPIES,
  ...DEBUGGING,
  ...BOOTING,
  ...BUILDING,
  ...SWAPPING,
  ...HUGE_PAGES,
  ...MERGING,
  ...HIBERNATING,
].sort(inOrder);

/** Those that can be run. */
export const scenarios = (): readonly Scenario[] => ALL;

/** Those that cannot, with the reason. */
export const waitingScenarios = (): readonly Waiting[] => [...WAITING].sort(inOrder);

export const findScenario = (id: string): Scenario | undefined => ALL.find((scenario) => scenario.id === id);

/** Tells a scenario. Where the policy lends no tag storage, none of them can happen. */
export function runScenario(scenario: Scenario, options: RunOptions): Verdict {
  if (new World(options.policy, {}, options.seed).tagStorageEnabled) return scenario.run(options);
  const detail = `does not arise: under ${options.policy} tag storage holds nothing but tags`;
  return { held: true, invariant: null, step: null, detail };
}
