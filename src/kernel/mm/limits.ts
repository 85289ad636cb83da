/**
 * Resource limits of an address space: RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK, which memory management asks at
 * the moment a mapping grows.
 *
 * The limits are their process's; the address space refers to them, so that a change has effect at once.
 *
 * Ref. mm/mmap.c (may_expand_vm, acct_stack_growth, is_data_mapping).
 */
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { VM_GROWSDOWN, VM_SHARED, VM_WRITE } from './vma.js';

/** Bytes; Infinity where there is no limit. */
export interface MmLimits {
  readonly addressSpace: number;
  readonly data: number;
  readonly stack: number;
}

export const UNLIMITED: MmLimits = {
  addressSpace: Number.POSITIVE_INFINITY,
  data: Number.POSITIVE_INFINITY,
  stack: 8 * 2 ** 20,
};

/** is_data_mapping(): private and writable, and no stack. */
const isDataMapping = (flags: number): boolean =>
  (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE;

/** data_vm: pages of private writable mappings. */
export function dataVm(mm: Mm, as: MmStruct): number {
  let bytes = 0;
  for (const vma of as.vmas.all) if (isDataMapping(vma.flags)) bytes += vma.end - vma.start;
  return bytes / mm.pageSize;
}

/** may_expand_vm(): whether `pages` more pages of mappings with these flags keep within the limits. */
export function mayExpandVm(mm: Mm, as: MmStruct, flags: number, pages: number): boolean {
  const { addressSpace, data } = as.limits;
  if ((as.totalVm + pages) * mm.pageSize > addressSpace) return false;
  if (data === Number.POSITIVE_INFINITY || !isDataMapping(flags)) return true;
  return (dataVm(mm, as) + pages) * mm.pageSize <= data;
}
