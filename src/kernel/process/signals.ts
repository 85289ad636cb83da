/**
 * Signals: what is pending, blocked and handled, and which comes next.
 *
 * A set of signals is a 64-bit word, signal N in bit N - 1, as user space has it. Standard signals are
 * pending once, real-time signals queue.
 *
 * Ref. kernel/signal.c (send_signal_locked, prepare_signal, force_sig_info_to_task, dequeue_signal,
 * get_signal).
 */
import { SIGNAL, SIGNALS, SIGRTMIN } from './abi.js';
import type { SignalInfo } from './siginfo.js';

export const SIG_DFL = 0n;
export const SIG_IGN = 1n;

export interface SignalAction {
  readonly handler: bigint;
  /** sa_flags, as an unsigned 32-bit number. */
  readonly flags: number;
  readonly restorer: bigint;
  readonly mask: bigint;
}
export const DEFAULT_ACTION: SignalAction = { handler: SIG_DFL, flags: 0, restorer: 0n, mask: 0n };

export const sigbit = (signo: number): bigint => 1n << BigInt(signo - 1);
const setOf = (...signals: number[]): bigint => signals.reduce((set, n) => set | sigbit(n), 0n);

/** Cannot be blocked, ignored or handled. */
export const UNBLOCKABLE = setOf(SIGNAL.SIGKILL, SIGNAL.SIGSTOP);
/** Caused by the thread's own instruction: delivered before others. */
const SYNCHRONOUS = setOf(
  SIGNAL.SIGSEGV,
  SIGNAL.SIGBUS,
  SIGNAL.SIGILL,
  SIGNAL.SIGTRAP,
  SIGNAL.SIGFPE,
  SIGNAL.SIGSYS,
);
const IGNORED_BY_DEFAULT = setOf(SIGNAL.SIGCONT, SIGNAL.SIGCHLD, SIGNAL.SIGWINCH, SIGNAL.SIGURG);
const STOP = setOf(SIGNAL.SIGSTOP, SIGNAL.SIGTSTP, SIGNAL.SIGTTIN, SIGNAL.SIGTTOU);
const DUMPS_CORE = setOf(
  SIGNAL.SIGQUIT,
  SIGNAL.SIGILL,
  SIGNAL.SIGTRAP,
  SIGNAL.SIGABRT,
  SIGNAL.SIGFPE,
  SIGNAL.SIGSEGV,
  SIGNAL.SIGBUS,
  SIGNAL.SIGSYS,
  SIGNAL.SIGXCPU,
  SIGNAL.SIGXFSZ,
);

export type DefaultAction = 'ignore' | 'stop' | 'terminate';
export function defaultAction(signo: number): DefaultAction {
  const bit = sigbit(signo);
  if ((IGNORED_BY_DEFAULT & bit) !== 0n) return 'ignore';
  return (STOP & bit) !== 0n ? 'stop' : 'terminate';
}

export const stops = (signo: number): boolean => (STOP & sigbit(signo)) !== 0n;
export const dumpsCore = (signo: number): boolean => (DUMPS_CORE & sigbit(signo)) !== 0n;

/** struct sighand_struct: one a process, shared by its threads. */
export class SignalActions {
  readonly #actions: SignalAction[] = new Array<SignalAction>(SIGNALS + 1).fill(DEFAULT_ACTION);

  get(signo: number): SignalAction {
    return this.#actions[signo] ?? DEFAULT_ACTION;
  }

  set(signo: number, action: SignalAction): void {
    this.#actions[signo] = action;
  }

  /** sig_ignored(), blocking aside. */
  ignores(signo: number): boolean {
    const { handler } = this.get(signo);
    return handler === SIG_IGN || (handler === SIG_DFL && defaultAction(signo) === 'ignore');
  }

  clone(): SignalActions {
    const copy = new SignalActions();
    for (let n = 1; n <= SIGNALS; n++) copy.set(n, this.get(n));
    return copy;
  }

  /** flush_signal_handlers(): execve keeps what is ignored only. */
  flushHandlers(): void {
    for (let n = 1; n <= SIGNALS; n++) {
      this.set(n, this.get(n).handler === SIG_IGN ? { ...DEFAULT_ACTION, handler: SIG_IGN } : DEFAULT_ACTION);
    }
  }
}

/** Queued real-time signals beyond this are refused with EAGAIN, whatever RLIMIT_SIGPENDING says. */
const MOST_QUEUED = 4096;

/** struct sigpending. */
export class SignalQueue {
  readonly #infos: SignalInfo[] = [];
  #set = 0n;

  get set(): bigint {
    return this.#set;
  }

  get length(): number {
    return this.#infos.length;
  }

  /** False where a real-time signal finds the queue full. */
  add(info: SignalInfo): boolean {
    const bit = sigbit(info.signo);
    if (info.signo < SIGRTMIN && (this.#set & bit) !== 0n) return true;
    if (this.#infos.length >= MOST_QUEUED) return false;
    this.#set |= bit;
    this.#infos.push(info);
    return true;
  }

  /** The next signal outside `blocked`: those of the thread's own doing first, then the lowest number. */
  take(blocked: bigint): SignalInfo | undefined {
    const open = this.#set & ~blocked;
    if (open === 0n) return undefined;
    const first = (open & SYNCHRONOUS) !== 0n ? open & SYNCHRONOUS : open;
    const lowest = first & -first;
    const at = this.#infos.findIndex((info) => sigbit(info.signo) === lowest);
    const [info] = this.#infos.splice(at, 1);
    if (!this.#infos.some((other) => other.signo === info!.signo)) this.#set &= ~lowest;
    return info;
  }

  /** The signal at a place of the queue, which stays there. */
  peek(index: bigint): SignalInfo | undefined {
    return index < BigInt(this.#infos.length) ? this.#infos[Number(index)] : undefined;
  }

  /** flush_sigqueue_mask(). */
  drop(signals: bigint): void {
    if ((this.#set & signals) === 0n) return;
    this.#set &= ~signals;
    for (let i = this.#infos.length - 1; i >= 0; i--) {
      if ((sigbit(this.#infos[i]!.signo) & signals) !== 0n) this.#infos.splice(i, 1);
    }
  }
}
