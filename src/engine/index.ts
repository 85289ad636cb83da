/**
 * Execution engines: what runs a machine's CPUs.
 *
 * The evaluator is the executable reference; the interpreter runs the same semantics as generated code, and
 * is what `auto` means.
 */
import { inputError } from '../base/index.js';
import type { Engine, Machine } from '../machine/index.js';
import { Evaluator, type EvaluatorOptions } from './evaluator.js';
import { Interpreter } from './interpreter/index.js';

export { Evaluator, type EvaluatorOptions } from './evaluator.js';
export { EvaluatorBuilder, type EvaluatorWords } from './evaluator-builder.js';
export {
  type GeneratedInterpreter,
  generateInterpreter,
  Interpreter,
  type InterpreterStatistics,
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

/** Names `--engine` takes; those without an engine say so. */
export const ENGINE_NAMES = ['evaluate', 'interpret', 'translate', 'auto'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** Makes the engine of this name. Throws InputError for a name that is unknown or not there yet. */
export function createEngine(machine: Machine, name: string, options: EvaluatorOptions = {}): Engine {
  if (name === 'evaluate') return new Evaluator(machine, options);
  if (name === 'auto') return new Interpreter(machine, { ...options, adaptive: true });
  if (name === 'interpret') return new Interpreter(machine, options);
  if (name === 'translate') {
    throw inputError('CLI-ENGINE', `the engine '${name}' is not implemented`, {
      help: "use '--engine evaluate' or '--engine interpret'",
    });
  }
  throw inputError('CLI-ENGINE', `there is no engine '${name}'`, {
    help: `engines: ${ENGINE_NAMES.join(', ')}`,
  });
}
