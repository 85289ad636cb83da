/** Floating point on raw bits, exactly as the Arm architecture defines it. */
export * from './arithmetic.js';
export * from './convert.js';
export * from './estimate.js';
export {
  type FloatEnvironment,
  FloatException,
  type FloatRounding,
  type FloatSize,
  FPCR_AHP,
  FPCR_DN,
  FPCR_FZ,
  FPCR_FZ16,
  FPCR_RMODE_SHIFT,
  fpDefaultNaN,
  fpInfinity,
  fpMaxNormal,
  fpNeg,
  fpRoundingMode,
  fpZero,
} from './format.js';
