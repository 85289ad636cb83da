/**
 * /proc files about memory as text: of the system (meminfo, vmstat, zoneinfo, buddyinfo, pagetypeinfo) and of a
 * process (maps, smaps, smaps_rollup). Layout, names and order are Linux 6.8's.
 *
 * Ref. fs/proc/meminfo.c, mm/vmstat.c, fs/proc/task_mmu.c.
 */
import type { AddressSpace, MemoryManager, SmapCounts, VmaInfo, ZoneInfo } from '../mm/index.js';
import {
  VM_ACCOUNT,
  VM_ARM64_BTI,
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_MTE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_RAND_READ,
  VM_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
} from '../mm/index.js';

export function meminfoText(mm: MemoryManager): string {
  return Object.entries(mm.meminfo())
    .map(([name, value]) => {
      // Numbers of huge pages are the only ones that are no sizes.
      const unit = name.startsWith('HugePages_') ? '' : ' kB';
      return `${`${name}:`.padEnd(16)}${String(Math.floor(value)).padStart(8)}${unit}\n`;
    })
    .join('');
}

export function vmstatText(mm: MemoryManager): string {
  return Object.entries(mm.vmstat())
    .map(([name, count]) => `${name} ${count}\n`)
    .join('');
}

const zoneTitle = (zone: ZoneInfo): string => `zone ${zone.name.padStart(8)}`;
const columns = (numbers: readonly number[], width: number): string =>
  numbers.map((n) => `${String(n).padStart(width)} `).join('');

export function buddyinfoText(mm: MemoryManager): string {
  return mm
    .zoneinfo()
    .map((zone) => `Node ${zone.nodeId}, ${zoneTitle(zone)} ${columns(zone.freeBlocks, 6)}\n`)
    .join('');
}

export function pagetypeinfoText(mm: MemoryManager): string {
  const zones = mm.zoneinfo();
  const types = Object.keys(zones[0]?.types ?? {});
  const orders = zones[0]?.freeBlocks.map((_, order) => order) ?? [];
  const free = zones.flatMap((zone) =>
    types.map(
      (type) =>
        `Node ${String(zone.nodeId).padStart(4)}, ${zoneTitle(zone)}, type ${type.padStart(12)} ${columns(zone.types[type]!.free, 6)}\n`,
    ),
  );
  const blocks = zones.map(
    (zone) =>
      `Node ${zone.nodeId}, ${zoneTitle(zone)} ${columns(
        types.map((type) => zone.types[type]!.blocks),
        12,
      )}\n`,
  );
  return [
    `Page block order: ${mm.pageblockOrder}\n`,
    `Pages per block:  ${1 << mm.pageblockOrder}\n\n`,
    `${'Free pages count per migrate type at order'.padEnd(43)} ${columns(orders, 6)}\n`,
    ...free,
    `\n${'Number of blocks type '.padEnd(23)}${types.map((type) => `${type.padStart(12)} `).join('')}\n`,
    ...blocks,
  ].join('');
}

const counter = (name: string, value: number): string => `\n      ${name.padEnd(12)} ${value}`;

/** Names of the counters that Linux keeps a node, in the order of /proc/vmstat. */
const NODE_COUNTERS = /^nr_(?!free|zone_|mlock|dirty_)/;
/** And those of a zone that the file has not already named. */
const ZONE_COUNTERS = /^(nr_zone_|nr_mlock|nr_free_cma|numa_)/;

export function zoneinfoText(mm: MemoryManager): string {
  const nodes = mm.nodeInfo();
  return mm
    .zoneinfo()
    .map((zone, at, all) => {
      const lines = [`Node ${zone.nodeId}, ${zoneTitle(zone)}`];
      const { vmstat } = nodes.find(({ nodeId }) => nodeId === zone.nodeId)!;
      const perNode = Object.entries(vmstat).filter(([name]) => NODE_COUNTERS.test(name));
      if (all[at - 1]?.nodeId !== zone.nodeId)
        lines.push('\n  per-node stats', ...perNode.map(([name, value]) => counter(name, value)));
      const [min, low, high] = zone.watermark.map((mark) => mark + zone.boost);
      const rows = [
        ['boost', zone.boost],
        ['min', min],
        ['low', low],
        ['high', high],
        ['spanned', zone.spanned],
        ['present', zone.present],
        ['managed', zone.managed],
        ['cma', zone.cma],
      ] as const;
      lines.push(`\n  pages free     ${zone.free}`);
      for (const [name, value] of rows) lines.push(`\n        ${name.padEnd(8)} ${value ?? 0}`);
      lines.push(`\n        protection: (${zone.protection.join(', ')})`);
      lines.push(counter('nr_free_pages', zone.free));
      for (const [name, value] of Object.entries(zone.stats)) {
        if (ZONE_COUNTERS.test(name)) lines.push(counter(name, value));
      }
      lines.push('\n  pagesets');
      zone.pagesets.forEach(({ count, high: most, batch }, cpu) => {
        lines.push(`\n    cpu: ${cpu}`);
        lines.push(`\n              count: ${count}`);
        lines.push(`\n              high:  ${most}`);
        lines.push(`\n              batch: ${batch}`);
      });
      lines.push('\n  node_unreclaimable:  0', `\n  start_pfn:           ${zone.startPfn}\n`);
      return lines.join('');
    })
    .join('');
}

const address = (value: bigint): string => value.toString(16).padStart(8, '0');

/** A line of /proc/PID/maps. Files that are not on disk have device 0:1, and no inode number of their own. */
function mapsLine(vma: VmaInfo): string {
  const rights = `${vma.read ? 'r' : '-'}${vma.write ? 'w' : '-'}${vma.exec ? 'x' : '-'}${vma.shared ? 's' : 'p'}`;
  const { backing } = vma;
  const where =
    backing === undefined
      ? '00000000 00:00 0'
      : `${backing.offset.toString(16).padStart(8, '0')} 00:01 ${backing.file}`;
  const head = `${address(vma.start)}-${address(vma.end)} ${rights} ${where} `;
  return vma.name === '' ? `${head}\n` : `${head.padEnd(73)}${vma.name}\n`;
}

export function mapsText(mm: MemoryManager, as: AddressSpace): string {
  return mm.vmas(as).map(mapsLine).join('');
}

/** VmFlags in the order of their bits; VM_MTE is bit 32 in Linux and so the last. */
const VM_FLAG_NAMES: readonly (readonly [number, string])[] = [
  [VM_READ, 'rd'],
  [VM_WRITE, 'wr'],
  [VM_EXEC, 'ex'],
  [VM_SHARED, 'sh'],
  [VM_MAYREAD, 'mr'],
  [VM_MAYWRITE, 'mw'],
  [VM_MAYEXEC, 'me'],
  [VM_MAYSHARE, 'ms'],
  [VM_GROWSDOWN, 'gd'],
  [VM_LOCKED, 'lo'],
  [VM_SEQ_READ, 'sr'],
  [VM_RAND_READ, 'rr'],
  [VM_DONTCOPY, 'dc'],
  [VM_DONTEXPAND, 'de'],
  [VM_LOCKONFAULT, 'lf'],
  [VM_ACCOUNT, 'ac'],
  [VM_NORESERVE, 'nr'],
  [VM_HUGETLB, 'ht'],
  [VM_ARM64_BTI, 'bt'],
  [VM_WIPEONFORK, 'wf'],
  [VM_DONTDUMP, 'dd'],
  [VM_HUGEPAGE, 'hg'],
  [VM_NOHUGEPAGE, 'nh'],
  [VM_MERGEABLE, 'mg'],
  [VM_MTE, 'mt'],
];

const kib = (name: string, bytes: number): string =>
  `${`${name}:`.padEnd(16)}${String(Math.floor(bytes / 1024)).padStart(8)} kB\n`;

function countsText(counts: SmapCounts, rollup: boolean): string {
  return [
    kib('Rss', counts.rss),
    kib('Pss', counts.pss),
    kib('Pss_Dirty', counts.pssDirty),
    ...(rollup
      ? [kib('Pss_Anon', counts.pssAnon), kib('Pss_File', counts.pssFile), kib('Pss_Shmem', counts.pssShmem)]
      : []),
    kib('Shared_Clean', counts.sharedClean),
    kib('Shared_Dirty', counts.sharedDirty),
    kib('Private_Clean', counts.privateClean),
    kib('Private_Dirty', counts.privateDirty),
    kib('Referenced', counts.referenced),
    kib('Anonymous', counts.anonymous),
    kib('KSM', counts.ksm),
    kib('LazyFree', 0),
    kib('AnonHugePages', counts.anonHugePages),
    kib('ShmemPmdMapped', counts.shmemPmdMapped),
    kib('FilePmdMapped', 0),
    kib('Shared_Hugetlb', counts.sharedHugetlb),
    `Private_Hugetlb: ${String(Math.floor(counts.privateHugetlb / 1024)).padStart(7)} kB\n`,
    kib('Swap', counts.swap),
    kib('SwapPss', counts.swapPss),
    kib('Locked', counts.locked),
  ].join('');
}

export function smapsText(mm: MemoryManager, as: AddressSpace): string {
  return mm
    .smaps(as)
    .map(({ vma, counts }) => {
      const flags = VM_FLAG_NAMES.filter(([bit]) => (vma.flags & bit) !== 0).map(([, name]) => `${name} `);
      const pageSize = (vma.flags & VM_HUGETLB) !== 0 ? mm.hugePageSize : mm.pageSize;
      return [
        mapsLine(vma),
        kib('Size', Number(vma.end - vma.start)),
        kib('KernelPageSize', pageSize),
        kib('MMUPageSize', pageSize),
        countsText(counts, false),
        `THPeligible:    ${(vma.thpEligible ? '1' : '0').padStart(8)}\n`,
        `VmFlags: ${flags.join('')}\n`,
      ].join('');
    })
    .join('');
}

export function smapsRollupText(mm: MemoryManager, as: AddressSpace): string {
  const all = mm.smaps(as);
  const [first] = all;
  const last = all.at(-1);
  if (first === undefined || last === undefined) return '';
  const sum: Record<string, number> = {};
  for (const { counts } of all) {
    for (const [name, value] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + value;
  }
  const range = `${address(first.vma.start)}-${address(last.vma.end)} ---p 00000000 00:00 0 `;
  const total = Object.fromEntries(Object.keys(first.counts).map((name) => [name, sum[name] ?? 0]));
  return `${range.padEnd(73)}[rollup]\n${countsText({ ...first.counts, ...total }, true)}`;
}
