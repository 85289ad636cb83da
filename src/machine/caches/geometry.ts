/**
 * The shape of the modelled caches, and what CCSIDR_EL1 says of it.
 *
 * One level: instructions, data, and allocation tags in a cache of their own, shared by the machine's
 * CPUs. A data line holds 64 bytes. A tag line holds 64 bytes of tag storage, which are the tags of 2 KiB
 * of memory: so CTR_EL0.TminLine is 9 (2^9 words), and no tag line covers more than a page, without which
 * an invalidate of one page's tags would take a neighbour's along. CLIDR_EL1 and CTR_EL0 are rows of the
 * register table; a test holds them to these numbers.
 *
 * The machine says so whether its caches are modelled or not.
 *
 * Ref. DDI 0487, D19.2 CTR_EL0, CLIDR_EL1 (Ttype1 = 1: separate tag cache), CCSIDR_EL1 (32-bit form).
 */

export interface CacheGeometry {
  readonly sets: number;
  readonly ways: number;
  /** Bytes of address that a line covers. */
  readonly span: number;
}

/** Bytes of DRAM in a line, of data or of tags. */
export const LINE = 64;

/** 32 KiB. */
export const DATA_CACHE: CacheGeometry = { sets: 128, ways: 4, span: LINE };
/** 8 KiB of tags: those of 256 KiB of memory. */
export const TAG_CACHE: CacheGeometry = { sets: 32, ways: 4, span: LINE * 32 };
export const INSTRUCTION_CACHE: CacheGeometry = { sets: 128, ways: 4, span: LINE };

/** CCSIDR_EL1 for a value of CSSELR_EL1 (TnD in bit 4, level in 3:1, InD in bit 0); 0 where no cache is. */
export function cacheSizeId(selection: number, hasTags: boolean): bigint {
  const onlyTags = (selection & 16) !== 0;
  if ((selection & 0xe) !== 0 || (onlyTags && (!hasTags || (selection & 1) !== 0))) return 0n;
  const { sets, ways } = onlyTags ? TAG_CACHE : (selection & 1) !== 0 ? INSTRUCTION_CACHE : DATA_CACHE;
  // LineSize is log2(bytes) - 4, and RES0 for a cache that holds tags only.
  const lineSize = onlyTags ? 0 : Math.log2(LINE) - 4;
  return BigInt(((sets - 1) << 13) | ((ways - 1) << 3) | lineSize);
}

/** The set and way of a set/way operation's operand; undefined where it names another level. */
export function setAndWay(
  geometry: CacheGeometry,
  operand: bigint,
): { set: number; way: number } | undefined {
  const word = Number(BigInt.asUintN(32, operand));
  if (((word >>> 1) & 7) !== 0) return undefined;
  const way = word >>> (32 - Math.log2(geometry.ways));
  return { set: (word >>> Math.log2(LINE)) & (geometry.sets - 1), way };
}
