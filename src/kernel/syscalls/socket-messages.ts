/**
 * System calls that move data through sockets: sendto, recvfrom, and the forms with struct msghdr, which
 * carry open files and credentials beside the bytes.
 *
 * Ref. net/socket.c (____sys_sendmsg, ____sys_recvmsg), net/core/scm.c, cmsg(3), unix(7).
 */
import { EBADF, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, EPERM, EPIPE, type MaySleep } from '../contexts/index.js';
import { letGo, type OpenFile } from '../fs/index.js';
import {
  AF_UNIX,
  AF_UNSPEC,
  addressBytes,
  type Credentials,
  dropFiles,
  MOST_FILES,
  MSG,
  type Received,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  type SendOptions,
  SOCK_STREAM,
  SOL_SOCKET,
  type Socket,
} from '../net/index.js';
import {
  readUser,
  SIGNAL,
  sendToThread,
  sentSignal,
  type Thread,
  writeSome,
  writeU32,
  writeUser,
} from '../process/index.js';
import { readVectors, type Stretch } from './io.js';
import { count, int, type Syscall, type SyscallServices, uint } from './row.js';
import { readTimespec } from './sleeping.js';
import { credentialsOf, findUnix, readAddress, socketOf, writeAddress } from './socket.js';

/** Moved at once. */
const PIECE = 1 << 16;
const MSGHDR_BYTES = 56;
const MMSGHDR_BYTES = 64;
const CMSG_HEADER = 16;
/** The most that ancillary data may be: net.core.optmem_max. */
const MOST_CONTROL = 131072;
/** UIO_MAXIOV: messages of one sendmmsg or recvmmsg. */
const MOST_MESSAGES = 1024;

const aligned = (length: number): number => (length + 7) & ~7;

/** struct msghdr of user space. */
interface Header {
  readonly name: bigint;
  readonly nameLength: number;
  readonly stretches: readonly Stretch[];
  readonly control: bigint;
  readonly controlLength: number;
}

function* readHeader(services: SyscallServices, thread: Thread, address: bigint): MaySleep<Header | number> {
  const bytes = yield* readUser(services.mm, thread, address, MSGHDR_BYTES);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const vectors = view.getBigUint64(24, true);
  if (vectors > 1024n) return -EMSGSIZE;
  const stretches = yield* readVectors(services, thread, view.getBigUint64(16, true), vectors);
  if (typeof stretches === 'number') return stretches;
  const name = view.getBigUint64(0, true);
  return {
    name,
    nameLength: name === 0n ? 0 : Math.min(view.getUint32(8, true), 128),
    stretches,
    control: view.getBigUint64(32, true),
    controlLength: Number(BigInt.asUintN(32, view.getBigUint64(40, true))),
  };
}

const total = (stretches: readonly Stretch[]): number => stretches.reduce((sum, { bytes }) => sum + bytes, 0);

/** Bytes of the stretches from `skip` on, at most `most`. */
function* gather(
  { mm }: SyscallServices,
  thread: Thread,
  stretches: readonly Stretch[],
  skip: number,
  most: number,
): MaySleep<Uint8Array | undefined> {
  const out = new Uint8Array(Math.min(most, total(stretches) - skip));
  let at = 0;
  let done = 0;
  for (const { address, bytes } of stretches) {
    const from = Math.max(0, skip - at);
    at += bytes;
    const length = Math.min(bytes - from, out.length - done);
    if (length <= 0) continue;
    const part = yield* readUser(mm, thread, address + BigInt(from), length);
    if (part === undefined) return undefined;
    out.set(part, done);
    done += length;
  }
  return out;
}

function* scatter(
  { mm }: SyscallServices,
  thread: Thread,
  stretches: readonly Stretch[],
  skip: number,
  data: Uint8Array,
): MaySleep<number> {
  let at = 0;
  let done = 0;
  for (const { address, bytes } of stretches) {
    const from = Math.max(0, skip - at);
    at += bytes;
    const part = data.subarray(done, done + Math.max(0, bytes - from));
    if (part.length === 0) continue;
    if ((yield* writeSome(mm, thread, address + BigInt(from), part)) < part.length) return -EFAULT;
    done += part.length;
  }
  return 0;
}

// ---- sending -------------------------------------------------------------------------------------------

interface Control {
  readonly files: readonly OpenFile[];
  readonly credentials: Credentials | undefined;
}

/** __scm_send(). */
function* readControl(
  { mm }: SyscallServices,
  thread: Thread,
  { control, controlLength }: Header,
): MaySleep<Control | number> {
  const files: OpenFile[] = [];
  let credentials: Credentials | undefined;
  if (control === 0n || controlLength === 0) return { files, credentials };
  if (controlLength > MOST_CONTROL) return -ENOBUFS;
  const bytes = yield* readUser(mm, thread, control, controlLength);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + CMSG_HEADER <= bytes.length; ) {
    const length = Number(view.getBigUint64(at, true));
    if (length < CMSG_HEADER || at + length > bytes.length) return -EINVAL;
    const type = view.getInt32(at + 12, true);
    if (view.getInt32(at + 8, true) === SOL_SOCKET) {
      if (type === SCM_RIGHTS) {
        for (let i = at + CMSG_HEADER; i + 4 <= at + length; i += 4) {
          const file = thread.process.files.get(view.getInt32(i, true));
          if (file === undefined) return -EBADF;
          files.push(file);
        }
        if (files.length > MOST_FILES) return -EINVAL;
      } else if (type === SCM_CREDENTIALS && length === CMSG_HEADER + 12) {
        const word = (i: number) => view.getUint32(at + CMSG_HEADER + 4 * i, true);
        credentials = { pid: word(0), uid: word(1), gid: word(2) };
        // Root may name any process, but it must be one.
        if (credentials.pid === 0) return -EPERM;
      } else {
        return -EINVAL;
      }
    }
    at += aligned(length);
  }
  return { files, credentials };
}

/** Sends what the stretches hold; streams piece by piece. */
function* sendAll(
  services: SyscallServices,
  thread: Thread,
  socket: Socket,
  stretches: readonly Stretch[],
  options: SendOptions,
): MaySleep<number> {
  const length = total(stretches);
  const stream = socket.type === SOCK_STREAM;
  if (!stream && length > socket.sendBuffer) return -EMSGSIZE;
  let done = 0;
  let files = options.files ?? [];
  do {
    const piece = yield* gather(services, thread, stretches, done, stream ? PIECE : length);
    if (piece === undefined) return done > 0 ? done : -EFAULT;
    const sent = yield* socket.send(thread, piece, { ...options, files });
    files = [];
    if (sent === -EPIPE && stream && (options.flags & MSG.NOSIGNAL) === 0) {
      sendToThread(thread, sentSignal(SIGNAL.SIGPIPE, 'SI_USER', { pid: thread.process.pid, uid: 0 }));
    }
    if (sent < 0) return done > 0 ? done : sent;
    done += sent;
    if (sent < piece.length) break;
  } while (done < length);
  return done;
}

function* send(
  services: SyscallServices,
  thread: Thread,
  socket: Socket,
  header: Header,
  flags: number,
): MaySleep<number> {
  const control = yield* readControl(services, thread, header);
  if (typeof control === 'number') return control;
  let options: SendOptions = {
    flags,
    files: socket.domain === AF_UNIX ? control.files : [],
    credentials: control.credentials ?? credentialsOf(thread),
  };
  if (header.nameLength > 0) {
    const length = BigInt(header.nameLength);
    const to = yield* readAddress(services, thread, header.name, length, socket.domain);
    if (typeof to === 'number') return to;
    if (to.family === AF_UNIX && socket.type !== SOCK_STREAM) {
      const target = findUnix(services, thread, to, socket.type);
      if (typeof target === 'number') return target;
      options = { ...options, to, target };
    } else if (to.family !== AF_UNSPEC) {
      options = { ...options, to };
    }
  }
  // Neither the socket nor the files may go while the call sleeps.
  const held = [socket, ...(options.files ?? [])];
  for (const file of held) file.users++;
  const sent = yield* sendAll(services, thread, socket, header.stretches, options);
  dropFiles(held);
  return sent;
}

// ---- receiving -----------------------------------------------------------------------------------------

/** scm_recv(): ancillary data into the room that the caller gave. */
function* writeControl(
  { mm }: SyscallServices,
  thread: Thread,
  socket: Socket,
  { control, controlLength }: Header,
  received: Received,
  flags: number,
): MaySleep<{ readonly length: number; readonly flags: number } | number> {
  const records: Uint8Array[] = [];
  let room = control === 0n ? 0 : controlLength;
  let told = 0;
  const put = (type: number, data: Uint8Array): void => {
    const length = CMSG_HEADER + data.length;
    const record = new Uint8Array(Math.min(aligned(length), Math.max(length, room)));
    const view = new DataView(record.buffer);
    view.setBigUint64(0, BigInt(length), true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, type, true);
    record.set(data, CMSG_HEADER);
    records.push(record);
    room -= record.length;
  };
  if (socket.passCredentials) {
    if (room >= CMSG_HEADER + 12) {
      const { pid, uid, gid } = received.credentials;
      put(SCM_CREDENTIALS, new Uint8Array(Uint32Array.of(pid, uid, gid).buffer));
    } else {
      told |= MSG.CTRUNC;
    }
  }
  if (received.files.length > 0) {
    const fits = Math.max(0, Math.min(received.files.length, Math.floor((room - CMSG_HEADER) / 4)));
    const numbers: number[] = [];
    for (const file of received.files.slice(0, fits)) {
      const fd = thread.process.files.add(file, (flags & MSG.CMSG_CLOEXEC) !== 0);
      if (fd < 0) break;
      numbers.push(fd);
    }
    if (numbers.length < received.files.length) told |= MSG.CTRUNC;
    if (numbers.length > 0) put(SCM_RIGHTS, new Uint8Array(Int32Array.from(numbers).buffer));
  }
  let at = control;
  for (const record of records) {
    const error = yield* writeUser(mm, thread, at, record);
    if (error !== 0) return error;
    at += BigInt(record.length);
  }
  return { length: Number(at - control), flags: told };
}

interface Outcome {
  readonly bytes: number;
  readonly received: Received;
}

/** Receives into the stretches; streams piece by piece, as far as MSG_WAITALL says. */
function* receiveAll(
  services: SyscallServices,
  thread: Thread,
  socket: Socket,
  stretches: readonly Stretch[],
  flags: number,
): MaySleep<Outcome | number> {
  const length = total(stretches);
  const all = (flags & MSG.WAITALL) !== 0 && socket.type === SOCK_STREAM;
  const most = socket.type === SOCK_STREAM ? PIECE : length;
  let done = 0;
  for (;;) {
    const received = yield* socket.receive(thread, Math.min(most, length - done), flags);
    if (typeof received === 'number') return received;
    const error = yield* scatter(services, thread, stretches, done, received.bytes);
    if (error !== 0) {
      dropFiles(received.files);
      return error;
    }
    done += received.bytes.length;
    const more = all && received.bytes.length === most && done < length && received.files.length === 0;
    if (!more) return { bytes: done, received };
  }
}

/** recvmsg(2): the count; the header's name, control and flags are written back. */
function* receive(
  services: SyscallServices,
  thread: Thread,
  socket: Socket,
  address: bigint,
  flags: number,
): MaySleep<number> {
  const { mm } = services;
  const header = yield* readHeader(services, thread, address);
  if (typeof header === 'number') return header;
  socket.users++;
  const outcome = yield* receiveAll(services, thread, socket, header.stretches, flags);
  if (typeof outcome === 'number') {
    letGo(socket);
    return outcome;
  }
  const { received } = outcome;
  const control = yield* writeControl(services, thread, socket, header, received, flags);
  dropFiles(received.files);
  letGo(socket);
  if (typeof control === 'number') return control;
  const from = sender(socket, received);
  if (header.name !== 0n) {
    const part = from.subarray(0, header.nameLength);
    if ((yield* writeSome(mm, thread, header.name, part)) < part.length) return -EFAULT;
    if ((yield* writeU32(mm, thread, address + 8n, from.length)) !== 0) return -EFAULT;
  }
  const tail = new Uint8Array(16);
  const view = new DataView(tail.buffer);
  view.setBigUint64(0, BigInt(control.length), true);
  view.setInt32(8, received.flags | control.flags | (flags & MSG.CMSG_CLOEXEC), true);
  const error = yield* writeUser(mm, thread, address + 40n, tail.subarray(0, 12));
  if (error !== 0) return error;
  return (flags & MSG.TRUNC) !== 0 && socket.type !== SOCK_STREAM ? received.length : outcome.bytes;
}

/** What a receiver is told of the sender: nothing for streams and the unnamed. */
function sender(socket: Socket, { from }: Received): Uint8Array {
  if (from === undefined || (socket.type === SOCK_STREAM && from.family !== AF_UNIX)) return new Uint8Array();
  const bytes = addressBytes(from, socket.domain);
  return bytes.length === 2 ? new Uint8Array() : bytes;
}

/** What the caller asks for goes on while it is met; the count of messages, or the first one's error. */
function* several(
  services: SyscallServices,
  thread: Thread,
  address: bigint,
  messages: number,
  one: (header: bigint, first: boolean) => MaySleep<number>,
): MaySleep<number> {
  for (let i = 0; i < Math.min(messages, MOST_MESSAGES); i++) {
    const header = address + BigInt(MMSGHDR_BYTES * i);
    const moved = yield* one(header, i === 0);
    if (moved < 0) return i > 0 ? i : moved;
    const error = yield* writeU32(services.mm, thread, header + BigInt(MSGHDR_BYTES), moved);
    if (error !== 0) return i > 0 ? i : error;
  }
  return Math.min(messages, MOST_MESSAGES);
}

export const socketMessageSyscalls: readonly Syscall[] = [
  {
    number: 206,
    name: 'sendto',
    args: ['fd', 'buffer', 'unsigned', 'hex', 'pointer', 'int'],
    *run(services, thread, [fd, buffer, bytes, flags, name, nameLength]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      if (name !== 0n && (int(nameLength) < 0 || int(nameLength) > 128)) return -EINVAL;
      const header: Header = {
        name,
        nameLength: name === 0n ? 0 : int(nameLength),
        stretches: [{ address: buffer, bytes: count(bytes) }],
        control: 0n,
        controlLength: 0,
      };
      return yield* send(services, thread, socket, header, int(flags));
    },
  },
  {
    number: 207,
    name: 'recvfrom',
    args: ['fd', 'buffer', 'unsigned', 'hex', 'pointer', 'pointer'],
    *run(services, thread, [fd, buffer, bytes, flags, name, nameLength]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      socket.users++;
      const stretches = [{ address: buffer, bytes: count(bytes) }];
      const outcome = yield* receiveAll(services, thread, socket, stretches, int(flags));
      letGo(socket);
      if (typeof outcome === 'number') return outcome;
      const { received } = outcome;
      dropFiles(received.files);
      if (name !== 0n) {
        const error = yield* writeAddress(services, thread, sender(socket, received), name, nameLength);
        if (error !== 0) return error;
      }
      const whole = (int(flags) & MSG.TRUNC) !== 0 && socket.type !== SOCK_STREAM;
      return whole ? received.length : outcome.bytes;
    },
  },
  {
    number: 211,
    name: 'sendmsg',
    args: ['fd', 'pointer', 'hex'],
    *run(services, thread, [fd, address, flags]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      const header = yield* readHeader(services, thread, address);
      return typeof header === 'number' ? header : yield* send(services, thread, socket, header, int(flags));
    },
  },
  {
    number: 212,
    name: 'recvmsg',
    args: ['fd', 'pointer', 'hex'],
    *run(services, thread, [fd, address, flags]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      return yield* receive(services, thread, socket, address, int(flags));
    },
  },
  {
    number: 243,
    name: 'recvmmsg',
    args: ['fd', 'pointer', 'unsigned', 'hex', 'pointer'],
    *run(services, thread, [fd, address, messages, flags, timeout]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      let deadline: bigint | undefined;
      if (timeout !== 0n) {
        const time = yield* readTimespec(services, thread, timeout);
        if (typeof time === 'number') return time;
        deadline = services.clock.monotonic + time;
      }
      // Looked at after each message only, as recvmmsg(2) regrets.
      return yield* several(services, thread, address, uint(messages), function* (header, first) {
        if (!first && deadline !== undefined && services.clock.monotonic >= deadline) return -11;
        const later = first || (int(flags) & MSG.WAITFORONE) === 0 ? 0 : MSG.DONTWAIT;
        return yield* receive(services, thread, socket, header, (int(flags) & ~MSG.WAITFORONE) | later);
      });
    },
  },
  {
    number: 269,
    name: 'sendmmsg',
    args: ['fd', 'pointer', 'unsigned', 'hex'],
    *run(services, thread, [fd, address, messages, flags]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      return yield* several(services, thread, address, uint(messages), function* (at) {
        const header = yield* readHeader(services, thread, at);
        return typeof header === 'number'
          ? header
          : yield* send(services, thread, socket, header, int(flags));
      });
    },
  },
];
