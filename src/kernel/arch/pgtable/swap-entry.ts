/**
 * Entries that are neither empty nor present: swap slots and migration entries
 * (include/linux/swapops.h, arch/arm64 pgtable.h).
 *
 * Layout: bits 1:0 zero, bit 2 "was exclusive", bits 7:3 type, bits 57:8 offset, bit 58 zero. A
 * migration entry's offset is the page frame number with the young and dirty state above it.
 */
import type { Pte } from './pte.js';
import { PTE_PROT_NONE, PTE_VALID } from './pte.js';

export const SWP_MIGRATION_READ = 24;
export const SWP_MIGRATION_READ_EXCLUSIVE = 25;
export const SWP_MIGRATION_WRITE = 26;

const TYPE_SHIFT = 3n;
const TYPE_MASK = 0x1fn;
const OFFSET_SHIFT = 8n;
const OFFSET_MASK = (1n << 50n) - 1n;
/** MAX_PHYSMEM_BITS - PAGE_SHIFT with 4 KiB pages: enough for every granule. */
const PFN_BITS = 36n;
const PFN_MASK = (1n << PFN_BITS) - 1n;
const MIG_YOUNG = 1n << PFN_BITS;
const MIG_DIRTY = 1n << (PFN_BITS + 1n);

/** is_swap_pte(): not empty and not present. */
export const isSwapPte = (pte: Pte): boolean => pte !== 0n && (pte & (PTE_VALID | PTE_PROT_NONE)) === 0n;
export const swpType = (pte: Pte): number => Number((pte >> TYPE_SHIFT) & TYPE_MASK);
export const swpOffset = (pte: Pte): bigint => (pte >> OFFSET_SHIFT) & OFFSET_MASK;

const PTE_SWP_EXCLUSIVE = 1n << 2n;

/** Of a swap slot; the one device is type 0. `exclusive`: the page was nobody else's. */
export const makeSwapEntry = (slot: number, exclusive: boolean): Pte =>
  // Slots count from 1 in the entry, so that it is never empty.
  (BigInt(slot + 1) << OFFSET_SHIFT) | (exclusive ? PTE_SWP_EXCLUSIVE : 0n);
export const isSwapEntry = (pte: Pte): boolean => isSwapPte(pte) && swpType(pte) < SWP_MIGRATION_READ;
/** The slot an entry names. */
export const swapEntryOf = (pte: Pte): number => Number(swpOffset(pte)) - 1;
export const pteSwpExclusive = (pte: Pte): boolean => (pte & PTE_SWP_EXCLUSIVE) !== 0n;
export const pteSwpClearExclusive = (pte: Pte): Pte => pte & ~PTE_SWP_EXCLUSIVE;

export interface MigrationState {
  readonly young: boolean;
  readonly dirty: boolean;
}

export function makeMigrationEntry(type: number, pfn: number, state: MigrationState): Pte {
  let offset = BigInt(pfn);
  if (state.young) offset |= MIG_YOUNG;
  if (state.dirty) offset |= MIG_DIRTY;
  return (offset << OFFSET_SHIFT) | (BigInt(type) << TYPE_SHIFT);
}

/** The entry for the page `pages` further on: what a PMD's entry says of one page of the block. */
export const migrationEntryAdvance = (pte: Pte, pages: number): Pte => pte + (BigInt(pages) << OFFSET_SHIFT);

export const isMigrationEntry = (pte: Pte): boolean => {
  const type = swpType(pte);
  return isSwapPte(pte) && type >= SWP_MIGRATION_READ && type <= SWP_MIGRATION_WRITE;
};
export const isWritableMigrationEntry = (pte: Pte): boolean => swpType(pte) === SWP_MIGRATION_WRITE;
export const isReadExclusiveMigrationEntry = (pte: Pte): boolean =>
  swpType(pte) === SWP_MIGRATION_READ_EXCLUSIVE;
export const migrationEntryPfn = (pte: Pte): number => Number(swpOffset(pte) & PFN_MASK);
export const isMigrationEntryYoung = (pte: Pte): boolean => (swpOffset(pte) & MIG_YOUNG) !== 0n;
export const isMigrationEntryDirty = (pte: Pte): boolean => (swpOffset(pte) & MIG_DIRTY) !== 0n;

/** The same entry with another type, as fork and mprotect make of a writable one. */
export const withMigrationType = (pte: Pte, type: number): Pte =>
  (pte & ~(TYPE_MASK << TYPE_SHIFT)) | (BigInt(type) << TYPE_SHIFT);
