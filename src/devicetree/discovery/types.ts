/**
 * What tag-storage discovery gives: the JSON of `mtemu tag-storage`, word for word, hence the
 * snake_case names.
 */

export const TAG_STORAGE_COMPATIBLE = 'arm,mte-tag-storage';

/** 16 bytes of data have a tag of 4 bits. */
export const DATA_PER_TAG_BYTE = 32n;

export type PageSize = 4096 | 16384 | 65536;

export interface DiscoveryOptions {
  /** Translation granule in bytes. */
  readonly pageSize: PageSize;
  /** `binding`: our strict reading; `linux-v3`: what the posted series does. */
  readonly as: 'binding' | 'linux-v3';
}

/** One area; frame numbers are in pages of the granule, both ends inclusive. */
export interface TagStorageRegion {
  /** The node's own name, without its path. */
  readonly node: string;
  /** The full path of the memory node it serves. */
  readonly memory_node: string;
  readonly mem_start_pfn: number;
  readonly mem_end_pfn: number;
  readonly tag_start_pfn: number;
  readonly tag_end_pfn: number;
  readonly block_size_pages: number;
}

export interface DiscoveryDiagnostic {
  readonly code: string;
  readonly severity: 'error' | 'warning' | 'note';
  readonly path: string;
  /** The property at fault; null where it is the node or the tree. */
  readonly property: string | null;
  readonly message: string;
  /** What the tree says. */
  readonly found?: string;
  /** What it should say. */
  readonly rule?: string;
  /** What would go wrong in memory. */
  readonly why?: string;
  readonly help?: string;
}

export interface Discovery {
  readonly enabled: boolean;
  readonly reason: string;
  readonly regions: readonly TagStorageRegion[];
  readonly diagnostics: readonly DiscoveryDiagnostic[];
  /** Whether any node claims to be tag storage, usable or not. */
  readonly described: boolean;
}

export function gcd(a: bigint, b: bigint): bigint {
  let x = a;
  let y = b;
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

/** The smallest number of pages that is a whole number of blocks of `blockSize` bytes. */
export function blockSizePages(blockSize: bigint, pageSize: number): bigint {
  const page = BigInt(pageSize);
  return blockSize / gcd(page, blockSize);
}
