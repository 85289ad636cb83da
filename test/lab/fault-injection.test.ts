/**
 * Every scenario again, with the n-th allocation, migration or disk operation made to fail: a story may be refused
 * what it asks for, but no invariant breaks, no byte or tag is lost, and nothing leaks.
 */
import { expect, it } from 'vitest';
import { lruAddDrainAll, unusedPages } from '../../src/kernel/index.js';
import { findScenario, type Scenario, scenarios, type Verdict, type World } from '../../src/lab/index.js';
import { mtemu } from '../cli/in-process.js';

/** A story's own rules may be broken: it is refused what it counts on. What no refusal excuses. */
const BUGS = [
  'lock-order',
  'foreign-unlock',
  'recursive-lock',
  'irq-unsafe-lock',
  'deadlock',
  'unbalanced',
  'bug',
];
const NEVER = new Set(['1', '2', '4', '5', '6', '7', '8', '9', '10', ...BUGS]);
const HANGS = /has not returned|still not done/;

/**
 * MTEMU_FULL_SWEEP=1: every call. Else those that differ by who called whom on the way to them, down from the line of
 * the story: the first and the last of each such chain. What a loop of the story asks for again and again
 * is one of them.
 */
const everyCall = process.env['MTEMU_FULL_SWEEP'] !== undefined;
// The chains are longer than what is noted of them otherwise.
Error.stackTraceLimit = 100;

function callsToFail(chains: ReadonlyMap<string, readonly number[]>): number[] {
  const wanted = new Set<number>();
  for (const numbers of chains.values()) {
    for (const nth of everyCall ? numbers : [numbers[0]!, numbers.at(-1)!]) wanted.add(nth);
  }
  return [...wanted].sort((x, y) => x - y);
}

/** Pages that the story leaves in use when its programs have ended. */
function leftInUse(k: World): number {
  k.mm.shouldFail = () => false;
  for (const program of [...k.programs]) program.exit();
  k.run(lruAddDrainAll(k.mm));
  return k.mm.totalramPages() - unusedPages(k.mm);
}

interface Outcome {
  readonly verdict: Verdict;
  readonly callers: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>;
  readonly left: number;
  readonly violations: readonly unknown[];
}

function tell(scenario: Scenario, fail: { readonly operation: string; readonly nth: number }): Outcome {
  let seen: Omit<Outcome, 'verdict'> = { callers: new Map(), left: 0, violations: [] };
  const verdict = scenario.run({
    policy: 'cma',
    seed: 0,
    schedule: '',
    fail,
    afterwards(k) {
      const left = leftInUse(k);
      seen = { callers: k.callers, left, violations: k.manager.checkInvariants() };
    },
  });
  return { ...seen, verdict };
}

let failed = 0;

it.each(scenarios().map((scenario) => [scenario.id, scenario] as const))('%s', (_id, scenario) => {
  const whole = tell(scenario, { operation: 'none', nth: 1 });
  expect(whole.verdict).toMatchObject({ held: true });
  for (const [operation, chains] of whole.callers) {
    for (const nth of callsToFail(chains)) {
      const { verdict, left, violations } = tell(scenario, { operation, nth });
      const where = `${operation} ${nth}: ${verdict.detail}`;
      failed++;
      expect(violations, where).toEqual([]);
      if (verdict.held) expect(left, where).toBeLessThanOrEqual(whole.left);
      expect(NEVER.has(verdict.invariant ?? ''), `${where} (${verdict.invariant})`).toBe(false);
      expect(where).not.toMatch(HANGS);
    }
  }
});

it('mtemu scenario run --fail: one of them by hand', async () => {
  const args = ['scenario', 'run', 'R10', '--fail', 'reserve_tag_storage:1'];
  const { status, stdout } = await mtemu(args);
  expect(status).toBe(1);
  expect(stdout).toMatch(/got its block at the second/);
  expect((await mtemu(['scenario', 'run', 'R10', '--fail', 'reserve_tag_storage:2'])).status).toBe(0);
  const wrong = await mtemu(['scenario', 'run', 'R10', '--fail', 'slab']);
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringMatching(/OPERATION:N/)]);
});

it('that was a sweep', () => expect(failed).toBeGreaterThan(350));

it('the series as posted does not stand it: tags are lost where memory for the stash is short', () => {
  const verdict = findScenario('F31')!.run({ policy: 'cma-v3-posted', seed: 0 });
  expect(verdict).toMatchObject({ held: false, invariant: '8' });
});
