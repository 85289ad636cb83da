/**
 * The benchmark of whole programs: outputs are compared before times are, and what cannot be run is named.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { linesOfText, measurePrograms, printPrograms } from '../../src/cli/bench-programs.js';

const folder = mkdtempSync(join(tmpdir(), 'mtemu-bench-programs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A command that prints a text, whatever it is asked to run. */
function printer(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\nprintf '${text}'\n`, { mode: 0o755 });
  return file;
}
function script(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, `process.stdout.write('${text}')`);
  return file;
}

const C = 'int main(void) { return 0; }';
const hasCompiler = spawnSync('aarch64-linux-gnu-gcc', ['--version']).status === 0;

describe('the benchmark of programs', () => {
  it.skipIf(!hasCompiler)('gives a ratio where both print the same [needs aarch64-linux-gnu-gcc]', () => {
    const programs = [{ name: 'one', source: C, args: [], target: 1000 }];
    const same = measurePrograms(printer('qemu', 'a'), folder, 1, programs, script('own.cjs', 'a'));
    expect(same.programs[0]!.ratio).toBeGreaterThan(0);
    const other = measurePrograms(printer('qemu', 'b'), folder, 1, programs, script('own.cjs', 'a'));
    expect(other.programs[0]!.ratio).toBeUndefined();
    const alone = measurePrograms(undefined, folder, 1, programs, script('own.cjs', 'a'));
    expect(alone.programs[0]).toMatchObject({ name: 'one', ratio: undefined, target: 1000 });
  });

  it('names what it does not run, and what that needs', () => {
    const busybox = process.env['MTEMU_ARM64_BUSYBOX'];
    process.env['MTEMU_ARM64_BUSYBOX'] = join(folder, 'nothing');
    try {
      const programs = [{ name: 'applet', args: ['true'] }];
      const results = measurePrograms(undefined, folder, 1, programs, script('own.cjs', ''));
      expect(results).toEqual({ programs: [], skipped: ['applet [needs MTEMU_ARM64_BUSYBOX]'] });
    } finally {
      if (busybox === undefined) delete process.env['MTEMU_ARM64_BUSYBOX'];
      else process.env['MTEMU_ARM64_BUSYBOX'] = busybox;
    }
  });

  it('says of each target whether it was met', () => {
    let out = '';
    const io = { stdout: (text: string) => (out += text), stderr: () => {} };
    const program = { name: 'heap', seconds: 1, ratio: 0.3, target: 0.4 };
    printPrograms(
      { programs: [program, { ...program, ratio: 0.5 }, { ...program, target: undefined }], skipped: ['x'] },
      io as unknown as Parameters<typeof printPrograms>[1],
    );
    const lines = out.split('\n').slice(3);
    expect(lines.map((line) => /met|missed/.exec(line)?.[0])).toEqual([
      'met',
      'missed',
      undefined,
      undefined,
      undefined,
    ]);
    expect(lines[3]).toBe('not run: x');
  });

  it('sorts and compresses the same text every time', () => {
    const lines = linesOfText(1000).split('\n');
    expect(lines.length).toBe(1001);
    expect(linesOfText(1000)).toBe(lines.join('\n'));
    expect(lines[7]).toMatch(/^\d+ line 7 of text$/);
  });
});
