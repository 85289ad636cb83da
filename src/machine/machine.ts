/**
 * The machine: memory, tag controller, devices and CPUs, put together from plain data.
 *
 * `createMachine` is what tests and the conformance runner use; board.ts reads the same data out of a
 * device tree. A machine runs nothing: an engine is made for it (`src/engine`).
 */
import { DEFAULT_FEATURES, type FeatureName } from '../../isa/index.js';
import { Random } from '../base/index.js';
import { mpidrOf } from './cpu/computed-registers.js';
import { Cpu } from './cpu/cpu.js';
import type { CpuEnvironment, InterruptInterface } from './cpu/environment.js';
import { semihosting } from './devices/semihosting.js';
import { Bus, type Device } from './memory/bus.js';
import { Dram, type DramBank } from './memory/dram.js';
import { CHUNK, CPU_STATE_BASE, CPU_STATE_SIZE, LinearMemory } from './memory/linear-memory.js';
import { type CacheHierarchy, MemorySystem } from './memory/memory-system.js';
import { TagController, type TagRange } from './memory/tag-controller.js';
import type { Supervisor } from './supervisor.js';

export interface MachineConfig {
  readonly banks: readonly DramBank[];
  /** Tag ranges in force from reset; firmware programs them on a board. */
  readonly tagRanges?: readonly TagRange[];
  /** 1..8. */
  readonly cpus?: number;
  readonly features?: readonly FeatureName[];
  readonly hasEl2?: boolean;
  readonly hasEl3?: boolean;
  readonly seed?: number | bigint;
  /** Ticks a second of the system counter; one tick is one instruction. */
  readonly counterFrequency?: number;
  readonly resetVector?: bigint;
  /** Makes the devices: they may need the controller or memory. */
  readonly devices?: (parts: { readonly controller: TagController }) => readonly Device[];
  /** Where semihosting writes; left out, HLT #0xF000 is UNDEFINED. */
  readonly onSemihostingOutput?: (byte: number) => void;
  readonly caches?: (dram: Dram, controller: TagController, random: Random) => CacheHierarchy;
  readonly interrupts?: InterruptInterface;
  readonly firmwareCall?: CpuEnvironment['firmwareCall'];
  /** Remember the last writer of each tag. */
  readonly recordTagWriters?: boolean;
  /** Bytes of guest memory that may be touched; for tests of exhaustion. */
  readonly memoryLimit?: number;
}

export const MOST_CPUS = 8;
/** Features that have rows or registers, but no machine behind them. */
export const NOT_IMPLEMENTED: readonly FeatureName[] = [
  'FEAT_RAS',
  'FEAT_VHE',
  'FEAT_LVA',
  'FEAT_TTST',
  'FEAT_FGT',
  'FEAT_PMUv3',
  'FEAT_SPE',
  'FEAT_TRF',
  'FEAT_TRBE',
  'FEAT_BRBE',
  'FEAT_WFxT',
  'FEAT_MOPS',
  'FEAT_CSSC',
  'FEAT_SM3',
  'FEAT_SM4',
  'FEAT_BF16',
  'FEAT_I8MM',
];
export const DEFAULT_COUNTER_FREQUENCY = 1_000_000_000;

export class Machine {
  readonly linear: LinearMemory;
  readonly dram: Dram;
  readonly controller: TagController;
  readonly bus: Bus;
  readonly memory: MemorySystem;
  readonly cpus: readonly Cpu[];
  readonly features: ReadonlySet<FeatureName>;

  /** Throws RangeError for banks or devices that overlap, a tag range that cannot be, or a bad CPU count. */
  constructor(config: MachineConfig) {
    const count = config.cpus ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > MOST_CPUS) {
      throw new RangeError(`a machine has 1 to ${MOST_CPUS} CPUs, not ${count}`);
    }
    this.features = new Set(config.features ?? DEFAULT_FEATURES);
    for (const feature of NOT_IMPLEMENTED) {
      if (this.features.has(feature)) throw new RangeError(`${feature} is not implemented`);
    }
    this.linear = new LinearMemory(config.memoryLimit);
    // CPU states follow the zero chunk; they fit one chunk.
    if (CPU_STATE_BASE + MOST_CPUS * CPU_STATE_SIZE > CPU_STATE_BASE + CHUNK) throw new RangeError('layout');
    this.dram = new Dram(this.linear, config.banks);
    this.controller = new TagController(this.dram.banks);
    for (const [slot, range] of (config.tagRanges ?? []).entries()) {
      const problem = this.controller.enable(slot, range);
      if (problem !== undefined) throw new RangeError(`tag range ${slot} cannot be: ${problem}`);
    }
    this.bus = new Bus(config.devices?.({ controller: this.controller }) ?? []);
    this.memory = new MemorySystem(this.dram, this.bus, this.controller);
    const seed = config.seed ?? 0;
    if (config.caches !== undefined) {
      this.memory.attachCaches(config.caches(this.dram, this.controller, new Random(seed, 'caches')));
    }
    if (config.recordTagWriters) this.memory.recordTagWriters();
    const environment: CpuEnvironment = {
      memory: this.memory,
      hasEl2: config.hasEl2 ?? true,
      hasEl3: config.hasEl3 ?? true,
      hasMte2: this.features.has('FEAT_MTE2'),
      hasMte3: this.features.has('FEAT_MTE3'),
      has: (feature) => this.features.has(feature),
      tagRandom: new Random(seed, 'irg'),
      random: new Random(seed, 'rndr'),
      resetVector: config.resetVector ?? 0n,
      counterFrequency: config.counterFrequency ?? DEFAULT_COUNTER_FREQUENCY,
      semihosting:
        config.onSemihostingOutput === undefined ? undefined : semihosting(config.onSemihostingOutput),
      firmwareCall: config.firmwareCall,
      interrupts: config.interrupts,
      cpus: () => this.cpus,
    };
    this.cpus = Array.from({ length: count }, (_, index) => {
      const cpu = new Cpu(index, environment);
      cpu.writeRegister('cntfrq_el0', BigInt(environment.counterFrequency));
      cpu.writeRegister('vpidr_el2', cpu.readRegister('midr_el1'));
      cpu.writeRegister('vmpidr_el2', mpidrOf(index));
      const highest = environment.hasEl3 ? 3 : environment.hasEl2 ? 2 : 1;
      cpu.setLevel(highest, 1);
      cpu.pc = environment.resetVector;
      return cpu;
    });
    config.interrupts?.attach(this.cpus);
  }

  /** The boot CPU. */
  get cpu(): Cpu {
    return this.cpus[0]!;
  }

  /** Every CPU's exceptions to EL1 and EL2 go to `supervisor` from now on; undefined: into guest code. */
  setSupervisor(supervisor: Supervisor | undefined): void {
    for (const cpu of this.cpus) cpu.supervisor = supervisor;
  }
}

export function createMachine(config: MachineConfig): Machine {
  return new Machine(config);
}
