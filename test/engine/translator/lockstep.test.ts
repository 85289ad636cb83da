/**
 * Translated code against the evaluator: random programs in hot loops, whose states must be equal
 * whenever either engine stops.
 */
import { describe } from 'vitest';
import { testTranslatedCode } from './random-loops.js';

describe('translated code', () => {
  testTranslatedCode(Number(process.env['LOCKSTEP_SEEDS'] ?? 12));
});
