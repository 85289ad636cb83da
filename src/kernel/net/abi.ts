/**
 * Numbers of sockets in the Linux user ABI.
 *
 * Ref. include/linux/socket.h, include/uapi/asm-generic/socket.h, include/uapi/linux/{in,in6,tcp,un}.h.
 */
export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;
export const SOCK_TYPE_MASK = 0xf;

export const IPPROTO_IP = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;

export const SOL_SOCKET = 1;
export const SO = {
  DEBUG: 1,
  REUSEADDR: 2,
  TYPE: 3,
  ERROR: 4,
  DONTROUTE: 5,
  BROADCAST: 6,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  OOBINLINE: 10,
  NO_CHECK: 11,
  PRIORITY: 12,
  LINGER: 13,
  BSDCOMPAT: 14,
  REUSEPORT: 15,
  PASSCRED: 16,
  PEERCRED: 17,
  RCVLOWAT: 18,
  SNDLOWAT: 19,
  RCVTIMEO: 20,
  SNDTIMEO: 21,
  TIMESTAMP: 29,
  ACCEPTCONN: 30,
  PEERSEC: 31,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  MARK: 36,
  PROTOCOL: 38,
  DOMAIN: 39,
} as const;

export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;
/** SCM_MAX_FD. */
export const MOST_FILES = 253;

export const MSG = {
  OOB: 0x1,
  PEEK: 0x2,
  DONTROUTE: 0x4,
  CTRUNC: 0x8,
  TRUNC: 0x20,
  DONTWAIT: 0x40,
  EOR: 0x80,
  WAITALL: 0x100,
  ERRQUEUE: 0x2000,
  NOSIGNAL: 0x4000,
  MORE: 0x8000,
  WAITFORONE: 0x10000,
  CMSG_CLOEXEC: 0x40000000,
} as const;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** net.core.{w,r}mem_default, and twice {w,r}mem_max: the most that SO_SNDBUF and SO_RCVBUF give. */
export const BUFFER_DEFAULT = 212992;
export const BUFFER_MOST = 2 * 212992;
export const BUFFER_LEAST = 4608;
/** net.core.somaxconn. */
export const MOST_BACKLOG = 4096;
/** net.unix.max_dgram_qlen, and the one that is on its way. */
export const MOST_UNIX_DATAGRAMS = 11;
/** The largest UDP payload of IPv4. */
export const MOST_UDP_BYTES = 65507;
