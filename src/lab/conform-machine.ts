/**
 * The machine that conformance vectors are written for: a bare CPU at EL0 or EL1 over a fixed map of
 * tagged, untagged, read-only and unmapped memory.
 *
 * 4 KiB granule, 39-bit addresses, one table for both halves, 2 MiB blocks. Everything between
 * 0x40000000 and 0x7fffffff that is not listed is mapped for EL1 only.
 */
import { DEFAULT_FEATURES, FP_FEATURES } from '../../isa/index.js';
import { PA } from '../base/index.js';
import { createMachine, type Machine, modelledCaches } from '../machine/index.js';

export const CODE = 0x41400000;
export const CODE_SIZE = 0x10000;
/** Where a case's instructions start. */
export const CODE_ENTRY = 0x41408000;
export const FINAL_BRK = 0xd42fcae0;
export const FINAL_BRK_IMM = 0x7e57;

/** The regions that the oracles recorded (not the EL1-only one at 0x41a00000), as far as cases use them. */
export const DATA_REGIONS = [0x41000000, 0x41200000, 0x41600000] as const;
export const WATCHED = 0x8000;
const CLEARED = [...DATA_REGIONS, 0x41a00000];

const BLOCK = 0x200000;
/** Where the memory that a vector may name begins and ends. */
export const CASE_MEMORY = { from: 0x41000000, to: 0x41c00000 } as const;
const DRAM_BASE = 0x40000000;
const DRAM_SIZE = 0x40000000;
/** Tables and tag storage, out of the way of the cases. */
const LEVEL1 = 0x7f000000;
const LEVEL2 = 0x7f001000;
const TAG_BASE = 0x7e000000;
const TAGGED_SIZE = 0x2000000;

const VALID_BLOCK = 1n;
const AF = 1n << 10n;
const INNER_SHAREABLE = 3n << 8n;
const USER = 1n << 6n;
const READ_ONLY = 1n << 7n;
const PXN = 1n << 53n;
const UXN = 1n << 54n;
/** Attribute index 1 of MAIR = 0xf0ff is Normal Tagged, 0 Normal Write-Back. */
const TAGGED = 1n << 2n;

export const MAIR = 0xf0ffn;
export const SCTLR = 0xc0034d5d81dn;
export const TCR = 0x2b5193519n;

/** A machine with its tables written and the code region filled. */
export function conformMachine(caches = false): Machine {
  const machine = createMachine({
    banks: [{ base: DRAM_BASE, size: DRAM_SIZE }],
    tagRanges: [{ memBase: DRAM_BASE, memSize: TAGGED_SIZE, tagBase: TAG_BASE, blockSize: 4096 }],
    features: [...DEFAULT_FEATURES, ...FP_FEATURES],
    hasEl2: false,
    hasEl3: false,
    ...(caches ? { caches: modelledCaches } : {}),
  });
  const { memory, cpu } = machine;
  const special = new Map<number, bigint | undefined>([
    [0x41000000, TAGGED | USER | PXN | UXN],
    [0x41200000, USER | PXN | UXN],
    [0x41400000, USER | READ_ONLY],
    [0x41600000, TAGGED | USER | READ_ONLY | PXN | UXN],
    [0x41800000, undefined],
    [0x41a00000, TAGGED | PXN | UXN],
  ]);
  memory.write64(PA(LEVEL1 + 8), BigInt(LEVEL2) | 3n);
  for (let i = 0; i < 512; i++) {
    const at = DRAM_BASE + i * BLOCK;
    const attributes = special.has(at) ? special.get(at) : 0n;
    if (attributes === undefined) continue;
    memory.write64(PA(LEVEL2 + i * 8), BigInt(at) | VALID_BLOCK | AF | INNER_SHAREABLE | attributes);
  }
  for (let at = CODE; at < CODE + CODE_SIZE; at += 4) memory.write32(PA(at), FINAL_BRK);
  memory.icacheInval(PA(CODE), CODE_SIZE);
  cpu.writeRegister('mair_el1', MAIR);
  cpu.writeRegister('ttbr0_el1', BigInt(LEVEL1));
  cpu.writeRegister('ttbr1_el1', BigInt(LEVEL1));
  cpu.writeRegister('cpacr_el1', 3n << 20n);
  cpu.writeRegister('cntkctl_el1', 3n);
  return machine;
}

/** What is in the watched regions, for finding what changed. */
export function snapshot(machine: Machine): { data: Uint8Array[]; tags: Uint8Array[] } {
  const { memory } = machine;
  return {
    data: DATA_REGIONS.map((base) => memory.readBytes(PA(base), WATCHED)),
    tags: DATA_REGIONS.map((base) => memory.readTags(PA(base), WATCHED)),
  };
}

/** Zeroes the data regions and their tags, all that a case may have written. */
export function clearRegions(machine: Machine): void {
  const { memory, dram, controller } = machine;
  for (const base of CLEARED) {
    // Below caches: what they hold of the regions is forgotten, so that DRAM alone says what is there.
    memory.maintainData('invalidate', base, BLOCK);
    memory.maintainTags('invalidate', base, BLOCK);
    dram.fill(base, BLOCK, 0);
    const tags = controller.tagByteOf(base);
    if (tags >= 0) dram.fill(tags, BLOCK / 32, 0);
  }
}
