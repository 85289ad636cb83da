/**
 * AES and carry-less products in forms.
 *
 * The substitution is sixteen tables of sixteen bytes, one for each upper nibble, found by byte shuffles: no
 * table in memory, and the same time for all data. The tables are computed as the evaluator computes them.
 *
 * Ref. FIPS 197, 4.2 and 5.1; DDI 0487, J1.3 AESSubBytes, AESShiftRows, AESMixColumns and their inverses,
 * PolynomialMult. The product by integer multiplications with holes is T. Pornin's (BearSSL, "Constant-Time
 * Mul").
 */
import type { AesOperation } from '../../../isa/index.js';
import { aes } from '../evaluator-crypto.js';
import { type Code, i8x16, i32, i64, local, v128 } from '../wasm/index.js';
import { reversedBits } from './idioms.js';
import type { Value } from './values.js';
import { VectorFormBuilder } from './vector-forms.js';
import { splatConstant, type VectorValue, vectorValue } from './vector-values.js';

const bytePattern = (from: (byte: number) => number): readonly number[] =>
  Array.from({ length: 16 }, (_, i) => from(i));
/** Byte i of a column's next row. */
const rotated = (by: number) => bytePattern((i) => (i & ~3) | ((i + by) & 3));
const IDENTITY = bytePattern((i) => i);
const asVector = (bytes: readonly number[]): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const byteOf = (vector: bigint, i: number) => Number((vector >> BigInt(8 * i)) & 0xffn);

interface Substitution {
  /** Table n is of the bytes whose upper nibble is n. */
  readonly tables: readonly bigint[];
  /** Where byte i of the result comes from. */
  readonly rows: readonly number[];
}

/** Both parts of a step that substitutes and moves, told apart by what it does to sixteen equal bytes. */
function substitution(operation: 'subBytesShiftRows' | 'invSubBytesShiftRows'): Substitution {
  const box = (byte: number) => byteOf(aes(operation, asVector(IDENTITY.map(() => byte))), 0);
  const tables = IDENTITY.map((high) => asVector(IDENTITY.map((low) => box(16 * high + low))));
  const moved = aes(operation, asVector(IDENTITY));
  const rows = IDENTITY.map((i) => IDENTITY.findIndex((from) => box(from) === byteOf(moved, i)));
  return { tables, rows };
}

const SUBSTITUTIONS = new Map<string, Substitution>();

export class CryptoFormBuilder extends VectorFormBuilder {
  aes(operation: AesOperation, state: VectorValue): VectorValue {
    const a = this.keepV(state.code);
    switch (operation) {
      case 'subBytesShiftRows':
      case 'invSubBytesShiftRows':
        return vectorValue(this.#substituted(operation, a));
      case 'mixColumns':
        return vectorValue(this.#mixed(a));
      case 'invMixColumns': {
        // The inverse matrix is the matrix times one that adds four times the sum with the byte two rows on.
        const sum = v128.xor(a, i8x16.shuffle(a, a, rotated(2)));
        const four = this.#doubled(this.keepV(this.#doubled(this.keepV(sum))));
        return vectorValue(this.#mixed(this.keepV(v128.xor(a, four))));
      }
    }
  }

  #substituted(operation: 'subBytesShiftRows' | 'invSubBytesShiftRows', state: Code): Code {
    const known = SUBSTITUTIONS.get(operation) ?? substitution(operation);
    SUBSTITUTIONS.set(operation, known);
    const index = this.newVector(i8x16.shuffle(state, state, known.rows));
    const sixteen = this.keepV(splatConstant(8, 16n));
    const sum = this.newVector(i8x16.swizzle(v128.const(known.tables[0]!), local.get(index)));
    for (const table of known.tables.slice(1)) {
      // Indices of other tables are out of range, and give zero.
      this.emit(local.set(index, i8x16.sub(local.get(index), sixteen)));
      const found = i8x16.swizzle(v128.const(table), local.get(index));
      this.emit(local.set(sum, v128.or(local.get(sum), found)));
    }
    return local.get(sum);
  }

  /** Every byte times x modulo x^8 + x^4 + x^3 + x + 1. */
  #doubled(a: Code): Code {
    const reduced = v128.and(i8x16.shrS(a, i32.const(7)), splatConstant(8, 0x1bn));
    return v128.xor(i8x16.add(a, a), reduced);
  }

  #mixed(a: Code): Code {
    const next = this.keepV(i8x16.shuffle(a, a, rotated(1)));
    const others = v128.xor(i8x16.shuffle(a, a, rotated(2)), i8x16.shuffle(a, a, rotated(3)));
    return v128.xor(this.#doubled(this.keepV(v128.xor(a, next))), v128.xor(next, others));
  }

  polynomialProduct(a: Value, b: Value): VectorValue {
    const keep = (code: Code) => local.get(this.keep(code));
    const x = keep(a.wide());
    const y = keep(b.wide());
    const low = this.#lowProduct(x, y);
    // The upper half is the lower one of the reversed factors, reversed; it has 63 bits.
    const reversed = (code: Code) => keep(reversedBits(code, (inner) => this.keep(inner)));
    const high = reversed(this.#lowProduct(reversed(x), reversed(y)));
    return this.fromX(
      { narrow: false, wide: () => low, low: () => i32.wrap(low) },
      { narrow: false, wide: () => i64.shrU(high, i64.const(1n)), low: () => i32.wrap(high) },
    );
  }

  /** The low 64 bits: every fourth bit alone, so that carries go into the holes between. */
  #lowProduct(x: Code, y: Code): Code {
    const masks = [0, 1, 2, 3].map((i) => 0x1111_1111_1111_1111n << BigInt(i));
    const parts = (v: Code) =>
      masks.map((mask) => local.get(this.keep(i64.and(v, i64.const(BigInt.asIntN(64, mask))))));
    const xs = parts(x);
    const ys = parts(y);
    let out: Code = i64.const(0n);
    for (let i = 0; i < 4; i++) {
      let sum: Code = i64.mul(xs[0]!, ys[i]!);
      for (let k = 1; k < 4; k++) sum = i64.xor(sum, i64.mul(xs[k]!, ys[(i - k) & 3]!));
      out = i64.or(out, i64.and(sum, i64.const(BigInt.asIntN(64, masks[i]!))));
    }
    return local.get(this.keep(out));
  }
}
