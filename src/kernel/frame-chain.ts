/**
 * The chain of frame records that X29 begins, as raw return addresses.
 *
 * A record is two words, the caller's X29 and the return address; each is aligned, mapped, and above the one
 * before it (AAPCS64, 6.4.6). What the addresses mean is the reader's business. This is done whenever a program
 * begins to tag something, so addresses are plain numbers here: 48 bits fit.
 */
import { PA } from '../base/index.js';
import { type MemorySystem, MOST_FRAME_BYTES } from '../machine/index.js';

const HALF = 2 ** 32;

/** The bits of a user address in a pointer: neither tag nor authentication code. */
export const userBits = (pointer: bigint): number => Number(BigInt.asUintN(48, pointer));

export interface ChainStart {
  /** X29 and SP. */
  readonly record: bigint;
  readonly sp: bigint;
  /** Records read at most. */
  readonly most: number;
  /** Physical address of a user address, where one is mapped. */
  readonly locate: (address: number) => number | undefined;
  /**
   * Where a return address leads back from a signal handler: the PC that the signal interrupted, out of the frame
   * below the frame record that the kernel made. The stack may be another one from there on.
   */
  readonly interrupted?: (link: number, record: number) => number | undefined;
  /** X30: a handler that has made no record of its own returns there, and X29 is still the kernel's. */
  readonly link?: number;
}

/**
 * Return addresses, innermost first, without pointer authentication codes. The outermost record, which has
 * none, ends the chain, as does anything that is no record.
 */
export function frameChain(memory: MemorySystem, start: ChainStart): number[] {
  const wordAt = (address: number): number | undefined => {
    const pa = start.locate(address);
    if (pa === undefined) return undefined;
    return (memory.read32(PA(pa)) >>> 0) + (memory.read32(PA(pa + 4)) & 0xffff) * HALF;
  };
  const returns: number[] = [];
  let record = userBits(start.record);
  let below = userBits(start.sp);
  let elsewhere: number | undefined;
  const throughHandler = (link: number | undefined): void => {
    const pc = link === undefined ? undefined : start.interrupted?.(link, record);
    if (link === undefined || pc === undefined) return;
    returns.push(link, pc);
    below = record;
    elsewhere = wordAt(record);
  };
  if (start.link !== undefined && record % 8 === 0 && start.link !== wordAt(record + 8)) {
    throughHandler(start.link);
  }
  while (returns.length < start.most && record % 8 === 0) {
    if (record !== elsewhere && (record < below || record - below > MOST_FRAME_BYTES)) break;
    const next = wordAt(record);
    const link = wordAt(record + 8) ?? 0;
    if (next === undefined || link < 4) break;
    below = record + 16;
    record = next;
    const before = returns.length;
    throughHandler(link);
    if (returns.length === before) returns.push(link);
  }
  return returns;
}
