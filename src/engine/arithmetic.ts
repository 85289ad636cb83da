/**
 * Bit arithmetic on 64-bit values held as bigint, for the evaluator.
 *
 * Values are unsigned and below 2^64; results are truncated to the operation's width. What is easier on
 * 32-bit numbers (counting, reversing, CRC) splits the value through a typed array, which costs no
 * allocation.
 *
 * Ref. DDI 0487, J1.3 (shared bit-vector functions), C6.2 (CRC32).
 */
import type { Width } from '../../isa/index.js';

const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);

/** Count of leading zeros in `w` bits. */
export function countLeadingZeros(w: Width, value: bigint): number {
  whole[0] = value;
  const low = Math.clz32(halves[0]!);
  if (w === 32) return low;
  const high = halves[1]!;
  return high === 0 ? 32 + low : Math.clz32(high);
}

/** Leading bits equal to the sign bit, the sign bit itself not counted. */
export function countLeadingSigns(w: Width, value: bigint): number {
  // x ^ (x >> 1) has its first one where the sign run ends.
  if (w === 32) {
    const x = Number(BigInt.asIntN(32, value));
    return Math.clz32((x ^ (x >> 1)) & 0x7fffffff) - 1;
  }
  const x = BigInt.asIntN(64, value);
  return countLeadingZeros(64, BigInt.asUintN(63, x ^ (x >> 1n))) - 1;
}

function reverse32(x: number): number {
  let v = x;
  v = ((v >>> 1) & 0x55555555) | ((v & 0x55555555) << 1);
  v = ((v >>> 2) & 0x33333333) | ((v & 0x33333333) << 2);
  v = ((v >>> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4);
  return swap32(v);
}

function swap32(v: number): number {
  return ((v >>> 24) | ((v >>> 8) & 0xff00) | ((v << 8) & 0xff0000) | (v << 24)) >>> 0;
}

function swap16(v: number): number {
  return (((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8)) >>> 0;
}

export function reverseBits(w: Width, value: bigint): bigint {
  whole[0] = value;
  const low = reverse32(halves[0]!);
  if (w === 32) return BigInt(low);
  const high = reverse32(halves[1]!);
  halves[0] = high;
  halves[1] = low;
  return whole[0]!;
}

/** Bytes reversed inside containers of 16, 32 or 64 bits. */
export function reverseBytes(w: Width, container: 16 | 32 | 64, value: bigint): bigint {
  whole[0] = value;
  const low = halves[0]!;
  const high = halves[1]!;
  if (container === 64) {
    halves[0] = swap32(high);
    halves[1] = swap32(low);
  } else {
    const swap = container === 32 ? swap32 : swap16;
    halves[0] = swap(low);
    halves[1] = w === 32 ? 0 : swap(high);
  }
  return whole[0]!;
}

export function rotateRight(w: Width, value: bigint, amount: bigint): bigint {
  const width = w === 64 ? 64n : 32n;
  const v = BigInt.asUintN(w, value);
  const n = amount & (width - 1n);
  return BigInt.asUintN(w, (v >> n) | (v << (width - n)));
}

function crcTable(polynomial: number): Uint32Array {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ polynomial : c >>> 1;
    table[i] = c >>> 0;
  }
  return table;
}

/** Reflected polynomials of CRC-32 and CRC-32C. */
const CRC32 = crcTable(0xedb88320);
const CRC32C = crcTable(0x82f63b78);

/** CRC32 of the low `size` bytes of `value` over `accumulator`, without inversions. */
export function crc32(castagnoli: boolean, size: number, accumulator: bigint, value: bigint): bigint {
  const table = castagnoli ? CRC32C : CRC32;
  whole[0] = value;
  let low = halves[0]!;
  const high = halves[1]!;
  let crc = Number(BigInt.asUintN(32, accumulator));
  for (let i = 0; i < size; i++) {
    if (i === 4) low = high;
    crc = (table[(crc ^ low) & 0xff]! ^ (crc >>> 8)) >>> 0;
    low >>>= 8;
  }
  return BigInt(crc);
}

/** NZCV of a 32-bit addition `x + y + carry` of unsigned numbers. */
export function addFlags32(x: number, y: number, carry: number): number {
  const sum = x + y + carry;
  const result = sum >>> 0;
  const n = result >>> 31;
  const overflow = ((x ^ result) & (y ^ result)) >>> 31;
  return (n << 3) | (result === 0 ? 4 : 0) | (sum > 0xffffffff ? 2 : 0) | overflow;
}

/** NZCV of a 64-bit addition `x + y + carry`. */
export function addFlags64(x: bigint, y: bigint, carry: bigint): number {
  const sum = x + y + carry;
  const result = BigInt.asUintN(64, sum);
  const overflow = BigInt.asIntN(64, (x ^ result) & (y ^ result)) < 0n ? 1 : 0;
  return (
    (BigInt.asIntN(64, result) < 0n ? 8 : 0) | (result === 0n ? 4 : 0) | (result !== sum ? 2 : 0) | overflow
  );
}

/** NZCV of a result alone (logical operations): C and V are 0. */
export function logicFlags(w: Width, value: bigint): number {
  const result = BigInt.asIntN(w, value);
  return (result < 0n ? 8 : 0) | (result === 0n ? 4 : 0);
}

/** ConditionHolds. Ref. J1 ConditionHolds. */
export function conditionHolds(condition: number, nzcv: number): boolean {
  const n = (nzcv & 8) !== 0;
  const z = (nzcv & 4) !== 0;
  const c = (nzcv & 2) !== 0;
  const v = (nzcv & 1) !== 0;
  switch (condition) {
    case 0:
      return z;
    case 1:
      return !z;
    case 2:
      return c;
    case 3:
      return !c;
    case 4:
      return n;
    case 5:
      return !n;
    case 6:
      return v;
    case 7:
      return !v;
    case 8:
      return c && !z;
    case 9:
      return !(c && !z);
    case 10:
      return n === v;
    case 11:
      return n !== v;
    case 12:
      return n === v && !z;
    case 13:
      return !(n === v && !z);
    default:
      return true;
  }
}
