/**
 * Huge pages where pages are 4, 16 or 64 KiB, and a huge one so 2, 32 or 512 MiB: on memory without contents, for
 * what is counted. Contents are looked at elsewhere, at 4 and 16 KiB.
 */
import { describe, expect, it } from 'vitest';
import { GiB, VA } from '../../../src/base/index.js';
import type { PageSize } from '../../../src/kernel/mm/index.js';
import {
  lruAddDrainAll,
  MADV_COLLAPSE,
  MADV_HUGEPAGE,
  MAP_SHARED,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  splitFolioUnlocked,
  unusedPages,
} from '../../../src/kernel/mm/index.js';
import { bootContentFree } from '../../../src/lab/index.js';

const RW = PROT_READ | PROT_WRITE;
const MAP_PRIVATE_ANON = 0x22;
const STORE = { write: true, exec: false, user: true, tagAccess: false };

describe.each([
  [4096, GiB, 512],
  [16384, 2 * GiB, 2048],
  [65536, 16 * GiB, 8192],
] as const)('%i bytes a page', (pageSize: PageSize, memory: number, pages: number) => {
  const block = pages * pageSize;
  const start = () => {
    const { manager, contexts } = bootContentFree({ memory, pageSize });
    const { mm } = manager;
    const run = contexts.runToCompletion.bind(contexts);
    expect(manager.snapshotTagStorage().enabled).toBe(true);
    expect(manager.hugePageSize).toBe(block);
    const as = run(manager.createAddressSpace())!;
    return { manager, mm, run, as, free: unusedPages(mm) };
  };
  type Stage = ReturnType<typeof start>;
  const map = ({ manager, run, as }: Stage, prot: number) => {
    const addr = run(manager.mmap(as, { addr: VA(0n), length: 2 * block, prot, flags: MAP_PRIVATE_ANON }));
    return Math.ceil(addr / block) * block;
  };
  const store = ({ manager, run, as }: Stage, addr: number) =>
    expect(run(manager.handleMmFault(as, VA(BigInt(addr)), STORE))).toMatchObject({ kind: 'handled' });
  const headOf = ({ manager, mm, as }: Stage, addr: number) =>
    mm.memmap.head(mm.memmap.pfnToPage(manager.residentPfn(as, VA(BigInt(addr)))!)!);
  const end = ({ manager, mm, run, as, free }: Stage) => {
    run(manager.exitMmap(as));
    run(lruAddDrainAll(mm));
    expect(manager.checkInvariants()).toEqual([]);
    // The top table was there before.
    expect(unusedPages(mm)).toBe(free + 1);
    expect(manager.snapshotTagStorage().data).toBe(0);
  };

  it('one fault maps one, tagged with the blocks of all its pages; it is split and collapsed again', () => {
    const s = start();
    const { manager, mm, run, as } = s;
    const before = manager.snapshotTagStorage().tags;
    const tagged = map(s, RW | PROT_MTE);
    expect(run(manager.madvise(as, VA(BigInt(tagged)), block, MADV_HUGEPAGE))).toBe(0);
    store(s, tagged + 5 * pageSize);
    expect(as.residentPages).toBe(pages);
    const head = headOf(s, tagged);
    expect(mm.memmap.test((head + pages - 1) as typeof head, PG_tag_storage_reserved)).toBe(true);
    expect(manager.snapshotTagStorage().tags - before).toBe(pages / 32);
    expect(manager.checkInvariants()).toEqual([]);
    run(lruAddDrainAll(mm));
    expect(run(splitFolioUnlocked(mm, head))).toBe(true);
    expect(manager.snapshotTagStorage().tags - before).toBe(pages / 32);
    const plain = map(s, RW);
    for (let i = 0; i < pages; i += pages / 16) store(s, plain + i * pageSize);
    expect(run(manager.madvise(as, VA(BigInt(plain)), block, MADV_COLLAPSE))).toBe(0);
    expect(manager.vmstat()).toMatchObject({
      thp_fault_alloc: 1,
      thp_split_page: 1,
      thp_collapse_alloc: 1,
      nr_anon_transparent_hugepages: 1,
    });
    expect(as.residentPages).toBe(2 * pages);
    expect(manager.checkInvariants()).toEqual([]);
    const child = run(manager.cloneAddressSpace(as));
    if (typeof child === 'number') throw new Error(`fork: ${child}`);
    expect(child.residentPages).toBe(2 * pages);
    run(manager.exitMmap(child));
    end(s);
    expect(manager.snapshotTagStorage().tags).toBe(before);
  });

  it('of a file: by write(), mapped whole, split by a truncation', () => {
    const s = start();
    const { manager, run, as, mm } = s;
    const file = manager.newFile({ name: 'f', size: 0, huge: 'always' });
    expect(run(manager.writeFile(file, 3 * pageSize, Uint8Array.of(1)))).toBe(1);
    expect(run(manager.truncateFile(file, block))).toBe(0);
    expect(file.cachedPages).toBe(pages);
    const addr = run(manager.mmap(as, { addr: VA(0n), length: block, prot: RW, flags: MAP_SHARED, file }));
    expect(addr % block).toBe(0);
    store(s, addr);
    expect(manager.vmstat()).toMatchObject({ nr_shmem_pmdmapped: 1, nr_shmem_hugepages: 1 });
    expect(as.residentPages).toBe(pages);
    run(lruAddDrainAll(mm));
    expect(run(manager.truncateFile(file, (pages / 2) * pageSize))).toBe(0);
    expect(file.cachedPages).toBe(pages / 2);
    expect(manager.checkInvariants()).toEqual([]);
    run(manager.putFile(file));
    end(s);
  });
});
