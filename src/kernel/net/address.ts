/**
 * Socket addresses: struct sockaddr_un, sockaddr_in and sockaddr_in6, and what they mean to a machine
 * whose only network is its loopback.
 *
 * Ref. unix(7), ip(7), ipv6(7).
 */
import { EAFNOSUPPORT, EINVAL } from '../contexts/index.js';
import { AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC } from './abi.js';

/** A name of AF_UNIX: empty: unnamed; first byte 0: abstract; else a path. */
export interface UnixAddress {
  readonly family: typeof AF_UNIX;
  readonly name: Uint8Array;
}

export interface InetAddress {
  readonly family: typeof AF_INET | typeof AF_INET6;
  /** 4 bytes for IPv4, mapped addresses included; else 16. */
  readonly host: Uint8Array;
  readonly port: number;
}

export type SocketAddress = UnixAddress | InetAddress;

/** connect(2) with AF_UNSPEC takes a connection apart. */
export interface NoAddress {
  readonly family: typeof AF_UNSPEC;
}

export const UNNAMED: UnixAddress = { family: AF_UNIX, name: new Uint8Array() };
/** sizeof(struct sockaddr_un): family and 108 bytes. */
const UNIX_BYTES = 110;
const INET_BYTES = 16;
/** SIN6_LEN_RFC2133. */
const INET6_LEAST = 24;
const INET6_BYTES = 28;

export const ANY4 = new Uint8Array(4);
export const ANY6 = new Uint8Array(16);
export const LOOPBACK4 = Uint8Array.of(127, 0, 0, 1);
export const LOOPBACK6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

export const isAny = (host: Uint8Array): boolean => host.every((byte) => byte === 0);
/** 127.0.0.0/8 and ::1. */
export const isLoopback = (host: Uint8Array): boolean =>
  host.length === 4 ? host[0] === 127 : same(host, LOOPBACK6);
export const sameHost = same;

/** ::ffff:a.b.c.d as a.b.c.d. */
function unmapped(host: Uint8Array): Uint8Array {
  const mapped = host.subarray(0, 10).every((byte) => byte === 0) && host[10] === 0xff && host[11] === 0xff;
  return mapped ? host.slice(12) : host;
}

/** Reads what user space gave for a socket of `domain`; a negative errno where it is none. */
export function parseAddress(bytes: Uint8Array, domain: number): SocketAddress | NoAddress | number {
  if (bytes.length < 2) return -EINVAL;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const family = view.getUint16(0, true);
  if (family === AF_UNSPEC) return { family };
  if (family !== domain) return domain === AF_UNIX ? -EINVAL : -EAFNOSUPPORT;
  if (family === AF_UNIX) {
    if (bytes.length > UNIX_BYTES) return -EINVAL;
    const name = bytes.slice(2);
    if (name.length === 0 || name[0] === 0) return { family, name };
    const end = name.indexOf(0);
    return { family, name: end < 0 ? name : name.slice(0, end) };
  }
  if (family === AF_INET) {
    if (bytes.length < INET_BYTES) return -EINVAL;
    return { family, host: bytes.slice(4, 8), port: view.getUint16(2, false) };
  }
  if (bytes.length < INET6_LEAST) return -EINVAL;
  return { family: AF_INET6, host: unmapped(bytes.slice(8, 24)), port: view.getUint16(2, false) };
}

/** The address as a socket of `domain` shows it. */
export function addressBytes(address: SocketAddress, domain: number): Uint8Array {
  if (address.family === AF_UNIX) {
    const { name } = address;
    // A path is counted with its zero.
    const isPath = name.length > 0 && name[0] !== 0;
    const bytes = new Uint8Array(2 + name.length + (isPath ? 1 : 0));
    bytes[0] = AF_UNIX;
    bytes.set(name, 2);
    return bytes;
  }
  const bytes = new Uint8Array(domain === AF_INET ? INET_BYTES : INET6_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, domain, true);
  view.setUint16(2, address.port, false);
  if (domain === AF_INET) {
    bytes.set(address.host.subarray(0, 4), 4);
  } else if (address.host.length === 16) {
    bytes.set(address.host, 8);
  } else if (!isAny(address.host)) {
    bytes.set([0xff, 0xff], 18);
    bytes.set(address.host, 20);
  }
  return bytes;
}
