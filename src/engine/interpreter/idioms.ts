/**
 * Operations that WebAssembly has no instruction for.
 *
 * `keep` computes a value once and gives the local that holds it.
 */
import { type Code, i64, local } from '../wasm/index.js';

type Keep = (code: Code) => number;

const LOW = i64.const(0xffff_ffffn);
const shiftRight = (code: Code, by: number) => i64.shrU(code, i64.const(BigInt(by)));

/** High 64 bits of the product of two locals, by 32-bit halves. */
export function highProduct(x: number, y: number, signed: boolean, keep: Keep): Code {
  const low = (index: number) => i64.and(local.get(index), LOW);
  const high = (index: number) => shiftRight(local.get(index), 32);
  const middle = keep(i64.add(i64.mul(high(x), low(y)), shiftRight(i64.mul(low(x), low(y)), 32)));
  const other = keep(i64.add(i64.mul(low(x), high(y)), low(middle)));
  const unsigned = i64.add(i64.mul(high(x), high(y)), i64.add(high(middle), high(other)));
  if (!signed) return unsigned;
  // A negative factor counts 2^64 too much of the other one.
  const sign = (index: number) => i64.shrS(local.get(index), i64.const(63n));
  const excess = i64.add(i64.and(sign(x), local.get(y)), i64.and(sign(y), local.get(x)));
  return i64.sub(unsigned, excess);
}

/** Exchanges neighbouring groups of `by` bits; `mask` has ones in the lower of each two. */
function exchanged(code: Code, by: number, mask: bigint, keep: Keep): Code {
  const x = keep(code);
  const down = i64.and(shiftRight(local.get(x), by), i64.const(mask));
  const up = i64.shl(i64.and(local.get(x), i64.const(mask)), i64.const(BigInt(by)));
  return i64.or(down, up);
}

/** Bytes reversed inside containers of 16, 32 or 64 bits. */
export function reversedBytes(container: 16 | 32 | 64, code: Code, keep: Keep): Code {
  let out = exchanged(code, 8, 0x00ff_00ff_00ff_00ffn, keep);
  if (container > 16) out = exchanged(out, 16, 0x0000_ffff_0000_ffffn, keep);
  return container > 32 ? i64.rotr(out, i64.const(32n)) : out;
}

/** All 64 bits reversed. */
export function reversedBits(code: Code, keep: Keep): Code {
  let out = exchanged(code, 1, 0x5555_5555_5555_5555n, keep);
  out = exchanged(out, 2, 0x3333_3333_3333_3333n, keep);
  out = exchanged(out, 4, 0x0f0f_0f0f_0f0f_0f0fn, keep);
  return reversedBytes(64, out, keep);
}
