/** Sockets inside the guest: AF_UNIX, and the loopback of AF_INET and AF_INET6. */
export * from './abi.js';
export {
  addressBytes,
  type InetAddress,
  type NoAddress,
  parseAddress,
  type SocketAddress,
  type UnixAddress,
} from './address.js';
export { DatagramSocket } from './datagram.js';
export { Network, type NetworkClock } from './network.js';
export { NET_FILES } from './procfs.js';
export {
  type Credentials,
  dropFiles,
  type Received,
  type SendOptions,
  Socket,
  type SocketKind,
  socketInode,
} from './socket.js';
export { StreamSocket } from './stream.js';
