/**
 * System calls that make sockets and connect them: socket, bind, listen, accept, connect, names, shutdown.
 *
 * Data goes through socket-messages.ts, options through socket-options.ts.
 *
 * Ref. net/socket.c, socket(2), bind(2), connect(2), accept(2).
 */
import { textOfBytes } from '../../base/index.js';
import {
  EACCES,
  EADDRINUSE,
  EAFNOSUPPORT,
  EBADF,
  ECONNREFUSED,
  EFAULT,
  EINVAL,
  ENOTSOCK,
  EOPNOTSUPP,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
  type MaySleep,
} from '../contexts/index.js';
import {
  inodePermission,
  letGo,
  MAY,
  O_CLOEXEC,
  O_NONBLOCK,
  O_PATH,
  S_IFSOCK,
  SpecialFile,
  settle,
} from '../fs/index.js';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AF_UNSPEC,
  addressBytes,
  type Credentials,
  DatagramSocket,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type NoAddress,
  parseAddress,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOCK_TYPE_MASK,
  Socket,
  type SocketAddress,
  type SocketKind,
  StreamSocket,
  socketInode,
  type UnixAddress,
} from '../net/index.js';
import {
  CAP,
  capable,
  readU32,
  readUser,
  type Thread,
  writeSome,
  writeU32,
  writeUser,
} from '../process/index.js';
import { fileOf } from './paths.js';
import { int, type Syscall, type SyscallServices } from './row.js';

/** sizeof(struct sockaddr_storage). */
const MOST_ADDRESS = 128;
/** net.ipv4.ip_unprivileged_port_start. */
const FIRST_FREE_PORT = 1024;

export function socketOf(thread: Thread, fd: bigint): Socket | number {
  const file = fileOf(thread, fd);
  if (file === undefined || (file.flags & O_PATH) !== 0) return -EBADF;
  return file instanceof Socket ? file : -ENOTSOCK;
}

export const credentialsOf = (thread: Thread): Credentials => ({ pid: thread.process.pid, uid: 0, gid: 0 });

/** What a socket is to be, checked; or a negative errno. */
function kindOf(domain: number, typeAndFlags: number, protocol: number): SocketKind | number {
  const type = typeAndFlags & SOCK_TYPE_MASK;
  const flags = typeAndFlags & ~SOCK_TYPE_MASK;
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const kept = flags & O_NONBLOCK;
  if (domain === AF_UNIX) {
    if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
    if (![SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET].includes(type)) return -ESOCKTNOSUPPORT;
    return { domain, type, protocol: 0, flags: kept };
  }
  if (domain !== AF_INET && domain !== AF_INET6) return -EAFNOSUPPORT;
  const usual = type === SOCK_STREAM ? IPPROTO_TCP : type === SOCK_DGRAM ? IPPROTO_UDP : undefined;
  if (usual === undefined) return -ESOCKTNOSUPPORT;
  if (protocol !== 0 && protocol !== usual) return -EPROTONOSUPPORT;
  return { domain, type, protocol: usual, flags: kept };
}

function makeSocket({ network, files }: SyscallServices, thread: Thread, kind: SocketKind) {
  const owner = credentialsOf(thread);
  const inode = () => socketInode(files.nextInode());
  return kind.type === SOCK_DGRAM
    ? new DatagramSocket(network, inode(), kind, owner)
    : new StreamSocket(network, inode, kind, owner);
}

/** move_addr_to_kernel(). */
export function* readAddress(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
  length: bigint,
  domain: number,
): MaySleep<SocketAddress | NoAddress | number> {
  if (int(length) < 0 || int(length) > MOST_ADDRESS) return -EINVAL;
  const bytes = yield* readUser(mm, thread, address, int(length));
  return bytes === undefined ? -EFAULT : parseAddress(bytes, domain);
}

/** move_addr_to_user(): as much as there is room for, and how long it is. */
export function* writeAddress(
  { mm }: SyscallServices,
  thread: Thread,
  bytes: Uint8Array,
  address: bigint,
  length: bigint,
): MaySleep<number> {
  const room = yield* readU32(mm, thread, length);
  if (room === undefined) return -EFAULT;
  if ((room | 0) < 0) return -EINVAL;
  const part = bytes.subarray(0, room);
  if ((yield* writeSome(mm, thread, address, part)) < part.length) return -EFAULT;
  return yield* writeU32(mm, thread, length, bytes.length);
}

const textOf = ({ name }: UnixAddress): string => textOfBytes(name);

/** The socket that an AF_UNIX address names: undefined for none; a negative errno where its path fails. */
export function findUnix(
  { network, files }: SyscallServices,
  thread: Thread,
  address: UnixAddress,
  type: number,
): Socket | number {
  if (address.name.length === 0) return -EINVAL;
  if (address.name[0] === 0) return network.atAbstract(address.name, type) ?? -ECONNREFUSED;
  const inode = files.lookup(thread.process.fs.cwd, textOf(address));
  if (typeof inode === 'number') return inode;
  const refused = inodePermission(inode, MAY.WRITE, files.caller);
  return refused !== 0 ? refused : (network.atInode(inode) ?? -ECONNREFUSED);
}

function bindUnix(
  { network, files }: SyscallServices,
  thread: Thread,
  socket: Socket,
  address: UnixAddress,
): number {
  if (socket.bound) return -EINVAL;
  if (address.name.length === 0 || address.name[0] === 0) {
    const name = address.name.length === 0 ? network.autobindName(socket.type) : address.name;
    const error = network.bindAbstract(name, socket);
    if (error !== 0) return error;
    socket.local = { family: AF_UNIX, name };
  } else {
    const { fs } = thread.process;
    const found = files.walk(fs.cwd, textOf(address), false);
    if (typeof found === 'number') return found;
    if (found.inode !== undefined) return -EADDRINUSE;
    const mode = S_IFSOCK | (0o777 & ~fs.umask);
    const inode = new SpecialFile(files.nextInode(), mode, () => -6);
    const error = files.create(found, inode);
    if (error !== 0) return error;
    network.bindInode(inode, socket);
    socket.local = address;
  }
  socket.bound = true;
  return 0;
}

function bind(
  services: SyscallServices,
  thread: Thread,
  socket: Socket,
  address: SocketAddress | NoAddress,
): number {
  if (address.family === AF_UNSPEC) return -EAFNOSUPPORT;
  if (address.family === AF_UNIX) return bindUnix(services, thread, socket, address);
  if (socket.bound) return -EINVAL;
  const isLow = address.port > 0 && address.port < FIRST_FREE_PORT;
  if (isLow && !capable(thread.credentials, CAP.NET_BIND_SERVICE)) return -EACCES;
  const local = services.network.bindPort(socket, address);
  if (typeof local === 'number') return local;
  socket.local = local;
  socket.bound = true;
  return 0;
}

function* connect(
  services: SyscallServices,
  thread: Thread,
  fd: bigint,
  address: bigint,
  length: bigint,
): MaySleep<number> {
  const socket = socketOf(thread, fd);
  if (typeof socket === 'number') return socket;
  const to = yield* readAddress(services, thread, address, length, socket.domain);
  if (typeof to === 'number') return to;
  if (to.family === AF_UNSPEC) return yield* settle(socket.connect(thread, undefined, undefined));
  if (to.family !== AF_UNIX) return yield* settle(socket.connect(thread, to, undefined));
  const target = findUnix(services, thread, to, socket.type);
  return typeof target === 'number' ? target : yield* settle(socket.connect(thread, to, target));
}

function* accept(
  services: SyscallServices,
  thread: Thread,
  fd: bigint,
  [address, length]: readonly [bigint, bigint],
  flags: number,
): MaySleep<number> {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const socket = socketOf(thread, fd);
  if (typeof socket === 'number') return socket;
  if (socket.type === SOCK_DGRAM) return -EOPNOTSUPP;
  socket.users++;
  const accepted = yield* settle(socket.accept(thread));
  letGo(socket);
  if (typeof accepted === 'number') return accepted;
  accepted.flags |= flags & O_NONBLOCK;
  if (address !== 0n) {
    const peer = accepted.getPeerName();
    const bytes = typeof peer === 'number' ? new Uint8Array() : addressBytes(peer, accepted.domain);
    const error = yield* writeAddress(services, thread, bytes, address, length);
    if (error !== 0) {
      letGo(accepted);
      return error;
    }
  }
  const added = thread.process.files.add(accepted, (flags & O_CLOEXEC) !== 0);
  letGo(accepted);
  return added;
}

function* socketPair(
  services: SyscallServices,
  thread: Thread,
  kind: SocketKind,
  closeOnExec: boolean,
  address: bigint,
): MaySleep<number> {
  if (kind.domain !== AF_UNIX) return -EOPNOTSUPP;
  const [a, b] = [makeSocket(services, thread, kind), makeSocket(services, thread, kind)];
  if (a instanceof StreamSocket && b instanceof StreamSocket) a.join(b);
  else if (a instanceof DatagramSocket && b instanceof DatagramSocket) a.join(b);
  const table = thread.process.files;
  const first = table.add(a, closeOnExec);
  const second = table.add(b, closeOnExec);
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, first, true);
  view.setInt32(4, second, true);
  const error =
    first < 0 ? first : second < 0 ? second : yield* writeUser(services.mm, thread, address, bytes);
  if (error !== 0) for (const fd of [first, second]) if (fd >= 0) table.close(fd);
  return error;
}

export const socketSyscalls: readonly Syscall[] = [
  {
    number: 198,
    name: 'socket',
    args: ['int', 'hex', 'int'],
    run(services, thread, [domain, type, protocol]) {
      const kind = kindOf(int(domain), int(type), int(protocol));
      if (typeof kind === 'number') return kind;
      const socket = makeSocket(services, thread, kind);
      return thread.process.files.add(socket, (int(type) & O_CLOEXEC) !== 0);
    },
  },
  {
    number: 199,
    name: 'socketpair',
    args: ['int', 'hex', 'int', 'pointer'],
    *run(services, thread, [domain, type, protocol, pair]) {
      const kind = kindOf(int(domain), int(type), int(protocol));
      if (typeof kind === 'number') return kind;
      return yield* socketPair(services, thread, kind, (int(type) & O_CLOEXEC) !== 0, pair);
    },
  },
  {
    number: 200,
    name: 'bind',
    args: ['fd', 'pointer', 'int'],
    *run(services, thread, [fd, address, length]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      const to = yield* readAddress(services, thread, address, length, socket.domain);
      return typeof to === 'number' ? to : bind(services, thread, socket, to);
    },
  },
  {
    number: 201,
    name: 'listen',
    args: ['fd', 'int'],
    run(_services, thread, [fd, backlog]) {
      const socket = socketOf(thread, fd);
      return typeof socket === 'number' ? socket : socket.listen(int(backlog));
    },
  },
  {
    number: 202,
    name: 'accept',
    args: ['fd', 'pointer', 'pointer'],
    *run(services, thread, [fd, address, length]) {
      return yield* accept(services, thread, fd, [address, length], 0);
    },
  },
  {
    number: 203,
    name: 'connect',
    args: ['fd', 'pointer', 'int'],
    *run(services, thread, [fd, address, length]) {
      return yield* connect(services, thread, fd, address, length);
    },
  },
  {
    number: 204,
    name: 'getsockname',
    args: ['fd', 'pointer', 'pointer'],
    *run(services, thread, [fd, address, length]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      const bytes = addressBytes(socket.local, socket.domain);
      return yield* writeAddress(services, thread, bytes, address, length);
    },
  },
  {
    number: 205,
    name: 'getpeername',
    args: ['fd', 'pointer', 'pointer'],
    *run(services, thread, [fd, address, length]) {
      const socket = socketOf(thread, fd);
      if (typeof socket === 'number') return socket;
      const peer = socket.getPeerName();
      if (typeof peer === 'number') return peer;
      return yield* writeAddress(services, thread, addressBytes(peer, socket.domain), address, length);
    },
  },
  {
    number: 210,
    name: 'shutdown',
    args: ['fd', 'int'],
    run(_services, thread, [fd, how]) {
      const socket = socketOf(thread, fd);
      return typeof socket === 'number' ? socket : socket.shutdown(int(how));
    },
  },
  {
    number: 242,
    name: 'accept4',
    args: ['fd', 'pointer', 'pointer', 'hex'],
    *run(services, thread, [fd, address, length, flags]) {
      return yield* accept(services, thread, fd, [address, length], int(flags));
    },
  },
];
