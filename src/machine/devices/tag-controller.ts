/**
 * The registers of the memory controller's tag map: device `mtemu,tag-controller`.
 *
 * Firmware programs here which memory has allocation tags and where in DRAM they are kept, as it would
 * on an interconnect that keeps tags in ordinary memory. All registers are 32 bits, at these offsets:
 *
 *     0x000  ID      RO  0x4d54_4700 | version (1)
 *     0x004  COUNT   RO  number of ranges (8)
 *     0x008  ERROR   R/W 0, or the last refused programming: bits 7:0 reason (1 = size, 2 = alignment,
 *                        3 = block, 4 = interleave, 5 = memory outside DRAM, 6 = tags outside DRAM,
 *                        7 = memory of two ranges overlaps, 8 = tags of two ranges overlap,
 *                        9 = tags inside the memory they belong to), bits 15:8 the range. Writing clears.
 *
 * and for range n at 0x100 + 0x40 n:
 *
 *     +0x00  MEM_LO    +0x04  MEM_HI     base of tagged memory, bytes
 *     +0x08  SIZE_LO   +0x0c  SIZE_HI    size of tagged memory, bytes; a multiple of 128 KiB
 *     +0x10  TAG_LO    +0x14  TAG_HI     base of tag storage, bytes; it is 1/32 of the size long
 *     +0x18  BLOCK               block size of tag storage, bytes; a multiple of 4 KiB
 *     +0x1c  CONTROL             bit 0 ENABLE; bits 7:4 log2 of the ways of the interleave
 *     +0x20  STATUS    RO        bit 0: in force
 *
 * The map of a range takes effect when ENABLE is written as 1 and is checked as a whole then; a write to
 * its other registers while it is in force is ignored. While a range is off, its memory has tag 0 and
 * tag writes vanish.
 */
import type { Device } from '../memory/bus.js';
import {
  RANGE_PROBLEMS,
  type RangeProblem,
  type TagController,
  type TagRange,
} from '../memory/tag-controller.js';

export const TAG_CONTROLLER_COMPATIBLE = 'mtemu,tag-controller';
const ID = 0x4d544701n;
const RANGES = 8;
const FIRST = 0x100;
const STRIDE = 0x40;
const TWO32 = 4294967296;

/** Register indices inside a range. */
const CONTROL = 7;
const STATUS = 8;

export interface ControllerReport {
  readonly range: number;
  readonly problem: RangeProblem;
  readonly programmed: TagRange;
}

export class TagControllerDevice implements Device {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly #controller: TagController;
  readonly #onProblem: ((report: ControllerReport) => void) | undefined;
  readonly #registers = Array.from({ length: RANGES }, () => new Uint32Array(8));
  readonly #inForce = new Array<boolean>(RANGES).fill(false);
  #error = 0;

  /** `onProblem` is told of programming that contradicts itself or other ranges. */
  constructor(
    base: number,
    size: number,
    controller: TagController,
    onProblem?: (report: ControllerReport) => void,
  ) {
    this.name = `tag-controller@${base.toString(16)}`;
    this.base = base;
    this.size = size;
    this.#controller = controller;
    this.#onProblem = onProblem;
  }

  read(offset: number, bytes: 1 | 2 | 4 | 8): bigint {
    if (bytes === 8) return this.read(offset, 4) | (this.read(offset + 4, 4) << 32n);
    if (bytes !== 4 || offset % 4 !== 0) return 0n;
    if (offset === 0) return ID;
    if (offset === 4) return BigInt(RANGES);
    if (offset === 8) return BigInt(this.#error);
    const range = Math.floor((offset - FIRST) / STRIDE);
    const index = ((offset - FIRST) % STRIDE) / 4;
    if (offset < FIRST || range >= RANGES) return 0n;
    if (index === STATUS) return this.#inForce[range] ? 1n : 0n;
    return BigInt(this.#registers[range]![index] ?? 0);
  }

  write(offset: number, bytes: 1 | 2 | 4 | 8, value: bigint): void {
    if (bytes === 8) {
      this.write(offset, 4, value & 0xffff_ffffn);
      this.write(offset + 4, 4, value >> 32n);
      return;
    }
    if (bytes !== 4 || offset % 4 !== 0) return;
    if (offset === 8) this.#error = 0;
    const range = Math.floor((offset - FIRST) / STRIDE);
    const index = ((offset - FIRST) % STRIDE) / 4;
    if (offset < FIRST || range >= RANGES || index > CONTROL) return;
    const registers = this.#registers[range]!;
    if (index !== CONTROL) {
      if (!this.#inForce[range]) registers[index] = Number(value);
      return;
    }
    const enable = (value & 1n) === 1n;
    if (this.#inForce[range] && enable) return;
    registers[CONTROL] = Number(value & 0xf1n);
    if (enable) this.#enable(range, registers);
    else {
      this.#controller.disable(range);
      this.#inForce[range] = false;
    }
  }

  #enable(range: number, r: Uint32Array): void {
    const programmed: TagRange = {
      memBase: r[1]! * TWO32 + r[0]!,
      memSize: r[3]! * TWO32 + r[2]!,
      tagBase: r[5]! * TWO32 + r[4]!,
      blockSize: r[6]!,
      interleave: 2 ** (r[CONTROL]! >>> 4),
    };
    const problem = this.#controller.enable(range, programmed);
    this.#inForce[range] = problem === undefined;
    if (problem === undefined) return;
    r[CONTROL] = r[CONTROL]! & ~1;
    this.#error = (RANGE_PROBLEMS.indexOf(problem) + 1) | (range << 8);
    this.#onProblem?.({ range, problem, programmed });
  }
}
