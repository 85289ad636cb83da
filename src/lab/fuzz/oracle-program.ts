/**
 * The other side of the fuzzer: one static program for qemu-aarch64 that holds the harness, the cases'
 * states and their code; and the reading of what it writes.
 */
import harnessSource from '../../../firmware/fuzz/harness.s';
import { type AssembledProgram, assemble } from '../../assembler/index.js';
import { VA } from '../../base/index.js';
import { type ImageSection, toElf } from '../../elf/index.js';
import { codeOf, type FuzzCase, type FuzzOutcome, SIGNALS } from './case.js';
import {
  CASES,
  CASES_HEADER,
  CODE,
  CODE_BYTES,
  entryOf,
  HARNESS,
  PAGE,
  READONLY,
  RECORD,
  RESULT,
  RESULT_STRIDE,
  TAGGED,
  UNTAGGED,
} from './layout.js';

/**
 * qemu's options. Its CPU is cut to what our fuzzed machine has: no SVE and SME (they have state of their
 * own), no pointer authentication (its keys are random).
 */
export const QEMU_OPTIONS: readonly string[] = ['-cpu', 'max,sve=off,sme=off,pauth=off'];

let harness: AssembledProgram | undefined;

function assembledHarness(): AssembledProgram {
  const numbers = Object.entries({
    TAGGED,
    UNTAGGED,
    READONLY,
    PAGE,
    CODE,
    CODE_BYTES,
    HARNESS,
    CASES,
    RECORD_BYTES: RECORD.BYTES,
    RECORD_GENERAL: RECORD.GENERAL,
    RECORD_FPSR: RECORD.FPSR,
    RECORD_FILL: RECORD.FILL,
    RECORD_CONTROL: RECORD.CONTROL,
    RECORD_VECTORS: RECORD.VECTORS,
    RECORD_TAGS: RECORD.TAGS,
    RESULT_SIGNAL: RESULT.SIGNAL,
    RESULT_CODE: RESULT.CODE,
    RESULT_ADDRESS: RESULT.ADDRESS,
    RESULT_GENERAL: RESULT.GENERAL,
    RESULT_FPSR: RESULT.FPSR,
    RESULT_TPIDR: RESULT.TPIDR,
    RESULT_VECTORS: RESULT.VECTORS,
    RESULT_TAGS: RESULT.TAGS,
    RESULT_BYTES: RESULT.BYTES,
  });
  const text = numbers.map(([name, value]) => `.equ ${name}, ${value}\n`).join('') + harnessSource;
  harness ??= assemble({ name: 'firmware/fuzz/harness.s', text }, { textBase: VA(BigInt(HARNESS)) });
  return harness;
}

function recordsOf(cases: readonly FuzzCase[]): Uint8Array {
  const bytes = new Uint8Array(CASES_HEADER + cases.length * RECORD.BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(cases.length), true);
  cases.forEach((c, i) => {
    const at = CASES_HEADER + i * RECORD.BYTES;
    const general = [...c.x, c.sp, BigInt(entryOf(c.index)), BigInt(((c.nzcv << 28) | (c.tco << 25)) >>> 0)];
    general.forEach((value, n) => {
      view.setBigUint64(at + RECORD.GENERAL + 8 * n, value, true);
    });
    view.setUint32(at + RECORD.FPSR + 4, c.fpcr, true);
    view.setBigUint64(at + RECORD.FILL, BigInt(c.fill), true);
    // PR_TAGGED_ADDR_ENABLE, PR_MTE_TCF_SYNC, and the tags that may be given.
    const control = 1 | (c.checked ? 2 : 0) | ((~c.exclude & 0xffff) << 3);
    view.setBigUint64(at + RECORD.CONTROL, BigInt(control), true);
    c.v.forEach((value, n) => {
      view.setBigUint64(at + RECORD.VECTORS + 16 * n, BigInt.asUintN(64, value), true);
      view.setBigUint64(at + RECORD.VECTORS + 16 * n + 8, value >> 64n, true);
    });
    for (let g = 0; g < c.tags.length; g += 2) {
      bytes[at + RECORD.TAGS + g / 2] = c.tags[g]! | (c.tags[g + 1]! << 4);
    }
  });
  return bytes;
}

function section(name: string, address: number, bytes: Uint8Array, execute: boolean): ImageSection {
  return {
    name,
    address: VA(BigInt(address)),
    size: bytes.length,
    bytes,
    alignment: PAGE,
    type: 'progbits',
    entrySize: 0,
    flags: { alloc: true, write: false, execute, tls: false, merge: false, strings: false },
  };
}

/** The executable that runs these cases; `present`: those whose code is there, be they run or not. */
export function oracleProgram(cases: readonly FuzzCase[], present: readonly FuzzCase[] = cases): Uint8Array {
  const program = assembledHarness();
  return toElf({
    ...program,
    sections: [
      ...program.sections,
      section('.fuzz.code', CODE, codeOf(present), true),
      section('.fuzz.cases', CASES, recordsOf(cases), false),
    ],
  });
}

/** The outcomes that the program wrote, as many as there are whole ones. */
export function readOutcomes(output: Uint8Array): FuzzOutcome[] {
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  const out: FuzzOutcome[] = [];
  for (let at = 0; at + RESULT_STRIDE <= output.length; at += RESULT_STRIDE) {
    const u64 = (offset: number) => view.getBigUint64(at + offset, true);
    const general = (n: number) => u64(RESULT.GENERAL + 8 * n);
    const bytes = (offset: number, length: number) => output.subarray(at + offset, at + offset + length);
    const packed = bytes(RESULT.TAGS, PAGE / 32);
    const pstate = general(33);
    out.push({
      signal: {
        name: SIGNALS[Number(u64(RESULT.SIGNAL))]!,
        code: Number(BigInt.asIntN(64, u64(RESULT.CODE))),
        address: BigInt.asUintN(56, u64(RESULT.ADDRESS)),
      },
      x: Array.from({ length: 31 }, (_, n) => general(n)),
      sp: general(31),
      pc: general(32),
      nzcv: Number((pstate >> 28n) & 15n),
      tco: Number((pstate >> 25n) & 1n),
      fpsr: view.getUint32(at + RESULT.FPSR, true),
      fpcr: view.getUint32(at + RESULT.FPSR + 4, true),
      tpidr: u64(RESULT.TPIDR),
      v: Array.from(
        { length: 32 },
        (_, n) => u64(RESULT.VECTORS + 16 * n) | (u64(RESULT.VECTORS + 16 * n + 8) << 64n),
      ),
      tags: Uint8Array.from({ length: PAGE / 16 }, (_, g) => (packed[g >> 1]! >> (4 * (g & 1))) & 15),
      tagged: bytes(RESULT.BYTES, PAGE),
      untagged: bytes(RESULT.BYTES + PAGE, PAGE),
    });
  }
  return out;
}
