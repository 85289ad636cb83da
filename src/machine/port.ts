import type { PA } from '../base/index.js';

/**
 * The port through which software at EL1 reaches memory: the kernel's view of the machine.
 *
 * Everything goes the way a real access goes: through the data and tag caches when they are modelled,
 * down to DRAM bytes; allocation tags through the memory controller into the carve-out's bytes. The
 * kernel has no other way to memory, so that a missing cache operation or a wrong tag block has the
 * consequences it would have on silicon. Addresses are physical (the kernel's linear map is the
 * identity for this purpose) and accesses through the linear map are not tag-checked, as in Linux
 * without KASAN_HW_TAGS. Ranges are in bytes. Reads of memory outside DRAM give zeros and writes
 * vanish, after `onBadAccess` was told: a kernel bug must not crash the emulator.
 */
export interface MemoryPort {
  read8(pa: PA): number;
  read16(pa: PA): number;
  read32(pa: PA): number;
  read64(pa: PA): bigint;
  write8(pa: PA, value: number): void;
  write16(pa: PA, value: number): void;
  write32(pa: PA, value: number): void;
  write64(pa: PA, value: bigint): void;

  /** A copy of `bytes` bytes. */
  readBytes(pa: PA, bytes: number): Uint8Array;
  writeBytes(pa: PA, from: Uint8Array): void;
  /** clear_page / memset: data only. */
  fill(pa: PA, bytes: number, value: number): void;
  /** copy_page: data only; the ranges do not overlap. */
  copy(to: PA, from: PA, bytes: number): void;
  /** True if both ranges hold the same data. */
  equal(a: PA, b: PA, bytes: number): boolean;

  /** LDG: the allocation tag of the granule at `pa`; 0 where memory has no tag storage. */
  readTag(pa: PA): number;
  /** STG: ignored where memory has no tag storage. */
  writeTag(pa: PA, tag: number): void;
  /** Tags of [pa, pa + bytes), two a byte, low nibble the even granule: bytes / 32 bytes (mte_save_page_tags). */
  readTags(pa: PA, bytes: number): Uint8Array;
  writeTags(pa: PA, packed: Uint8Array): void;
  /** All granules of [pa, pa + bytes) get `tag` (mte_clear_page_tags with 0). */
  fillTags(pa: PA, bytes: number, tag: number): void;

  /** Data lines, to the point of coherency: DC IVAC, CVAC, CIVAC over the range. */
  dcacheInvalPoc(pa: PA, bytes: number): void;
  dcacheCleanPoc(pa: PA, bytes: number): void;
  dcacheCleanInvalPoc(pa: PA, bytes: number): void;
  /** Tag lines that cover the *data* range: DC IGVAC, CGVAC, CIGVAC. */
  dcacheInvalTagsPoc(pa: PA, bytes: number): void;
  dcacheCleanTagsPoc(pa: PA, bytes: number): void;
  dcacheCleanInvalTagsPoc(pa: PA, bytes: number): void;
  /** After code was written: DC CVAU and IC IVAU over the range (caches_clean_inval_pou). */
  icacheInval(pa: PA, bytes: number): void;
}
