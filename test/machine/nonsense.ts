/**
 * Nonsense to run: random words, registers, system registers and translation tables, at any exception
 * level.
 */
import { composeWord, ROWS, SYSTEM_OPERATIONS, SYSTEM_REGISTERS } from '../../isa/index.js';
import { PA, type Random } from '../../src/base/index.js';
import {
  type Cpu,
  createMachine,
  type Machine,
  type MachineConfig,
  Pl011,
  TagControllerDevice,
} from '../../src/machine/index.js';
import { CODE, DATA, DRAM, Tables } from './support.js';

/** The machine of a seed: EL2 and EL3 there or not. */
/** `more` adds to or replaces what the seed decides. */
export function nonsenseMachine(seed: number, more: Partial<MachineConfig> = {}): Machine {
  return createMachine({
    banks: [
      { base: DRAM, size: 0x1000000 },
      // A bank that ends inside a page.
      { base: 0x8_0000_0000, size: 0x1800 },
    ],
    seed,
    hasEl2: seed % 3 !== 1,
    hasEl3: seed % 3 !== 2,
    onSemihostingOutput: () => {},
    recordTagWriters: seed % 2 === 0,
    devices: ({ controller }) => [
      new Pl011(0x9000000, 0x1000, () => {}),
      new TagControllerDevice(0xa100000, 0x1000, controller),
    ],
    tagRanges: [
      {
        memBase: DRAM,
        memSize: 0x800000,
        tagBase: DRAM + 0x900000,
        blockSize: 0x2000,
        interleave: seed % 2 ? 2 : 1,
      },
    ],
    ...more,
  });
}

/** A value likely to matter: small, an address, a mask, or anything. */
export function value(random: Random): bigint {
  switch (random.below(7)) {
    case 0:
      return BigInt(random.below(64));
    case 1:
      return BigInt(DATA + random.below(0x10000));
    case 2:
      return BigInt(DATA + random.below(0x10000)) | (BigInt(random.below(256)) << 56n);
    case 3:
      return 0xffff_ff80_0000_0000n | BigInt(DATA + random.below(0x1000));
    case 4:
      return BigInt([0x9000000, 0xa100100, 0x8_0000_17fc, 0x1000, CODE][random.below(5)]! + random.below(64));
    case 5:
      return 1n << BigInt(random.below(64));
    default:
      return random.u64();
  }
}

function word(random: Random): number {
  if (random.below(8) === 0) return random.u32();
  const row = ROWS[random.below(ROWS.length)]!;
  const fields: Record<string, number> = {};
  for (const f of row.fields) fields[f.name] = Math.floor(random.u32() / 2 ** (32 - f.width));
  const made = composeWord(row, fields);
  // Registers and operations that exist, in place of random encodings.
  if (row.class === 'system' && (made & 0xffd00000) >>> 0 === 0xd5100000) {
    const register = SYSTEM_REGISTERS[random.below(SYSTEM_REGISTERS.length)]!;
    return ((made & 0xffe0001f) | ((register.encoding & 0x7fff) << 5) | 0x100000) >>> 0;
  }
  if (row.class === 'system' && (made & 0xfff80000) >>> 0 === 0xd5080000) {
    const operation = SYSTEM_OPERATIONS[random.below(SYSTEM_OPERATIONS.length)]!;
    return (0xd5080000 | ((operation.encoding & 0x3fff) << 5) | (made & 31)) >>> 0;
  }
  return made;
}

/** Fills code, tables and registers. */
export function prepare(machine: Machine, random: Random): void {
  const { memory, cpu } = machine;
  for (let at = 0; at < 0x4000; at += 4) memory.write32(PA(CODE + at), word(random));
  // Tables that work, then some of their descriptors broken.
  const tables = new Tables(machine, { at: DRAM + 0xa00000 });
  tables.mapRange(CODE, 0x4000, random.below(2) ? 1n << 6n : 0n);
  tables.mapRange(DATA, 0x10000, (1n << 6n) | BigInt(random.below(3) << 2));
  tables.mapRange(0x9000000, 0x1000, 2n << 2n);
  for (let i = random.below(6); i > 0; i--) {
    memory.write64(PA(tables.root + random.below(0x3000) * 8), value(random) | BigInt(random.below(4)));
  }
  for (const name of ['sctlr_el1', 'sctlr_el2', 'sctlr_el3'] as const) {
    const on = random.below(2) ? 1n : 0n;
    cpu.writeRegister(name, (random.u64() & ~1n) | on);
  }
  for (const el of [1, 2, 3]) {
    cpu.writeRegister(
      `tcr_el${el}`,
      random.below(3) ? 25n | (1n << 20n) | (1n << 37n) | (2n << 32n) | (2n << 16n) : random.u64(),
    );
    cpu.writeRegister(`ttbr0_el${el}`, random.below(4) ? BigInt(tables.root) : value(random));
    cpu.writeRegister(`vbar_el${el}`, random.below(2) ? BigInt(CODE) : value(random));
    cpu.writeRegister(`mair_el${el}`, 0x00f0ffn);
  }
  cpu.writeRegister('hcr_el2', random.below(2) ? 1n << 56n : random.u64());
  cpu.writeRegister('scr_el3', random.below(2) ? 0x4000531n : random.u64());
  cpu.writeRegister('vtcr_el2', random.u64());
  cpu.writeRegister('vttbr_el2', BigInt(tables.root));
  for (let n = 0; n < 31; n++) cpu.writeX(n, value(random));
  cpu.sp = BigInt(DATA + 0x8000);
  cpu.setLevel(random.below(4) as 0 | 1 | 2 | 3, 1);
  cpu.pc = BigInt(CODE + 4 * random.below(0x1000));
}

/** On from somewhere else, as nonsense mostly ends in a loop of faults. */
export function goElsewhere(cpu: Cpu, random: Random): void {
  for (let n = 0; n < 8; n++) cpu.writeX(random.below(31), value(random));
  cpu.pc = BigInt(CODE + 4 * random.below(0x1000));
  if (random.below(3) === 0) cpu.setLevel(random.below(4) as 0 | 1 | 2 | 3, 1);
  cpu.writeRegister('sctlr_el1', cpu.readRegister('sctlr_el1') & ~1n);
}
