/**
 * Nodes as files: /sys/devices/system/node and /proc/PID/numa_maps (drivers/base/node.c; fs/proc/task_mmu.c:
 * show_numa_map).
 */
import type { Inode, Store } from '../fs/index.js';
import type { AddressSpace, MemoryManager, NodeInfo } from '../mm/index.js';
import { VM_HUGETLB } from '../mm/index.js';

type Entries = Readonly<Record<string, () => Inode>>;

/** How whoever owns the tree makes files and folders. */
export interface MakeInode {
  file(content: () => string, store?: Store): Inode;
  folder(entries: Entries): Inode;
}

/** A set of numbers as `%*pbl` prints it: `0-1,3`. */
export function listText(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

/** interleave_hit, local_node and other_node are what these files call numa_interleave and so on. */
const NUMASTAT_NAMES: Readonly<Record<string, string>> = {
  numa_interleave: 'interleave_hit',
  numa_local: 'local_node',
  numa_other: 'other_node',
};

function meminfoText({ nodeId, meminfo }: NodeInfo): string {
  return Object.entries(meminfo)
    .map(([name, value]) => {
      if (name.startsWith('HugePages_')) return `Node ${nodeId} ${name}: ${String(value).padStart(5)}\n`;
      return `Node ${nodeId} ${`${name}:`.padEnd(16)}${String(Math.floor(value)).padStart(8)} kB\n`;
    })
    .join('');
}

const countersText = (
  counters: Readonly<Record<string, number>>,
  names: Readonly<Record<string, string>>,
): string =>
  Object.entries(counters)
    .map(([name, value]) => `${names[name] ?? name} ${value}\n`)
    .join('');

/** The directory's entries; a node's values are read when its file is opened. */
export function nodeEntries(mm: MemoryManager, { file, folder }: MakeInode): Entries {
  const at = (nodeId: number): NodeInfo => mm.nodeInfo().find((node) => node.nodeId === nodeId)!;
  const list = (which: (node: NodeInfo) => boolean) => () =>
    file(() => {
      const nodes = mm.nodeInfo().filter(which);
      return `${listText(nodes.map(({ nodeId }) => nodeId))}\n`;
    });
  const cpumap = ({ cpus }: NodeInfo): string =>
    cpus.reduce((mask, cpu) => mask | (1 << cpu), 0).toString(16);
  const one = (nodeId: number) => () =>
    folder({
      compact: () =>
        file(
          () => '',
          function* () {
            yield* mm.compactNode(nodeId);
            return 0;
          },
        ),
      cpulist: () => file(() => `${listText(at(nodeId).cpus)}\n`),
      cpumap: () => file(() => `${cpumap(at(nodeId))}\n`),
      distance: () => file(() => `${at(nodeId).distances.join(' ')}\n`),
      meminfo: () => file(() => meminfoText(at(nodeId))),
      numastat: () => file(() => countersText(at(nodeId).numastat, NUMASTAT_NAMES)),
      vmstat: () => file(() => countersText(at(nodeId).vmstat, {})),
    });
  return {
    ...Object.fromEntries(mm.nodeInfo().map(({ nodeId }) => [`node${nodeId}`, one(nodeId)])),
    online: list(() => true),
    possible: list(() => true),
    has_cpu: list(({ cpus }) => cpus.length > 0),
    has_memory: list(({ hasMemory }) => hasMemory),
    has_normal_memory: list(({ hasNormalMemory }) => hasNormalMemory),
  };
}

export function numaMapsText(mm: MemoryManager, as: AddressSpace): string {
  return mm
    .numaMaps(as)
    .map(({ vma, counts }) => {
      const hugetlb = (vma.flags & VM_HUGETLB) !== 0;
      const words = [vma.start.toString(16).padStart(8, '0'), 'default'];
      if (vma.name === '[heap]') words.push('heap');
      else if (vma.name === '[stack]') words.push('stack');
      else if (vma.backing !== undefined) words.push(`file=${vma.name}`);
      if (hugetlb) words.push('huge');
      const { pages, anon, dirty, mapcountMax, swapcache, active, writeback } = counts;
      if (pages === 0) return `${words.join(' ')}\n`;
      if (anon > 0) words.push(`anon=${anon}`);
      if (dirty > 0) words.push(`dirty=${dirty}`);
      if (pages !== anon && pages !== dirty) words.push(`mapped=${pages}`);
      if (mapcountMax > 1) words.push(`mapmax=${mapcountMax}`);
      if (swapcache > 0) words.push(`swapcache=${swapcache}`);
      if (active < pages && !hugetlb) words.push(`active=${active}`);
      if (writeback > 0) words.push(`writeback=${writeback}`);
      for (const [node, count] of counts.nodes) words.push(`N${node}=${count}`);
      words.push(`kernelpagesize_kB=${(hugetlb ? mm.hugePageSize : mm.pageSize) / 1024}`);
      return `${words.join(' ')}\n`;
    })
    .join('');
}
