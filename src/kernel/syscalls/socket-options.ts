/**
 * setsockopt and getsockopt.
 *
 * Options that change something here are fields of the socket; others of the known levels are kept and
 * read back; what a level does not have is ENOPROTOOPT.
 *
 * Ref. net/core/sock.c (sk_setsockopt, sk_getsockopt), socket(7).
 */
import { EDOM, EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP, type MaySleep } from '../contexts/index.js';
import {
  AF_INET6,
  AF_UNIX,
  BUFFER_LEAST,
  BUFFER_MOST,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV6_V6ONLY,
  SO,
  SOCK_STREAM,
  SOL_SOCKET,
  type Socket,
} from '../net/index.js';
import { readU32, readUser, type Thread, writeU32, writeUser } from '../process/index.js';
import { int, type Syscall, type SyscallServices } from './row.js';
import { NS } from './sleeping.js';
import { socketOf } from './socket.js';

/** Options of SOL_SOCKET that are kept without effect. */
const KEPT = new Set<number>([
  SO.DEBUG,
  SO.DONTROUTE,
  SO.BROADCAST,
  SO.KEEPALIVE,
  SO.OOBINLINE,
  SO.NO_CHECK,
  SO.PRIORITY,
  SO.BSDCOMPAT,
  SO.RCVLOWAT,
  SO.TIMESTAMP,
  SO.MARK,
]);
/** What the kept options are before anybody sets them. */
const INITIAL: Readonly<Record<string, number>> = {
  [`${SOL_SOCKET}:${SO.RCVLOWAT}`]: 1,
  // TCP_MAXSEG, KEEPIDLE, KEEPINTVL, KEEPCNT, SYNCNT; IP_TTL, IPV6_UNICAST_HOPS.
  [`${IPPROTO_TCP}:2`]: 536,
  [`${IPPROTO_TCP}:4`]: 7200,
  [`${IPPROTO_TCP}:5`]: 75,
  [`${IPPROTO_TCP}:6`]: 9,
  [`${IPPROTO_TCP}:7`]: 6,
  [`${IPPROTO_IP}:2`]: 64,
  [`${IPPROTO_IPV6}:16`]: 64,
};
/** TCP_NODELAY..TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_FASTOPEN and their like. */
const MOST_TCP_OPTION = 38;
const TCP_INFO = 11;

/** Whether a level other than SOL_SOCKET is one of this socket's. */
function hasLevel(socket: Socket, level: number, name: number): boolean {
  if (socket.domain === AF_UNIX) return false;
  if (level === IPPROTO_TCP)
    return socket.type === SOCK_STREAM && name <= MOST_TCP_OPTION && name !== TCP_INFO;
  if (level === IPPROTO_UDP) return socket.type !== SOCK_STREAM;
  return level === IPPROTO_IP || (level === IPPROTO_IPV6 && socket.domain === AF_INET6);
}

const bufferSize = (value: number): number =>
  Math.max(BUFFER_LEAST, Math.min(BUFFER_MOST, 2 * Math.min(value < 0 ? BUFFER_MOST : value, BUFFER_MOST)));

function* setTimeout({ mm }: SyscallServices, thread: Thread, address: bigint): MaySleep<bigint | number> {
  const bytes = yield* readUser(mm, thread, address, 16);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const seconds = view.getBigInt64(0, true);
  const us = view.getBigInt64(8, true);
  if (us < 0n || us >= 1_000_000n) return -EDOM;
  return seconds < 0n ? 0n : seconds * NS + us * 1000n;
}

function* setOption(
  services: SyscallServices,
  thread: Thread,
  socket: Socket,
  [level, name, address, length]: readonly [number, number, bigint, number],
): MaySleep<number> {
  if (length < 0) return -EINVAL;
  if (level !== SOL_SOCKET && !hasLevel(socket, level, name)) {
    return socket.domain === AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
  }
  if (level === SOL_SOCKET && (name === SO.RCVTIMEO || name === SO.SNDTIMEO)) {
    if (length < 16) return -EINVAL;
    const time = yield* setTimeout(services, thread, address);
    if (typeof time === 'number') return time;
    const limit = time === 0n ? undefined : time;
    if (name === SO.RCVTIMEO) socket.receiveTimeout = limit;
    else socket.sendTimeout = limit;
    return 0;
  }
  if (length < 4 && level === SOL_SOCKET) return -EINVAL;
  const first = yield* readUser(services.mm, thread, address, Math.min(4, length));
  if (first === undefined) return -EFAULT;
  const word = new Uint8Array(4);
  word.set(first);
  const value = new DataView(word.buffer).getInt32(0, true);
  if (level === IPPROTO_IPV6 && name === IPV6_V6ONLY) {
    if (socket.bound) return -EINVAL;
    socket.onlyIPv6 = value !== 0;
    return 0;
  }
  if (level !== SOL_SOCKET) {
    socket.options.set(`${level}:${name}`, value);
    return 0;
  }
  switch (name) {
    case SO.REUSEADDR:
      socket.reuseAddress = value !== 0;
      return 0;
    case SO.REUSEPORT:
      socket.reusePort = value !== 0;
      return 0;
    case SO.PASSCRED:
      socket.passCredentials = value !== 0;
      return 0;
    case SO.SNDBUF:
    case SO.SNDBUFFORCE:
      socket.sendBuffer = bufferSize(value);
      return 0;
    case SO.RCVBUF:
    case SO.RCVBUFFORCE:
      socket.receiveBuffer = bufferSize(value);
      return 0;
    case SO.LINGER: {
      if (length < 8) return -EINVAL;
      const seconds = yield* readU32(services.mm, thread, address + 4n);
      if (seconds === undefined) return -EFAULT;
      socket.linger = value === 0 ? undefined : seconds;
      return 0;
    }
    default:
      if (!KEPT.has(name)) return -ENOPROTOOPT;
      socket.options.set(`${level}:${name}`, value);
      return 0;
  }
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setInt32(4 * i, value, true);
  });
  return bytes;
}

function timeval(ns: bigint | undefined): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, (ns ?? 0n) / NS, true);
  view.setBigInt64(8, ((ns ?? 0n) % NS) / 1000n, true);
  return bytes;
}

/** The option's bytes, or a negative errno. */
function getOption(socket: Socket, level: number, name: number): Uint8Array | number {
  if (level !== SOL_SOCKET) {
    if (!hasLevel(socket, level, name)) return socket.domain === AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
    if (level === IPPROTO_IPV6 && name === IPV6_V6ONLY) return words(socket.onlyIPv6 ? 1 : 0);
    const key = `${level}:${name}`;
    return words(socket.options.get(key) ?? INITIAL[key] ?? 0);
  }
  switch (name) {
    case SO.REUSEADDR:
      return words(socket.reuseAddress ? 1 : 0);
    case SO.REUSEPORT:
      return words(socket.reusePort ? 1 : 0);
    case SO.PASSCRED:
      return words(socket.passCredentials ? 1 : 0);
    case SO.TYPE:
      return words(socket.type);
    case SO.DOMAIN:
      return words(socket.domain);
    case SO.PROTOCOL:
      return words(socket.protocol);
    case SO.ERROR:
      return words(-socket.takeError());
    case SO.SNDBUF:
      return words(socket.sendBuffer);
    case SO.RCVBUF:
      return words(socket.receiveBuffer);
    case SO.SNDLOWAT:
      return words(1);
    case SO.ACCEPTCONN:
      return words(socket.listening ? 1 : 0);
    case SO.LINGER:
      return words(socket.linger === undefined ? 0 : 1, socket.linger ?? 0);
    case SO.RCVTIMEO:
      return timeval(socket.receiveTimeout);
    case SO.SNDTIMEO:
      return timeval(socket.sendTimeout);
    case SO.PEERCRED: {
      const { pid, uid, gid } = socket.peerCredentials;
      // Nobody: uid and gid are -1.
      return pid === 0 ? words(0, -1, -1) : words(pid, uid, gid);
    }
    default: {
      if (!KEPT.has(name)) return -ENOPROTOOPT;
      const key = `${level}:${name}`;
      const value = socket.options.get(key) ?? INITIAL[key] ?? 0;
      return words(
        name === SO.RCVLOWAT || name === SO.PRIORITY || name === SO.MARK ? value : value === 0 ? 0 : 1,
      );
    }
  }
}

export const socketOptionSyscalls: readonly Syscall[] = [
  {
    number: 208,
    name: 'setsockopt',
    args: ['fd', 'int', 'int', 'pointer', 'int'],
    *run(services, thread, [fd, level, name, address, length]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      return yield* setOption(services, thread, socket, [int(level), int(name), address, int(length)]);
    },
  },
  {
    number: 209,
    name: 'getsockopt',
    args: ['fd', 'int', 'int', 'pointer', 'pointer'],
    *run({ mm }, thread, [fd, level, name, address, length]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      const room = yield* readU32(mm, thread, length);
      if (room === undefined) return -EFAULT;
      if ((room | 0) < 0) return -EINVAL;
      const value = getOption(socket, int(level), int(name));
      if (typeof value === 'number') return value;
      const part = value.subarray(0, room);
      const error = yield* writeUser(mm, thread, address, part);
      return error === 0 ? yield* writeU32(mm, thread, length, part.length) : error;
    },
  },
];
