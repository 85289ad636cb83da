/**
 * Page descriptors: hardware bits, Linux's software bits, protections, and the pte_* helpers
 * (arch/arm64/include/asm/pgtable-{hwdef,prot}.h and pgtable.h; Arm ARM D8.3).
 *
 * A descriptor is a bigint, as it stands in DRAM. The fault-on-access encoding is the series' (patch
 * v3/13): PROT_NONE plus bit 60, where bits 59-62 are PBHA to the hardware and unused by Linux.
 */
import { MT_NORMAL, MT_NORMAL_TAGGED } from './mair.js';

export type Pte = bigint;
/** The protection part of a descriptor. */
export type Pgprot = bigint;

export const PTE_VALID = 1n << 0n;
/** Bits 1:0 of a page (level 3) or table descriptor. */
export const PTE_TYPE_PAGE = 3n;
export const PTE_USER = 1n << 6n;
export const PTE_RDONLY = 1n << 7n;
/** Inner shareable. */
export const PTE_SHARED = 3n << 8n;
export const PTE_AF = 1n << 10n;
export const PTE_NG = 1n << 11n;
export const PTE_GP = 1n << 50n;
/** DBM: Linux's "may be written", whether or not hardware manages the dirty state. */
export const PTE_WRITE = 1n << 51n;
export const PTE_CONT = 1n << 52n;
export const PTE_PXN = 1n << 53n;
export const PTE_UXN = 1n << 54n;
/** Software: dirty, where PTE_RDONLY no longer tells. */
export const PTE_DIRTY = 1n << 55n;
/** Software: the page is not reference-counted through this entry (zero page, raw PFNs). */
export const PTE_SPECIAL = 1n << 56n;
/** Software, only with PTE_VALID clear: present for Linux, absent for the hardware. */
export const PTE_PROT_NONE = 1n << 58n;
/** Software, only with PTE_PROT_NONE: the page's tag block is missing. */
export const PTE_TAG_STORAGE_NONE = 1n << 60n;

const PTE_ATTRINDX_MASK = 7n << 2n;
/** AttrIndx[2:0] of a descriptor. */
export const pteAttrIndx = (index: number): bigint => BigInt(index) << 2n;

/** Output address of a page descriptor or next table of a table descriptor: bits 47:12. */
const ADDRESS_MASK = ((1n << 48n) - 1n) & ~0xfffn;

/** Table descriptors of user space: nothing below is executable at EL1 (PXNTable). */
export const TABLE_DESCRIPTOR = 3n | (1n << 59n);

const PAGE_DEFAULT = PTE_TYPE_PAGE | PTE_AF | PTE_SHARED | pteAttrIndx(MT_NORMAL);
const PAGE_SHARED: Pgprot = PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_UXN | PTE_WRITE;
const PAGE_SHARED_EXEC: Pgprot = PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_WRITE;
const PAGE_READONLY: Pgprot = PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_UXN;
const PAGE_READONLY_EXEC: Pgprot = PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN;
/** PROT_NONE, and every NUMA hint. */
export const PAGE_NONE: Pgprot =
  (PAGE_DEFAULT & ~PTE_VALID) | PTE_PROT_NONE | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_UXN;
/** The page has no tag block: fault before any access. */
export const PAGE_FAULT_ON_ACCESS: Pgprot = PAGE_NONE | PTE_TAG_STORAGE_NONE;

/** What a VMA's flags mean for its entries. */
export interface Protection {
  readonly read: boolean;
  readonly write: boolean;
  readonly exec: boolean;
  readonly shared: boolean;
  /** VM_ARM64_BTI. */
  readonly guarded: boolean;
  /** VM_MTE. */
  readonly tagged: boolean;
}

/** vm_get_page_prot(): private writable mappings start read-only, for copy-on-write. */
export function vmGetPageProt(p: Protection): Pgprot {
  let prot: Pgprot;
  if (!p.read && !p.write && !p.exec) prot = PAGE_NONE;
  else if (p.write && p.shared) prot = p.exec ? PAGE_SHARED_EXEC : PAGE_SHARED;
  else prot = p.exec ? PAGE_READONLY_EXEC : PAGE_READONLY;
  if (p.guarded) prot |= PTE_GP;
  if (p.tagged) prot = (prot & ~PTE_ATTRINDX_MASK) | pteAttrIndx(MT_NORMAL_TAGGED);
  return prot;
}

/** Bits 1:0 of a block descriptor differ from a page's in this one. */
const PTE_TABLE_BIT = 2n;
/** A PMD that maps a block: not empty, and no pointer to a table. Migration entries are such, too. */
export const pmdLeaf = (pmd: bigint): boolean => pmd !== 0n && (pmd & PTE_TABLE_BIT) === 0n;
/** pmd_mkhuge(), of an entry made like a page's. */
export const pmdMkhuge = (pte: Pte): bigint => pte & ~PTE_TABLE_BIT;
/** The last-level entry that would map the block's first page as the block does. */
export const ptePmd = (pmd: bigint): Pte => pmd | PTE_TABLE_BIT;

/** pfn_pte(); `pa` is page-aligned. */
export const paPte = (pa: number, prot: Pgprot): Pte => BigInt(pa) | prot;
export const ptePa = (pte: Pte): number => Number(pte & ADDRESS_MASK);
export const tableDescriptor = (pa: number): bigint => BigInt(pa) | TABLE_DESCRIPTOR;

export const pteNone = (pte: Pte): boolean => pte === 0n;
/** Present for Linux: valid, or PROT_NONE. Swap and migration entries are not. */
export const ptePresent = (pte: Pte): boolean => (pte & (PTE_VALID | PTE_PROT_NONE)) !== 0n;
export const pteValid = (pte: Pte): boolean => (pte & PTE_VALID) !== 0n;
export const pteProtnone = (pte: Pte): boolean => (pte & (PTE_VALID | PTE_PROT_NONE)) === PTE_PROT_NONE;
/** arch_fault_on_access_pte(). */
export const pteFaultOnAccess = (pte: Pte): boolean =>
  pteProtnone(pte) && (pte & PTE_TAG_STORAGE_NONE) !== 0n;
export const pteWrite = (pte: Pte): boolean => (pte & PTE_WRITE) !== 0n;
export const pteSpecial = (pte: Pte): boolean => (pte & PTE_SPECIAL) !== 0n;
export const pteYoung = (pte: Pte): boolean => (pte & PTE_AF) !== 0n;
export const pteTagged = (pte: Pte): boolean => (pte & PTE_ATTRINDX_MASK) === pteAttrIndx(MT_NORMAL_TAGGED);
export const pteUserExec = (pte: Pte): boolean => (pte & PTE_UXN) === 0n;
/** pte_access_permitted(pte, false): EL0 can read through it. */
export const pteUserReadable = (pte: Pte): boolean =>
  (pte & (PTE_VALID | PTE_USER)) === (PTE_VALID | PTE_USER);
const pteHwDirty = (pte: Pte): boolean => (pte & (PTE_WRITE | PTE_RDONLY)) === PTE_WRITE;
const pteSwDirty = (pte: Pte): boolean => (pte & PTE_DIRTY) !== 0n;
export const pteDirty = (pte: Pte): boolean => pteHwDirty(pte) || pteSwDirty(pte);

export const pteMkspecial = (pte: Pte): Pte => pte | PTE_SPECIAL;
export const pteMkyoung = (pte: Pte): Pte => pte | PTE_AF;
export const pteMkold = (pte: Pte): Pte => pte & ~PTE_AF;
export const pteMkdirty = (pte: Pte): Pte => {
  const dirty = pte | PTE_DIRTY;
  return pteWrite(dirty) ? dirty & ~PTE_RDONLY : dirty;
};
export const pteMkclean = (pte: Pte): Pte => (pte & ~PTE_DIRTY) | PTE_RDONLY;
export const pteMkwrite = (pte: Pte): Pte => {
  const writable = pte | PTE_WRITE;
  return pteSwDirty(writable) ? writable & ~PTE_RDONLY : writable;
};
export const pteWrprotect = (pte: Pte): Pte => {
  // The hardware's dirty state lives in RDONLY, which is about to be set: keep it in software.
  const kept = pteHwDirty(pte) ? pte | PTE_DIRTY : pte;
  return (kept & ~PTE_WRITE) | PTE_RDONLY;
};

const MODIFY_MASK =
  PTE_USER |
  PTE_PXN |
  PTE_UXN |
  PTE_RDONLY |
  PTE_PROT_NONE |
  PTE_TAG_STORAGE_NONE |
  PTE_VALID |
  PTE_WRITE |
  PTE_GP |
  PTE_ATTRINDX_MASK;

/** pte_modify(): another protection for the same page; dirty information is kept, bit 60 is replaced. */
export function pteModify(pte: Pte, prot: Pgprot): Pte {
  const kept = pteHwDirty(pte) ? pte | PTE_DIRTY : pte;
  const changed = (kept & ~MODIFY_MASK) | (prot & MODIFY_MASK);
  return pteSwDirty(changed) ? pteMkdirty(changed) : changed;
}
