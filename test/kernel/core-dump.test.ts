/**
 * Core files of `mtemu run --core`: their segments and notes, and what gdb makes of them.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const gdb = spawnSync('gdb-multiarch', ['--version']).status === 0;

/** Tags 1 to 4 on four granules, then a store through a pointer with tag 7. */
const PROGRAM = `
  .arch armv8.5-a+memtag
  .data
  .balign 8
marker: .quad 0x1122334455667788
  .text
  .global _start
_start:
  mov x0, #0
  mov x1, #4096
  mov x2, #0x23
  mov x3, #0x22
  mov x4, #-1
  mov x5, #0
  mov x8, #222
  svc #0
  mov x19, x0
  mov x1, #1
1:
  orr x2, x0, x1, lsl #56
  stg x2, [x2]
  add x0, x0, #16
  add x1, x1, #1
  cmp x1, #5
  b.ne 1b
  mov x20, #0x4d2
  mov x1, #7
  orr x2, x19, x1, lsl #56
fault:
  str x1, [x2]
  mov x0, #0
  mov x8, #94
  svc #0
`;

interface Segment {
  readonly type: number;
  readonly start: bigint;
  readonly memory: bigint;
  readonly contents: Uint8Array;
}

function segmentsOf(core: Uint8Array): Segment[] {
  const view = new DataView(core.buffer, core.byteOffset, core.byteLength);
  return Array.from({ length: view.getUint16(56, true) }, (_, i) => {
    const at = 64 + 56 * i;
    const offset = Number(view.getBigUint64(at + 8, true));
    return {
      type: view.getUint32(at, true),
      start: view.getBigUint64(at + 16, true),
      memory: view.getBigUint64(at + 40, true),
      contents: core.slice(offset, offset + Number(view.getBigUint64(at + 32, true))),
    };
  });
}

/** Notes by type; the first of each. */
function notesOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const notes = new Map<number, Uint8Array>();
  for (let at = 0; at + 12 <= bytes.length; ) {
    const name = Math.ceil(view.getUint32(at, true) / 4) * 4;
    const size = view.getUint32(at + 4, true);
    const type = view.getUint32(at + 8, true);
    const from = at + 12 + name;
    if (!notes.has(type)) notes.set(type, bytes.slice(from, from + size));
    at = from + Math.ceil(size / 4) * 4;
  }
  return notes;
}

const word = (bytes: Uint8Array | undefined, at: number) =>
  new DataView((bytes ?? new Uint8Array(at + 8)).buffer).getBigUint64(at, true);

describe('core files', () => {
  it.each([[], ['--memory', '64M', '--tag-storage', 'cma', '--check']])(
    'hold registers, memory and tags (%s %s %s %s %s)',
    async (...options) => {
      const outcome = await mtemu(['run', ...options, '--core', 'core', 'die.s'], { 'die.s': PROGRAM });
      expect(outcome.status).toBe(139);
      const core = outcome.written.get('core');
      expect(core).toBeDefined();
      const segments = segmentsOf(core!);
      const tags = segments.filter((segment) => segment.type === 0x70000002);
      expect(tags.length).toBe(1);
      expect(tags[0]!.memory).toBe(4096n);
      // Two tags a byte, the even granule's in the low half.
      expect([...tags[0]!.contents.subarray(0, 4)]).toEqual([0x21, 0x43, 0, 0]);
      expect(tags[0]!.contents.length).toBe(128);
      const notes = notesOf(segments[0]!.contents);
      const status = notes.get(1);
      expect(status?.length).toBe(392);
      expect(word(status, 112 + 8 * 20)).toBe(0x4d2n);
      expect(word(status, 112 + 8 * 19)).toBe(tags[0]!.start);
      const info = notes.get(0x53494749);
      expect([info?.[0], info?.[8]]).toEqual([11, 9]);
      // SYNC, and every tag but 0.
      expect(word(notes.get(0x409), 0)).toBe(0x7fff3n);
      const holdsMarker = segments.some(
        ({ type, contents }) =>
          type === 1 &&
          contents.length >= 8 &&
          contents.some(
            (_, i) =>
              i + 8 <= contents.length &&
              i % 8 === 0 &&
              word(contents.slice(i, i + 8), 0) === 0x1122334455667788n,
          ),
      );
      expect(holdsMarker).toBe(true);
    },
  );

  it('are not written where nothing died of a signal that dumps', async () => {
    const text = '.global _start\n_start: mov x0, #3\n mov x8, #94\n svc #0\n';
    const outcome = await mtemu(['run', '--core', 'core', 'exit.s'], { 'exit.s': text });
    expect(outcome.status).toBe(3);
    expect(outcome.written.has('core')).toBe(false);
  });

  it.skipIf(!gdb)('are what gdb reads [needs gdb-multiarch]', async () => {
    const built = await mtemu(['asm', 'die.s', '-o', 'die'], { 'die.s': PROGRAM });
    const elf = built.written.get('die')!;
    const ran = await mtemu(['run', '--tcf', 'sync', '--core', 'core', 'die'], { die: elf });
    const folder = mkdtempSync(join(tmpdir(), 'mtemu-core-'));
    writeFileSync(join(folder, 'die'), elf);
    writeFileSync(join(folder, 'core'), ran.written.get('core')!);
    const commands = [
      'info symbol $pc',
      'print $x20',
      'x/gx &marker',
      'print $_siginfo.si_code',
      'memory-tag print-allocation-tag $x19',
      'memory-tag print-allocation-tag $x19 + 48',
      'info proc mappings',
    ];
    const args = ['-q', '-batch', '-nx', ...commands.flatMap((c) => ['-ex', c]), 'die', 'core'];
    const said = spawnSync('gdb-multiarch', args, { cwd: folder, encoding: 'utf8' }).stdout;
    expect(said).toContain('fault in section .text');
    expect(said).toContain('$1 = 1234');
    expect(said).toContain('0x1122334455667788');
    expect(said).toContain('$2 = 9');
    expect(said).toContain('$3 = 0x1');
    expect(said).toContain('$4 = 0x4');
    // The program is mapped from its file (NT_FILE).
    expect(said).toMatch(/0x400000 +0x401000 +0x1000 +0x0 +\/die\n/);
  });
});
