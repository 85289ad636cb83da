/**
 * Connected sockets: AF_UNIX streams and packets, TCP on the loopback.
 *
 * Two connected sockets know each other; what one sends is in the other's queue at once. TCP's
 * handshake and acknowledgements thus take no time, but who is told of which end, and when, follows
 * Linux: a TCP peer that closed is found out by the second write, a UNIX one by the first.
 *
 * Ref. net/unix/af_unix.c (unix_stream_connect, unix_stream_sendmsg, unix_stream_read_generic,
 * unix_release_sock), net/ipv4/tcp.c (tcp_sendmsg_locked, tcp_recvmsg_locked, tcp_close), tcp_input.c
 * (tcp_reset).
 */
import {
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENETUNREACH,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  EPROTOTYPE,
  ERESTARTSYS,
  type MaySleep,
  type Waiter,
} from '../contexts/index.js';
import { letGo, type OpenFile, POLLERR, POLLHUP, POLLRDHUP } from '../fs/index.js';
import {
  AF_INET,
  AF_UNIX,
  MOST_BACKLOG,
  MSG,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from './abi.js';
import { type InetAddress, isAny, isLoopback, LOOPBACK4, LOOPBACK6, type SocketAddress } from './address.js';
import type { Network } from './network.js';
import {
  type Credentials,
  HANG_UP,
  NOBODY,
  READABLE,
  type Received,
  type SendOptions,
  Socket,
  type SocketKind,
  type socketInode,
  WRITABLE,
} from './socket.js';

/** Messages of one queue, small ones joined where they can be. */
const MOST_MESSAGES = 1024;

export type MakeInode = () => ReturnType<typeof socketInode>;

export class StreamSocket extends Socket {
  peer: StreamSocket | undefined;
  readonly #makeInode: MakeInode;
  /** Connections that nobody has accepted; undefined where it does not listen. */
  #accepting: StreamSocket[] | undefined;
  #backlog = 0;
  /** A nonblocking connect whose outcome was not asked for yet. */
  #connecting = false;
  /** A nonblocking connect that waits for room in the listener's queue; ends the wait. */
  #handshake: (() => void) | undefined;
  /** TCP: the other end is gone and has said so to a write of ours. */
  #refusedWrite = false;

  constructor(network: Network, makeInode: MakeInode, kind: SocketKind, owner: Credentials) {
    super(network, makeInode(), kind, owner);
    this.#makeInode = makeInode;
  }

  get #unix(): boolean {
    return this.domain === AF_UNIX;
  }

  override get listening(): boolean {
    return this.#accepting !== undefined;
  }

  // ---- making connections --------------------------------------------------------------------------------

  override listen(backlog: number): number {
    if (this.peer !== undefined || (this.#unix && !this.bound)) return -EINVAL;
    if (!this.bound && this.local.family !== AF_UNIX) {
      const local = this.network.bindPort(this, this.local);
      if (typeof local === 'number') return local;
      this.local = local;
      this.bound = true;
    }
    this.#accepting ??= [];
    this.peerCredentials = this.owner;
    this.#backlog = backlog < 0 || backlog > MOST_BACKLOG ? MOST_BACKLOG : backlog;
    return 0;
  }

  /** socketpair(2), and each new connection. */
  join(other: StreamSocket): void {
    this.peer = other;
    other.peer = this;
    this.peerCredentials = other.owner;
    other.peerCredentials = this.owner;
    this.changed.wake(WRITABLE);
    other.changed.wake(WRITABLE);
  }

  *connect(waiter: Waiter, address: SocketAddress | undefined, target: Socket | undefined): MaySleep<number> {
    if (address === undefined) return this.#disconnect();
    if (this.#handshake !== undefined) return -EALREADY;
    if (this.#connecting) {
      this.#connecting = false;
      if (this.error !== 0) return this.takeError();
      if (this.peer !== undefined) return 0;
    }
    if (this.peer !== undefined || this.remote !== undefined) return -EISCONN;
    if (this.#accepting !== undefined) return this.#unix ? -EINVAL : -EISCONN;
    let goal = address;
    if (goal.family !== AF_UNIX) {
      const reached = this.#reach(goal);
      if (typeof reached === 'number') return reached;
      goal = reached;
    }
    const find = () => (goal.family === AF_UNIX ? target : this.network.receiver(SOCK_STREAM, goal));
    let listener = find();
    for (;;) {
      if (listener !== undefined && listener.type !== this.type) return -EPROTOTYPE;
      if (!(listener instanceof StreamSocket) || !listener.listening) {
        if (this.#unix || !this.nonblocking) return -ECONNREFUSED;
        this.#connecting = true;
        this.#refused();
        return -EINPROGRESS;
      }
      if (listener.#accepting!.length <= listener.#backlog) break;
      if (this.nonblocking && this.#unix) return -EAGAIN;
      const full = listener;
      const room = () => !full.listening || full.#accepting!.length <= full.#backlog;
      if (this.nonblocking) return this.#connectLater(full, goal, room);
      const ended = yield* this.network.wait(waiter, this.sendTimeout, [full.changed], room);
      if (ended !== 'met') return this.#gaveUp(ended, this.sendTimeout);
      listener = find();
    }
    const error = this.#connectTo(listener, goal);
    if (error !== 0) return error;
    if (this.#unix || !this.nonblocking) return 0;
    this.#connecting = true;
    return -EINPROGRESS;
  }

  #refused(): void {
    this.error = ECONNREFUSED;
    this.changed.wake();
  }

  /** SYN_SENT: the connection is made, or refused, when the listener has room or is gone. */
  #connectLater(listener: StreamSocket, goal: SocketAddress, room: () => boolean): number {
    this.#connecting = true;
    this.#handshake = listener.changed.listen(() => {
      if (!room()) return;
      this.#handshake?.();
      this.#handshake = undefined;
      if (!listener.listening || this.#connectTo(listener, goal) !== 0) this.#refused();
    });
    return -EINPROGRESS;
  }

  /** The loopback's address for a wildcard; -ENETUNREACH for any other machine. */
  #reach(to: InetAddress): InetAddress | number {
    const host = !isAny(to.host)
      ? to.host
      : this.domain === AF_INET || to.host.length === 4
        ? LOOPBACK4
        : this.network.receiver(SOCK_STREAM, { ...to, host: LOOPBACK6 }) === undefined
          ? LOOPBACK4
          : LOOPBACK6;
    return isLoopback(host) ? { ...to, host } : -ENETUNREACH;
  }

  #connectTo(listener: StreamSocket, address: SocketAddress): number {
    const kind = { domain: listener.domain, type: listener.type, protocol: listener.protocol };
    if (address.family !== AF_UNIX && this.local.family !== AF_UNIX) {
      const host = address.host.length === 4 ? LOOPBACK4 : LOOPBACK6;
      if (!this.bound) {
        const local = this.network.bindPort(this, { ...this.local, host });
        if (typeof local === 'number') return local;
        this.local = local;
        this.bound = true;
      } else if (isAny(this.local.host)) {
        this.local = { ...this.local, host };
      }
    }
    const accepted = new StreamSocket(this.network, listener.#makeInode, kind, listener.owner);
    accepted.sendBuffer = listener.sendBuffer;
    accepted.receiveBuffer = listener.receiveBuffer;
    accepted.passCredentials = listener.passCredentials;
    accepted.reuseAddress = listener.reuseAddress;
    accepted.reusePort = listener.reusePort;
    // Ours until accept(2) makes it a descriptor's.
    accepted.users = 1;
    accepted.bound = true;
    accepted.local = address.family === AF_UNIX ? listener.local : address;
    accepted.remote = this.local;
    if (address.family !== AF_UNIX) this.network.sharePort(accepted, address.port);
    this.remote = address.family === AF_UNIX ? listener.local : address;
    this.join(accepted);
    listener.#accepting!.push(accepted);
    listener.changed.wake(READABLE);
    return 0;
  }

  #disconnect(): number {
    if (this.peer === undefined) return 0;
    return this.#unix ? -EOPNOTSUPP : -EISCONN;
  }

  override *accept(waiter: Waiter): MaySleep<Socket | number> {
    if (this.#accepting === undefined) return -EINVAL;
    if (this.#accepting.length === 0) {
      if (this.nonblocking) return -EAGAIN;
      const come = () => this.#accepting === undefined || this.#accepting.length > 0;
      const ended = yield* this.network.wait(waiter, this.receiveTimeout, [this.changed], come);
      if (ended !== 'met') return this.#gaveUp(ended, this.receiveTimeout);
    }
    const accepted = this.#accepting?.shift();
    if (accepted === undefined) return -EINVAL;
    // Somebody may wait for room.
    this.changed.wake(WRITABLE);
    return accepted;
  }

  #gaveUp(ended: 'signal' | 'timeout', timeout: bigint | undefined): number {
    if (ended === 'timeout') return -EAGAIN;
    return timeout === undefined ? -ERESTARTSYS : -EINTR;
  }

  override getPeerName(): SocketAddress | number {
    if (this.peer === undefined && this.remote === undefined) return -ENOTCONN;
    if (!this.#unix && this.#refusedWrite) return -ENOTCONN;
    return this.remote ?? this.peer!.local;
  }

  // ---- data ----------------------------------------------------------------------------------------------

  get #peerGone(): boolean {
    return this.peer === undefined || this.peer.released;
  }

  *send(waiter: Waiter, bytes: Uint8Array, options: SendOptions): MaySleep<number> {
    if ((options.flags & MSG.OOB) !== 0) return -EOPNOTSUPP;
    if (options.to !== undefined && this.#unix) return this.peer === undefined ? -EOPNOTSUPP : -EISCONN;
    const kept = this.takeError();
    if (kept !== 0) return kept;
    if (this.peer === undefined && this.remote === undefined) return this.#unix ? -ENOTCONN : -EPIPE;
    const packets = this.type === SOCK_SEQPACKET;
    if (packets && bytes.length > this.sendBuffer) return -EMSGSIZE;
    let files = options.files ?? [];
    let done = 0;
    while (done < bytes.length || (packets && done === 0)) {
      const refused = this.#cannotSend(bytes.length);
      if (refused !== undefined) return done > 0 ? done : refused;
      const peer = this.peer!;
      const limit = Math.min(this.sendBuffer, peer.receiveBuffer);
      const room = () => (peer.queue.length < MOST_MESSAGES ? limit - peer.queued : 0);
      const needed = packets ? Math.min(bytes.length, limit) : 1;
      if (room() < needed) {
        if (this.nonblocking || (options.flags & MSG.DONTWAIT) !== 0) return done > 0 ? done : -EAGAIN;
        const writable = () => room() >= needed || this.writeShut || this.#peerGone || this.error !== 0;
        const lists = [this.changed, peer.changed];
        const ended = yield* this.network.wait(waiter, this.sendTimeout, lists, writable);
        if (ended !== 'met') return done > 0 ? done : this.#gaveUp(ended, this.sendTimeout);
        continue;
      }
      const part = packets ? bytes : bytes.subarray(done, done + room());
      peer.#enqueue(part.slice(), files, this.local, options.credentials ?? this.owner);
      files = [];
      done += part.length;
      if (packets) break;
    }
    return done;
  }

  /** Why nothing can be sent: a negative errno, or for TCP a success that nobody will read. */
  #cannotSend(length: number): number | undefined {
    if (this.writeShut) return -EPIPE;
    if (this.error !== 0) return this.takeError();
    if (!this.#peerGone) return this.#unix && this.peer!.readShut ? -EPIPE : undefined;
    if (this.#unix || this.#refusedWrite) return -EPIPE;
    this.#refusedWrite = true;
    this.changed.wake();
    return length;
  }

  #enqueue(
    bytes: Uint8Array,
    files: readonly OpenFile[],
    from: SocketAddress,
    credentials: Credentials,
  ): void {
    // What TCP's reader shut is thrown away.
    if (this.readShut && !this.#unix) return;
    const last = this.queue.at(-1);
    const joins =
      last !== undefined &&
      this.type === SOCK_STREAM &&
      files.length === 0 &&
      last.files.length === 0 &&
      last.credentials.pid === credentials.pid &&
      last.bytes.length + bytes.length <= 4096;
    if (joins) {
      const joined = new Uint8Array(last.bytes.length + bytes.length);
      joined.set(last.bytes);
      joined.set(bytes, last.bytes.length);
      last.bytes = joined;
      this.queued += bytes.length;
      this.changed.wake(READABLE);
      return;
    }
    for (const file of files) file.users++;
    this.deliver({ bytes, from, files, credentials });
  }

  get #atEnd(): boolean {
    return this.readShut || this.#peerGone || this.peer?.writeShut === true;
  }

  *receive(waiter: Waiter, count: number, flags: number): MaySleep<Received | number> {
    if (this.#accepting !== undefined) return this.#unix ? -EINVAL : -ENOTCONN;
    if (this.peer === undefined && this.remote === undefined) {
      return this.#unix ? -EINVAL : this.error === 0 ? -ENOTCONN : this.takeError();
    }
    if ((flags & MSG.OOB) !== 0) return this.#unix ? -EOPNOTSUPP : -EINVAL;
    if ((flags & MSG.ERRQUEUE) !== 0) return -EAGAIN;
    const packets = this.type === SOCK_SEQPACKET;
    const least = (flags & MSG.WAITALL) !== 0 && (flags & MSG.PEEK) === 0 && !packets ? count : 1;
    const parts: Received[] = [];
    let done = 0;
    for (;;) {
      if (this.queue.length > 0) {
        if (packets) return this.#after(this.takePacket(count, flags));
        const part = this.#takeBytes(count - done, flags);
        parts.push(part);
        done += part.bytes.length;
        if (done >= least || part.files.length > 0 || (flags & MSG.PEEK) !== 0) break;
        continue;
      }
      if (this.error !== 0) {
        if (done > 0) break;
        return this.takeError();
      }
      if (this.#atEnd || count === 0) break;
      if (this.nonblocking || (flags & MSG.DONTWAIT) !== 0) {
        if (done > 0) break;
        return -EAGAIN;
      }
      const come = () => this.queue.length > 0 || this.#atEnd || this.error !== 0;
      const ended = yield* this.network.wait(waiter, this.receiveTimeout, [this.changed], come);
      if (ended === 'met') continue;
      if (done > 0) break;
      return this.#gaveUp(ended, this.receiveTimeout);
    }
    return this.#after(joined(parts));
  }

  /** The sender has room again. */
  #after(received: Received): Received {
    this.peer?.changed.wake(WRITABLE);
    return received;
  }

  /** Up to `count` bytes, over several messages, but not past one that carries files or another sender. */
  #takeBytes(count: number, flags: number): Received {
    const peek = (flags & MSG.PEEK) !== 0;
    const first = this.queue[0]!;
    const { from, credentials, files } = first;
    const parts: Uint8Array[] = [];
    let taken = 0;
    for (let at = 0; taken < count; ) {
      const message = this.queue[at];
      if (message === undefined) break;
      if (message !== first && (message.files.length > 0 || message.credentials.pid !== credentials.pid))
        break;
      const part = message.bytes.subarray(0, count - taken);
      parts.push(part);
      taken += part.length;
      if (peek) {
        at++;
        continue;
      }
      this.queued -= part.length;
      message.files = [];
      if (part.length === message.bytes.length) this.queue.shift();
      else message.bytes = message.bytes.subarray(part.length);
      // What carries files ends the call.
      if (files.length > 0) break;
    }
    if (peek) for (const file of files) file.users++;
    const bytes = new Uint8Array(taken);
    let to = 0;
    for (const part of parts) {
      bytes.set(part, to);
      to += part.length;
    }
    return { bytes, length: taken, from, files, credentials, flags: 0 };
  }

  // ---- ends ----------------------------------------------------------------------------------------------

  shutdown(how: number): number {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (this.#accepting !== undefined) {
      if (how !== SHUT_WR && !this.#unix) this.#stopListening();
      return 0;
    }
    if (this.peer === undefined) return -ENOTCONN;
    if (how !== SHUT_WR) this.readShut = true;
    if (how !== SHUT_RD) this.writeShut = true;
    this.changed.wake();
    this.peer.changed.wake();
    return 0;
  }

  #stopListening(): void {
    const accepting = this.#accepting ?? [];
    this.#accepting = undefined;
    for (const accepted of accepting) {
      const client = accepted.peer;
      letGo(accepted);
      if (client !== undefined) client.error = ECONNRESET;
    }
    this.changed.wake();
  }

  override poll(): number {
    if (this.#accepting !== undefined) return this.#accepting.length > 0 ? READABLE : 0;
    let bits = this.error === 0 ? 0 : POLLERR;
    if (this.#handshake !== undefined) return bits;
    if (this.peer === undefined) return bits | WRITABLE | POLLHUP;
    const { peer } = this;
    if (this.queue.length > 0) bits |= READABLE;
    if (this.#atEnd) bits |= HANG_UP;
    if (this.readShut) bits |= POLLRDHUP;
    const hungUp = this.#unix
      ? peer.released || (this.writeShut && (this.readShut || peer.writeShut))
      : this.#refusedWrite || (this.#atEnd && this.writeShut);
    if (hungUp) bits |= POLLHUP;
    const limit = Math.min(this.sendBuffer, peer.receiveBuffer);
    if (peer.released || this.writeShut || peer.queued * 3 <= limit * 2) bits |= WRITABLE;
    return bits;
  }

  override release(): void {
    const unread = this.queue.length > 0 || this.linger === 0;
    super.release();
    this.#handshake?.();
    this.#stopListening();
    const { peer } = this;
    if (peer === undefined || peer.released) return;
    if (unread) peer.error = ECONNRESET;
    peer.changed.wake();
  }
}

function joined(parts: readonly Received[]): Received {
  const [first] = parts;
  if (first === undefined) {
    return { bytes: new Uint8Array(), length: 0, from: undefined, files: [], credentials: NOBODY, flags: 0 };
  }
  if (parts.length === 1) return first;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
  let to = 0;
  for (const part of parts) {
    bytes.set(part.bytes, to);
    to += part.bytes.length;
  }
  return { ...first, bytes, length: bytes.length, files: parts.flatMap((part) => part.files) };
}
