/** The conformance vectors of floating point and SIMD in generated code: what the evaluator gives. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runVectors } from '../../src/lab/index.js';

const VECTORS = join(new URL('../..', import.meta.url).pathname, '../shared/vectors/cpu');

const exists = existsSync(VECTORS);

describe.skipIf(!exists)('conformance of generated code [needs ../shared/vectors]', () => {
  // The body runs where the tests are skipped, too.
  const cases = (exists ? ['fp', 'simd', 'vldst', 'crypto'] : []).flatMap((name) => {
    return readFileSync(join(VECTORS, `${name}.jsonl`), 'utf8').split('\n');
  });

  it.each(['interpret', 'translate'])('holds for floating point and SIMD: %s', (engine) => {
    const result = runVectors(cases, { engine });
    // What the evaluator fails is explained in conform.test.ts.
    expect(result).toEqual(runVectors(cases, { engine: 'evaluate' }));
    expect(result.passed).toBeGreaterThan(2000);
  });
});
