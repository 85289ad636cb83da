/**
 * ioctl(2) of terminals: modes, window sizes, job control, pseudo-terminals.
 *
 * Ref. drivers/tty/{tty_io,tty_ioctl,tty_jobctrl,pty}.c, include/uapi/asm-generic/ioctls.h, ioctl_tty(2).
 */
import { EFAULT, EINVAL, EIO, ENOTTY, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import { O_ACCMODE, O_CLOEXEC, O_NOCTTY, type OpenFile } from '../fs/index.js';
import { readU32, readUser, type Thread, writeU32, writeUser } from '../process/index.js';
import {
  PtyMaster,
  setTermios,
  TERMIOS_BYTES,
  TERMIOS2_BYTES,
  TTY_SIGNAL,
  type Tty,
  TtyFile,
  termiosBytes,
} from '../tty/index.js';
import { int, type SyscallServices } from './row.js';

const T = {
  CGETS: 0x5401,
  CSETS: 0x5402,
  CSETSW: 0x5403,
  CSETSF: 0x5404,
  CSBRK: 0x5409,
  CXONC: 0x540a,
  CFLSH: 0x540b,
  IOCEXCL: 0x540c,
  IOCNXCL: 0x540d,
  IOCSCTTY: 0x540e,
  IOCGPGRP: 0x540f,
  IOCSPGRP: 0x5410,
  IOCOUTQ: 0x5411,
  IOCSTI: 0x5412,
  IOCGWINSZ: 0x5413,
  IOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  IOCNOTTY: 0x5422,
  IOCGETD: 0x5424,
  CSBRKP: 0x5425,
  IOCGSID: 0x5429,
  CGETS2: 0x802c542a,
  CSETS2: 0x402c542b,
  CSETSW2: 0x402c542c,
  CSETSF2: 0x402c542d,
  IOCGPTN: 0x80045430,
  IOCSPTLCK: 0x40045431,
  IOCGPTLCK: 0x80045439,
  IOCGEXCL: 0x80045440,
  IOCGPTPEER: 0x5441,
} as const;

/** What a process in the background is stopped for. */
const CHANGES: ReadonlySet<number> = new Set([
  T.CSETS,
  T.CSETSW,
  T.CSETSF,
  T.CSETS2,
  T.CSETSW2,
  T.CSETSF2,
  T.CSBRK,
  T.CSBRKP,
  T.CXONC,
  T.CFLSH,
  T.IOCSPGRP,
]);
const FLUSHES_INPUT: ReadonlySet<number> = new Set([T.CSETSF, T.CSETSF2]);

interface Call {
  readonly services: SyscallServices;
  readonly thread: Thread;
  readonly tty: Tty;
  readonly request: number;
  readonly arg: bigint;
}

function* setModes({ services, thread, tty, request, arg }: Call, length: number): MaySleep<number> {
  const bytes = yield* readUser(services.mm, thread, arg, length);
  if (bytes === undefined) return -EFAULT;
  const { discipline } = tty;
  const wasCanonical = discipline.canonical;
  if (FLUSHES_INPUT.has(request)) discipline.flushInput();
  setTermios(discipline.termios, bytes);
  discipline.modeChanged(wasCanonical);
  return 0;
}

function flowControl({ tty, arg }: Call): number {
  const { discipline } = tty;
  // TCOOFF, TCOON; the others send a character to a terminal that heeds none.
  if (arg > 3n) return -EINVAL;
  if (arg < 2n) {
    discipline.stopped = arg === 0n;
    tty.events.wake();
  }
  return 0;
}

function flush({ tty, arg }: Call): number {
  // TCIFLUSH, TCOFLUSH, TCIOFLUSH.
  if (arg > 2n) return -EINVAL;
  if (arg !== 1n) tty.discipline.flushInput();
  // What was written has gone on at once.
  return 0;
}

/** TIOCSCTTY: `arg` 1 takes it from whoever has it. */
function setControlling({ services, thread, tty, arg }: Call): number {
  const { process } = thread;
  const { ttys } = services;
  if (process.sid === process.pid && tty.session === process.sid) return 0;
  if (process.sid !== process.pid || ttys.ofSession(process.sid) !== undefined) return -EPERM;
  if (tty.session !== 0) {
    if (arg !== 1n) return -EPERM;
    tty.disown();
  }
  tty.adopt(process);
  return 0;
}

function* setForeground({ services, thread, tty, arg }: Call): MaySleep<number> {
  const { process } = thread;
  if (tty.session === 0 || tty.session !== process.sid) return -ENOTTY;
  const word = yield* readU32(services.mm, thread, arg);
  if (word === undefined) return -EFAULT;
  const pgid = word | 0;
  if (pgid < 0) return -EINVAL;
  const members = services.table.group(pgid);
  if (members.length === 0) return -ESRCH;
  if (!members.some(({ sid }) => sid === process.sid)) return -EPERM;
  tty.foreground = pgid;
  return 0;
}

function giveUp({ thread, tty }: Call): number {
  const { process } = thread;
  if (tty.session !== process.sid) return -ENOTTY;
  if (process.sid !== process.pid) return 0;
  const { foreground, host } = tty;
  tty.disown();
  if (foreground === 0) return 0;
  host.signalGroup(foreground, TTY_SIGNAL.HUP);
  host.signalGroup(foreground, TTY_SIGNAL.CONT);
  return 0;
}

function* setSize({ services, thread, tty, arg }: Call): MaySleep<number> {
  const bytes = yield* readUser(services.mm, thread, arg, 8);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const at = (i: number) => view.getUint16(2 * i, true);
  tty.resize([at(0), at(1), at(2), at(3)]);
  return 0;
}

function sizeBytes({ windowSize }: Tty): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  windowSize.forEach((each, i) => {
    view.setUint16(2 * i, each, true);
  });
  return bytes;
}

function* terminal(call: Call, isMaster: boolean): MaySleep<number> {
  const { services, thread, tty, request, arg } = call;
  const { mm } = services;
  const { discipline } = tty;
  const give = (value: number) => writeU32(mm, thread, arg, value);
  if (!isMaster && CHANGES.has(request)) {
    const refused = tty.jobControl(TTY_SIGNAL.TTOU);
    if (refused !== 0) return refused;
  }
  // The slave's own are asked of its own process only, the master's by anybody.
  const isOwn = isMaster || (tty.session !== 0 && tty.session === thread.process.sid);
  switch (request) {
    case T.CGETS:
      return yield* writeUser(mm, thread, arg, termiosBytes(discipline.termios, TERMIOS_BYTES));
    case T.CGETS2:
      return yield* writeUser(mm, thread, arg, termiosBytes(discipline.termios, TERMIOS2_BYTES));
    case T.CSETS:
    case T.CSETSW:
    case T.CSETSF:
      return yield* setModes(call, TERMIOS_BYTES);
    case T.CSETS2:
    case T.CSETSW2:
    case T.CSETSF2:
      return yield* setModes(call, TERMIOS2_BYTES);
    case T.CSBRK:
    case T.CSBRKP:
      // Everything that was written has gone on, and there is no line to break.
      return 0;
    case T.CXONC:
      return flowControl(call);
    case T.CFLSH:
      return flush(call);
    case T.IOCEXCL:
    case T.IOCNXCL:
      tty.exclusive = request === T.IOCEXCL;
      return 0;
    case T.IOCGEXCL:
      return yield* give(tty.exclusive ? 1 : 0);
    case T.IOCSCTTY:
      return isMaster ? -ENOTTY : setControlling(call);
    case T.IOCNOTTY:
      return isMaster ? -ENOTTY : giveUp(call);
    case T.IOCGPGRP:
      return isOwn ? yield* give(tty.foreground) : -ENOTTY;
    case T.IOCSPGRP:
      return yield* setForeground(call);
    case T.IOCGSID:
      return isOwn && tty.session !== 0 ? yield* give(tty.session) : -ENOTTY;
    case T.IOCGWINSZ:
      return yield* writeUser(mm, thread, arg, sizeBytes(tty));
    case T.IOCSWINSZ:
      return yield* setSize(call);
    case T.IOCGETD:
      return yield* give(0);
    case T.FIONREAD:
      return yield* give(discipline.available);
    case T.IOCOUTQ:
      return yield* give(0);
    case T.IOCSTI: {
      const bytes = yield* readUser(mm, thread, arg, 1);
      if (bytes === undefined) return -EFAULT;
      if (!isOwn) return -EPERM;
      discipline.receive(bytes);
      return 0;
    }
    default:
      return -ENOTTY;
  }
}

function* master(call: Call, file: PtyMaster): MaySleep<number> {
  const { services, thread, request, arg } = call;
  const { pty } = file;
  const { mm } = services;
  switch (request) {
    case T.IOCGPTN:
      return yield* writeU32(mm, thread, arg, pty.index);
    case T.IOCSPTLCK: {
      const word = yield* readU32(mm, thread, arg);
      if (word === undefined) return -EFAULT;
      pty.locked = word !== 0;
      return 0;
    }
    case T.IOCGPTLCK:
      return yield* writeU32(mm, thread, arg, pty.locked ? 1 : 0);
    case T.IOCGPTPEER: {
      const flags = int(arg);
      if ((flags & ~(O_ACCMODE | O_NOCTTY | O_CLOEXEC | 0o4000)) !== 0) return -EINVAL;
      const slave = services.ttys.openSlave(pty, flags & ~O_CLOEXEC);
      return typeof slave === 'number' ? slave : thread.process.files.add(slave, (flags & O_CLOEXEC) !== 0);
    }
    case T.FIONREAD:
      return yield* writeU32(mm, thread, arg, pty.pending);
    default:
      return yield* terminal(call, true);
  }
}

/** An ioctl of an open file that is a terminal's; undefined: it is none. */
export function terminalIoctl(
  services: SyscallServices,
  thread: Thread,
  file: OpenFile,
  request: number,
  arg: bigint,
): MaySleep<number> | number | undefined {
  if (file instanceof PtyMaster) return master({ services, thread, tty: file.pty.tty, request, arg }, file);
  if (!(file instanceof TtyFile)) return undefined;
  if (file.hungUp) return request === T.IOCSPGRP ? -ENOTTY : -EIO;
  return terminal({ services, thread, tty: file.tty, request, arg }, false);
}
