/** A bare program in C, compiled by gcc, with its own page tables and vectors: QEMU runs the same image. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { asText, qemuVersion, runImage, runOnQemu } from './bare.js';

const GCC = 'aarch64-linux-gnu-gcc';
const hasGcc = spawnSync(GCC, ['--version']).status === 0;
const SOURCE = new URL('programs/tagging.c', import.meta.url).pathname;

function image(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'mtemu-c-'));
  try {
    const [elf, flat] = [join(folder, 'tagging.elf'), join(folder, 'tagging.bin')];
    const compiled = spawnSync(
      GCC,
      [
        ...[
          '-O2',
          '-march=armv8.5-a+memtag',
          '-ffreestanding',
          '-nostdlib',
          '-static',
          '-mgeneral-regs-only',
        ],
        ...['-fno-pic', '-fno-stack-protector', '-Wl,-Ttext=0x40080000,--build-id=none', '-o', elf, SOURCE],
      ],
      { encoding: 'utf8' },
    );
    expect(compiled).toMatchObject({ status: 0, stderr: '' });
    expect(spawnSync('aarch64-linux-gnu-objcopy', ['-O', 'binary', elf, flat]).status).toBe(0);
    return new Uint8Array(readFileSync(flat));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const mode = (name: string, store: readonly string[], load: readonly string[], memory: string) => [
  name,
  '  right tag, faults 0x0',
  ...store,
  ...load,
  `  memory ${memory}`,
];
const outcome = (what: string, faults: number, tfsr: number) => [
  `  wrong ${what}, faults 0x${faults}`,
  `  tfsr 0x${tfsr}`,
];

describe.skipIf(!hasGcc)('a bare program in C [needs aarch64-linux-gnu-gcc]', () => {
  it('sees what each mode of tag checks does', () => {
    const lines = asText(runImage(image())).split('\n');
    expect(lines.slice(0, 5)).toEqual(['ctlr 0x8', 'tag 0x5', 'tag 0x6', 'tag 0x7', 'tag 0x8']);
    const syndromes = lines.filter((line) => /^ {2}(esr|far) /.test(line));
    // EC 0x25, WnR, DFSC 0x11: a synchronous tag check fault of a store.
    expect(syndromes[0]).toBe('  esr 0x96000051');
    expect(syndromes[1]).toMatch(/^ {2}far 0x60000004[0-9a-f]{7}$/);
    expect(syndromes).toHaveLength(2);
    expect(lines.slice(5).filter((line) => !syndromes.includes(line))).toEqual([
      ...mode('none', outcome('store', 0, 0), outcome('load', 0, 0), '0x4d'),
      ...mode('sync', outcome('store', 1, 0), outcome('load', 1, 0), '0x1'),
      ...mode('async', outcome('store', 0, 1), outcome('load', 0, 1), '0x4d'),
      ...mode('asymm', outcome('store', 0, 1), outcome('load', 1, 0), '0x4d'),
      '[exit 3]',
    ]);
  });

  it.skipIf(qemuVersion < 8)('does the same on QEMU [needs qemu-system-aarch64 8]', () => {
    const program = image();
    expect(asText(runImage(program))).toBe(runOnQemu(program, 'virt,gic-version=3,mte=on'));
  });
});
