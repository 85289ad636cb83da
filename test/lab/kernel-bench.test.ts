/**
 * Memory without contents, and what operations on it cost: counts of work, which no load on the host changes.
 */
import { describe, expect, it } from 'vitest';
import { GiB, MiB, PA, VA } from '../../src/base/index.js';
import { lruAddDrainAll, PROT_READ, PROT_WRITE, unusedPages } from '../../src/kernel/index.js';
import { bootContentFree, ContentFreePort, type KernelBench, kernelBench } from '../../src/lab/index.js';

const AMOUNTS = { pairs: 4800, faults: 3000, reserves: 300, contigRanges: 2, forked: 64 * MiB };

describe('memory without contents', () => {
  it('a phone of 16 GiB boots: four million pages, at most 64 bytes for each', () => {
    const { manager, log, regions } = bootContentFree({ memory: 16 * GiB });
    expect(log).toEqual(['MTE tag storage region management enabled']);
    const { memmap } = manager.mm;
    const pages = (16 * GiB + GiB / 2) / 4096;
    expect(memmap.pages).toBe(pages);
    const bytes = Object.values(memmap)
      .filter((field): field is Uint8Array => ArrayBuffer.isView(field))
      .reduce((sum, field) => sum + field.byteLength, 0);
    expect(bytes / pages).toBeGreaterThan(32);
    expect(bytes / pages).toBeLessThanOrEqual(64);
    expect(manager.meminfo()['MemTotal']).toBe((pages * 4096) / 1024 - 4);
    expect(manager.meminfo()['CmaTotal']).toBe(GiB / 2 / 1024);
    expect(regions.map((r) => r.tagEndPfn - r.tagStartPfn + 1)).toEqual([16384, 114688]);
    expect(manager.snapshotTagStorage()).toMatchObject({ enabled: true, data: 0, tags: 1 });
  });

  it('invariants hold of a machine that ran out of memory and got it back', () => {
    const { manager, contexts, port } = bootContentFree({ memory: 128 * MiB });
    const { mm } = manager;
    const as = contexts.runToCompletion(manager.createAddressSpace())!;
    const length = 256 * MiB;
    const request = { addr: VA(0n), length, prot: PROT_READ | PROT_WRITE, flags: 0x4022 };
    const addr = contexts.runToCompletion(manager.mmap(as, request));
    const access = { write: true, exec: false, user: true, tagAccess: false };
    let touched = 0;
    for (let at = addr; at < addr + length; at += 4096) {
      const { kind } = contexts.runToCompletion(manager.handleMmFault(as, VA(BigInt(at)), access));
      if (kind !== 'handled') break;
      touched++;
    }
    expect(touched).toBeGreaterThan((120 * MiB) / 4096);
    expect(touched).toBeLessThan((132 * MiB) / 4096);
    expect(manager.snapshotTagStorage().data).toBe(1023);
    expect(port.keptPieces).toBe(Math.ceil(touched / 512) + 3);
    expect(manager.checkInvariants()).toEqual([]);
    contexts.runToCompletion(manager.exitMmap(as));
    contexts.runToCompletion(lruAddDrainAll(mm));
    expect(unusedPages(mm)).toBe((132 * MiB) / 4096 - 2);
    expect(manager.checkInvariants()).toEqual([]);
  });

  it.each([16384, 65536] as const)('pages of %i bytes', (pageSize) => {
    const memory = 32 * (pageSize === 16384 ? 128 * MiB : 512 * MiB);
    const { manager } = bootContentFree({ memory, pageSize });
    expect(manager.snapshotTagStorage()).toMatchObject({ enabled: true });
    expect(manager.mm.memmap.pages).toBe((memory + memory / 32) / pageSize);
    expect(manager.checkInvariants()).toEqual([]);
  });

  it('keeps descriptors and nothing else', () => {
    const port = new ContentFreePort();
    port.write64(PA(0x1008), 0x1234n);
    port.write64(PA(0x9000), 0n);
    port.writeBytes(PA(0x5000), Uint8Array.of(1, 2, 3));
    expect([port.read64(PA(0x1008)), port.read64(PA(0x1000)), port.read64(PA(0x5000))]).toEqual([
      0x1234n,
      0n,
      0n,
    ]);
    expect([...port.readBytes(PA(0x1006), 4)]).toEqual([0, 0, 0x34, 0x12]);
    expect(port.readBytes(PA(0xff8), 0x1018).at(0x10)).toBe(0x34);
    expect(port.keptPieces).toBe(1);
    port.fill(PA(0x1000), 0x1000);
    expect([port.read64(PA(0x1008)), port.keptPieces]).toEqual([0n, 0]);
  });
});

describe('the cost of an operation does not grow with the machine', () => {
  const [small, large] = [GiB, 8 * GiB].map((memory) => kernelBench(memory, AMOUNTS)) as [
    KernelBench,
    KernelBench,
  ];

  it.each(small.operations.map((operation, i) => [operation.name, i] as const))('%s', (_name, i) => {
    const [a, b] = [small.operations[i]!, large.operations[i]!];
    expect(b.operations).toBeGreaterThanOrEqual(a.operations / 2);
    for (const kind of ['descriptorReads', 'descriptorWrites', 'pagesMigrated', 'drains'] as const) {
      expect(b.work[kind]).toBeLessThanOrEqual(a.work[kind] * 1.05 + 0.05);
    }
  });

  it('is what each operation is made of', () => {
    const work = Object.fromEntries(small.operations.map(({ name, work }) => [name, work]));
    const idle = { descriptorReads: 0, descriptorWrites: 0, pagesMigrated: 0 };
    expect(work['allocate and free, order 0']).toMatchObject(idle);
    expect(work['reserve, block free']).toMatchObject(idle);
    // No page moves and no CPU is interrupted where the block is free.
    expect(work['reserve, block free']!.drains).toBeLessThan(0.05);
    expect(work['reserve, block holds data']!.pagesMigrated).toBeCloseTo(1, 1);
    expect(work['alloc_contig_range, all in use']!.pagesMigrated).toBe(1);
    // A page of the child, the same page of the parent made read-only, and a share of the tables.
    expect(work['fork']!.descriptorWrites).toBeCloseTo(2, 1);
    expect(work['page faults, PROT_MTE']).toEqual(work['page faults']);
  });
});
