/**
 * GFP flags with the values of Linux 6.8 (include/linux/gfp_types.h), and what they ask for.
 *
 * `__GFP_TAGGED` is the series' new name of `__GFP_ZEROTAGS` (v3/18): the page will be mapped
 * tagged; and, where the page is zeroed at allocation, its tags are zeroed with it.
 */

/** A set of GFP flags. */
export type Gfp = number;

export const __GFP_HIGHMEM = 0x02;
export const __GFP_DMA32 = 0x04;
export const __GFP_MOVABLE = 0x08;
export const __GFP_RECLAIMABLE = 0x10;
export const __GFP_HIGH = 0x20;
export const __GFP_IO = 0x40;
export const __GFP_FS = 0x80;
export const __GFP_ZERO = 0x100;
export const __GFP_DIRECT_RECLAIM = 0x400;
export const __GFP_KSWAPD_RECLAIM = 0x800;
export const __GFP_NOWARN = 0x2000;
export const __GFP_RETRY_MAYFAIL = 0x4000;
export const __GFP_NORETRY = 0x10000;
export const __GFP_NOMEMALLOC = 0x80000;
export const __GFP_COMP = 0x40000;
export const __GFP_HARDWALL = 0x100000;
export const __GFP_THISNODE = 0x200000;
export const __GFP_ACCOUNT = 0x400000;
export const __GFP_TAGGED = 0x800000;
export const __GFP_SKIP_ZERO = 0x1000000;
export const __GFP_SKIP_KASAN = 0x2000000;

export const __GFP_RECLAIM = __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM;

export const GFP_ATOMIC = __GFP_HIGH | __GFP_KSWAPD_RECLAIM;
export const GFP_NOWAIT = __GFP_KSWAPD_RECLAIM;
export const GFP_KERNEL = __GFP_RECLAIM | __GFP_IO | __GFP_FS;
export const GFP_PGTABLE_USER = GFP_KERNEL | __GFP_ZERO | __GFP_ACCOUNT;
export const GFP_USER = __GFP_RECLAIM | __GFP_IO | __GFP_FS | __GFP_HARDWALL;
export const GFP_HIGHUSER = GFP_USER | __GFP_HIGHMEM;
export const GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER | __GFP_MOVABLE | __GFP_SKIP_KASAN;

/** For huge pages: what there is, without waking or waiting for anybody. */
export const GFP_TRANSHUGE_LIGHT =
  (GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOMEMALLOC | __GFP_NOWARN) & ~__GFP_RECLAIM;
/** The same, but compact and reclaim for it. */
export const GFP_TRANSHUGE = GFP_TRANSHUGE_LIGHT | __GFP_DIRECT_RECLAIM;

/** ALLOC_* flags of the allocator's inside (mm/internal.h). */
export const ALLOC_WMARK_MIN = 0;
export const ALLOC_WMARK_LOW = 1;
export const ALLOC_WMARK_HIGH = 2;
export const ALLOC_WMARK_MASK = 3;
export const ALLOC_NO_WATERMARKS = 0x04;
export const ALLOC_NON_BLOCK = 0x10;
export const ALLOC_MIN_RESERVE = 0x20;
/** May use pageblocks of MIGRATE_CMA. */
export const ALLOC_CMA = 0x80;
export const ALLOC_NOFRAGMENT = 0x100;
/** May use pageblocks of MIGRATE_HIGHATOMIC, and have more of them reserved. */
export const ALLOC_HIGHATOMIC = 0x200;
/** May wake kswapd. */
export const ALLOC_KSWAPD = 0x800;
/** Requests that may go below the watermark (ALLOC_RESERVES). */
export const ALLOC_RESERVES = ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE;

/** gfp_migratetype(): the two mobility bits are the migratetype. */
export const gfpMigratetype = (gfp: Gfp): number => (gfp & (__GFP_MOVABLE | __GFP_RECLAIMABLE)) >> 3;

/** gfpflags_allow_blocking(). */
export const gfpAllowsBlocking = (gfp: Gfp): boolean => (gfp & __GFP_DIRECT_RECLAIM) !== 0;

/** What show_gfp_flags() looks for, in its order: a name stands for all its bits at once. */
const GFP_NAMES: readonly (readonly [name: string, bits: Gfp])[] = [
  ['GFP_TRANSHUGE', GFP_TRANSHUGE],
  ['GFP_TRANSHUGE_LIGHT', GFP_TRANSHUGE_LIGHT],
  ['GFP_HIGHUSER_MOVABLE', GFP_HIGHUSER_MOVABLE],
  ['GFP_HIGHUSER', GFP_HIGHUSER],
  ['GFP_USER', GFP_USER],
  ['GFP_KERNEL_ACCOUNT', GFP_KERNEL | __GFP_ACCOUNT],
  ['GFP_KERNEL', GFP_KERNEL],
  ['GFP_NOFS', __GFP_RECLAIM | __GFP_IO],
  ['GFP_ATOMIC', GFP_ATOMIC],
  ['GFP_NOIO', __GFP_RECLAIM],
  ['GFP_NOWAIT', GFP_NOWAIT],
  ['__GFP_HIGHMEM', __GFP_HIGHMEM],
  ['GFP_DMA32', __GFP_DMA32],
  ['__GFP_HIGH', __GFP_HIGH],
  ['__GFP_IO', __GFP_IO],
  ['__GFP_FS', __GFP_FS],
  ['__GFP_NOWARN', __GFP_NOWARN],
  ['__GFP_RETRY_MAYFAIL', __GFP_RETRY_MAYFAIL],
  ['__GFP_NORETRY', __GFP_NORETRY],
  ['__GFP_COMP', __GFP_COMP],
  ['__GFP_ZERO', __GFP_ZERO],
  ['__GFP_HARDWALL', __GFP_HARDWALL],
  ['__GFP_ACCOUNT', __GFP_ACCOUNT],
  ['__GFP_MOVABLE', __GFP_MOVABLE],
  ['__GFP_RECLAIMABLE', __GFP_RECLAIMABLE],
  ['__GFP_DIRECT_RECLAIM', __GFP_DIRECT_RECLAIM],
  ['__GFP_KSWAPD_RECLAIM', __GFP_KSWAPD_RECLAIM],
  ['__GFP_TAGGED', __GFP_TAGGED],
  ['__GFP_SKIP_ZERO', __GFP_SKIP_ZERO],
  ['__GFP_SKIP_KASAN', __GFP_SKIP_KASAN],
];

/** The flags by name, as the kernel's messages have them. */
export function describeGfp(gfp: Gfp): string {
  const names: string[] = [];
  let left = gfp;
  for (const [name, bits] of GFP_NAMES) {
    if ((left & bits) !== bits) continue;
    names.push(name);
    left &= ~bits;
  }
  if (left !== 0) names.push(`0x${left.toString(16)}`);
  return names.join('|');
}
