/**
 * What an execution engine is to those below and beside it.
 */
import type { Cpu } from './cpu/cpu.js';
import type { StopReason } from './stop.js';

export interface Engine {
  readonly name: string;
  /** Counters by name, all numbers but for a `note` in words: what `--stats` prints of the engine. */
  readonly statistics?: object | undefined;
  /**
   * Executes at most `maxInstructions` instructions on `cpu` and gives why it ended. Never throws for
   * anything a guest does.
   */
  run(cpu: Cpu, maxInstructions: number): StopReason;
}
