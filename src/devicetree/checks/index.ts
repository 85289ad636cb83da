/** Semantic checks of trees, named and ordered as in dtc 1.6.1. */

import { BUS_CHECKS } from './buses.js';
import { ERROR_CHECKS } from './errors.js';
import { ALIAS_CHECKS, CUSTOM_CHECKS, TYPE_CHECKS } from './formats.js';
import type { Check } from './framework.js';
import { GRAPH_CHECKS } from './graph.js';
import { PROVIDER_CHECKS } from './providers.js';

export type { Check, CheckedTree, CheckSwitches } from './framework.js';
export { runChecks } from './framework.js';
export { type PhandleFormat, Phandles } from './phandles.js';

export const CHECKS: readonly Check[] = [
  ...ERROR_CHECKS,
  ...TYPE_CHECKS,
  ...BUS_CHECKS,
  ...CUSTOM_CHECKS,
  ...PROVIDER_CHECKS,
  ...ALIAS_CHECKS,
  ...GRAPH_CHECKS,
];

/** The names that switches take, in order. */
export function checkNames(): string[] {
  return CHECKS.map((c) => c.name);
}
