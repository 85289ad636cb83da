/**
 * Operations that have no vector instruction in WebAssembly: shifts of each lane by an amount of its own,
 * and the accumulating products that round and saturate.
 *
 * They are done lane by lane in a loop over the CPU's scratch cells. A shift of all lanes by one amount that
 * is known (the immediate forms, in a translated region) is done on the whole vector.
 *
 * Ref. DDI 0487, C7.2 SSHL, USHL, SRSHL, URSHL, SQSHL, UQSHL, SQRSHL, UQRSHL, SQSHLU, SQRDMLAH, SQRDMLSH.
 */
import type { LaneSize, VectorBinary, VectorTernary } from '../../../isa/index.js';
import {
  br,
  type Code,
  choose,
  i8x16,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  Label,
  local,
  loop,
  select,
  ValueType,
  v128,
  when,
} from '../wasm/index.js';
import { Cell, STATE } from './layout.js';
import type { LaneContext } from './vector-arithmetic.js';
import { splatConstant } from './vector-values.js';

/** What lane code is written to; the form builder is one. */
export interface LaneEmitter {
  emit(...code: Code[]): void;
  keep(code: Code): number;
  keep32(code: Code): number;
  newLocal(type: ValueType): number;
  /** Code inside of which the statements of `fill` go. */
  nested(fill: () => void): Code;
  /** i32: the CPU's distance. */
  readonly cpu: Code;
}

const SHAPE = { 8: i8x16, 16: i16x8, 32: i32x4, 64: i64x2 } as const;

// ---- lanes in a loop -------------------------------------------------------------------------------------

function loadLane(size: LaneSize, signed: boolean, at: Code, offset: number): Code {
  switch (size) {
    case 8:
      return signed ? i64.extend8S(i64.load8U(at, offset)) : i64.load8U(at, offset);
    case 16:
      return signed ? i64.extend16S(i64.load16U(at, offset)) : i64.load16U(at, offset);
    case 32:
      return signed ? i64.extend32S(i64.load32U(at, offset)) : i64.load32U(at, offset);
    case 64:
      return i64.load(at, offset);
  }
}

function storeLane(size: LaneSize, at: Code, value: Code, offset: number): Code {
  const store = { 8: i64.store8, 16: i64.store16, 32: i64.store32, 64: i64.store }[size];
  return store(at, value, offset);
}

/**
 * Each lane of the vectors through `compute`, which gets locals (i64, extended as `signed` says for each)
 * and gives an i64 of which the low bits count.
 */
function eachLane(
  e: LaneEmitter,
  size: LaneSize,
  vectors: readonly Code[],
  signed: readonly boolean[],
  compute: (lanes: readonly number[]) => Code,
): Code {
  const scratch = STATE + Cell.SCRATCH;
  for (const [i, vector] of vectors.entries()) e.emit(v128.store(e.cpu, vector, scratch + 16 * i));
  const at = e.keep32(i32.const(0));
  const place = i32.add(e.cpu, local.get(at));
  const again = new Label('next lane');
  const body = e.nested(() => {
    const lanes = vectors.map((_, i) => e.keep(loadLane(size, signed[i]!, place, scratch + 16 * i)));
    const result = compute(lanes);
    e.emit(storeLane(size, place, result, scratch));
    e.emit(local.set(at, i32.add(local.get(at), i32.const(size / 8))));
    e.emit(when(i32.ltU(local.get(at), i32.const(16)), br(again)));
  });
  e.emit(loop(again, body));
  const result = e.newLocal(ValueType.v128);
  e.emit(local.set(result, v128.load(e.cpu, scratch)));
  return local.get(result);
}

/** What a shift by register does, from its name. */
interface ShiftKind {
  readonly signed: boolean;
  readonly rounding: boolean;
  readonly saturating: boolean;
  /** SQSHLU: from signed to unsigned. */
  readonly toUnsigned: boolean;
}

export function shiftKind(operation: VectorBinary): ShiftKind | undefined {
  const found = /^(sq|uq|s|u)(r?)shl(u?)$/.exec(operation);
  if (found === null) return undefined;
  const [, prefix, r, u] = found;
  return {
    signed: prefix![0] === 's',
    rounding: r === 'r',
    saturating: prefix!.length === 2,
    toUnsigned: u === 'u',
  };
}

/** An i64 of ones if the condition (an i32) holds. */
const onesIf = (condition: Code): Code => i64.sub(i64.const(0n), i64.extendI32U(condition));

/** One lane `x` shifted by the signed byte in `y`; ones in the local `over` if it was saturated. */
function shiftedLane(
  e: LaneEmitter,
  kind: ShiftKind,
  size: LaneSize,
  x: number,
  y: number,
  over: number,
): Code {
  const { signed, rounding, saturating, toUnsigned } = kind;
  const value = local.get(x);
  const n = e.keep(i64.extend8S(local.get(y)));
  const amount = local.get(n);
  const out = e.newLocal(ValueType.i64);
  const left = e.nested(() => {
    const isFar = i64.geU(amount, i64.const(BigInt(size)));
    const shifted = e.keep(select(i64.const(0n), i64.shl(value, amount), isFar));
    if (!saturating) {
      e.emit(local.set(out, local.get(shifted)));
      return;
    }
    // As the lane's number again, and back: the same unless bits were lost.
    const asLane =
      signed && !toUnsigned ? signExtended(size, local.get(shifted)) : zeroExtended(size, local.get(shifted));
    const lane = e.keep(asLane);
    const back =
      signed && !toUnsigned ? i64.shrS(local.get(lane), amount) : i64.shrU(local.get(lane), amount);
    const isLost = i64.ne(select(i64.const(0n), back, isFar), value);
    const ones = (1n << BigInt(size)) - 1n;
    const most = signed && !toUnsigned ? ones >> 1n : ones;
    const isBelow = i64.ltS(value, i64.const(0n));
    let limit: Code = i64.const(most);
    if (toUnsigned) limit = select(i64.const(0n), i64.const(most), isBelow);
    else if (signed) limit = i64.xor(i64.const(most), i64.shrS(value, i64.const(63n)));
    const lost = e.keep32(toUnsigned ? i32.or(isLost, isBelow) : isLost);
    e.emit(
      local.set(out, select(limit, local.get(lane), local.get(lost))),
      local.set(over, i64.or(local.get(over), onesIf(local.get(lost)))),
    );
  });
  const right = e.nested(() => {
    const by = e.keep(i64.sub(i64.const(0n), amount));
    const shift = (m: Code): Code => {
      if (signed) return i64.shrS(value, select(i64.const(63n), m, i64.gtU(m, i64.const(63n))));
      return select(i64.const(0n), i64.shrU(value, m), i64.gtU(m, i64.const(63n)));
    };
    const cut = shift(local.get(by));
    const last = i64.and(shift(i64.sub(local.get(by), i64.const(1n))), i64.const(1n));
    e.emit(local.set(out, rounding ? i64.add(cut, last) : cut));
  });
  e.emit(when(i64.ltS(amount, i64.const(0n)), right, left));
  return local.get(out);
}

function signExtended(size: LaneSize, a: Code): Code {
  return size === 64 ? a : { 8: i64.extend8S, 16: i64.extend16S, 32: i64.extend32S }[size](a);
}
function zeroExtended(size: LaneSize, a: Code): Code {
  return size === 64 ? a : i64.and(a, i64.const((1n << BigInt(size)) - 1n));
}

/** Shifts of the lanes of `a` by the low bytes of those of `b`. */
export function shiftByRegister(
  e: LaneEmitter,
  c: LaneContext,
  kind: ShiftKind,
  size: LaneSize,
  a: Code,
  b: Code,
): Code {
  const over = e.keep(i64.const(0n));
  const signed = [kind.signed, true];
  const result = eachLane(e, size, [a, b], signed, ([x, y]) => shiftedLane(e, kind, size, x!, y!, over));
  if (kind.saturating) c.saturated(i64x2.splat(local.get(over)));
  return result;
}

/** The same where all amounts are one that is known. */
export function shiftByConstant(
  c: LaneContext,
  kind: ShiftKind,
  size: LaneSize,
  a: Code,
  amount: number,
): Code {
  const shape = SHAPE[size];
  const x = c.keep(a);
  const ZERO = v128.const(0n);
  const shift = (v: Code, by: number): Code => {
    if (kind.signed && !kind.toUnsigned) return shape.shrS(v, i32.const(Math.min(by, size - 1)));
    return by >= size ? ZERO : shape.shrU(v, i32.const(by));
  };
  if (amount < 0) {
    const cut = shift(x, -amount);
    if (!kind.rounding) return cut;
    return shape.add(cut, v128.and(shift(x, -amount - 1), splatConstant(size, 1n)));
  }
  const left = c.keep(amount >= size ? ZERO : shape.shl(x, i32.const(amount)));
  if (!kind.saturating) return left;
  const negative = c.keep(shape.shrS(x, i32.const(size - 1)));
  const back = amount >= size ? ZERO : shift(left, amount);
  const isLost = c.keep(v128.not(shape.eq(back, x)));
  if (kind.toUnsigned) {
    c.saturated(v128.or(isLost, negative));
    return v128.andNot(v128.or(left, isLost), negative);
  }
  c.saturated(isLost);
  if (!kind.signed) return v128.or(left, isLost);
  const most = splatConstant(size, (1n << BigInt(size - 1)) - 1n);
  return v128.bitSelect(v128.xor(negative, most), left, isLost);
}

/** SQRDMLAH and SQRDMLSH: all halved, so that 64 bits hold the sum. */
export function accumulatedHigh(
  e: LaneEmitter,
  c: LaneContext,
  operation: Exclude<VectorTernary, 'bitSelect'>,
  size: 16 | 32,
  sum: Code,
  a: Code,
  b: Code,
): Code {
  const over = e.keep(i64.const(0n));
  const most = (1n << BigInt(size - 1)) - 1n;
  const signed = [true, true, true];
  const result = eachLane(e, size, [sum, a, b], signed, ([s, x, y]) => {
    const product = i64.mul(local.get(x!), local.get(y!));
    const wide = i64.add(
      i64.shl(local.get(s!), i64.const(BigInt(size - 1))),
      i64.const(1n << BigInt(size - 2)),
    );
    const exact = operation === 'sqrdmlah' ? i64.add(wide, product) : i64.sub(wide, product);
    const high = e.keep(i64.shrS(exact, i64.const(BigInt(size - 1))));
    const kept = e.keep(signExtended(size, local.get(high)));
    const isOver = e.keep32(i64.ne(local.get(kept), local.get(high)));
    e.emit(local.set(over, i64.or(local.get(over), onesIf(local.get(isOver)))));
    const limit = i64.xor(i64.const(most), i64.shrS(local.get(high), i64.const(63n)));
    return choose(ValueType.i64, local.get(isOver), limit, local.get(kept));
  });
  c.saturated(i64x2.splat(local.get(over)));
  return result;
}
