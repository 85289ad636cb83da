/** All rows, in decode order. */
import type { Row } from '../row.js';
import { rows as addSubImmediate } from './add-sub-immediate.js';
import { rows as loadLiteral } from './load-literal.js';
import { rows as loadStoreImmediate } from './load-store-immediate.js';
import { rows as loadStorePair } from './load-store-pair.js';
import { rows as loadStoreRegister } from './load-store-register.js';

export const ROWS: readonly Row[] = [
  ...addSubImmediate,
  ...loadLiteral,
  ...loadStoreImmediate,
  ...loadStorePair,
  ...loadStoreRegister,
];
