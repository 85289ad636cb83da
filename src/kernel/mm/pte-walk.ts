/**
 * Every entry of an address space's tables, as the invariants and the tag storage view look at them.
 *
 * Checks walk all tables after every operation, and an operation changes few entries: a table's bytes are kept from
 * walk to walk, and only entries whose bytes differ are decoded again. What a visitor is given is what stands in DRAM
 * at that moment.
 */
import { PA } from '../../base/index.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { ptePartOfPmd } from './page-table.js';
import type { Pte } from './pgtable.js';
import {
  DESCRIPTOR_BYTES,
  isMigrationEntry,
  isSwapEntry,
  PTE_LEVEL,
  pmdLeaf,
  ptePa,
  ptePresent,
  pteSpecial,
  pteTagged,
  pteUserReadable,
  pteWrite,
} from './pgtable.js';

/** An entry that is not empty, decoded. */
export interface SeenEntry {
  readonly pte: Pte;
  readonly present: boolean;
  readonly special: boolean;
  readonly write: boolean;
  /** Of Normal-Tagged memory that EL0 can read. */
  readonly taggedForUser: boolean;
  readonly swap: boolean;
  /** Stands for a page on its way, which its mm goes on counting. */
  readonly migration: boolean;
  /** The page that it maps, be it the zero page; undefined where none is mapped, or it is no memory of ours. */
  readonly page: Page | undefined;
}

/**
 * What is called for each entry that maps a page or stands for one, in order of address; `huge` where the entry is a
 * PMD, which is shown as so many entries of the last level.
 */
export type EntryVisitor = (entry: SeenEntry, addr: number, huge: boolean) => void;

/** A kind of entry that a visitor wants to see alone: tables without any are passed over. */
export type EntryKind = 'taggedForUser' | 'swap';

/** A table as it was seen last, of whichever level. */
export interface SeenTable {
  words: Uint32Array;
  readonly entries: (SeenEntry | undefined)[];
  /** Indices of those that are not empty, and of each the page that it maps and counts (vm_normal_page()), or -1. */
  used: Uint16Array;
  normal: Int32Array;
  writable: Uint8Array;
  taggedForUser: boolean;
  swap: boolean;
  /** How many. */
  migrations: number;
}

/** Tables kept of a memory manager, by address; those that nobody uses any more go when they are too many. */
const seen = new WeakMap<Mm, Map<number, SeenTable>>();
const MOST_TABLES = 1024;

function decode(mm: Mm, pte: Pte): SeenEntry {
  const present = ptePresent(pte);
  return {
    pte,
    present,
    special: pteSpecial(pte),
    write: pteWrite(pte),
    taggedForUser: pteUserReadable(pte) && pteTagged(pte),
    swap: isSwapEntry(pte),
    migration: isMigrationEntry(pte),
    page: present ? mm.paToPage(ptePa(pte)) : undefined,
  };
}

function summaryOf(entries: readonly (SeenEntry | undefined)[]) {
  const used = Uint16Array.from([...entries.keys()].filter((index) => entries[index] !== undefined));
  const normal = new Int32Array(used.length);
  const writable = new Uint8Array(used.length);
  let taggedForUser = false;
  let swap = false;
  let migrations = 0;
  for (let i = 0; i < used.length; i++) {
    const entry = entries[used[i]!]!;
    normal[i] = entry.special ? -1 : (entry.page ?? -1);
    writable[i] = entry.write ? 1 : 0;
    taggedForUser ||= entry.taggedForUser;
    swap ||= entry.swap;
    if (entry.migration) migrations++;
  }
  return { used, normal, writable, taggedForUser, swap, migrations };
}

/** The table as it is now; `count` entries of it are in use. */
function look(mm: Mm, tables: Map<number, SeenTable>, table: PA, count: number): SeenTable {
  const bytes = mm.port.readBytes(table, count * DESCRIPTOR_BYTES);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let known = tables.get(table);
  if (known?.words.length !== words.length) {
    if (tables.size >= MOST_TABLES) tables.clear();
    const entries = Array<SeenEntry | undefined>(count).fill(undefined);
    known = { words: new Uint32Array(words.length), entries, ...summaryOf(entries) };
    tables.set(table, known);
  }
  const { words: before, entries } = known;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let changed = false;
  for (let at = 0; at < words.length; at += 2) {
    if (words[at] === before[at] && words[at + 1] === before[at + 1]) continue;
    const pte = view.getBigUint64(at * 4, true);
    entries[at / 2] = pte === 0n ? undefined : decode(mm, pte);
    changed = true;
  }
  if (changed) {
    known.words = words;
    Object.assign(known, summaryOf(entries));
  }
  return known;
}

/** Who is shown tables of the last level whole, and blocks entry by entry. */
export interface TableVisitor {
  table(table: SeenTable, base: number): void;
  block(entry: SeenEntry, addr: number): void;
}

/** Shows every table of an address space, in order of address. */
export function forEachTable(mm: Mm, as: MmStruct, visitor: TableVisitor): void {
  let tables = seen.get(mm);
  if (tables === undefined) {
    tables = new Map();
    seen.set(mm, tables);
  }
  visitTable(mm, tables, mm.layout.startLevel, as.pgd, 0, visitor);
}

function visitTable(
  mm: Mm,
  tables: Map<number, SeenTable>,
  level: number,
  at: PA,
  base: number,
  visitor: TableVisitor,
): void {
  const { layout, pageSize } = mm;
  const count = level === layout.startLevel ? layout.topEntries : layout.entriesPerTable;
  const table = look(mm, tables, at, count);
  if (level === PTE_LEVEL) {
    visitor.table(table, base);
    return;
  }
  for (const index of table.used) {
    const { pte } = table.entries[index]!;
    const addr = base + index * layout.spanOf(level);
    if (pmdLeaf(pte)) {
      for (let i = 0; i < layout.entriesPerTable; i++) {
        visitor.block(decode(mm, ptePartOfPmd(mm, pte, addr + i * pageSize)), addr + i * pageSize);
      }
    } else visitTable(mm, tables, level + 1, PA(ptePa(pte)), addr, visitor);
  }
}

/** Calls `visit` for every entry of an address space that is not empty, or that is of a kind. */
export function forEachEntry(mm: Mm, as: MmStruct, visit: EntryVisitor, only?: EntryKind): void {
  forEachTable(mm, as, {
    table(table, base) {
      if (only !== undefined && !table[only]) return;
      for (const index of table.used) {
        const entry = table.entries[index]!;
        if (only === undefined || entry[only]) visit(entry, base + index * mm.pageSize, false);
      }
    },
    block(entry, addr) {
      if (only === undefined || entry[only]) visit(entry, addr, true);
    },
  });
}

/** The same, where the descriptor itself is all that matters. */
export function forEachPte(
  mm: Mm,
  as: MmStruct,
  visit: (pte: Pte, addr: number, huge: boolean) => void,
): void {
  forEachEntry(mm, as, ({ pte }, addr, huge) => visit(pte, addr, huge));
}
