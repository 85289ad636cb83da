/**
 * Fault injection by hand: `--fail` of mtemu scenario, and what the series as posted does not stand. The sweep over all
 * scenarios is in fault-injection-1.test.ts and its siblings.
 */
import { expect, it } from 'vitest';
import { findScenario } from '../../src/lab/index.js';
import { mtemu } from '../cli/in-process.js';

it('mtemu scenario run --fail: one of them by hand', async () => {
  const args = ['scenario', 'run', 'R10', '--fail', 'reserve_tag_storage:1'];
  const { status, stdout } = await mtemu(args);
  expect(status).toBe(1);
  expect(stdout).toMatch(/got its block at the second/);
  expect((await mtemu(['scenario', 'run', 'R10', '--fail', 'reserve_tag_storage:2'])).status).toBe(0);
  const wrong = await mtemu(['scenario', 'run', 'R10', '--fail', 'slab']);
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringMatching(/OPERATION:N/)]);
});

it('the series as posted does not stand it: tags are lost where memory for the stash is short', () => {
  const verdict = findScenario('F31')!.run({ policy: 'cma-v3-posted', seed: 0 });
  expect(verdict).toMatchObject({ held: false, invariant: '8' });
});
