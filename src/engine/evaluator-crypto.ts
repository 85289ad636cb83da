/**
 * AES of the evaluator: the state is sixteen bytes, byte 0 in the lowest bits of the vector, in columns of
 * four.
 *
 * The substitution is computed (inverse in GF(2^8), then an affine map), not copied from a table.
 *
 * Ref. FIPS 197, 4.2 and 5; DDI 0487, J1.3 AESSubBytes, AESShiftRows, AESMixColumns and their inverses.
 */
import type { AesOperation } from '../../isa/index.js';

/** Multiplied by x modulo x^8 + x^4 + x^3 + x + 1. */
const doubled = (a: number): number => ((a << 1) ^ (a & 0x80 ? 0x11b : 0)) & 0xff;

function product(a: number, b: number): number {
  let out = 0;
  let power = a;
  for (let rest = b; rest !== 0; rest >>= 1) {
    if (rest & 1) out ^= power;
    power = doubled(power);
  }
  return out;
}

interface Boxes {
  readonly forward: Uint8Array;
  readonly inverse: Uint8Array;
}

let boxes: Boxes | undefined;

function makeBoxes(): Boxes {
  const forward = new Uint8Array(256);
  const inverse = new Uint8Array(256);
  // 3 generates the multiplicative group, and 0xf6 is its inverse: their powers are inverse to each other.
  let a = 1;
  let inverseOfA = 1;
  for (let i = 0; i < 256; i++) {
    const value = i === 255 ? 0 : inverseOfA;
    let image = 0x63;
    for (let turn = 0; turn < 5; turn++) image ^= ((value << turn) | (value >> (8 - turn))) & 0xff;
    const of = i === 255 ? 0 : a;
    forward[of] = image;
    inverse[image] = of;
    a ^= doubled(a);
    inverseOfA = product(inverseOfA, 0xf6);
  }
  return { forward, inverse };
}

/** Row r of the state, bytes r, r + 4, r + 8, r + 12, turns left by r (or right): where byte i comes from. */
const SHIFTED = Array.from({ length: 16 }, (_, i) => (i + 4 * (i & 3)) & 15);
const UNSHIFTED = Array.from({ length: 16 }, (_, i) => (i - 4 * (i & 3)) & 15);

/** First rows of the circulant matrices that columns are multiplied with. */
const MIX = [2, 3, 1, 1] as const;
const INVERSE_MIX = [14, 11, 13, 9] as const;

function toBytes(state: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  let rest = state;
  for (let i = 0; i < 16; i++) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

function fromBytes(byte: (i: number) => number): bigint {
  let out = 0n;
  for (let i = 15; i >= 0; i--) out = (out << 8n) | BigInt(byte(i));
  return out;
}

function mixed(state: Uint8Array, row: readonly [number, number, number, number]): bigint {
  return fromBytes((i) => {
    let out = 0;
    for (let k = 0; k < 4; k++) out ^= product(state[(i & ~3) + k]!, row[(k - i) & 3]!);
    return out;
  });
}

/** One step of a round on a 128-bit state. */
export function aes(operation: AesOperation, state: bigint): bigint {
  const bytes = toBytes(state);
  switch (operation) {
    case 'mixColumns':
      return mixed(bytes, MIX);
    case 'invMixColumns':
      return mixed(bytes, INVERSE_MIX);
    case 'subBytesShiftRows': {
      boxes ??= makeBoxes();
      const { forward } = boxes;
      return fromBytes((i) => forward[bytes[SHIFTED[i]!]!]!);
    }
    case 'invSubBytesShiftRows': {
      boxes ??= makeBoxes();
      const { inverse } = boxes;
      return fromBytes((i) => inverse[bytes[UNSHIFTED[i]!]!]!);
    }
  }
}
