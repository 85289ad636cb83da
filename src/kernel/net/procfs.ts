/**
 * /proc/net files as text: sockets of TCP, UDP and AF_UNIX, the loopback device and empty tables. Layout is Linux 6.8's.
 *
 * Ref. net/ipv4/tcp_ipv4.c (get_tcp4_sock), net/ipv4/udp.c, net/unix/af_unix.c (unix_seq_show), net/core/net-procfs.c.
 */
import { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } from './abi.js';
import { addressBytes, type SocketAddress, UNNAMED } from './address.js';
import type { Network } from './network.js';
import { type Socket, unboundAddress } from './socket.js';

const STATE = { ESTABLISHED: 1, CLOSE: 7, LISTEN: 10 } as const;
/** What the columns take of a line of tcp and udp. */
const TCP_WIDTH = 149;
const UDP_WIDTH = 127;

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

/** Host in words as the CPU reads them, and port. */
function place(address: SocketAddress | undefined, domain: number): string {
  const bytes = addressBytes(address ?? unboundAddress(domain), domain);
  const view = new DataView(bytes.buffer);
  const words = domain === AF_INET ? [4] : [8, 12, 16, 20];
  return `${words.map((at) => hex(view.getUint32(at, true), 8)).join('')}:${hex(view.getUint16(2, false), 4)}`;
}

function stateOf(socket: Socket): number {
  if (socket.listening) return STATE.LISTEN;
  return socket.remote === undefined ? STATE.CLOSE : STATE.ESTABLISHED;
}

function inetLine(socket: Socket, index: number, indexWidth: number): string {
  const { domain, local, remote, queued, owner, inode } = socket;
  const from = place(local, domain);
  const to = place(remote, domain);
  const queues = `00000000:${hex(queued, 8)} 00:00000000 00000000`;
  const uid = String(owner.uid).padStart(5);
  return `${String(index).padStart(indexWidth)}: ${from} ${to} ${hex(stateOf(socket), 2)} ${queues} ${uid} ${'0'.padStart(8)} ${inode.ino} 1 0000000000000000`;
}

const bound = ({ sockets }: Network, domain: number, type: number): Socket[] =>
  [...sockets].filter((socket) => socket.domain === domain && socket.type === type && socket.bound);

function tcpText(network: Network, domain: number): string {
  const lines = bound(network, domain, SOCK_STREAM).map((socket, i) =>
    `${inetLine(socket, i, 4)} 100 0 0 10 0`.padEnd(TCP_WIDTH),
  );
  const title =
    domain === AF_INET
      ? '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'.padEnd(
          TCP_WIDTH,
        )
      : '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
  return [title, ...lines].map((line) => `${line}\n`).join('');
}

function udpText(network: Network, domain: number): string {
  const lines = bound(network, domain, SOCK_DGRAM).map((socket, i) =>
    `${inetLine(socket, i, 5)} 0`.padEnd(UDP_WIDTH),
  );
  const title =
    domain === AF_INET
      ? '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops'.padEnd(
          UDP_WIDTH,
        )
      : '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops';
  return [title, ...lines].map((line) => `${line}\n`).join('');
}

function unixText({ sockets }: Network): string {
  const lines = [...sockets]
    .filter(({ domain }) => domain === AF_UNIX)
    .map((socket) => {
      const { name } = socket.local.family === AF_UNIX ? socket.local : UNNAMED;
      // Abstract names are shown with an @ in the place of their zero bytes.
      const shown = new TextDecoder().decode(name.map((byte) => (byte === 0 ? 0x40 : byte)));
      const connected = !socket.listening && socket.remote !== undefined;
      const flags = hex(socket.listening ? 0x10000 : 0, 8);
      const columns = `0000000000000000: 00000002 00000000 ${flags} ${hex(socket.type, 4)} ${hex(connected ? 3 : 1, 2)} ${String(socket.inode.ino).padStart(5)}`;
      return `${columns}${shown === '' ? '' : ` ${shown}`}\n`;
    });
  return ['Num       RefCount Protocol Flags    Type St Inode Path\n', ...lines].join('');
}

const DEV = [
  'Inter-|   Receive                                                |  Transmit\n',
  ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n',
  '    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n',
].join('');

function sockstat({ sockets }: Network): string {
  const count = (type: number) =>
    [...sockets].filter(({ domain, type: own }) => domain !== AF_UNIX && own === type).length;
  const streams = count(SOCK_STREAM);
  return `sockets: used ${sockets.size}\nTCP: inuse ${streams} orphan 0 tw 0 alloc ${streams} mem 0\nUDP: inuse ${count(SOCK_DGRAM)} mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n`;
}

const RAW_TITLE =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n';
const RAW6_TITLE =
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n';

/** The files of /proc/net, by name. */
export const NET_FILES: Readonly<Record<string, (network: Network) => string>> = {
  arp: () => 'IP address       HW type     Flags       HW address            Mask     Device\n',
  dev: () => DEV,
  if_inet6: () => '00000000000000000000000000000001 01 80 10 80       lo\n',
  packet: () => 'sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n',
  raw: () => RAW_TITLE,
  raw6: () => RAW6_TITLE,
  route: () => '',
  sockstat,
  tcp: (network) => tcpText(network, AF_INET),
  tcp6: (network) => tcpText(network, AF_INET6),
  udp: (network) => udpText(network, AF_INET),
  udp6: (network) => udpText(network, AF_INET6),
  unix: unixText,
};
