/**
 * A whole system in one call: a machine of a device tree, firmware, the mini-kernel.
 *
 * What the command, tests and the browser start from.
 */
import { PA } from '../base/index.js';
import type { DeviceTree } from '../devicetree/index.js';
import { createEngine, type EngineMaker, type TraceStep } from '../engine/index.js';
import {
  type BootedBoard,
  bootBoard,
  type Engine,
  type Incoherence,
  kernelEntryStage,
  type Machine,
} from '../machine/index.js';
import { Kernel, type KernelOptions } from './kernel.js';

export interface SystemOptions extends Omit<KernelOptions, 'machine' | 'engine' | 'image'> {
  readonly tree: DeviceTree;
  /** `evaluate`, `auto`; or what makes the engine. */
  readonly engine?: string | EngineMaker;
  /** Called after each instruction. Slow. */
  readonly onStep?: (step: TraceStep) => void;
  /** `model`: write-back data and tag caches. */
  readonly caches?: 'off' | 'model';
  /** Told where tag storage changed hands without the cache maintenance it needs. */
  readonly onIncoherence?: (report: Incoherence) => void;
  /** Bytes the firmware writes to the serial line. */
  readonly onSerial?: (byte: number) => void;
}

export interface System {
  readonly board: BootedBoard;
  readonly kernel: Kernel;
  readonly engine: Engine;
}

/**
 * Builds the machine, runs firmware, boots the kernel.
 *
 * @throws InputError where the tree describes no machine that boots.
 */
export function bootSystem(options: SystemOptions): System {
  const board = bootBoard(options.tree, kernelEntryStage(), {
    seed: options.seed ?? 0,
    recordTagWriters: true,
    ...(options.caches === undefined ? {} : { caches: options.caches }),
    ...(options.onSerial === undefined ? {} : { onSerial: options.onSerial }),
    onControllerProblem: ({ range, problem }) =>
      options.log?.(`tag controller: range ${range} refused: ${problem}`),
  });
  const { machine, nextStage } = board;
  machine.memory.onIncoherence = options.onIncoherence;
  const engine = makeEngine(machine, options);
  const kernel = new Kernel({
    ...options,
    machine,
    engine,
    image: { base: PA(nextStage.base), size: nextStage.size },
  });
  kernel.boot();
  return { board, kernel, engine };
}

function makeEngine(machine: Machine, { engine, onStep }: SystemOptions): Engine {
  if (typeof engine === 'function') return engine(machine);
  return createEngine(machine, engine ?? 'auto', onStep === undefined ? {} : { onStep });
}
