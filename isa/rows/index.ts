/** All rows, in decode order. */
import type { Row } from '../row.js';
import { rows as addSubImmediate } from './add-sub-immediate.js';

export const ROWS: readonly Row[] = [...addSubImmediate];
