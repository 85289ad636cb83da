/**
 * A bug of the kernel itself, found while it runs: what BUG_ON, lockdep and might_sleep would say.
 *
 * Thrown, never swallowed: a kernel whose locking is wrong has no defined state to go on from. The
 * guest cannot cause one; a policy with faults (or a test that plants one) can.
 */
export type KernelBugKind =
  /** A SleepPoint, or a call that might sleep, with a spinlock held, in an RCU section or in an interrupt. */
  | 'sleep-in-atomic'
  /** Two lock classes taken in both orders, directly or through others. */
  | 'lock-order'
  /** A lock released by a task that does not hold it. */
  | 'foreign-unlock'
  /** A lock taken again by its holder. */
  | 'recursive-lock'
  /** A lock class used in an interrupt and elsewhere with interrupts enabled. */
  | 'irq-unsafe-lock'
  /** No task can go on. */
  | 'deadlock'
  /** A task ended with a lock held or interrupts off. */
  | 'unbalanced'
  /** A state that must not exist (BUG_ON). */
  | 'bug';

export class KernelBug extends Error {
  readonly kind: KernelBugKind;

  constructor(kind: KernelBugKind, message: string) {
    super(message);
    this.name = 'KernelBug';
    this.kind = kind;
  }
}
