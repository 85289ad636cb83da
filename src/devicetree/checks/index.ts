/** Semantic checks of trees, named and ordered as in dtc 1.6.1. */
import { ERROR_CHECKS } from './errors.js';
import type { Check } from './framework.js';

export type { Check, CheckedTree, CheckSwitches } from './framework.js';
export { runChecks } from './framework.js';

export const CHECKS: readonly Check[] = ERROR_CHECKS;

/** The names that switches take, in order. */
export function checkNames(): string[] {
  return CHECKS.map((c) => c.name);
}
