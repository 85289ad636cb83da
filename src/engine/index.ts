/**
 * Execution engines: what runs a machine's CPUs.
 *
 * The evaluator is the executable reference; the interpreter runs the same semantics as generated code; the
 * translator makes code of its own for what is hot. `auto` is all three.
 */
import { inputError } from '../base/index.js';
import type { Engine, Machine } from '../machine/index.js';
import { Evaluator, type EvaluatorOptions } from './evaluator.js';
import { refusalOfGeneratedCode } from './generated-code.js';
import { Interpreter } from './interpreter/index.js';
import { Translator, type TranslatorOptions } from './translator/index.js';

export { Evaluator, type EvaluatorOptions } from './evaluator.js';
export { EvaluatorBuilder, type EvaluatorWords } from './evaluator-builder.js';
export {
  EVALUATED_ROWS,
  GENERATED_MODULES,
  type GeneratedInterpreter,
  generateFloats,
  generateInterpreter,
  generateVectors,
  Interpreter,
  type InterpreterStatistics,
  readModulesWith,
} from './interpreter/index.js';
export {
  compareCpus,
  compareMemory,
  type Difference,
  type EngineMaker,
  type LockstepOptions,
  type LockstepResult,
  type LockstepSide,
  lockstep,
  type MakeSide,
} from './lockstep.js';
export type { TraceStep } from './trace.js';
export { Translator, type TranslatorOptions } from './translator/index.js';

/** Names `--engine` takes. */
export const ENGINE_NAMES = ['evaluate', 'interpret', 'translate', 'auto'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

export interface EngineOptions extends EvaluatorOptions {
  /** When and how much is translated; for tests. */
  readonly translator?: TranslatorOptions;
}

/** `translate` makes code of everything that runs more than a few times. */
const EAGER: TranslatorOptions = { hotAfter: 2, patience: 0 };

/** Makes the engine of this name. Throws InputError for a name that is unknown. */
export function createEngine(machine: Machine, name: string, options: EngineOptions = {}): Engine {
  if (name === 'evaluate') return new Evaluator(machine, options);
  const refusal = ENGINE_NAMES.some((known) => known === name) ? refusalOfGeneratedCode() : undefined;
  if (refusal !== undefined) {
    if (name === 'auto') return new Evaluator(machine, { ...options, note: refusal });
    throw inputError('CLI-ENGINE', `the engine '${name}' cannot be used: ${refusal}`, {
      help: "'auto' and 'evaluate' run everywhere",
    });
  }
  if (name === 'interpret') return new Interpreter(machine, options);
  if (name === 'auto' || name === 'translate') {
    const { translator = name === 'auto' ? {} : EAGER } = options;
    return new Interpreter(machine, {
      ...options,
      adaptive: name === 'auto',
      translation: (given) => new Translator(given, translator),
    });
  }
  throw inputError('CLI-ENGINE', `there is no engine '${name}'`, {
    help: `engines: ${ENGINE_NAMES.join(', ')}`,
  });
}
