/**
 * A terminal: a line discipline, whose it is (session and group in the foreground), and who has it open.
 *
 * Ref. drivers/tty/{tty_io,tty_jobctrl}.c.
 */
import {
  EAGAIN,
  EBADF,
  EIO,
  ERESTARTSYS,
  type MaySleep,
  type Waiter,
  WaitList,
  waitFor,
} from '../contexts/index.js';
import {
  type Inode,
  O_NONBLOCK,
  OpenFile,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from '../fs/index.js';
import { LineDiscipline } from './line-discipline.js';
import { CC, LFLAG } from './termios.js';

export const TTY_SIGNAL = { HUP: 1, CONT: 18, TTIN: 21, TTOU: 22, WINCH: 28 } as const;

/** A process, as far as terminals ask. */
export interface TtyCaller {
  readonly pid: number;
  readonly pgid: number;
  readonly sid: number;
  /** Nobody outside its group, in its session, is left to continue it. */
  readonly orphaned: boolean;
  /** The signal is ignored or blocked. */
  ignores(signo: number): boolean;
}

/** What terminals need of processes, and of the machine. */
export interface TtyHost {
  /** Who is running. */
  caller(): TtyCaller | undefined;
  signalGroup(pgid: number, signo: number): void;
  signalProcess(pid: number, signo: number): void;
  /** Calls `fire` in so many milliseconds; gives what ends that. */
  after(milliseconds: number, fire: () => void): () => void;
}

/** What the terminal's other end is: a master, or a console of the host's. */
export interface TtyEnd {
  /** Bytes for it. */
  take(bytes: Uint8Array): void;
  /** Bytes it takes before a writer has to wait. */
  room(): number;
  /** Somebody is about to wait for input: a console looks for some. */
  wanted?(): void;
  /** The last open file of this side is gone, or the first is there. */
  opened?(isOpen: boolean): void;
}

const VTIME_MS = 100;

export class Tty {
  readonly name: string;
  readonly device: number;
  readonly discipline: LineDiscipline;
  readonly events = new WaitList();
  readonly host: TtyHost;
  readonly end: TtyEnd;
  /** Rows, columns, and the same in pixels. */
  windowSize: readonly [number, number, number, number] = [0, 0, 0, 0];
  /** 0: nobody's. */
  session = 0;
  foreground = 0;
  /** Counts hang-ups: a file opened before one is dead. */
  generation = 0;
  opens = 0;
  /** TIOCEXCL: no further open. */
  exclusive = false;

  constructor(name: string, device: number, host: TtyHost, end: TtyEnd) {
    this.name = name;
    this.device = device;
    this.host = host;
    this.end = end;
    this.discipline = new LineDiscipline({
      show: (bytes) => this.end.take(bytes),
      signal: (signo) => {
        if (this.foreground !== 0) host.signalGroup(this.foreground, signo);
      },
      changed: () => this.events.wake(),
    });
  }

  /** proc_set_tty(): a session leader without one gets this as its controlling terminal. */
  adopt({ pid, pgid }: Pick<TtyCaller, 'pid' | 'pgid'>): void {
    this.session = pid;
    this.foreground = pgid;
  }

  /** TIOCNOTTY of the leader, or its end. */
  disown(): void {
    this.session = 0;
    this.foreground = 0;
  }

  resize(size: readonly [number, number, number, number]): void {
    if (size.every((each, i) => each === this.windowSize[i])) return;
    this.windowSize = size;
    if (this.foreground !== 0) this.host.signalGroup(this.foreground, TTY_SIGNAL.WINCH);
  }

  /** tty_vhangup(): files that are open are of no more use. */
  hangUp(leaderEnds: boolean): void {
    const { session, foreground, host } = this;
    this.generation++;
    if (session !== 0 && !leaderEnds) {
      host.signalProcess(session, TTY_SIGNAL.HUP);
      host.signalProcess(session, TTY_SIGNAL.CONT);
    }
    if (leaderEnds && foreground !== 0) {
      host.signalGroup(foreground, TTY_SIGNAL.HUP);
      host.signalGroup(foreground, TTY_SIGNAL.CONT);
    }
    this.disown();
    this.opens = 0;
    this.end.opened?.(false);
    this.events.wake();
  }

  /**
   * __tty_check_change(): 0, or what a process in the background gets for reading (SIGTTIN), writing with TOSTOP or
   * changing the terminal (SIGTTOU).
   */
  jobControl(signo: number): number {
    const caller = this.host.caller();
    if (caller === undefined || this.session === 0 || caller.sid !== this.session) return 0;
    if (this.foreground === 0 || caller.pgid === this.foreground) return 0;
    if (caller.ignores(signo)) return signo === TTY_SIGNAL.TTIN ? -EIO : 0;
    if (caller.orphaned) return -EIO;
    this.host.signalGroup(caller.pgid, signo);
    return -ERESTARTSYS;
  }
}

/** An open terminal: /dev/pts/N, /dev/console, /dev/tty. */
export class TtyFile extends OpenFile {
  readonly tty: Tty;
  readonly #generation: number;

  constructor(inode: Inode, flags: number, tty: Tty) {
    super(inode, flags, tty.name);
    this.tty = tty;
    this.#generation = tty.generation;
    if (tty.opens++ === 0) tty.end.opened?.(true);
  }

  get hungUp(): boolean {
    return this.#generation !== this.tty.generation;
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    if (!this.readable) return -EBADF;
    if (this.hungUp || count === 0) return new Uint8Array();
    const { tty } = this;
    const { discipline } = tty;
    for (;;) {
      const refused = tty.jobControl(TTY_SIGNAL.TTIN);
      if (refused !== 0) return refused;
      if (discipline.canonical) {
        if (!discipline.ready) tty.end.wanted?.();
        // What was typed just now may have been a ^C before the line.
        if (waiter.interrupted) return -ERESTARTSYS;
        if (discipline.ready) return discipline.take(count);
        if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
        const come = yield* waitFor(
          waiter,
          [tty.events],
          () => this.hungUp || discipline.ready || !discipline.canonical,
        );
        if (!come) return -ERESTARTSYS;
        if (this.hungUp) return new Uint8Array();
      } else {
        const bytes = yield* this.#readBytes(waiter, count);
        if (bytes !== undefined) return bytes;
      }
    }
  }

  /** Non-canonical mode: VMIN and VTIME say when there is enough; undefined: the mode has changed. */
  *#readBytes(waiter: Waiter, count: number): MaySleep<Uint8Array | number | undefined> {
    const { tty } = this;
    const { discipline } = tty;
    const { cc } = discipline.termios;
    const time = cc[CC.TIME]! * VTIME_MS;
    const least = Math.min(count, cc[CC.MIN]!);
    const enough = () => discipline.available >= Math.max(1, least);
    if (!enough()) tty.end.wanted?.();
    if (waiter.interrupted) return -ERESTARTSYS;
    if (enough() || (least === 0 && time === 0)) return discipline.take(count);
    if ((this.flags & O_NONBLOCK) !== 0) {
      return discipline.available > 0 ? discipline.take(count) : -EAGAIN;
    }
    let over = false;
    let cancel: (() => void) | undefined;
    const start = () => {
      cancel?.();
      cancel = tty.host.after(time, () => {
        over = true;
        tty.events.wake();
      });
    };
    // With VMIN the clock starts at the first byte, and again at each.
    if (least === 0) start();
    let seen = discipline.available;
    if (least > 0 && time > 0 && seen > 0) start();
    const come = yield* waitFor(waiter, [tty.events], () => {
      if (least > 0 && time > 0 && discipline.available > seen) {
        seen = discipline.available;
        start();
      }
      return this.hungUp || over || enough() || discipline.canonical;
    });
    cancel?.();
    if (discipline.canonical && !this.hungUp) return undefined;
    if (!come && discipline.available === 0) return -ERESTARTSYS;
    return discipline.take(count);
  }

  *write(waiter: Waiter, data: Uint8Array): MaySleep<number> {
    if (!this.writable) return -EBADF;
    const { tty } = this;
    const { discipline, end } = tty;
    if (this.hungUp) return -EIO;
    if ((discipline.termios.lflag & LFLAG.TOSTOP) !== 0) {
      const refused = tty.jobControl(TTY_SIGNAL.TTOU);
      if (refused !== 0) return refused;
    }
    let done = 0;
    const blocked = () => !this.hungUp && (discipline.stopped || end.room() === 0);
    while (done < data.length) {
      if (blocked()) {
        if ((this.flags & O_NONBLOCK) !== 0) return done > 0 ? done : -EAGAIN;
        const free = yield* waitFor(waiter, [tty.events], () => !blocked());
        if (!free) return done > 0 ? done : -ERESTARTSYS;
      }
      if (this.hungUp) return done > 0 ? done : -EIO;
      const piece = data.subarray(done, done + Math.max(1, end.room() >> 1));
      end.take(discipline.process(piece));
      done += piece.length;
    }
    return done;
  }

  override poll(): number {
    if (this.hungUp) return POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM;
    const { discipline, end } = this.tty;
    const { cc } = discipline.termios;
    const least = cc[CC.TIME] === 0 && cc[CC.MIN]! > 0 ? cc[CC.MIN]! : 1;
    if (!discipline.ready) end.wanted?.();
    const isReadable = discipline.canonical ? discipline.ready : discipline.available >= least;
    const isWritable = !discipline.stopped && end.room() > 0;
    return (isReadable ? POLLIN | POLLRDNORM : 0) | (isWritable ? POLLOUT | POLLWRNORM : 0);
  }

  override get waitLists(): readonly WaitList[] {
    return [this.tty.events];
  }

  override release(): void {
    if (this.hungUp) return;
    if (--this.tty.opens === 0) this.tty.end.opened?.(false);
  }
}
