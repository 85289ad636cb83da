/** Every tag storage policy there is, by name. */
import { cmaPolicy } from './cma.js';
import { cmaV2PostedPolicy } from './cma-v2-posted.js';
import { cmaV3PostedPolicy } from './cma-v3-posted.js';
import type { PolicyFactory } from './policy.js';
import { staticPolicy } from './static.js';

const POLICIES: readonly PolicyFactory[] = [staticPolicy, cmaPolicy, cmaV3PostedPolicy, cmaV2PostedPolicy];

/** For listings: name and summary of each. */
export const policies = (): readonly PolicyFactory[] => POLICIES;

export const findPolicy = (name: string): PolicyFactory | undefined =>
  POLICIES.find((policy) => policy.name === name);
