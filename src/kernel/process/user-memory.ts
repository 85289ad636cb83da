/**
 * What system calls read from and write to user memory: checked as the thread's own accesses are.
 *
 * A pointer with a tag is a user address only with PR_TAGGED_ADDR_ENABLE, and the tag is checked only
 * in synchronous mode, TCO or not: the kernel's accesses are its own.
 *
 * Ref. arch/arm64/include/asm/uaccess.h (access_ok, __uaccess_enable_tco_async);
 * Documentation/arch/arm64/tagged-address-abi.rst.
 */
import { untagged, VA } from '../../base/index.js';
import { EFAULT, ENAMETOOLONG, type MaySleep } from '../contexts/index.js';
import type { MemoryManager } from '../mm/index.js';
import { resolveTcf0, TCF0 } from './tagged-address-control.js';
import type { Thread } from './thread.js';

/** PATH_MAX, the terminating zero included. */
export const PATH_MAX = 4096;
/** MAX_RW_COUNT: the most that one call moves. */
export const MAX_RW_COUNT = 0x7ffff000;

/** access_ok() without the length: false for a tagged pointer of a thread that did not ask for them. */
function acceptable(thread: Thread, address: bigint): boolean {
  return thread.control.enabled || untagged(VA(address)) === address;
}

function options(thread: Thread): { readonly checkTags: boolean } {
  return { checkTags: resolveTcf0(thread.control) === TCF0.SYNC };
}

/** copy_from_user(): fewer bytes where the rest cannot be read. */
export function* readSome(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  bytes: number,
): MaySleep<Uint8Array> {
  if (!acceptable(thread, address)) return new Uint8Array();
  return yield* mm.copyFromUser(thread.process.mm, VA(address), bytes, options(thread));
}

/** All of it, or undefined. */
export function* readUser(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  bytes: number,
): MaySleep<Uint8Array | undefined> {
  const read = yield* readSome(mm, thread, address, bytes);
  return read.length === bytes ? read : undefined;
}

/** copy_to_user(): bytes written. */
export function* writeSome(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  data: Uint8Array,
): MaySleep<number> {
  if (!acceptable(thread, address)) return 0;
  return yield* mm.copyToUser(thread.process.mm, VA(address), data, options(thread));
}

/** 0, or -EFAULT. */
export function* writeUser(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  data: Uint8Array,
): MaySleep<number> {
  const written = yield* writeSome(mm, thread, address, data);
  return written === data.length ? 0 : -EFAULT;
}

export function* readU32(mm: MemoryManager, thread: Thread, address: bigint): MaySleep<number | undefined> {
  const bytes = yield* readUser(mm, thread, address, 4);
  return bytes && new DataView(bytes.buffer).getUint32(0, true);
}

/** A word read and written at once (Linux's futex_atomic_cmpxchg_inatomic and its like). */
export function* updateU32(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  change: (found: number) => number | undefined,
): MaySleep<number | undefined> {
  if (!acceptable(thread, address)) return undefined;
  return yield* mm.updateUserWord(thread.process.mm, VA(address), change, options(thread));
}

export function* readU64(mm: MemoryManager, thread: Thread, address: bigint): MaySleep<bigint | undefined> {
  const bytes = yield* readUser(mm, thread, address, 8);
  return bytes && new DataView(bytes.buffer).getBigUint64(0, true);
}

export function* writeU32(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  value: number,
): MaySleep<number> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return yield* writeUser(mm, thread, address, bytes);
}

export function* writeU64(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  value: bigint,
): MaySleep<number> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return yield* writeUser(mm, thread, address, bytes);
}

/** 64-bit words in a row. */
export function* writeWords(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  words: readonly bigint[],
): MaySleep<number> {
  const bytes = new Uint8Array(8 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setBigUint64(8 * i, BigInt.asUintN(64, word), true);
  });
  return yield* writeUser(mm, thread, address, bytes);
}

/**
 * strncpy_from_user(): the bytes before the zero, or a negative errno.
 *
 * @param most room, the zero included; -ENAMETOOLONG beyond it.
 */
export function* readString(
  mm: MemoryManager,
  thread: Thread,
  address: bigint,
  most = PATH_MAX,
): MaySleep<Uint8Array | number> {
  const parts: number[] = [];
  for (let at = address; parts.length < most; ) {
    // To the end of 64 bytes: what lies on another page is asked for only when the string goes there.
    const chunk = Math.min(64 - Number(at & 63n), most - parts.length);
    const bytes = yield* readSome(mm, thread, at, chunk);
    const end = bytes.indexOf(0);
    for (const byte of end < 0 ? bytes : bytes.subarray(0, end)) parts.push(byte);
    if (end >= 0) return Uint8Array.from(parts);
    if (bytes.length < chunk) return -EFAULT;
    at += BigInt(chunk);
  }
  return -ENAMETOOLONG;
}
