/** All rows, in decode order. */
import type { Row } from '../row.js';
import { rows as addSubImmediate } from './add-sub-immediate.js';
import { rows as addSubRegister } from './add-sub-register.js';
import { rows as atomics } from './atomics.js';
import { rows as barriers } from './barriers.js';
import { rows as bitfield } from './bitfield.js';
import { rows as branches } from './branches.js';
import { rows as compareSwap } from './compare-swap.js';
import { rows as conditional } from './conditional.js';
import { rows as dataProcessing } from './data-processing.js';
import { rows as exceptions } from './exceptions.js';
import { rows as flags } from './flags.js';
import { rows as fpCompare } from './fp-compare.js';
import { rows as fpConvert } from './fp-convert.js';
import { rows as fpDataProcessing } from './fp-data-processing.js';
import { rows as fpMove } from './fp-move.js';
import { rows as hints } from './hints.js';
import { rows as loadAcquire } from './load-acquire.js';
import { rows as loadLiteral } from './load-literal.js';
import { rows as loadStoreAuthenticated } from './load-store-authenticated.js';
import { rows as loadStoreExclusive } from './load-store-exclusive.js';
import { rows as loadStoreFp } from './load-store-fp.js';
import { rows as loadStoreImmediate } from './load-store-immediate.js';
import { rows as loadStorePair } from './load-store-pair.js';
import { rows as loadStoreRegister } from './load-store-register.js';
import { rows as logical } from './logical.js';
import { rows as moveWide } from './move-wide.js';
import { rows as mteArithmetic } from './mte-arithmetic.js';
import { rows as mteMemory } from './mte-memory.js';
import { rows as pauth } from './pauth.js';
import { rows as simd } from './simd.js';
import { rows as system } from './system.js';

export const ROWS: readonly Row[] = [
  // MOV is tried as MOVZ, MOVN, ORR, ADD; ADD as shifted, extended, immediate: the assembler's order.
  ...moveWide,
  ...logical,
  ...addSubRegister,
  ...addSubImmediate,
  ...bitfield,
  ...dataProcessing,
  ...conditional,
  ...flags,
  ...branches,
  ...exceptions,
  ...pauth,
  ...loadLiteral,
  ...loadStoreImmediate,
  ...loadStorePair,
  ...loadStoreRegister,
  ...loadStoreAuthenticated,
  ...barriers,
  ...hints,
  ...system,
  ...mteArithmetic,
  ...mteMemory,
  ...loadStoreExclusive,
  ...loadAcquire,
  ...atomics,
  ...compareSwap,
  ...fpMove,
  ...fpDataProcessing,
  ...fpCompare,
  ...fpConvert,
  ...loadStoreFp,
  ...simd,
];
