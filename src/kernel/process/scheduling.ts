/**
 * Scheduling attributes of a thread: kept, inherited and shown. The run queue does not look at them.
 *
 * Ref. include/uapi/linux/sched.h, sched(7).
 */
export const SCHED = { NORMAL: 0, FIFO: 1, RR: 2, BATCH: 3, IDLE: 5, DEADLINE: 6 } as const;

export interface Scheduling {
  readonly policy: number;
  /** -20..19. */
  readonly nice: number;
  /** 1..99 of the real-time policies, else 0. */
  readonly priority: number;
  readonly resetOnFork: boolean;
}

export const DEFAULT_SCHEDULING: Scheduling = {
  policy: SCHED.NORMAL,
  nice: 0,
  priority: 0,
  resetOnFork: false,
};

/** sched_fork(): what a child starts with. */
export function childScheduling(parent: Scheduling): Scheduling {
  if (!parent.resetOnFork) return parent;
  const realTime = parent.policy === SCHED.FIFO || parent.policy === SCHED.RR;
  return { ...DEFAULT_SCHEDULING, nice: realTime ? 0 : Math.max(0, parent.nice) };
}
