/**
 * A task: one thread of kernel execution, on a CPU.
 *
 * It carries what Linux keeps in task_struct and preempt_count that locking rules need: spinlock
 * nesting, interrupts off, RCU depth, the locks held in order of taking, and a pending fatal signal
 * (which makes alloc_contig_range give up with -EINTR).
 */

/** What a task holds: enough for lockdep and for reports. */
export interface HeldLock {
  readonly name: string;
  readonly classId: number;
}

export class Task {
  readonly id: number;
  readonly name: string;
  /** The CPU it runs on, or ran on last; only a run queue changes it, while the task sleeps. */
  cpu: number;
  /** cpus_mask: bit N allows CPU N. */
  cpusAllowed = -1;
  /** An interrupt handler: runs on its CPU over whatever is there, if interrupts are on. */
  readonly interrupt: boolean;
  /** Spinlocks held and explicit preempt_disable. */
  preemptCount = 0;
  /** Depth of local_irq_save. */
  irqsOff = 0;
  rcuDepth = 0;
  /** Locks held, in order of taking. */
  readonly held: HeldLock[] = [];
  /** PF_MEMALLOC: reclaims memory itself, and may use the reserves. */
  memalloc = false;
  /** fatal_signal_pending(current). */
  fatalSignalPending = false;

  constructor(id: number, name: string, cpu: number, interrupt = false) {
    this.id = id;
    this.name = name;
    this.cpu = cpu;
    this.interrupt = interrupt;
  }

  /** True where sleeping is forbidden (in_atomic() || irqs_disabled() || rcu). */
  get atomic(): boolean {
    return this.preemptCount > 0 || this.irqsOff > 0 || this.rcuDepth > 0 || this.interrupt;
  }

  /** Why sleeping is forbidden, for reports. */
  describeAtomic(): string {
    const reasons: string[] = [];
    if (this.interrupt) reasons.push('in an interrupt');
    if (this.rcuDepth > 0) reasons.push('in an RCU read section');
    if (this.irqsOff > 0) reasons.push('with interrupts off');
    if (this.preemptCount > 0) reasons.push('with preemption off');
    if (this.held.length > 0) reasons.push(`holding ${this.held.map((lock) => lock.name).join(', ')}`);
    return reasons.join(', ');
  }
}
