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
import type { HistoryEntry } from './tag-history.js';

export type CheckMode = 'sync' | 'async';

export interface TagWriter {
  /**
   * The instruction that wrote the granule's tag last, and when (instructions executed before it); of a run of
   * granules that were tagged close to each other, the first.
   */
  readonly pc: VA;
  readonly step: bigint;
  readonly symbol: string | undefined;
  /** The tag before and after that write; before may not be known in the middle of a run. */
  readonly before: number | undefined;
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
  /** Latest first; see tag-history.ts. */
  readonly history: readonly HistoryEntry[];
  readonly pid: number;
  readonly program: string;
  readonly step: bigint;
}

export interface LikelyCause {
  readonly name: string;
  readonly detail: string;
}

const GRANULE = 16n;

/** A granule near the fault that bears the pointer's tag; `distance` in granules, negative below the fault. */
export interface Neighbour {
  readonly granule: bigint;
  readonly distance: bigint;
}

/** The nearest granule, at most 16 away, that bears the pointer's tag, which is not 0. */
export function nearestOfTag(va: VA, pointerTag: number, tags: readonly TagRow[]): Neighbour | undefined {
  if (pointerTag === 0) return undefined;
  const tagAt = (address: bigint): number | undefined => {
    for (const row of tags) {
      const index = (address - (row.address as bigint)) / GRANULE;
      if (address >= row.address && index < 16n) return row.tags[Number(index)];
    }
    return undefined;
  };
  const granule = BigInt.asUintN(56, va as bigint) & ~(GRANULE - 1n);
  for (let distance = 1n; distance <= 16n; distance++) {
    for (const step of [-distance, distance]) {
      const other = granule + step * GRANULE;
      if (tagAt(other) === pointerTag) return { granule: other, distance: step };
    }
  }
  return undefined;
}

/** The granule's tag was the pointer's until it was written last. */
export function wasJustRetagged(writer: TagWriter | undefined, pointerTag: number): boolean {
  return writer !== undefined && writer.before === pointerTag && writer.after !== pointerTag;
}

/**
 * What most likely went wrong, from tags alone.
 *
 * A granule whose tag was rewritten from the pointer's tag is a use after free; one next to granules
 * that still bear the pointer's tag is an overflow or underflow of that region; one that bore the
 * pointer's tag longer ago is a use after free again.
 */
export function likelyCause(report: TagFaultReport): LikelyCause | undefined {
  const { va, pointerTag, lastTagWriter } = report;
  if (va === undefined || pointerTag === undefined) return undefined;
  const name = 'use after free';
  if (lastTagWriter !== undefined && wasJustRetagged(lastTagWriter, pointerTag)) {
    const detail = `the granule bore the pointer's tag ${hexTag(pointerTag)} until it was given tag ${hexTag(lastTagWriter.after)}`;
    return { name, detail };
  }
  const address = BigInt.asUintN(56, va as bigint);
  const near = nearestOfTag(va, pointerTag, report.tags);
  if (near !== undefined && near.distance < 0n) {
    const end = near.granule + GRANULE;
    const past = address - end;
    return {
      name: 'overflow',
      detail: `${past === 0n ? 'the first byte' : `${past} bytes`} past the end of memory tagged ${hexTag(pointerTag)}, which ends at 0x${end.toString(16)}`,
    };
  }
  if (near !== undefined) {
    return {
      name: 'underflow',
      detail: `${near.granule - address} bytes before memory tagged ${hexTag(pointerTag)}, which starts at 0x${near.granule.toString(16)}`,
    };
  }
  const freed = report.history.find(({ what }) => what === 'freed');
  if (freed === undefined) return undefined;
  const detail = `the granule bore the pointer's tag ${hexTag(pointerTag)} until step ${freed.step}, and has been tagged anew since`;
  return { name, detail };
}

export function hexTag(tag: number): string {
  return `0x${tag.toString(16)}`;
}
