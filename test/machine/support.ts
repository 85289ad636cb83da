/**
 * What the machine's tests share: a bare machine, programs in assembly, translation tables, and a
 * supervisor that reports the exception a program ended with.
 */
import { assemble, toFlat } from '../../src/assembler/index.js';
import { hex, PA, VA } from '../../src/base/index.js';
import { createEngine } from '../../src/engine/index.js';
import {
  type Cpu,
  createMachine,
  type Machine,
  type MachineConfig,
  type StopReason,
} from '../../src/machine/index.js';

export const DRAM = 0x40000000;
export const CODE = 0x40080000;
export const DATA = 0x40200000;
export const TABLES = 0x41000000;
/** Tag storage of the first 32 MiB: 1 MiB of it. */
export const TAGS = 0x43000000;
export const TAGGED_SIZE = 0x2000000;

export function testMachine(config: Partial<MachineConfig> = {}): Machine {
  return createMachine({
    banks: [{ base: DRAM, size: 0x4000000 }],
    tagRanges: [{ memBase: DRAM, memSize: TAGGED_SIZE, tagBase: TAGS, blockSize: 4096 }],
    ...config,
  });
}

/** Puts assembled text at `at` (default CODE). */
export function load(machine: Machine, text: string, at = CODE): void {
  const program = assemble({ name: 'test.s', text: `.text\n${text}\n` }, { textBase: VA(BigInt(at)) });
  const image = toFlat(program, VA(BigInt(at)));
  machine.memory.writeBytes(PA(at), image);
  machine.memory.icacheInval(PA(at), image.length);
}

/** Descriptor bits. */
export const D = {
  table: 3n,
  page: 3n,
  block: 1n,
  af: 1n << 10n,
  user: 1n << 6n,
  readOnly: 1n << 7n,
  nG: 1n << 11n,
  dbm: 1n << 51n,
  pxn: 1n << 53n,
  uxn: 1n << 54n,
  /** MAIR index 1: Normal Tagged; index 2: Device. */
  tagged: 1n << 2n,
  device: 2n << 2n,
} as const;

/** 0 Normal Write-Back, 1 Normal Tagged, 2 Device-nGnRnE. */
export const MAIR = 0x00_f0_ffn;

/** Builds tables of one granule for addresses below 2^48, level by level, in guest memory. */
export class Tables {
  readonly root: number;
  readonly #machine: Machine;
  readonly #shift: number;
  readonly #startLevel: number;
  #next: number;

  constructor(machine: Machine, options: { shift?: 12 | 14 | 16; startLevel?: number; at?: number } = {}) {
    this.#machine = machine;
    this.#shift = options.shift ?? 12;
    this.#startLevel = options.startLevel ?? 1;
    this.#next = options.at ?? TABLES;
    this.root = this.#newTable();
  }

  #newTable(): number {
    const at = this.#next;
    this.#next += 2 ** this.#shift;
    this.#machine.memory.fill(PA(at), 2 ** this.#shift, 0);
    return at;
  }

  /** Writes the descriptor of `va` at `level` (3: page) and gives its address. */
  map(va: number | bigint, pa: number, attributes: bigint, level = 3): number {
    const { memory } = this.#machine;
    const stride = this.#shift - 3;
    let table = this.root;
    for (let l = this.#startLevel; ; l++) {
      const shift = BigInt(this.#shift + (3 - l) * stride);
      const index = Number((BigInt.asUintN(48, BigInt(va)) >> shift) & BigInt(2 ** stride - 1));
      const at = table + index * 8;
      if (l === level) {
        const kind = level === 3 ? D.page : D.block;
        memory.write64(PA(at), BigInt(pa) | D.af | kind | attributes);
        return at;
      }
      const descriptor = memory.read64(PA(at));
      if (descriptor === 0n) {
        table = this.#newTable();
        memory.write64(PA(at), BigInt(table) | D.table);
      } else {
        table = Number(descriptor & 0xffff_ffff_f000n);
      }
    }
  }

  /** Maps a run of pages one to one, unless `pa` says otherwise. */
  mapRange(va: number, bytes: number, attributes: bigint, pa = va): void {
    const page = 2 ** this.#shift;
    for (let at = 0; at < bytes; at += page) this.map(va + at, pa + at, attributes);
  }
}

/** 39-bit lower half, 4 KiB, TBI0; TTBR1 off. */
export const TCR_39 = 25n | (1n << 23n) | (2n << 32n) | (1n << 37n);
/** M, C, I, SA, SA0, DZE, UCT, UCI, ATA0, ATA, SPAN. */
export const SCTLR_ON =
  1n |
  (1n << 2n) |
  (1n << 3n) |
  (1n << 4n) |
  (1n << 12n) |
  (1n << 14n) |
  (1n << 15n) |
  (1n << 23n) |
  (1n << 26n) |
  (3n << 42n);

export const TCF0 = (mode: number) => BigInt(mode) << 38n;
export const TCF = (mode: number) => BigInt(mode) << 40n;

/** What a run under `runUnder` ended with. */
export interface Taken {
  readonly stop: StopReason;
  readonly esr: string;
  readonly far: string;
  readonly elr: string;
  readonly vector: number;
}

/**
 * A machine without EL2 and EL3, code mapped for all, 64 KiB of tagged memory at DATA, translation on;
 * exceptions stop the run.
 */
export function mappedMachine(config: Partial<MachineConfig> = {}): {
  machine: Machine;
  cpu: Cpu;
  tables: Tables;
} {
  const machine = testMachine({ hasEl2: false, hasEl3: false, ...config });
  const tables = new Tables(machine);
  tables.mapRange(CODE, 0x10000, D.user | D.readOnly);
  tables.mapRange(DATA, 0x10000, D.user | D.tagged | D.uxn | D.pxn);
  const { cpu } = machine;
  cpu.writeRegister('mair_el1', MAIR);
  cpu.writeRegister('tcr_el1', TCR_39);
  cpu.writeRegister('ttbr0_el1', BigInt(tables.root));
  cpu.writeRegister('sctlr_el1', SCTLR_ON);
  machine.setSupervisor({ exceptionTaken: () => {} });
  return { machine, cpu, tables };
}

/** Runs text at EL0 (or EL1) from CODE until an exception to EL1; `setup` is called before. */
export function runUnder(
  machine: Machine,
  text: string,
  options: { el?: 0 | 1; setup?: (cpu: Cpu) => void; steps?: number } = {},
): Taken {
  load(machine, text);
  const { cpu } = machine;
  cpu.setLevel(options.el ?? 0, 1);
  cpu.pstate.tco = 0;
  cpu.pstate.pan = 0;
  cpu.pc = BigInt(CODE);
  cpu.sp = BigInt(DATA + 0x8000);
  options.setup?.(cpu);
  cpu.refreshContext();
  const stop = createEngine(machine, 'evaluate').run(cpu, options.steps ?? 10_000);
  return {
    stop,
    esr: hex(cpu.readRegister('esr_el1')),
    far: hex(cpu.readRegister('far_el1')),
    elr: hex(cpu.readRegister('elr_el1')),
    vector: cpu.vectorOffset,
  };
}

/** Runs bare from CODE at the machine's reset level; gives the stop. */
export function runBare(machine: Machine, text: string, steps = 100_000): StopReason {
  load(machine, text);
  machine.cpu.pc = BigInt(CODE);
  return createEngine(machine, 'evaluate').run(machine.cpu, steps);
}
