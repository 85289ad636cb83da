/**
 * What all sockets share: addresses, options, the queue of what was received, errors kept for later.
 *
 * Ref. struct sock, struct sk_buff of Linux; net/core/sock.c.
 */
import { EINVAL, ENOTCONN, EOPNOTSUPP, type MaySleep, type Waiter, WaitList } from '../contexts/index.js';
import {
  FIONREAD,
  type Io,
  letGo,
  O_NONBLOCK,
  O_RDWR,
  OpenFile,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
  S_IFSOCK,
  SpecialFile,
} from '../fs/index.js';
import { AF_INET, AF_INET6, AF_UNIX, BUFFER_DEFAULT, MSG, SOCK_DGRAM } from './abi.js';
import { ANY4, ANY6, type SocketAddress, UNNAMED } from './address.js';
import type { Network } from './network.js';

export const READABLE = POLLIN | POLLRDNORM;
export const WRITABLE = POLLOUT | POLLWRNORM;

/** struct ucred. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** What is sent at once: bytes, perhaps with open files and the sender's identity. */
export interface Message {
  bytes: Uint8Array;
  readonly from: SocketAddress;
  files: readonly OpenFile[];
  readonly credentials: Credentials;
}

/** What a receiver gets. */
export interface Received {
  readonly bytes: Uint8Array;
  /** The message's length where more was there than asked for. */
  readonly length: number;
  readonly from: SocketAddress | undefined;
  readonly files: readonly OpenFile[];
  readonly credentials: Credentials;
  /** MSG_TRUNC, MSG_EOR. */
  readonly flags: number;
}

/** What a sender passes beside the bytes. */
export interface SendOptions {
  readonly flags: number;
  readonly to?: SocketAddress;
  /** The AF_UNIX socket that `to` names, where it names one. */
  readonly target?: Socket;
  readonly files?: readonly OpenFile[];
  readonly credentials?: Credentials;
}

export const NOBODY: Credentials = { pid: 0, uid: 0, gid: 0 };

export abstract class Socket extends OpenFile {
  readonly network: Network;
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
  local: SocketAddress;
  remote: SocketAddress | undefined;
  bound = false;
  /** Who made it. */
  readonly owner: Credentials;
  /** SO_PEERCRED. */
  peerCredentials: Credentials = NOBODY;

  readonly queue: Message[] = [];
  /** Bytes in `queue`. */
  queued = 0;
  /** RCV_SHUTDOWN, SEND_SHUTDOWN. */
  readShut = false;
  writeShut = false;
  /** sk_err: told once, by the next call. */
  error = 0;
  released = false;

  readonly options = new Map<string, number>();
  sendBuffer = BUFFER_DEFAULT;
  receiveBuffer = BUFFER_DEFAULT;
  /** SO_RCVTIMEO, SO_SNDTIMEO in nanoseconds. */
  receiveTimeout: bigint | undefined;
  sendTimeout: bigint | undefined;
  reuseAddress = false;
  reusePort = false;
  passCredentials = false;
  onlyIPv6 = false;
  /** SO_LINGER's seconds; undefined: off. */
  linger: number | undefined;

  readonly changed = new WaitList();

  constructor(network: Network, inode: SpecialFile, kind: SocketKind, owner: Credentials) {
    super(inode, O_RDWR | (kind.flags ?? 0), `socket:[${inode.ino}]`);
    this.network = network;
    this.domain = kind.domain;
    this.type = kind.type;
    this.protocol = kind.protocol;
    this.owner = owner;
    this.local = unboundAddress(kind.domain);
    network.sockets.add(this);
  }

  get listening(): boolean {
    return false;
  }

  override get waitLists(): readonly WaitList[] {
    return [this.changed];
  }

  get nonblocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  /** sock_error(): the kept error as a negative errno, once; 0 for none. */
  takeError(): number {
    const error = this.error;
    this.error = 0;
    return -error;
  }

  abstract connect(
    waiter: Waiter,
    address: SocketAddress | undefined,
    target: Socket | undefined,
  ): Io<number>;
  abstract send(waiter: Waiter, bytes: Uint8Array, options: SendOptions): MaySleep<number>;
  abstract receive(waiter: Waiter, count: number, flags: number): MaySleep<Received | number>;
  abstract shutdown(how: number): number;

  listen(_backlog: number): number {
    return -EOPNOTSUPP;
  }

  accept(_waiter: Waiter): Io<Socket | number> {
    return -EOPNOTSUPP;
  }

  getPeerName(): SocketAddress | number {
    return this.remote ?? -ENOTCONN;
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    if (count === 0) return new Uint8Array();
    const received = yield* this.receive(waiter, count, 0);
    if (typeof received === 'number') return received;
    dropFiles(received.files);
    return received.bytes;
  }

  *write(waiter: Waiter, data: Uint8Array): MaySleep<number> {
    return yield* this.send(waiter, data, { flags: 0 });
  }

  override ioctl(request: number): Uint8Array | number {
    if (request !== FIONREAD) return super.ioctl(request);
    if (this.listening) return -EINVAL;
    const bytes = new Uint8Array(4);
    const first = this.queue[0]?.bytes.length ?? 0;
    new DataView(bytes.buffer).setInt32(0, this.type === SOCK_DGRAM ? first : this.queued, true);
    return bytes;
  }

  /** Puts a message into this socket's queue and tells whoever waits. */
  deliver(message: Message): void {
    this.queue.push(message);
    this.queued += message.bytes.length;
    this.changed.wake(READABLE);
  }

  /** Takes one message whole (packets), or leaves it (MSG_PEEK). */
  takePacket(count: number, flags: number): Received {
    const message = this.queue[0]!;
    const { bytes, from, credentials } = message;
    const peek = (flags & MSG.PEEK) !== 0;
    if (peek) {
      for (const file of message.files) file.users++;
    } else {
      this.queue.shift();
      this.queued -= bytes.length;
    }
    const truncated = bytes.length > count ? MSG.TRUNC : 0;
    const taken = bytes.slice(0, count);
    return { bytes: taken, length: bytes.length, from, files: message.files, credentials, flags: truncated };
  }

  /** Nobody will read what is queued; files on their way are closed. */
  protected dropQueue(): void {
    for (const { files } of this.queue) dropFiles(files);
    this.queue.length = 0;
    this.queued = 0;
  }

  override release(): void {
    this.released = true;
    this.network.sockets.delete(this);
    this.dropQueue();
    this.changed.wake();
  }
}

export interface SocketKind {
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
  /** O_NONBLOCK. */
  readonly flags?: number;
}

export function unboundAddress(domain: number): SocketAddress {
  if (domain === AF_UNIX) return UNNAMED;
  return domain === AF_INET
    ? { family: AF_INET, host: ANY4, port: 0 }
    : { family: AF_INET6, host: ANY6, port: 0 };
}

export function dropFiles(files: readonly OpenFile[]): void {
  for (const file of files) letGo(file);
}

export const socketInode = (ino: number): SpecialFile =>
  new SpecialFile(ino, S_IFSOCK | 0o777, () => -EINVAL);

export const HANG_UP = POLLRDHUP | READABLE;
