/**
 * Allocation tag arithmetic and the tag fault status registers.
 *
 * Ref. DDI 0487, D10.5; J1 AArch64.RandomTag, AArch64.ChooseNonExcludedTag, AArch64.ReportTagCheckFault.
 */
import type { ExceptionLevel } from '../../../isa/index.js';
import type { Random } from '../../base/index.js';
import type { Cpu } from './cpu.js';
import { cellOf } from './system-cells.js';

const GCR_EL1 = cellOf('gcr_el1');
const RGSR_EL1 = cellOf('rgsr_el1');
const TFSR_OF = [cellOf('tfsre0_el1'), cellOf('tfsr_el1'), cellOf('tfsr_el2'), cellOf('tfsr_el3')];

/** The tag `offset` non-excluded steps after `start`; 0 where all are excluded. */
export function chooseNonExcludedTag(start: number, offset: number, exclude: number): number {
  if (exclude === 0xffff) return 0;
  let tag = start;
  // Only with offset 0 may the start itself be the answer.
  if (offset === 0) while ((exclude >> tag) & 1) tag = (tag + 1) & 15;
  for (let left = offset; left > 0; left--) {
    tag = (tag + 1) & 15;
    while ((exclude >> tag) & 1) tag = (tag + 1) & 15;
  }
  return tag;
}

/** One of the non-excluded tags, each as likely as the others; 0 where all are excluded. */
function uniformTag(random: Random, exclude: number): number {
  const allowed = [];
  for (let tag = 0; tag < 16; tag++) if (((exclude >> tag) & 1) === 0) allowed.push(tag);
  return allowed[random.below(allowed.length)] ?? 0;
}

export class TagUnit {
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  get exclude(): number {
    return this.#cpu.cells.field(GCR_EL1, 15, 0);
  }

  /** ADDG, SUBG: all zeros where tag access is off. */
  next(tag: number, offset: number): number {
    if (!this.#cpu.ata) return 0;
    return chooseNonExcludedTag(tag & 15, offset & 15, this.exclude);
  }

  /** IRG: advances RGSR_EL1. `exclude`: further tags not to give, 16 bits. */
  random(exclude: number): number {
    const cpu = this.#cpu;
    if (!cpu.ata) return 0;
    const excluded = (exclude & 0xffff) | this.exclude;
    let seed = cpu.cells.field(RGSR_EL1, 23, 8);
    let tag: number;
    if (cpu.cells.bit(GCR_EL1, 16)) {
      // RRND = 1: the generator is ours; RGSR_EL1 then holds UNKNOWN values, which we leave alone but for TAG.
      tag = uniformTag(cpu.environment.tagRandom, excluded);
    } else {
      const start = cpu.cells.field(RGSR_EL1, 3, 0);
      let offset = 0;
      for (let i = 0; i < 4; i++) {
        const top = ((seed >> 5) ^ (seed >> 3) ^ (seed >> 2) ^ seed) & 1;
        seed = (top << 15) | (seed >> 1);
        offset |= top << i;
      }
      tag = chooseNonExcludedTag(start, offset, excluded);
    }
    cpu.cells.set(RGSR_EL1, BigInt((seed << 8) | tag));
    return tag;
  }

  /** A tag check failed asynchronously; `el` 0 also for the unprivileged accesses of EL1. */
  reportAsynchronous(el: ExceptionLevel, upperHalf: boolean): void {
    const cpu = this.#cpu;
    const cell = TFSR_OF[el]!;
    // EL3 has one range; EL2 too without FEAT_VHE, but its register has both bits.
    const bit = upperHalf && el !== 3 ? 2n : 1n;
    cpu.cells.set(cell, cpu.cells.get(cell) | bit);
  }
}
