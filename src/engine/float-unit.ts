/**
 * The evaluator's floating-point unit: soft-float under the CPU's FPCR, exceptions into its FPSR.
 *
 * Also the operations on vectors that set FPSR.QC, and floating point on lanes.
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float"; src/base/softfloat.
 */
import type {
  FpBinary,
  FpSize,
  FpTernary,
  FpTest,
  FpUnary,
  LaneSize,
  Rounding,
  VectorBinary,
  VectorTernary,
  VectorUnary,
} from '../../isa/index.js';
import {
  type FloatEnvironment,
  type FloatRounding,
  fixedToFP,
  fpAdd,
  fpCompare,
  fpCompareEQ,
  fpCompareGE,
  fpCompareGT,
  fpConvert,
  fpDiv,
  fpMax,
  fpMaxNum,
  fpMin,
  fpMinNum,
  fpMul,
  fpMulAdd,
  fpMulAddH,
  fpMulX,
  fpRecipEstimate,
  fpRecipStepFused,
  fpRecpX,
  fpRoundInt,
  fpRoundIntN,
  fpRoundingMode,
  fpRSqrtEstimate,
  fpRSqrtStepFused,
  fpSqrt,
  fpSub,
  fpToFixed,
  fpToFixedJS,
} from '../base/index.js';
import { type Cpu, cellOf } from '../machine/index.js';
import {
  laneOf,
  mapLanes,
  type Saturation,
  vectorBinary,
  vectorTernary,
  vectorUnary,
} from './vector-lanes.js';

const FPCR = cellOf('fpcr');
const FPSR = cellOf('fpsr');
const QC = 1n << 27n;

type Unary = (size: FpSize, a: bigint, env: FloatEnvironment) => bigint;
type Binary = (size: FpSize, a: bigint, b: bigint, env: FloatEnvironment) => bigint;
type Test = (size: FpSize, a: bigint, b: bigint, env: FloatEnvironment) => boolean;

const UNARY: Readonly<Record<FpUnary, Unary>> = {
  sqrt: fpSqrt,
  recipEstimate: fpRecipEstimate,
  rsqrtEstimate: fpRSqrtEstimate,
  recpX: fpRecpX,
};
const BINARY: Readonly<Record<FpBinary, Binary>> = {
  add: fpAdd,
  sub: fpSub,
  mul: fpMul,
  div: fpDiv,
  max: fpMax,
  min: fpMin,
  maxNum: fpMaxNum,
  minNum: fpMinNum,
  mulX: fpMulX,
  recipStep: fpRecipStepFused,
  rsqrtStep: fpRSqrtStepFused,
};
const TEST: Readonly<Record<FpTest, Test>> = { eq: fpCompareEQ, ge: fpCompareGE, gt: fpCompareGT };

export class FloatUnit {
  readonly #cpu: Cpu;
  readonly #env: FloatEnvironment = { fpcr: 0, fpsr: 0 };
  #before = 0;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** The environment as FPCR and FPSR are now. */
  #begin(): FloatEnvironment {
    const env = this.#env;
    const { cells } = this.#cpu;
    env.fpcr = cells.field(FPCR, 31, 0);
    this.#before = cells.field(FPSR, 31, 0);
    env.fpsr = this.#before;
    return env;
  }

  /** Writes FPSR back if exceptions were added since `#begin`. */
  #end<R>(result: R): R {
    const { fpsr } = this.#env;
    if (fpsr !== this.#before) this.#cpu.cells.set(FPSR, BigInt(fpsr));
    return result;
  }

  #mode(rounding: Rounding, env: FloatEnvironment): FloatRounding {
    return rounding === 'fpcr' ? fpRoundingMode(env) : rounding;
  }

  // ---- scalars -------------------------------------------------------------------------------------

  unary(operation: FpUnary, size: FpSize, a: bigint): bigint {
    return this.#end(UNARY[operation](size, a, this.#begin()));
  }

  binary(operation: FpBinary, size: FpSize, a: bigint, b: bigint): bigint {
    return this.#end(BINARY[operation](size, a, b, this.#begin()));
  }

  ternary(operation: FpTernary, size: FpSize, addend: bigint, a: bigint, b: bigint): bigint {
    const env = this.#begin();
    return this.#end(
      operation === 'mulAdd' ? fpMulAdd(size, addend, a, b, env) : fpMulAddH(addend, a, b, env),
    );
  }

  compare(size: FpSize, a: bigint, b: bigint, signalNaNs: boolean): bigint {
    return this.#end(BigInt(fpCompare(size, a, b, signalNaNs, this.#begin())));
  }

  test(test: FpTest, size: FpSize, a: bigint, b: bigint): boolean {
    return this.#end(TEST[test](size, a, b, this.#begin()));
  }

  convert(to: FpSize, from: FpSize, a: bigint, rounding: Rounding): bigint {
    const env = this.#begin();
    return this.#end(fpConvert(to, from, a, env, this.#mode(rounding, env)));
  }

  roundInt(size: FpSize, a: bigint, rounding: Rounding, exact: boolean): bigint {
    const env = this.#begin();
    return this.#end(fpRoundInt(size, a, env, this.#mode(rounding, env), exact));
  }

  roundIntN(size: FpSize, a: bigint, rounding: Rounding, bits: 32 | 64): bigint {
    const env = this.#begin();
    return this.#end(fpRoundIntN(size, a, env, this.#mode(rounding, env), bits));
  }

  toFixed(
    bits: number,
    size: FpSize,
    a: bigint,
    fraction: bigint,
    unsigned: boolean,
    rounding: Rounding,
  ): bigint {
    const env = this.#begin();
    const mode = this.#mode(rounding, env);
    return this.#end(fpToFixed(bits, size, a, Number(fraction), unsigned, env, mode));
  }

  toFixedJS(a: bigint): bigint {
    return this.#end(fpToFixedJS(a, this.#begin()));
  }

  fromFixed(
    size: FpSize,
    bits: number,
    a: bigint,
    fraction: bigint,
    unsigned: boolean,
    rounding: Rounding,
  ): bigint {
    const env = this.#begin();
    const mode = this.#mode(rounding, env);
    return this.#end(fixedToFP(size, bits, a, Number(fraction), unsigned, env, mode));
  }

  // ---- lanes ---------------------------------------------------------------------------------------

  lanes1(operation: FpUnary, size: FpSize, lanes: number, a: bigint): bigint {
    const env = this.#begin();
    const change = UNARY[operation];
    return this.#end(mapLanes(size, lanes, (i) => change(size, laneOf(size, a, i), env)));
  }

  lanes2(operation: FpBinary, size: FpSize, lanes: number, a: bigint, b: bigint): bigint {
    const env = this.#begin();
    const change = BINARY[operation];
    return this.#end(mapLanes(size, lanes, (i) => change(size, laneOf(size, a, i), laneOf(size, b, i), env)));
  }

  lanes3(operation: FpTernary, size: FpSize, lanes: number, addend: bigint, a: bigint, b: bigint): bigint {
    const env = this.#begin();
    const factor = operation === 'mulAddH' ? 16 : size;
    return this.#end(
      mapLanes(size, lanes, (i) => {
        const c = laneOf(size, addend, i);
        const x = laneOf(factor, a, i);
        const y = laneOf(factor, b, i);
        return operation === 'mulAddH' ? fpMulAddH(c, x, y, env) : fpMulAdd(size, c, x, y, env);
      }),
    );
  }

  lanesTest(test: FpTest, size: FpSize, lanes: number, a: bigint, b: bigint): bigint {
    const env = this.#begin();
    const holds = TEST[test];
    return this.#end(
      mapLanes(size, lanes, (i) => (holds(size, laneOf(size, a, i), laneOf(size, b, i), env) ? -1n : 0n)),
    );
  }

  // ---- integer lanes that may saturate -------------------------------------------------------------

  /** Runs `work` and sets FPSR.QC if it saturated anything. */
  noting(work: (q: Saturation) => bigint): bigint {
    const q: Saturation = { saturated: false };
    const result = work(q);
    if (q.saturated) {
      const { cells } = this.#cpu;
      cells.set(FPSR, cells.get(FPSR) | QC);
    }
    return result;
  }

  v1(operation: VectorUnary, size: LaneSize, a: bigint): bigint {
    return this.noting((q) => vectorUnary(operation, size, a, q));
  }

  v2(operation: VectorBinary, size: LaneSize, a: bigint, b: bigint): bigint {
    return this.noting((q) => vectorBinary(operation, size, a, b, q));
  }

  v3(operation: VectorTernary, size: LaneSize, first: bigint, a: bigint, b: bigint): bigint {
    return this.noting((q) => vectorTernary(operation, size, first, a, b, q));
  }
}
