/**
 * The functions of soft-float in a module, and their places in the table.
 *
 * Ref. soft-calls.ts: how they are called.
 */
import { type Code, type ModuleWriter, Routine, ValueType } from '../wasm/index.js';
import * as arithmetic from './soft-arithmetic.js';
import { SOFT_OPERATIONS, SOFT_PARAMS, SOFT_SIGNATURE, type SoftOperation } from './soft-calls.js';
import * as conversions from './soft-conversions.js';
import { nanRoutine, raiseRoutine, roundRoutine, type SharedRoutines, SoftRoutine } from './soft-numbers.js';

const { i32: I32, i64: I64 } = ValueType;

const ROUTINES: Readonly<Record<SoftOperation, (r: SoftRoutine) => void>> = {
  add: arithmetic.add,
  mul: arithmetic.mul,
  div: arithmetic.div,
  sqrt: arithmetic.sqrt,
  mulAdd: arithmetic.mulAdd,
  step: arithmetic.step,
  extreme: arithmetic.extreme,
  compare: arithmetic.compare,
  convert: conversions.convert,
  integral: conversions.integral,
  integralN: conversions.integralN,
  toFixed: conversions.toFixed,
  toFixedJS: conversions.toFixedJS,
  fromFixed: conversions.fromFixed,
  recipEstimate: conversions.recipEstimate,
  rsqrtEstimate: conversions.rsqrtEstimate,
  recpX: conversions.recpX,
  unsignedEstimate: conversions.unsignedEstimate,
};

/** Adds all routines; gives those of SOFT_OPERATIONS in order. To be called before other functions are added. */
export function addSoftRoutines(module: ModuleWriter): number[] {
  const shared: SharedRoutines = { raise: 0, nan: 1, round: 2, sum: 3 };
  const raise = new Routine([I32, I32]);
  raiseRoutine(raise);
  const places = [module.addFunction(module.type(raise.params, []), raise.locals, raise.code)];
  const add = (params: readonly ValueType[], fill: (r: SoftRoutine) => void): number => {
    const routine = new SoftRoutine(params, shared);
    fill(routine);
    const code: Code = routine.code;
    return module.addFunction(module.type(params, SOFT_SIGNATURE[1]), routine.locals, code);
  };
  places.push(add([I32, I32, I32, I64], nanRoutine));
  places.push(add([I32, I32, I32, I32, I64], roundRoutine));
  const sum = [I32, I32, I32, I32, I64, I32, I32, I64, I64, I32];
  places.push(add(sum, arithmetic.sumRoutine));
  if (places.some((place, i) => place !== i)) throw new Error('soft-float is not first in its module');
  return SOFT_OPERATIONS.map((operation) => add(SOFT_PARAMS, ROUTINES[operation]));
}
