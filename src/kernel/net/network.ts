/**
 * Who listens where: names of AF_UNIX, ports of TCP and UDP on the loopback.
 *
 * There is no other network: any address but the loopback's is unreachable.
 *
 * Ref. net/unix/af_unix.c (unix_find_other), net/ipv4/inet_hashtables.c, inet_connection_sock.c
 * (inet_csk_get_port).
 */
import { EADDRINUSE, EADDRNOTAVAIL, type MaySleep, type Waiter, type WaitList } from '../contexts/index.js';
import type { Inode } from '../fs/index.js';
import { AF_INET6, SOCK_STREAM } from './abi.js';
import { type InetAddress, isAny, isLoopback, sameHost } from './address.js';
import type { Socket } from './socket.js';

const FIRST_EPHEMERAL = 32768;
const LAST_EPHEMERAL = 60999;

/** Time, as far as sockets have deadlines. */
export interface NetworkClock {
  /** Nanoseconds since boot. */
  now(): bigint;
  /** Calls `fire` at a time; gives what cancels that. */
  at(deadline: bigint, fire: () => void): () => void;
}

export class Network {
  readonly #clock: NetworkClock;
  /** All there are, for /proc/net. */
  readonly sockets = new Set<Socket>();
  readonly #abstract = new Map<string, Socket>();
  readonly #byInode = new WeakMap<Inode, Socket>();
  readonly #ports = new Map<string, Set<Socket>>();
  #nextPort = FIRST_EPHEMERAL;

  constructor(clock: NetworkClock) {
    this.#clock = clock;
  }

  /** Sleeps until `condition` holds, a signal comes or `timeout` nanoseconds have passed. */
  *wait(
    waiter: Waiter,
    timeout: bigint | undefined,
    lists: readonly WaitList[],
    condition: () => boolean,
  ): MaySleep<'met' | 'signal' | 'timeout'> {
    if (condition()) return 'met';
    const deadline = timeout === undefined ? undefined : this.#clock.now() + timeout;
    const cancel = deadline === undefined ? () => {} : this.#clock.at(deadline, () => waiter.sleeper.wake());
    for (const list of lists) list.add(waiter);
    try {
      for (;;) {
        if (condition()) return 'met';
        if (deadline !== undefined && this.#clock.now() >= deadline) return 'timeout';
        if (waiter.interrupted) return 'signal';
        yield waiter.sleeper.point;
      }
    } finally {
      for (const list of lists) list.remove(waiter);
      cancel();
    }
  }

  // ---- AF_UNIX -----------------------------------------------------------------------------------------

  bindInode(inode: Inode, socket: Socket): void {
    this.#byInode.set(inode, socket);
  }

  atInode(inode: Inode): Socket | undefined {
    const socket = this.#byInode.get(inode);
    return socket?.released === true ? undefined : socket;
  }

  bindAbstract(name: Uint8Array, socket: Socket): number {
    const key = `${socket.type}:${name.join(',')}`;
    if (this.#abstract.has(key)) return -EADDRINUSE;
    this.#abstract.set(key, socket);
    socket.onRelease.add(() => this.#abstract.delete(key));
    return 0;
  }

  atAbstract(name: Uint8Array, type: number): Socket | undefined {
    return this.#abstract.get(`${type}:${name.join(',')}`);
  }

  /** An unused abstract name of five digits: bind(2) with the family alone. */
  autobindName(type: number): Uint8Array {
    for (let n = 0; ; n++) {
      const name = new TextEncoder().encode(`\0${n.toString(16).padStart(5, '0')}`);
      if (this.atAbstract(name, type) === undefined) return name;
    }
  }

  // ---- ports -------------------------------------------------------------------------------------------

  #at(type: number, port: number): ReadonlySet<Socket> {
    return this.#ports.get(`${type}:${port}`) ?? new Set();
  }

  /** The address with a port of its own; -EADDRINUSE, or -EADDRNOTAVAIL for what is not this machine's. */
  bindPort(socket: Socket, address: InetAddress): InetAddress | number {
    if (!isAny(address.host) && !isLoopback(address.host)) return -EADDRNOTAVAIL;
    if (address.port !== 0) {
      if (this.#conflicts(socket, address)) return -EADDRINUSE;
      this.#take(socket, address.port);
      return address;
    }
    for (let tried = FIRST_EPHEMERAL; tried <= LAST_EPHEMERAL; tried++) {
      const port = this.#nextPort;
      this.#nextPort = port === LAST_EPHEMERAL ? FIRST_EPHEMERAL : port + 1;
      if (this.#at(socket.type, port).size > 0) continue;
      this.#take(socket, port);
      return { ...address, port };
    }
    return -EADDRINUSE;
  }

  /** An accepted connection holds its listener's port too. */
  sharePort(socket: Socket, port: number): void {
    this.#take(socket, port);
  }

  #take(socket: Socket, port: number): void {
    const key = `${socket.type}:${port}`;
    const holders = this.#ports.get(key) ?? new Set();
    holders.add(socket);
    this.#ports.set(key, holders);
    socket.onRelease.add(() => {
      holders.delete(socket);
      if (holders.size === 0) this.#ports.delete(key);
    });
  }

  #conflicts(socket: Socket, address: InetAddress): boolean {
    for (const other of this.#at(socket.type, address.port)) {
      if (!(other.local.family !== 1 && overlap(socket, address.host, other, other.local.host))) continue;
      if (socket.reusePort && other.reusePort) continue;
      const stream = socket.type === SOCK_STREAM;
      if (socket.reuseAddress && other.reuseAddress && !(stream && other.listening)) continue;
      return true;
    }
    return false;
  }

  /** Who listens (streams) or receives (datagrams) at an address; an exact host before a wildcard. */
  receiver(type: number, to: InetAddress, from?: InetAddress): Socket | undefined {
    let best: Socket | undefined;
    let score = -1;
    for (const socket of this.#at(type, to.port)) {
      if (socket.local.family === 1 || (type === SOCK_STREAM && !socket.listening)) continue;
      const { host } = socket.local;
      const exact = sameHost(host, to.host);
      if (!exact && !(isAny(host) && accepts(socket, to.host))) continue;
      const { remote } = socket;
      let points = exact ? 1 : 0;
      if (type !== SOCK_STREAM && remote !== undefined && remote.family !== 1) {
        if (from === undefined || remote.port !== from.port || !sameHost(remote.host, from.host)) continue;
        points += 2;
      }
      if (points <= score) continue;
      best = socket;
      score = points;
    }
    return best;
  }
}

/** Whether a socket bound to the wildcard takes what comes for a host of this form. */
function accepts(socket: Socket, host: Uint8Array): boolean {
  if (socket.domain === AF_INET6) return host.length === 16 || !socket.onlyIPv6;
  return host.length === 4;
}

function overlap(a: Socket, hostA: Uint8Array, b: Socket, hostB: Uint8Array): boolean {
  if (isAny(hostA)) return isAny(hostB) ? accepts(a, hostB) || accepts(b, hostA) : accepts(a, hostB);
  return isAny(hostB) ? accepts(b, hostA) : sameHost(hostA, hostB);
}
