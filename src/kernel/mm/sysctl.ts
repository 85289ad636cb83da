/**
 * /proc/sys/vm: what an administrator can set of memory management, with Linux's names, defaults and bounds, and what
 * happens when it is set (kernel/sysctl.c: vm_table; mm/page_alloc.c, mm/compaction.c, mm/page-writeback.c, mm/util.c:
 * their handlers; Documentation/admin-guide/sysctl/vm.rst).
 *
 * Values only: the text of a file, and who may write it, are the process floor's.
 */
import type { MaySleep } from '../contexts/index.js';
import { EINVAL } from '../contexts/index.js';
import { compactNodes } from './compaction.js';
import { dropCaches } from './drop-caches.js';
import type { Mm } from './mm.js';
import { OVERCOMMIT_GUESS, OVERCOMMIT_NEVER, type VmSysctls } from './vm-sysctls.js';
import { setupPerZoneWmarks } from './zone.js';

const INT_MAX = 2 ** 31 - 1;
/** MIN_PERCPU_PAGELIST_HIGH_FRACTION. */
const LEAST_HIGH_FRACTION = 8;

type Name = Exclude<keyof VmSysctls, 'userMinFreeKbytes'>;

interface SysctlRow {
  readonly name: string;
  /** Left out for files that are written only. */
  readonly value?: Name;
  readonly min: number;
  readonly max: number;
  /** After the new value is there; an errno puts the old one back. */
  readonly changed?: (mm: Mm, values: readonly number[]) => MaySleep<number>;
}

const setupWmarks = function* (mm: Mm): MaySleep<number> {
  yield* [];
  setupPerZoneWmarks(mm.nodes.online, mm.pageSize, mm.sysctl);
  return 0;
};

/** A pair of which at most one counts: whichever was written last. */
const instead = (other: Name) =>
  function* (mm: Mm): MaySleep<number> {
    yield* [];
    mm.sysctl[other][0] = 0;
    return 0;
  };

const row = (
  name: string,
  value: Name,
  min = 0,
  max = INT_MAX,
  changed?: SysctlRow['changed'],
): SysctlRow => ({ name, value, min, max, ...(changed === undefined ? {} : { changed }) });

/** vm_table and its parts elsewhere. */
const ROWS: readonly SysctlRow[] = [
  row('admin_reserve_kbytes', 'adminReserveKbytes', 0, Number.MAX_SAFE_INTEGER),
  {
    name: 'compact_memory',
    min: 1,
    max: 1,
    *changed(mm) {
      yield* compactNodes(mm);
      return 0;
    },
  },
  row('compact_unevictable_allowed', 'compactUnevictableAllowed', 0, 1),
  row('compaction_proactiveness', 'compactionProactiveness', 0, 100, function* (mm, [value = 0]) {
    yield* [];
    // compaction_proactiveness_sysctl_handler(): at once, not when the next interval ends.
    if (value > 0) for (const node of mm.nodes.online) node.triggerProactiveCompaction();
    return 0;
  }),
  row(
    'dirty_background_bytes',
    'dirtyBackgroundBytes',
    1,
    Number.MAX_SAFE_INTEGER,
    instead('dirtyBackgroundRatio'),
  ),
  row('dirty_background_ratio', 'dirtyBackgroundRatio', 0, 100, instead('dirtyBackgroundBytes')),
  row('dirty_bytes', 'dirtyBytes', 2, Number.MAX_SAFE_INTEGER, instead('dirtyRatio')),
  row('dirty_expire_centisecs', 'dirtyExpireCentisecs'),
  row('dirty_ratio', 'dirtyRatio', 0, 100, instead('dirtyBytes')),
  row('dirty_writeback_centisecs', 'dirtyWritebackCentisecs', 0, INT_MAX, function* (mm) {
    yield* [];
    mm.wakeFlusher?.();
    return 0;
  }),
  {
    name: 'drop_caches',
    min: 1,
    max: 4,
    *changed(mm, [value = 0]) {
      yield* dropCaches(mm, value);
      return 0;
    },
  },
  row('extfrag_threshold', 'extfragThreshold', 0, 1000),
  row('lowmem_reserve_ratio', 'lowmemReserveRatio', 0, INT_MAX, setupWmarks),
  row('max_map_count', 'maxMapCount'),
  row('min_free_kbytes', 'minFreeKbytes', 0, INT_MAX, function* (mm, [value = 0]) {
    mm.sysctl.userMinFreeKbytes = value;
    return yield* setupWmarks(mm);
  }),
  row('numa_balancing', 'numaBalancing', 0, 2),
  row('overcommit_kbytes', 'overcommitKbytes', 0, Number.MAX_SAFE_INTEGER, instead('overcommitRatio')),
  row('overcommit_memory', 'overcommitMemory', OVERCOMMIT_GUESS, OVERCOMMIT_NEVER),
  row('overcommit_ratio', 'overcommitRatio', 0, INT_MAX, instead('overcommitKbytes')),
  row('percpu_pagelist_high_fraction', 'percpuPagelistHighFraction', 0, INT_MAX, function* (mm, [value = 0]) {
    if (value > 0 && value < LEAST_HIGH_FRACTION) return -EINVAL;
    return yield* setupWmarks(mm);
  }),
  row('swappiness', 'swappiness', 0, 200),
  row('user_reserve_kbytes', 'userReserveKbytes', 0, Number.MAX_SAFE_INTEGER),
  row('watermark_boost_factor', 'watermarkBoostFactor'),
  row('watermark_scale_factor', 'watermarkScaleFactor', 1, 3000, setupWmarks),
];

const BY_NAME: ReadonlyMap<string, SysctlRow> = new Map(ROWS.map((each) => [each.name, each]));

/** Names in /proc/sys/vm; `readable` is false for those that only start something. */
export const VM_SYSCTLS: readonly { readonly name: string; readonly readable: boolean }[] = ROWS.map(
  ({ name, value }) => ({ name, readable: value !== undefined }),
);

/** That of them which is in /proc/sys/kernel. */
export const KERNEL_SYSCTLS: readonly string[] = ['numa_balancing'];

/** The values of a file, in its order. */
export function sysctlRead(mm: Mm, name: string): readonly number[] {
  const value = BY_NAME.get(name)?.value;
  return value === undefined ? [] : mm.sysctl[value];
}

/** What a write does: as many values as were given, from the first; 0 or -EINVAL. */
export function* sysctlWrite(mm: Mm, name: string, values: readonly number[]): MaySleep<number> {
  const found = BY_NAME.get(name);
  if (found === undefined) return -EINVAL;
  const { value, min, max, changed } = found;
  if (values.length === 0 || values.some((each) => !(each >= min && each <= max))) return -EINVAL;
  const into = value === undefined ? [] : mm.sysctl[value];
  const before = [...into];
  for (let i = 0; i < Math.min(into.length, values.length); i++) into[i] = values[i]!;
  const error = changed === undefined ? 0 : yield* changed(mm, values);
  if (error !== 0) into.splice(0, into.length, ...before);
  return error;
}
