/** /proc's files about memory, as a program reads them: layout, names and order, and sums that must agree. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../../cli/in-process.js';

const ROOT = new URL('../../..', import.meta.url).pathname;
const RUNTIME = readFileSync(`${ROOT}test/kernel/programs/runtime.inc`, 'utf8');

/** Maps and touches three pages, one of them with PROT_MTE, then copies argv[1] to its output. */
const CAT = `
        .include "runtime.inc"
        .global _start
_start:
        ldr     x20, [sp, #16]
        map     0x2000, 3
        str     x0, [x0]
        str     x0, [x0, #0x1000]
        map     0x1000, 0x23
        str     x0, [x0]
        mov     x0, #-100
        mov     x1, x20
        mov     x2, #0
        call    56
        mov     x19, x0
        sub     sp, sp, #4096
1:      mov     x0, x19
        mov     x1, sp
        mov     x2, #4096
        call    63
        cmp     x0, #0
        b.le    2f
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        b       1b
2:      finish
`;

async function cat(path: string, ...options: string[]): Promise<string> {
  const outcome = await mtemu(['run', '--memory', '64M', ...options, 'cat.s', path], {
    'cat.s': CAT,
    'runtime.inc': RUNTIME,
  });
  expect(outcome).toMatchObject({ status: 0, stderr: '' });
  return outcome.stdout;
}

const numbers = (text: string): number[] => text.trim().split(/\s+/).map(Number);

describe('/proc/zoneinfo, buddyinfo and pagetypeinfo', () => {
  it('describe the same zone', async () => {
    const zone = await cat('/proc/zoneinfo');
    const field = (name: string) => Number(new RegExp(`^\\s+${name}\\s+(\\d+)$`, 'm').exec(zone)![1]);
    expect(zone.split('\n').slice(0, 2)).toEqual(['Node 0, zone    DMA32', '  per-node stats']);
    expect(field('spanned')).toBe((64 * 33 * 1024) / 32 / 4);
    expect(field('cma')).toBe((64 * 1024) / 32 / 4);
    const [min, low, high] = ['min', 'low', 'high'].map(field);
    expect(min).toBeLessThan(low!);
    expect(high! - low!).toBe(low! - min!);
    expect(Number(/start_pfn:\s+(\d+)/.exec(zone)![1])).toBe(0x40000);

    const buddy = await cat('/proc/buddyinfo');
    expect(buddy).toMatch(/^Node 0, zone {4}DMA32( +\d+){11} \n$/);
    const free = numbers(buddy.slice('Node 0, zone    DMA32'.length)).reduce(
      (n, blocks, o) => n + blocks * 2 ** o,
      0,
    );
    // The programs are alike, but for the length of the path.
    expect(Math.abs(free - field('nr_free_pages'))).toBeLessThan(64);

    const types = await cat('/proc/pagetypeinfo');
    const lines = types.split('\n');
    expect(lines.slice(0, 2)).toEqual(['Page block order: 9', 'Pages per block:  512']);
    const cma = lines.find((line) => line.startsWith('Node    0, zone    DMA32, type          CMA '))!;
    const cmaFree = numbers(cma.slice('Node    0, zone    DMA32, type          CMA '.length));
    expect(cmaFree.reduce((n, blocks, o) => n + blocks * 2 ** o, 0)).toBeLessThan(512);
    const at = lines.findIndex((line) => line.startsWith('Number of blocks type '));
    expect(numbers(lines[at]!.slice('Number of blocks type '.length)).length).toBe(6);
    const blocks = numbers(lines[at + 1]!.slice('Node 0, zone    DMA32 '.length));
    expect(blocks.reduce((n, each) => n + each, 0)).toBe(Math.ceil((64 * 33) / 32 / 2));
    expect(blocks[4]).toBe(1);
  });
});

describe('/proc/self/environ', () => {
  it('is what the program was started with', async () => {
    expect(await cat('/proc/self/environ', '--env', 'A=1', '--env', 'B=two words')).toBe(
      'A=1\0B=two words\0',
    );
  });
});

describe('/proc/vmstat and meminfo', () => {
  it('name counters as Linux does, in its order', async () => {
    const names = (await cat('/proc/vmstat'))
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]!);
    const order = [
      'nr_free_pages',
      'nr_free_cma',
      'nr_anon_pages',
      'nr_dirty',
      'pgpgin',
      'pswpin',
      'pgfault',
      'cma_alloc_success',
    ];
    expect(names.filter((name) => order.includes(name))).toEqual(order);
    expect(new Set(names).size).toBe(names.length);
    const meminfo = await cat('/proc/meminfo');
    const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)![1]);
    expect(
      meminfo
        .split('\n')
        .slice(0, 5)
        .map((line) => line.split(':')[0]),
    ).toEqual(['MemTotal', 'MemFree', 'MemAvailable', 'Buffers', 'Cached']);
    expect(kib('Inactive')).toBe(kib('Inactive\\(anon\\)') + kib('Inactive\\(file\\)'));
    expect(kib('CmaTotal')).toBe(2048);
  });
});

describe('/proc/self/smaps', () => {
  it('counts what each mapping has in memory, and smaps_rollup the sum', async () => {
    const text = await cat('/proc/self/smaps');
    const entries = text.split(/^(?=[0-9a-f]+-)/m);
    const of = (entry: string, name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(entry)![1]);
    const two = entries.find((entry) => of(entry, 'Size') === 8 && of(entry, 'Anonymous') === 8)!;
    expect([of(two, 'Rss'), of(two, 'Pss'), of(two, 'Private_Dirty'), of(two, 'Referenced')]).toEqual([
      8, 8, 8, 8,
    ]);
    expect(two).toMatch(/^VmFlags: rd wr mr mw me ac $/m);
    const tagged = entries.find((entry) => /VmFlags:.* mt /.test(entry))!;
    expect([of(tagged, 'Size'), of(tagged, 'Rss')]).toEqual([4, 4]);
    const rollup = await cat('/proc/self/smaps_rollup');
    expect(rollup.split('\n')[0]).toMatch(/^[0-9a-f]+-[0-9a-f]+ ---p 00000000 00:00 0 +\[rollup\]$/);
    const anonymous = entries.reduce((n, entry) => n + of(entry, 'Anonymous'), 0);
    expect(of(rollup, 'Pss_Anon')).toBe(anonymous);
    expect(of(rollup, 'Anonymous')).toBe(anonymous);
  });
});
