/**
 * Pseudo-terminals: /dev/ptmx makes a pair, whose slave is a terminal in /dev/pts and whose master is its other end.
 *
 * Ref. drivers/tty/pty.c, fs/devpts/inode.c, pty(7).
 */
import {
  EAGAIN,
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
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from '../fs/index.js';
import { Tty, type TtyHost } from './tty.js';

/** TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR. */
export const PTMX_MAJOR = 5;
const PTS_MAJOR = 136;
const BUFFER_BYTES = 8192;

const deviceNumber = (major: number, minor: number): number => (major << 8) | minor;

/** Both ends of one. */
export class Pty {
  readonly index: number;
  readonly tty: Tty;
  readonly events = new WaitList();
  /** The slave's output, for the master. */
  #output: number[] = [];
  /** TIOCSPTLCK: the slave cannot be opened yet. */
  locked = true;
  /** The slave was open, and is not any more. */
  otherClosed = false;

  constructor(index: number, host: TtyHost) {
    this.index = index;
    this.tty = new Tty(`/dev/pts/${index}`, deviceNumber(PTS_MAJOR, index), host, {
      take: (bytes) => {
        for (const byte of bytes) this.#output.push(byte);
        this.events.wake();
      },
      room: () => Math.max(0, BUFFER_BYTES - this.#output.length),
      opened: (isOpen) => {
        this.otherClosed = !isOpen;
        this.events.wake();
      },
    });
  }

  get pending(): number {
    return this.#output.length;
  }

  takeOutput(count: number): Uint8Array {
    const bytes = Uint8Array.from(this.#output.splice(0, count));
    this.tty.events.wake();
    return bytes;
  }
}

/** The master's open file. */
export class PtyMaster extends OpenFile {
  readonly pty: Pty;
  readonly #closed: () => void;

  constructor(inode: Inode, flags: number, pty: Pty, closed: () => void) {
    super(inode, flags, '/dev/ptmx');
    this.pty = pty;
    this.#closed = closed;
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    const { pty } = this;
    const ready = () => pty.pending > 0 || pty.otherClosed;
    if (!ready()) {
      if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      if (!(yield* waitFor(waiter, [pty.events], ready))) return -ERESTARTSYS;
    }
    return pty.pending > 0 ? pty.takeOutput(count) : -EIO;
  }

  write(_waiter: Waiter, data: Uint8Array): number {
    // Input that nobody reads is dropped by the line discipline, so that the master never waits.
    this.pty.tty.discipline.receive(data);
    return data.length;
  }

  override poll(): number {
    const readable = this.pty.pending > 0 ? POLLIN | POLLRDNORM : 0;
    return readable | POLLOUT | POLLWRNORM | (this.pty.otherClosed ? POLLHUP : 0);
  }

  override get waitLists(): readonly WaitList[] {
    return [this.pty.events];
  }

  override release(): void {
    this.pty.tty.hangUp(false);
    this.#closed();
  }
}
