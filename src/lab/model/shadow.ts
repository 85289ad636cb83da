/**
 * The shadow oracle: what every byte and every tag of every process must be, kept apart from the kernel and
 * compared with DRAM (tag-storage.md 12, number 8).
 */
import type { MmStruct } from '../../kernel/index.js';
import {
  forEachPte,
  isMigrationEntry,
  isSwapEntry,
  PG_mte_tagged,
  PG_tag_storage_reserved,
  ptePa,
} from '../../kernel/index.js';
import { Broken, type Program, type World } from '../scenarios/index.js';

export interface Content {
  readonly data: Uint8Array;
  /** Packed, two tags a byte, low nibble the even granule. */
  readonly tags: Uint8Array;
}

export interface ShadowPage {
  prot: number;
  /** PROT_MTE was given once: it stays. */
  mte: boolean;
  /** Of a shared mapping: one object for all who map it. */
  readonly content: Content;
  readonly shared: boolean;
  /** mlock() said that it is there, and so it stays. */
  locked: boolean;
}

export interface Process {
  readonly user: Program;
  /** By address. */
  readonly pages: Map<number, ShadowPage>;
}

export function freshPage(pageSize: number, prot: number, mte: boolean, shared = false): ShadowPage {
  return {
    prot,
    mte,
    shared,
    locked: false,
    content: { data: new Uint8Array(pageSize), tags: new Uint8Array(pageSize / 32) },
  };
}

/** The child's view after fork: private pages are copies, shared ones are the same. */
export function forkedPages(pages: ReadonlyMap<number, ShadowPage>): Map<number, ShadowPage> {
  return new Map(
    [...pages].map(([addr, page]) => {
      const { data, tags } = page.content;
      const content = page.shared ? page.content : { data: data.slice(), tags: tags.slice() };
      return [addr, { ...page, content, locked: false }];
    }),
  );
}

export function setTag(packed: Uint8Array, granule: number, tag: number): void {
  const shift = 4 * (granule & 1);
  packed[granule >> 1] = (packed[granule >> 1]! & ~(15 << shift)) | (tag << shift);
}

/** Shadows are allocated on their own, so that they can be looked at as words. */
function isZero(bytes: Uint8Array): boolean {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

/** Index of the first byte in which two arrays of one length differ; -1 without one. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const words = a.length >> 2;
  if ((a.byteOffset & 3) === 0 && (b.byteOffset & 3) === 0) {
    const x = new Uint32Array(a.buffer, a.byteOffset, words);
    const y = new Uint32Array(b.buffer, b.byteOffset, words);
    let word = 0;
    while (word < words && x[word] === y[word]) word++;
    for (let i = word * 4; i < a.length; i++) if (a[i] !== b[i]) return i;
    return -1;
  }
  return a.findIndex((byte, i) => byte !== b[i]);
}

const hex = (n: number): string => `0x${n.toString(16)}`;

/** Data and tags as they were found at `addr`, against what they must be. */
export function expectContent(addr: number, want: Content, data: Uint8Array, tags?: Uint8Array): void {
  const at = firstDifference(data, want.data);
  if (at >= 0) {
    throw new Broken('8', `byte ${at} of ${hex(addr)} is ${hex(data[at]!)}, not ${hex(want.data[at]!)}`);
  }
  const granules = tags === undefined ? -1 : firstDifference(tags, want.tags);
  if (tags !== undefined && granules >= 0) {
    const [got, expected] = [tags[granules]!, want.tags[granules]!];
    throw new Broken(
      '8',
      `tags of granules ${2 * granules} and ${2 * granules + 1} of ${hex(addr)} are ${got & 15} and ${got >> 4}, ` +
        `not ${expected & 15} and ${expected >> 4}`,
    );
  }
}

/** Every byte and tag of a process that can be seen without disturbing anything. */
export function compareProcess(k: World, { user, pages }: Process): void {
  const { mm, memory, pageSize } = k;
  const seen = new Set<number>();
  forEachPte(mm, user.as as MmStruct, (pte, addr) => {
    if (isMigrationEntry(pte))
      throw new Broken('migration', `${hex(addr)}: a migration entry without migration`);
    const shadow = pages.get(addr);
    if (!shadow) throw new Broken('vma', `${hex(addr)} is mapped, and should not be`);
    seen.add(addr);
    if (isSwapEntry(pte)) {
      if (shadow.locked) throw new Broken('mlock', `${hex(addr)} is locked, and was swapped out`);
      return;
    }
    const page = mm.paToPage(ptePa(pte))!;
    const pa = mm.pageToPa(page);
    const tagged =
      page !== mm.zeroPage &&
      mm.memmap.test(page, PG_mte_tagged) &&
      mm.memmap.test(page, PG_tag_storage_reserved);
    const tags = tagged ? memory.readTags(pa, pageSize) : undefined;
    expectContent(addr, shadow.content, memory.readBytes(pa, pageSize), tags);
  });
  for (const [addr, { shared, content }] of pages) {
    if (seen.has(addr) || shared) continue;
    if (!isZero(content.data) || !isZero(content.tags)) {
      throw new Broken('8', `the page at ${hex(addr)} is gone`);
    }
  }
}
