/**
 * What a CPU is given by the machine around it.
 */
import type { FeatureName } from '../../../isa/index.js';
import type { Random } from '../../base/index.js';
import type { MemorySystem } from '../memory/memory-system.js';
import type { Cpu } from './cpu.js';

/** GIC CPU interface registers by name; undefined from `read` where the register is not there. */
export interface InterruptInterface {
  read(cpu: Cpu, name: string): bigint | undefined;
  /** False where the register is not there. */
  write(cpu: Cpu, name: string, value: bigint): boolean;
  /** The level of a private interrupt (16..31) of this CPU. */
  setPrivate(cpu: Cpu, intid: number, level: boolean): void;
  /** Called once, with the machine's CPUs. */
  attach(cpus: readonly Cpu[]): void;
}

export interface CpuEnvironment {
  readonly memory: MemorySystem;
  readonly hasEl2: boolean;
  readonly hasEl3: boolean;
  readonly hasMte2: boolean;
  readonly hasMte3: boolean;
  has(feature: FeatureName): boolean;
  /** Chance for IRG with GCR_EL1.RRND = 1 and for RNDR. */
  readonly tagRandom: Random;
  readonly random: Random;
  readonly resetVector: bigint;
  readonly counterFrequency: number;
  /** HLT #0xF000; undefined where semihosting is off. Gives the value of X0. */
  readonly semihosting: ((cpu: Cpu, operation: number, argument: bigint) => bigint) | undefined;
  /** SMC and HVC that firmware in the machine answers (PSCI); false: not answered, the exception is taken. */
  readonly firmwareCall: ((cpu: Cpu, kind: 'smc' | 'hvc') => boolean) | undefined;
  readonly interrupts: InterruptInterface | undefined;
  /** TLB maintenance reaches every CPU. */
  readonly cpus: () => readonly Cpu[];
}
