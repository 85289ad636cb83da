/** The generated interpreter, and what a translator works with. */
export type { CodePages } from './code-pages.js';
export { EVALUATED_ROWS } from './evaluated-rows.js';
export { nzcvOf } from './flags.js';
export { FloatFormBuilder } from './float-vectors.js';
export { lower } from './forms.js';
export {
  type Frame,
  fetchTlbSlotCode,
  NO_PAGE,
  type PageCache,
  type Switch,
  secondTlbSlotCode,
  tlbSlotCode,
  Unsupported,
} from './frame.js';
export {
  type GeneratedInterpreter,
  generateInterpreter,
  MEMORY_IMPORT,
  TYPE_REGION,
} from './generate.js';
export { generateFloats, generateVectors } from './generate-vectors.js';
export { GENERATED_MODULES } from './generated-modules.js';
export { Interpreter, type InterpreterOptions, type InterpreterStatistics } from './interpreter.js';
export {
  Cell,
  cpuDistance,
  FIRST_REGION_LINK,
  FIRST_SOFT_LINK,
  FIRST_SOFT_ROUTINE,
  GUARDED,
  Handler,
  HEAT_OFFSET,
  Heat,
  INDIRECT,
  NO_RECORDS,
  RegionExit,
  Special,
  STATE,
} from './layout.js';
export { readModulesWith } from './module.js';
export type { BranchKind, Emitter, Operand, Operands, SystemRegisterCode } from './operands.js';
export { SOFT_OPERATIONS, softType } from './soft-calls.js';
export { blockActionsOf, plainRegisterOf } from './system-forms.js';
export { tagEventType } from './tag-events.js';
export { conditionTable, valueAt } from './templates.js';
export type {
  HotTarget,
  MakeTranslation,
  Translation,
  TranslationContext,
  TranslationStatistics,
} from './translation.js';
export {
  constantValue,
  narrowLocal,
  narrowValue,
  type RealSize,
  realValue,
  type Value,
  wideLocal,
  wideValue,
} from './values.js';
export type { FloatKnowledge, VectorOperands } from './vector-operands.js';
