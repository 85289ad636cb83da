/**
 * The history in a tag-check fault report: who gave the memory the pointer's tag, and who took it away. The program
 * is an allocator in assembly; all engines tell the same, also of stores that translated code has made.
 */
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

/** The last granules first, as C libraries do with the ends of a block. */
const GRANULES = 'st2g x0, [x0, #32]\n stg x0, [x0], #16\n stg x0, [x0]';
const BLOCK = 'dc gva, x0';

/**
 * `allocate` and `release` tag 64 bytes of a mapping at x20, whose middle is x19, with the tags of x0; `make` and
 * `drop` are their callers. `rounds` of both come first, in the 64 bytes after.
 */
const program = (rest: string, rounds = 3, paint = GRANULES) => `
  .arch armv8.5-a+memtag
  .text
  .global _start
  .type paint, %function
  .type allocate, %function
  .type release, %function
  .type make, %function
  .type drop, %function
  .type _start, %function
paint:                      // 64 bytes from x0 get its tag
  ${paint}
  ret
allocate:
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  bl paint
  ldp x29, x30, [sp], #16
  ret
release:
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  bl paint
  ldp x29, x30, [sp], #16
  ret
make:
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  bl allocate
  ldp x29, x30, [sp], #16
  ret
drop:
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  bl release
  ldp x29, x30, [sp], #16
  ret
_start:
  mov x29, #0
  mov x30, #0
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  mov x0, #0
  mov x1, #4096
  mov x2, #0x23
  mov x3, #0x22
  mov x4, #-1
  mov x5, #0
  mov x8, #222
  svc #0
  add x19, x0, #1024
  mov x21, #${rounds}
1:
  add x0, x19, #64
  addg x0, x0, #0, #7
  bl make
  add x0, x19, #64
  bl drop
  subs x21, x21, #1
  b.ne 1b
  addg x0, x19, #0, #5
  bl make
  addg x22, x19, #0, #5
${rest}
  mov x8, #94
  svc #0
`;

interface Entry {
  readonly what: string;
  readonly before: number;
  readonly after: number;
  readonly start: string;
  readonly end: string;
  readonly pid: number;
  readonly tid: number;
  readonly step: number;
  readonly backtrace: readonly { readonly symbol: string | null }[];
}
interface Report {
  readonly va: string;
  readonly step: number;
  readonly cause: { readonly name: string; readonly detail: string } | null;
  readonly history: readonly Entry[];
  readonly lastTagWriter: {
    readonly step: number;
    readonly symbol: string | null;
    readonly before: number | null;
    readonly after: number;
  } | null;
}

async function report(source: string, ...options: string[]): Promise<Report> {
  const outcome = await mtemu(['run', '--report', 'json', ...options, 'history.s'], { 'history.s': source });
  expect(outcome.status).toBe(139);
  return JSON.parse(outcome.stderr) as Report;
}
const functions = (entry: Entry | undefined) => entry?.backtrace.map(({ symbol }) => symbol?.split('+')[0]);

const FREE = 'mov x0, x19\n bl drop\n';
const USE = 'str x22, [x22, #8]\n';
/** Another life of the same memory, with tag 9. */
const REUSE = 'addg x0, x19, #0, #9\n bl make\n';

describe('the history of a fault', () => {
  it('tells who allocated and who freed what is used after it', async () => {
    const { history, cause, va, step, lastTagWriter } = await report(program(FREE + USE));
    expect(cause?.name).toBe('use after free');
    expect(history.map(({ what, before, after }) => [what, before, after])).toEqual([
      ['freed', 5, 0],
      ['allocated', 0, 5],
    ]);
    const [freed, allocated] = history;
    expect(functions(freed)).toEqual(['paint', 'release', 'drop', '_start']);
    expect(functions(allocated)).toEqual(['paint', 'allocate', 'make', '_start']);
    const start = BigInt(va) & 0xffff_ffff_fff0n;
    for (const entry of history) {
      // All four granules are one run, though the last were tagged first.
      expect([BigInt(entry.start), BigInt(entry.end)]).toEqual([start, start + 64n]);
      expect([entry.pid, entry.tid]).toEqual([1, 1]);
    }
    expect(allocated!.step).toBeLessThan(freed!.step);
    expect(freed!.step).toBeLessThan(step);
    // The granule's own store is the second of its run.
    expect(lastTagWriter).toMatchObject({ step: freed!.step + 1, before: 5, after: 0 });
    expect(lastTagWriter!.symbol).toMatch(/^paint/);
  });

  it('knows a life before the last one', async () => {
    const { history, cause } = await report(program(FREE + REUSE + USE));
    expect(history.map(({ what }) => what)).toEqual(['reused', 'freed', 'allocated']);
    expect(functions(history[0])).toEqual(['paint', 'allocate', 'make', '_start']);
    expect(cause?.name).toBe('use after free');
    expect(cause?.detail).toContain(`until step ${history[1]!.step}`);
  });

  it('says retagged where memory goes from one tag to the next', async () => {
    const { history } = await report(program(`${REUSE} addg x22, x19, #0, #9\n ${FREE}${USE}`));
    expect(history.map(({ what, before, after }) => [what, before, after])).toEqual([
      ['freed', 9, 0],
      ['retagged', 5, 9],
    ]);
  });

  it('tells of an overflow whose memory it left and whose it came to', async () => {
    const { history, cause } = await report(program('str x22, [x22, #64]\n'));
    expect(cause?.name).toBe('overflow');
    expect(history.map(({ what, after }) => [what, after])).toEqual([
      ['owned', 0],
      ['allocated', 5],
    ]);
    expect(functions(history[0])).toEqual(['paint', 'release', 'drop', '_start']);
    expect(functions(history[1])).toEqual(['paint', 'allocate', 'make', '_start']);
    expect(BigInt(history[0]!.start)).toBe(BigInt(history[1]!.end));
  });

  it('is empty where nobody tagged, and where the kernel has made the memory anew', async () => {
    expect((await report(program('addg x22, x19, #0, #5\n str x22, [x22, #2048]\n'))).history).toEqual([]);
    // MADV_DONTNEED of the page: its tags are 0 again.
    const anew = `sub x0, x19, #1024\n mov x1, #4096\n mov x2, #4\n mov x8, #233\n svc #0\n ${USE}`;
    const { history, lastTagWriter } = await report(program(anew));
    expect(history).toEqual([]);
    expect(lastTagWriter).toBeNull();
  });

  it('knows the last writer where another process tagged what both map', async () => {
    // A shared page that both have; the child tags and ends, and the parent uses its own tag.
    const shared = `mov x0, #0\n mov x1, #4096\n mov x2, #0x23\n mov x3, #0x21\n mov x4, #-1\n mov x5, #0
      mov x8, #222\n svc #0\n mov x23, x0\n addg x24, x23, #0, #3\n stg x24, [x24]
      mov x0, #17\n mov x1, #0\n mov x2, #0\n mov x3, #0\n mov x4, #0\n mov x8, #220\n svc #0\n cbnz x0, 2f
      addg x25, x23, #0, #6\n nop\n stg x25, [x25]\n 3: mov x8, #124\n svc #0\n b 3b
      2: mov x26, #100\n 4: mov x8, #124\n svc #0\n subs x26, x26, #1\n b.ne 4b\n str x24, [x24]\n`;
    const { lastTagWriter, cause } = await report(program(shared));
    expect(lastTagWriter).toMatchObject({ before: 3, after: 6 });
    expect(cause?.name).toBe('use after free');
  });

  it('leaves out tags of stack frames, which only the last writer tells', async () => {
    const onStack = `mov x0, sp\n mov x1, #4096\n mov x2, #0x23\n and x0, x0, #~4095\n mov x8, #226\n svc #0
      sub sp, sp, #64\n irg x22, sp\n stg x22, [x22]\n stg sp, [sp]\n str x22, [x22]\n`;
    const { history, cause } = await report(program(onStack));
    expect(history).toEqual([]);
    expect(cause?.name).toBe('use after free');
  });

  it('keeps to the process that faults, though another tagged the same addresses', async () => {
    // fork(); the child frees what the parent allocated, in its own copy, and uses it: the parent's is another.
    const forked = `mov x0, #17\n mov x1, #0\n mov x2, #0\n mov x3, #0\n mov x4, #0\n mov x8, #220\n svc #0
      cbnz x0, 2f\n ${FREE}${USE} 2: mov x1, #0\n mov x2, #0\n mov x3, #0\n mov x8, #260\n svc #0\n ${FREE}${USE}`;
    const { history } = await report(program(forked));
    expect(history.map(({ what, pid }) => [what, pid])).toEqual([
      ['freed', 1],
      ['allocated', 1],
    ]);
  });

  it('stands in the text, between backtrace and tags', async () => {
    const { stderr } = await mtemu(['run', 'history.s'], { 'history.s': program(FREE + USE) });
    const frames = String.raw`( {2}#\d .*\n)+`;
    expect(stderr).toMatch(
      new RegExp(
        `\\nbacktrace\\n${frames}\\nfreed at step \\d+: tag 0x5 -> 0x0 of 0x[0-9a-f]+-0x[0-9a-f]+ \\(64 bytes\\)\\n${frames}` +
          `\\nallocated at step \\d+: tag 0x0 -> 0x5 of .*\\n${frames}\\nmemory tags around`,
      ),
    );
  });

  it.each(['interpret', 'translate', 'auto'])('is the same with engine %s', async (engine) => {
    const source = program(FREE + REUSE + USE, 3000);
    const expected = await report(source, '--engine', 'evaluate');
    expect(expected.history.length).toBe(3);
    expect(await report(source, '--engine', engine)).toEqual(expected);
    const overflow = program('str x22, [x22, #64]\n', 3000, BLOCK);
    expect(await report(overflow, '--engine', engine)).toEqual(
      await report(overflow, '--engine', 'evaluate'),
    );
  });
});
