/**
 * Floating point in forms by soft-float: each operation is a call, on each lane where there are several.
 *
 * It does everything, and never gives up: half precision, all rounding modes, flushing, NaNs, exact FPSR. Where the
 * host's arithmetic does (float-forms.ts) it is several times faster; an instruction has a form of both
 * kinds then, of which this one goes on where the other gives up.
 */
import type { FpBinary, FpSize, FpTernary, FpTest, FpUnary, Rounding } from '../../../isa/index.js';
import { type Code, i16x8, i32, i32x4, i64, i64x2, local, v128 } from '../wasm/index.js';
import { CryptoFormBuilder } from './crypto-forms.js';
import { Unsupported } from './frame.js';
import { FIRST_SOFT_ROUTINE } from './layout.js';
import { callSoft, type HowOptions, howOf, type SoftOperation } from './soft-calls.js';
import { narrowValue, type Value, wideLocal } from './values.js';
import { type VectorValue, vectorLocal } from './vector-values.js';

/** Who computes: the host, soft-float, or the host what it can. */
export type FloatSource = 'host' | 'soft' | 'either';

const BINARY: Readonly<Record<FpBinary, readonly [SoftOperation, HowOptions]>> = {
  add: ['add', {}],
  sub: ['add', { flag: true }],
  mul: ['mul', {}],
  mulX: ['mul', { flag: true }],
  div: ['div', {}],
  max: ['extreme', {}],
  min: ['extreme', { flag: true }],
  maxNum: ['extreme', { other: true }],
  minNum: ['extreme', { flag: true, other: true }],
  recipStep: ['step', {}],
  rsqrtStep: ['step', { flag: true }],
};

export class SoftFormBuilder extends CryptoFormBuilder {
  floats: FloatSource = 'host';
  /** The place of soft-float's first routine in the table of the module that the code will be in. */
  firstRoutine: number = FIRST_SOFT_ROUTINE;
  /** The form has code that gives up where soft-float would not. */
  usesHost = false;
  /** The form calls soft-float. */
  usesSoft = false;

  /** Whether soft-float does an operation. `missing`: what the host lacks for it, beside half precision. */
  protected isSoft(size: FpSize, missing?: string): boolean {
    const lacks = size === 16 ? 'half precision' : missing;
    const isUnusual = this.operands.vectors.known?.isUnusual === true;
    if (this.floats === 'soft' || (this.floats === 'either' && (lacks !== undefined || isUnusual))) {
      this.usesSoft = true;
      return true;
    }
    if (lacks !== undefined) throw new Unsupported(lacks);
    this.usesHost = true;
    return false;
  }

  #bits(size: FpSize, value: Value): Code {
    return size === 64 ? value.wide() : this.zext(size, value).wide();
  }
  #result(size: FpSize, code: Code): Value {
    const result = this.keep(code);
    return size === 64 ? wideLocal(result) : { ...narrowValue(i32.wrap(local.get(result))), isLocal: true };
  }
  #call(
    operation: SoftOperation,
    size: FpSize,
    options: HowOptions,
    operands: readonly Code[],
    result: FpSize = size,
  ): Value {
    const [a, b, c] = operands;
    return this.#result(
      result,
      callSoft(this.firstRoutine, operation, this.cpu, howOf(size, options), a!, b, c),
    );
  }

  protected soft1(operation: FpUnary, size: FpSize, a: Value): Value {
    return this.#call(operation, size, {}, [this.#bits(size, a)]);
  }
  protected soft2(operation: FpBinary, size: FpSize, a: Value, b: Value): Value {
    const [routine, options] = BINARY[operation];
    return this.#call(routine, size, options, [this.#bits(size, a), this.#bits(size, b)]);
  }
  protected soft3(operation: FpTernary, size: FpSize, addend: Value, a: Value, b: Value): Value {
    const factor = operation === 'mulAddH' ? 16 : size;
    const operands = [this.#bits(size, addend), this.#bits(factor, a), this.#bits(factor, b)];
    return this.#call('mulAdd', size, { other: operation === 'mulAddH' }, operands);
  }
  protected softCompare(size: FpSize, a: Value, b: Value, signalNaNs: boolean): Value {
    const operands = [this.#bits(size, a), this.#bits(size, b)];
    return this.#call('compare', size, { flag: signalNaNs }, operands, 32);
  }
  protected softTest(test: FpTest, size: FpSize, a: Value, b: Value): Code {
    const nzcv = this.softCompare(size, a, b, test !== 'eq').low();
    if (test === 'eq') return i32.eq(nzcv, i32.const(0b0110));
    if (test === 'gt') return i32.eq(nzcv, i32.const(0b0010));
    // C without V.
    return i32.eq(i32.and(nzcv, i32.const(0b0011)), i32.const(0b0010));
  }
  protected softConvert(to: FpSize, from: FpSize, a: Value, rounding: Rounding): Value {
    return this.#call('convert', to, { from, rounding }, [this.#bits(from, a)]);
  }
  protected softRoundInt(size: FpSize, a: Value, rounding: Rounding, flag: boolean): Value {
    return this.#call('integral', size, { rounding, flag }, [this.#bits(size, a)]);
  }
  protected softRoundIntN(size: FpSize, a: Value, rounding: Rounding, bits: 32 | 64): Value {
    return this.#call('integralN', size, { rounding, bits }, [this.#bits(size, a)]);
  }
  protected softToFixed(
    bits: 16 | 32 | 64,
    size: FpSize,
    a: Value,
    fraction: Value,
    flag: boolean,
    rounding: Rounding,
  ): Value {
    const options = { rounding, bits, flag };
    return this.#call('toFixed', size, options, [this.#bits(size, a), fraction.wide()], bits);
  }
  protected softToFixedJS(a: Value): Value {
    return this.#call('toFixedJS', 64, {}, [a.wide()], 32);
  }
  protected softFromFixed(
    size: FpSize,
    bits: 16 | 32 | 64,
    a: Value,
    fraction: Value,
    flag: boolean,
    rounding: Rounding,
  ): Value {
    const extended = flag ? this.zext(bits, a) : this.sext(64, bits, a);
    return this.#call('fromFixed', size, { rounding, flag }, [extended.wide(), fraction.wide()]);
  }

  protected softUnsignedEstimate(flag: boolean, a: Value): Value {
    return this.#call('unsignedEstimate', 32, { flag }, [this.#bits(32, a)]);
  }

  // ---- lanes ---------------------------------------------------------------------------------------

  /** The lowest lanes one by one; zeros above them. */
  protected softLanes(size: FpSize, lanes: number, lane: (index: number) => Value): VectorValue {
    const index = this.newVector(v128.const(0n));
    const so = local.get(index);
    for (let i = 0; i < lanes; i++) {
      const value = lane(i);
      const put =
        size === 64
          ? i64x2.replace(i, so, value.wide())
          : (size === 32 ? i32x4 : i16x8).replace(i, so, value.low());
      this.emit(local.set(index, put));
    }
    return vectorLocal(so);
  }
  /** Lane i of a vector, to be called for with any i. */
  protected lanesOf(size: FpSize, a: VectorValue): (index: number) => Value {
    const named = this.letV(a);
    return (index) => this.getLane(size, named, this.imm(index));
  }
  /** A mask of all ones where an i32 is 1, else 0. */
  protected maskOf(size: FpSize, condition: Code): Value {
    const mask = this.keep(i64.sub(i64.const(0n), i64.extendI32U(condition)));
    return size === 64 ? wideLocal(mask) : { ...narrowValue(i32.wrap(local.get(mask))), isLocal: true };
  }
}
