/**
 * The sweep of fault injection: every scenario again, once for each call of an operation that can fail, with that call
 * failing. A story may be refused what it asks for, but no invariant breaks, no byte or tag is lost, and nothing leaks.
 * Shared out among test files, which run at the same time.
 */
import { expect, it } from 'vitest';
import { lruAddDrainAll, unusedPages } from '../../src/kernel/index.js';
import { type Scenario, scenarios, type Verdict, type World } from '../../src/lab/index.js';

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

/** Seconds a busy machine may need for the longest of them. */
const TIMEOUT = 600_000;

/** Files that share the scenarios. */
export const SHARES = 2;

/** Pages that the story leaves in use when its programs have ended. */
function leftInUse(k: World): number {
  k.mm.shouldFail = () => false;
  for (const program of [...k.programs]) program.exit();
  k.run(lruAddDrainAll(k.mm));
  return k.mm.totalramPages() - unusedPages(k.mm);
}

interface Outcome {
  readonly verdict: Verdict;
  /** Calls of each operation. */
  readonly calls: ReadonlyMap<string, number>;
  readonly left: number;
  readonly violations: readonly unknown[];
}

function tell(scenario: Scenario, fail: { readonly operation: string; readonly nth: number }): Outcome {
  let seen: Omit<Outcome, 'verdict'> = { calls: new Map(), left: 0, violations: [] };
  const verdict = scenario.run({
    policy: 'cma',
    seed: 0,
    schedule: '',
    fail,
    afterwards(k) {
      const calls = new Map(k.calls);
      const left = leftInUse(k);
      seen = { calls, left, violations: k.manager.checkInvariants() };
    },
  });
  return { ...seen, verdict };
}

/**
 * Sweeps one share of the scenarios.
 *
 * @param share 0 to SHARES - 1.
 * @param atLeast calls of each operation that were made to fail; fewer mean that the sweep has shrunk.
 */
export function sweep(share: number, atLeast: Readonly<Record<string, number>>): void {
  const failed = new Map<string, number>();
  const mine = scenarios().filter((_, i) => i % SHARES === share);
  it.each(mine.map((scenario) => [scenario.id, scenario] as const))(
    '%s',
    { timeout: TIMEOUT },
    (_, scenario) => {
      const whole = tell(scenario, { operation: 'none', nth: 1 });
      expect(whole.verdict).toMatchObject({ held: true });
      for (const [operation, calls] of whole.calls) {
        failed.set(operation, (failed.get(operation) ?? 0) + calls);
        for (let nth = 1; nth <= calls; nth++) {
          const { verdict, left, violations } = tell(scenario, { operation, nth });
          const where = `${operation} ${nth}: ${verdict.detail}`;
          expect(violations, where).toEqual([]);
          if (verdict.held) expect(left, where).toBeLessThanOrEqual(whole.left);
          expect(NEVER.has(verdict.invariant ?? ''), `${where} (${verdict.invariant})`).toBe(false);
          expect(where).not.toMatch(HANGS);
        }
      }
    },
  );

  it('that was a sweep: of every operation, no fewer calls failed than there were', () => {
    const fewer = Object.entries(atLeast).filter(([operation, n]) => (failed.get(operation) ?? 0) < n);
    expect(fewer, JSON.stringify(Object.fromEntries(failed))).toEqual([]);
  });
}
