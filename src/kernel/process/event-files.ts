/**
 * Files that tell of timers and signals: timerfd and signalfd.
 *
 * Ref. fs/timerfd.c, fs/signalfd.c; include/uapi/linux/signalfd.h (128 bytes a signal).
 */
import {
  EAGAIN,
  EINVAL,
  ERESTARTSYS,
  type MaySleep,
  type Waiter,
  WaitList,
  waitFor,
} from '../contexts/index.js';
import { type Inode, type Io, O_NONBLOCK, O_RDWR, OpenFile, POLLIN, POLLRDNORM } from '../fs/index.js';
import type { KernelState } from './kernel-state.js';
import type { SignalInfo } from './siginfo.js';
import type { Thread } from './thread.js';
import type { Timer } from './timers.js';

/** What timerfd_gettime tells, in nanoseconds. */
export interface TimerSetting {
  readonly interval: bigint;
  readonly value: bigint;
}

export class TimerFile extends OpenFile {
  /** CLOCK_* that absolute times are of. */
  readonly clock: number;
  readonly #state: KernelState;
  readonly #changed = new WaitList();
  #timer: Timer | undefined;
  #interval = 0n;
  /** The next expiry that was not counted yet, in monotonic nanoseconds; undefined: not set. */
  #next: bigint | undefined;

  constructor(state: KernelState, inode: Inode, flags: number, clock: number) {
    super(inode, O_RDWR | flags, 'anon_inode:[timerfd]');
    this.#state = state;
    this.clock = clock;
  }

  /** The expiries since the last read; counted, not rung one by one, however short the interval. */
  get #ticks(): bigint {
    const now = this.#state.clock.monotonic;
    if (this.#next === undefined || now < this.#next) return 0n;
    return this.#interval === 0n ? 1n : (now - this.#next) / this.#interval + 1n;
  }

  get setting(): TimerSetting {
    if (this.#next === undefined) return { interval: this.#interval, value: 0n };
    const now = this.#state.clock.monotonic;
    let next = this.#next;
    if (now >= next) {
      if (this.#interval === 0n) return { interval: 0n, value: 0n };
      next += this.#ticks * this.#interval;
    }
    return { interval: this.#interval, value: next - now };
  }

  /** @param first monotonic nanoseconds of the first expiry; undefined disarms. */
  set(first: bigint | undefined, interval: bigint): void {
    this.#next = first;
    this.#interval = interval;
    this.#arm();
  }

  #arm(): void {
    const { timers } = this.#state;
    timers.cancel(this.#timer);
    this.#timer = undefined;
    if (this.#next === undefined) return;
    this.#timer = timers.add(this.#next, () => {
      this.#timer = undefined;
      this.#changed.wake(POLLIN | POLLRDNORM);
    });
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    if (count < 8) return -EINVAL;
    if (this.#ticks === 0n) {
      if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      if (!(yield* waitFor(waiter, [this.#changed], () => this.#ticks > 0n))) return -ERESTARTSYS;
    }
    const ticks = this.#ticks;
    this.#next = this.#interval === 0n ? undefined : this.#next! + ticks * this.#interval;
    this.#arm();
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, ticks, true);
    return bytes;
  }

  write(): Io<number> {
    return -EINVAL;
  }

  override poll(): number {
    return this.#ticks > 0n ? POLLIN | POLLRDNORM : 0;
  }

  override get waitLists(): readonly WaitList[] {
    return [this.#changed];
  }

  override release(): void {
    this.#state.timers.cancel(this.#timer);
  }
}

const SIGNAL_RECORD = 128;

/** signalfd_copyinfo(). */
function signalRecord(info: SignalInfo): Uint8Array {
  const bytes = new Uint8Array(SIGNAL_RECORD);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, info.signo, true);
  view.setInt32(8, info.code, true);
  if (info.fault) {
    view.setBigUint64(72, info.address, true);
    return bytes;
  }
  const raw = info.raw === undefined ? undefined : new DataView(info.raw.buffer, info.raw.byteOffset);
  const value = raw?.getBigUint64(24, true) ?? info.value ?? 0n;
  if (info.timer === undefined) {
    view.setUint32(12, raw?.getUint32(16, true) ?? info.pid ?? 0, true);
    view.setUint32(16, raw?.getUint32(20, true) ?? info.uid ?? 0, true);
  } else {
    view.setUint32(24, info.timer.id, true);
    view.setUint32(32, info.timer.overrun, true);
  }
  if (info.status !== undefined) view.setInt32(40, info.status, true);
  view.setInt32(44, Number(BigInt.asIntN(32, value)), true);
  view.setBigUint64(48, value, true);
  return bytes;
}

/** Signals of whoever reads: its own first, then its process's. */
export class SignalFile extends OpenFile {
  mask: bigint;
  readonly #current: () => Thread | undefined;

  constructor(inode: Inode, flags: number, mask: bigint, current: () => Thread | undefined) {
    super(inode, O_RDWR | flags, 'anon_inode:[signalfd]');
    this.mask = mask;
    this.#current = current;
  }

  #pending(): bigint {
    const thread = this.#current();
    return thread === undefined ? 0n : (thread.pending.set | thread.process.pending.set) & this.mask;
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    const most = Math.floor(count / SIGNAL_RECORD);
    if (most === 0) return -EINVAL;
    const thread = this.#current();
    if (thread === undefined) return -EINVAL;
    if (this.#pending() === 0n) {
      if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      const come = yield* waitFor(waiter, [thread.process.signalEvents], () => this.#pending() !== 0n);
      if (!come) return -ERESTARTSYS;
    }
    const records: Uint8Array[] = [];
    while (records.length < most) {
      const info = thread.pending.take(~this.mask) ?? thread.process.pending.take(~this.mask);
      if (info === undefined) break;
      records.push(signalRecord(info));
    }
    const bytes = new Uint8Array(SIGNAL_RECORD * records.length);
    records.forEach((record, i) => {
      bytes.set(record, SIGNAL_RECORD * i);
    });
    return bytes;
  }

  write(): Io<number> {
    return -EINVAL;
  }

  override poll(): number {
    return this.#pending() === 0n ? 0 : POLLIN | POLLRDNORM;
  }

  override get waitLists(): readonly WaitList[] {
    const thread = this.#current();
    return thread === undefined ? [] : [thread.process.signalEvents];
  }
}
