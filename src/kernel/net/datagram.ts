/**
 * Datagram sockets: AF_UNIX and UDP on the loopback.
 *
 * Ref. net/unix/af_unix.c (unix_dgram_sendmsg), net/ipv4/udp.c. What finds no room is dropped by UDP and
 * waited for by AF_UNIX; a connected UDP socket is told of a closed port by its next call.
 */
import {
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EINTR,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  ERESTARTSYS,
  type MaySleep,
  type Waiter,
} from '../contexts/index.js';
import { POLLERR, POLLHUP, POLLRDHUP } from '../fs/index.js';
import {
  AF_INET,
  AF_UNIX,
  MOST_UDP_BYTES,
  MOST_UNIX_DATAGRAMS,
  MSG,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
} from './abi.js';
import { type InetAddress, isAny, isLoopback, LOOPBACK4, LOOPBACK6, type SocketAddress } from './address.js';
import { NOBODY, READABLE, type Received, type SendOptions, Socket, WRITABLE } from './socket.js';

/** Datagrams that one UDP socket keeps, however small. */
const MOST_UDP_DATAGRAMS = 1024;

export class DatagramSocket extends Socket {
  /** AF_UNIX: whom connect or socketpair named. */
  peer: DatagramSocket | undefined;

  get #unix(): boolean {
    return this.domain === AF_UNIX;
  }

  join(other: DatagramSocket): void {
    this.peer = other;
    other.peer = this;
    this.peerCredentials = other.owner;
    other.peerCredentials = this.owner;
  }

  connect(_waiter: Waiter, address: SocketAddress | undefined, target: Socket | undefined): number {
    if (address === undefined) {
      this.peer = undefined;
      this.remote = undefined;
      return 0;
    }
    if (address.family !== AF_UNIX) {
      const to = this.#reach(address);
      if (typeof to === 'number') return to;
      const error = this.#autobind();
      if (error !== 0) return error;
      if (this.local.family !== AF_UNIX && isAny(this.local.host)) {
        this.local = { ...this.local, host: to.host.length === 4 ? LOOPBACK4 : LOOPBACK6 };
      }
      this.remote = to;
      return 0;
    }
    if (target === undefined) return -ECONNREFUSED;
    if (!(target instanceof DatagramSocket)) return -EPROTOTYPE;
    if (target.peer !== undefined && target.peer !== this) return -EPERM;
    this.peer = target;
    this.remote = address;
    return 0;
  }

  #autobind(): number {
    if (this.bound || this.local.family === AF_UNIX) return 0;
    const local = this.network.bindPort(this, this.local);
    if (typeof local === 'number') return local;
    this.local = local;
    this.bound = true;
    return 0;
  }

  #reach(to: InetAddress): InetAddress | number {
    const host = !isAny(to.host)
      ? to.host
      : this.domain === AF_INET || to.host.length === 4
        ? LOOPBACK4
        : LOOPBACK6;
    return isLoopback(host) ? { ...to, host } : -ENETUNREACH;
  }

  override getPeerName(): SocketAddress | number {
    return this.remote ?? this.peer?.local ?? -ENOTCONN;
  }

  *send(waiter: Waiter, bytes: Uint8Array, options: SendOptions): MaySleep<number> {
    if ((options.flags & MSG.OOB) !== 0) return -EOPNOTSUPP;
    const kept = this.takeError();
    if (kept !== 0) return kept;
    if (this.writeShut) return -EPIPE;
    return this.#unix ? yield* this.#sendUnix(waiter, bytes, options) : this.#sendUdp(bytes, options);
  }

  #sendUdp(bytes: Uint8Array, { to }: SendOptions): number {
    if (bytes.length > MOST_UDP_BYTES) return -EMSGSIZE;
    const goal = to ?? this.remote;
    if (goal === undefined || goal.family === AF_UNIX) return -EDESTADDRREQ;
    if (goal.port === 0) return -EINVAL;
    const reached = this.#reach(goal);
    if (typeof reached === 'number') return reached;
    const error = this.#autobind();
    if (error !== 0) return error;
    const from = this.#source(reached);
    const receiver = this.network.receiver(this.type, reached, from);
    if (!(receiver instanceof DatagramSocket)) {
      // The ICMP message reaches a connected socket.
      if (this.remote !== undefined && to === undefined) {
        this.error = ECONNREFUSED;
        this.changed.wake();
      }
      return bytes.length;
    }
    const full =
      receiver.queued + bytes.length > receiver.receiveBuffer || receiver.queue.length >= MOST_UDP_DATAGRAMS;
    if (!full && !receiver.readShut) {
      receiver.deliver({ bytes: bytes.slice(), from, files: [], credentials: this.owner });
    }
    return bytes.length;
  }

  #source(to: InetAddress): InetAddress {
    const local = this.local as InetAddress;
    return isAny(local.host) ? { ...local, host: to.host.length === 4 ? LOOPBACK4 : LOOPBACK6 } : local;
  }

  *#sendUnix(waiter: Waiter, bytes: Uint8Array, options: SendOptions): MaySleep<number> {
    if (bytes.length > this.sendBuffer) return -EMSGSIZE;
    const named = options.to !== undefined;
    const receiver = named ? options.target : this.peer;
    if (!named && receiver === undefined) return -ENOTCONN;
    if (receiver !== undefined && !(receiver instanceof DatagramSocket)) return -EPROTOTYPE;
    if (receiver === undefined || receiver.released) {
      if (!named) {
        this.peer = undefined;
        this.remote = undefined;
      }
      return -ECONNREFUSED;
    }
    if (receiver.peer !== undefined && receiver.peer !== this) return -EPERM;
    const room = () =>
      receiver.queue.length < MOST_UNIX_DATAGRAMS || receiver.released || receiver.readShut || this.writeShut;
    if (!room()) {
      if (this.nonblocking || (options.flags & MSG.DONTWAIT) !== 0) return -EAGAIN;
      const ended = yield* this.network.wait(
        waiter,
        this.sendTimeout,
        [receiver.changed, this.changed],
        room,
      );
      if (ended !== 'met') return this.#gaveUp(ended, this.sendTimeout);
    }
    if (receiver.released) return -ECONNREFUSED;
    if (receiver.readShut || this.writeShut) return -EPIPE;
    const files = options.files ?? [];
    for (const file of files) file.users++;
    receiver.deliver({
      bytes: bytes.slice(),
      from: this.local,
      files,
      credentials: options.credentials ?? this.owner,
    });
    return bytes.length;
  }

  #gaveUp(ended: 'signal' | 'timeout', timeout: bigint | undefined): number {
    if (ended === 'timeout') return -EAGAIN;
    return timeout === undefined ? -ERESTARTSYS : -EINTR;
  }

  *receive(waiter: Waiter, count: number, flags: number): MaySleep<Received | number> {
    if ((flags & MSG.OOB) !== 0) return -EOPNOTSUPP;
    if ((flags & MSG.ERRQUEUE) !== 0) return -EAGAIN;
    if (this.queue.length === 0) {
      if (this.error !== 0) return this.takeError();
      if (this.readShut) return NOTHING;
      if (this.nonblocking || (flags & MSG.DONTWAIT) !== 0) return -EAGAIN;
      const come = () => this.queue.length > 0 || this.readShut || this.error !== 0;
      const ended = yield* this.network.wait(waiter, this.receiveTimeout, [this.changed], come);
      if (ended !== 'met') return this.#gaveUp(ended, this.receiveTimeout);
      if (this.queue.length === 0) return this.error === 0 ? NOTHING : this.takeError();
    }
    const received = this.takePacket(count, flags);
    this.changed.wake(WRITABLE);
    this.peer?.changed.wake(WRITABLE);
    return received;
  }

  shutdown(how: number): number {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (this.peer === undefined && this.remote === undefined) return -ENOTCONN;
    if (how !== SHUT_WR) this.readShut = true;
    if (how !== SHUT_RD) this.writeShut = true;
    this.changed.wake();
    this.peer?.changed.wake();
    return 0;
  }

  override poll(): number {
    let bits = this.error === 0 ? 0 : POLLERR;
    if (this.queue.length > 0 || this.readShut) bits |= READABLE;
    if (this.readShut) bits |= POLLRDHUP;
    if (this.readShut && this.writeShut) bits |= POLLHUP;
    const full = this.peer !== undefined && this.peer.queue.length >= MOST_UNIX_DATAGRAMS;
    return full ? bits : bits | WRITABLE;
  }

  override release(): void {
    super.release();
    this.peer?.changed.wake();
  }
}

const NOTHING: Received = {
  bytes: new Uint8Array(),
  length: 0,
  from: undefined,
  files: [],
  credentials: NOBODY,
  flags: 0,
};
