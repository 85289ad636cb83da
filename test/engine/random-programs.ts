/**
 * Random programs for lock-step: a machine with translation on, tagged, untagged, read-only, device and
 * missing memory, code that may be written, and words of all rows with registers that mostly point
 * somewhere.
 */
import { composeWord, decode, ROWS, type Row } from '../../isa/index.js';
import { PA, type Random } from '../../src/base/index.js';
import { type Cpu, type Engine, type Machine, Pl011, type StopReason } from '../../src/machine/index.js';
import { CODE, D, DATA, MAIR, mappedMachine, SCTLR_ON, TAGS, TCF, TCF0, TCR_39 } from '../machine/support.js';

export const CODE_BYTES = 0x4000;
const UNTAGGED = DATA + 0x20000;
const READ_ONLY = DATA + 0x30000;
/** Pages of DATA whose neighbours are not neighbours there: backwards, every third untagged, the sixth read-only. */
const SCATTERED = DATA + 0x50000;
const SCATTERED_PAGES = 9;
const UART = 0x9000000;
/** Tag storage of DATA, mapped as data too: stores there change tags. */
const TAGS_OF_DATA = TAGS + (DATA - 0x40000000) / 32;

const WEIGHTS: Readonly<Partial<Record<Row['class'], number>>> = {
  'load-store': 6,
  'data-processing-immediate': 3,
  'data-processing-register': 4,
  branch: 3,
  mte: 4,
  atomic: 2,
  system: 1,
  simd: 5,
  fp: 4,
  crypto: 1,
  exception: 0,
  pauth: 0,
};
/** The rows of each class, a class as often as its weight. */
const BY_CLASS = Object.entries(WEIGHTS).flatMap(([name, weight]) =>
  new Array<readonly Row[]>(weight).fill(ROWS.filter((row) => row.class === name)),
);

/** A pointer into some of the memory there is, mostly aligned, mostly with the tag of `tagOf`. */
export function pointer(random: Random, tagged: number): bigint {
  const bases = [DATA, DATA, DATA + 0x1000, DATA + 0xff00, UNTAGGED, READ_ONLY, CODE + 0x3000, TAGS_OF_DATA];
  const logicalTag = BigInt(random.below(8) === 0 ? random.below(256) : tagged) << 56n;
  if (random.below(5) === 0) {
    // What is longer than a few bytes crosses into another page.
    const end = SCATTERED + 0x1000 * (1 + random.below(SCATTERED_PAGES));
    return BigInt(end - 1 - random.below(random.below(4) === 0 ? 64 : 16)) | logicalTag;
  }
  const base = random.below(40) === 0 ? UART : bases[random.below(bases.length)]!;
  const offset = random.below(0x400) * (random.below(4) === 0 ? 1 : 16);
  return BigInt(base + offset) | logicalTag;
}

/** A word that decodes, of a class by weight; branches stay near. */
export function randomWord(random: Random, hasFeature: (f: string) => boolean): number {
  for (;;) {
    const rows = BY_CLASS[random.below(BY_CLASS.length)]!;
    const row = rows[random.below(rows.length)]!;
    const fields: Record<string, number> = {};
    for (const f of row.fields) {
      fields[f.name] = Math.floor(random.u32() / 2 ** (32 - f.width));
      if (/^imm(14|19|26)$/.test(f.name)) fields[f.name] = (random.below(64) - 24) & (2 ** f.width - 1);
      if (/^imm(9|7|12)$/.test(f.name) && random.below(2)) fields[f.name] = random.below(16);
    }
    const word = composeWord(row, fields);
    if (decode(word, hasFeature) !== undefined) return word;
  }
}

const EDGES: Readonly<Record<16 | 32 | 64, readonly bigint[]>> = {
  16: [0n, 1n, 0x3ffn, 0x400n, 0x3c00n, 0x7bffn, 0x7c00n, 0x7c01n, 0x7e00n, 0x5640n],
  32: [
    0n,
    1n,
    0x7fffffn,
    0x800000n,
    0x3f800000n,
    0x7f7fffffn,
    0x7f800000n,
    0x7f800001n,
    0x7fc00000n,
    0x4f000000n,
  ],
  64: [
    0n,
    1n,
    0xfffffffffffffn,
    0x10000000000000n,
    0x3ff0000000000000n,
    0x7fefffffffffffffn,
    0x7ff0000000000000n,
    0x7ff0000000000001n,
    0x7ff8000000000000n,
    0x41e0000000000000n,
  ],
};

/** A number of `size` bits: random, an edge, near one or minus that, or an integer as a float. */
function specialNumber(random: Random, size: 16 | 32 | 64, kinds: readonly number[]): bigint {
  const edges = EDGES[size];
  const sign = BigInt(random.below(2)) << BigInt(size - 1);
  const exponentBits = { 16: 5, 32: 8, 64: 11 }[size];
  switch (kinds[random.below(kinds.length)]) {
    case 0:
      return BigInt.asUintN(size, random.u64());
    case 1:
      return edges[random.below(edges.length)]! | sign;
    case 2: {
      const near = edges[random.below(edges.length)]! + BigInt(random.below(9) - 4);
      return BigInt.asUintN(size, near) ^ sign;
    }
    case 3: {
      // A small integer or a half of one.
      const view = new DataView(new ArrayBuffer(8));
      const value = (random.below(300) - 150) / 2;
      if (size === 64) view.setFloat64(0, value);
      else view.setFloat32(0, value);
      if (size !== 16) return size === 64 ? view.getBigUint64(0) : BigInt(view.getUint32(0));
      return BigInt(0x3c00 + 0x40 * random.below(100)) | sign;
    }
    default: {
      // An exponent near the middle and any fraction: what sums and products of are ordinary numbers.
      const bias = 2 ** (exponentBits - 1) - 1;
      const exponent = BigInt(bias + random.below(9) - 4);
      const fraction = BigInt.asUintN(size - 1 - exponentBits, random.u64());
      return sign | (exponent << BigInt(size - 1 - exponentBits)) | fraction;
    }
  }
}

/** A vector of numbers of one size: of any kind, or of those that arithmetic is mostly done with. */
export function specialVector(random: Random, kind: 'any' | 'ordinary' = 'any', lane = 0): bigint {
  const size = ([16, 32, 64, 32, 64] as const)[lane === 0 ? random.below(5) : lane === 32 ? 1 : 2]!;
  const kinds = kind === 'any' ? [0, 1, 2, 3, 4] : [3, 4, 4];
  let out = 0n;
  for (let at = 0; at < 128; at += size) out = (out << BigInt(size)) | specialNumber(random, size, kinds);
  return out;
}

/** FPCR and FPSR: mostly as programs have them. */
export function randomFpState(random: Random): { fpcr: bigint; fpsr: bigint } {
  const fpcr = random.below(3) > 0 ? 0n : BigInt(random.below(256)) << 19n;
  const fpsr = [0n, 0x10n, 0x10n, BigInt(random.below(32))][random.below(4)]!;
  return { fpcr: fpcr & 0x7c8_0000n, fpsr };
}

export interface RandomProgram {
  readonly machine: Machine;
  /** New registers and a place to go on at, the same on every machine made from one seed. */
  readonly restart: (random: Random) => void;
}

/** The machine of a seed, its code and memory filled. `el`: where it runs. */
export function randomProgram(random: Random, el: 0 | 1): RandomProgram {
  const serial: number[] = [];
  const recordTagWriters = random.below(2) === 0;
  const { machine, cpu, tables } = mappedMachine({
    recordTagWriters,
    devices: () => [new Pl011(UART, 0x1000, (byte) => serial.push(byte))],
  });
  const { memory } = machine;
  const user = el === 0 ? D.user : 0n;
  const guarded = random.below(4) === 0 ? 1n << 50n : 0n;
  // The last page of the code can be written, its second is guarded sometimes.
  tables.mapRange(CODE, 0x1000, user);
  tables.mapRange(CODE + 0x1000, 0x1000, user | guarded);
  tables.mapRange(CODE + 0x2000, 0x2000, user);
  tables.mapRange(DATA, 0x10000, user | D.tagged);
  tables.mapRange(UNTAGGED, 0x10000, user);
  tables.mapRange(READ_ONLY, 0x1000, user | D.readOnly | D.tagged);
  for (let page = 0; page < SCATTERED_PAGES; page++) {
    const attributes = (page % 3 === 2 ? 0n : D.tagged) | (page === 5 ? D.readOnly : 0n);
    tables.map(SCATTERED + 0x1000 * page, DATA + 0x1000 * (SCATTERED_PAGES - page), user | attributes);
  }
  tables.mapRange(UART, 0x1000, user | D.device);
  tables.mapRange(TAGS_OF_DATA, 0x1000, user);
  const features: ReadonlySet<string> = machine.features;
  const isThere = (feature: string) => features.has(feature);
  for (let at = 0; at < CODE_BYTES; at += 4) memory.write32(PA(CODE + at), randomWord(random, isThere));
  for (let at = 0; at < 0x2000; at += 8) memory.write64(PA(DATA + at), pointer(random, 0));
  const tag = random.below(16);
  memory.fillTags(PA(DATA), 0x10000, tag);
  const mode = random.below(4);
  const alignment = random.below(4) === 0 ? 2n : 0n;
  cpu.writeRegister('sctlr_el1', SCTLR_ON | TCF0(mode) | TCF(mode) | alignment);
  cpu.writeRegister('tcr_el1', random.below(4) === 0 ? TCR_39 & ~(1n << 37n) : TCR_39);
  cpu.writeRegister('mair_el1', MAIR);
  cpu.writeRegister('gcr_el1', BigInt(random.below(2) * 0x10000 + random.below(4)));
  return {
    machine,
    restart(choices) {
      for (let n = 0; n < 31; n++) {
        cpu.writeX(n, choices.below(3) === 0 ? BigInt(choices.below(300)) : pointer(choices, tag));
      }
      for (let n = 0; n < 32; n++) cpu.writeV(n, specialVector(choices));
      const { fpcr, fpsr } = randomFpState(choices);
      cpu.writeRegister('fpcr', fpcr);
      cpu.writeRegister('fpsr', fpsr);
      cpu.writeRegister('cpacr_el1', choices.below(8) === 0 ? 0n : 3n << 20n);
      cpu.nzcv = choices.below(16);
      cpu.pstate.il = 0;
      cpu.pstate.btype = 0;
      cpu.pstate.pan = 0;
      cpu.pstate.tco = 0;
      cpu.pstate.uao = 0;
      cpu.setLevel(el, 1);
      cpu.sp = pointer(choices, tag) & ~15n;
      cpu.pc = BigInt(CODE + 4 * choices.below(CODE_BYTES / 4));
    },
  };
}

/** Exceptions of the fetch: there is nothing to go on behind. */
const FETCH_CLASSES = [0x20, 0x21, 0x22];

/**
 * Runs `length` instructions, going on behind each that raises an exception; the base register of one that did
 * becomes a good pointer.
 */
export function runOver(cpu: Cpu, engine: Engine, random: Random, length: number): StopReason {
  const end = cpu.steps + length;
  for (;;) {
    const stop = engine.run(cpu, end - cpu.steps);
    if (stop.kind !== 'supervisor' || cpu.steps >= end) return stop;
    if (FETCH_CLASSES.includes(Number(cpu.readRegister('esr_el1') >> 26n))) return stop;
    const base = (cpu.instruction >>> 5) & 31;
    const address = pointer(random, cpu.steps & 15);
    if (base === 31) cpu.setSpOf(cpu.pstate.sp === 0 ? 0 : 1, address & ~15n);
    else cpu.writeX(base, address);
    cpu.writeRegister('elr_el1', cpu.readRegister('elr_el1') + 4n);
    cpu.exceptionReturn();
  }
}

/** Who wrote the tags of some of the memory last. */
export const writers = ({ memory }: Machine) =>
  Array.from({ length: 0x400 }, (_, i) => memory.lastTagWriter(DATA + 16 * i));
