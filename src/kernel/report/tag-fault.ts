/**
 * The tag-check fault report: what is known of one fault, as data.
 *
 * It holds the union of what Android's tombstone, HWASan's and KASAN's reports show, and what only a
 * machine whose tags are DRAM bytes can add: the physical address of the tag, who owns that page of
 * tag storage, and which instruction wrote the tag last. Rendering is in `render.ts`.
 *
 * Ref. interfaces: "Fault report"; DDI 0487, D17.2.37 (ESR_ELx, ISS for Data Aborts).
 */
import type { PA, VA } from '../../base/index.js';

export type CheckMode = 'sync' | 'async';

export interface TagWriter {
  /** The instruction that wrote the granule's tag last, and when (instructions executed before it). */
  readonly pc: VA;
  readonly step: bigint;
  readonly symbol: string | undefined;
  /** The tag before and after that write. */
  readonly before: number;
  readonly after: number;
}

/** One function that was being executed, innermost first. */
export interface StackFrame {
  /** Where it is or returns to. */
  readonly pc: VA;
  readonly symbol: string | undefined;
}

export interface TagRow {
  /** Of the first of 16 granules: 256 bytes a row. */
  readonly address: VA;
  /** Undefined where the page is not mapped or not taggable. */
  readonly tags: readonly (number | undefined)[];
}

export interface TagFaultReport {
  readonly kind: 'tag-check-fault';
  readonly mode: CheckMode;
  readonly access: { readonly type: 'load' | 'store'; readonly size: number } | undefined;
  readonly pc: VA;
  readonly symbol: string | undefined;
  /** The instruction's text. */
  readonly instruction: string | undefined;
  /** Undefined for asynchronous faults, which do not say. */
  readonly va: VA | undefined;
  readonly pa: PA | undefined;
  readonly tagPa: PA | undefined;
  /** Which half of the byte at `tagPa`: low holds the even granule. */
  readonly nibble: 'low' | 'high' | undefined;
  readonly pointerTag: number | undefined;
  readonly memoryTag: number | undefined;
  readonly esr: bigint;
  readonly far: VA | undefined;
  /** X0..X30, SP, PC, NZCV and so on, in the order to show. */
  readonly registers: readonly { readonly name: string; readonly value: bigint }[];
  /** From the chain of frame records that X29 begins. */
  readonly backtrace: readonly StackFrame[];
  readonly tags: readonly TagRow[];
  /** Who owns the page of tag storage, in words. */
  readonly tagPageOwner: string | undefined;
  readonly lastTagWriter: TagWriter | undefined;
  readonly pid: number;
  readonly program: string;
  readonly step: bigint;
}

export interface LikelyCause {
  readonly name: string;
  readonly detail: string;
}

const GRANULE = 16n;

/**
 * What most likely went wrong, from tags alone.
 *
 * A granule whose tag was rewritten from the pointer's tag is a use after free; one next to granules
 * that still bear the pointer's tag is an overflow or underflow of that region.
 */
export function likelyCause(report: TagFaultReport): LikelyCause | undefined {
  const { va, pointerTag, lastTagWriter } = report;
  if (va === undefined || pointerTag === undefined) return undefined;
  if (
    lastTagWriter !== undefined &&
    lastTagWriter.before === pointerTag &&
    lastTagWriter.after !== pointerTag
  ) {
    return {
      name: 'use after free',
      detail: `the granule bore the pointer's tag ${hexTag(pointerTag)} until it was given tag ${hexTag(lastTagWriter.after)}`,
    };
  }
  const tagAt = (address: bigint): number | undefined => {
    for (const row of report.tags) {
      const index = (address - (row.address as bigint)) / GRANULE;
      if (address >= row.address && index < 16n) return row.tags[Number(index)];
    }
    return undefined;
  };
  const address = BigInt.asUintN(56, va as bigint);
  const granule = address & ~(GRANULE - 1n);
  for (let distance = 1n; distance <= 16n; distance++) {
    const below = granule - distance * GRANULE;
    if (tagAt(below) === pointerTag && pointerTag !== 0) {
      const past = address - (below + GRANULE);
      return {
        name: 'overflow',
        detail: `${past === 0n ? 'the first byte' : `${past} bytes`} past the end of memory tagged ${hexTag(pointerTag)}, which ends at 0x${(below + GRANULE).toString(16)}`,
      };
    }
    const above = granule + distance * GRANULE;
    if (tagAt(above) === pointerTag && pointerTag !== 0) {
      return {
        name: 'underflow',
        detail: `${above - address} bytes before memory tagged ${hexTag(pointerTag)}, which starts at 0x${above.toString(16)}`,
      };
    }
  }
  return undefined;
}

export function hexTag(tag: number): string {
  return `0x${tag.toString(16)}`;
}
