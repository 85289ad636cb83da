/**
 * Random programs for lock-step: a machine with translation on, tagged, untagged, read-only, device and
 * missing memory, code that may be written, and words of all rows with registers that mostly point
 * somewhere.
 */
import { composeWord, decode, ROWS, type Row } from '../../isa/index.js';
import { PA, type Random } from '../../src/base/index.js';
import { type Machine, Pl011 } from '../../src/machine/index.js';
import { CODE, D, DATA, MAIR, mappedMachine, SCTLR_ON, TAGS, TCF, TCF0, TCR_39 } from '../machine/support.js';

export const CODE_BYTES = 0x4000;
const UNTAGGED = DATA + 0x20000;
const READ_ONLY = DATA + 0x30000;
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
  const base = random.below(40) === 0 ? UART : bases[random.below(bases.length)]!;
  const offset = random.below(0x400) * (random.below(4) === 0 ? 1 : 16);
  const tag = random.below(8) === 0 ? random.below(256) : tagged;
  return BigInt(base + offset) | (BigInt(tag) << 56n);
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
