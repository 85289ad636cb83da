/**
 * Our reader beside libfdt: the same nodes, properties and values in the same order, by digest.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileDts, readDtb } from '../../src/devicetree/index.js';
import { treeDigest } from './support.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const SCRIPT = join(ROOT, 'test/devicetree/libfdt-digest.py');

/** The Python that has libfdt: the system's own, where Debian's package puts it, or the one on PATH. */
const python = ['/usr/bin/python3', 'python3'].find(
  (command) => spawnSync(command, ['-c', 'import libfdt']).status === 0,
);

function libfdtDigests(files: readonly string[]): Map<string, string> {
  const { stdout, stderr, status } = spawnSync(python!, [SCRIPT], {
    input: `${files.join('\n')}\n`,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => [line.slice(65), line.slice(0, 64)]),
  );
}

function compare(files: readonly string[]): void {
  const theirs = libfdtDigests(files);
  expect(theirs.size).toBe(files.length);
  const different = files.filter(
    (file) => treeDigest(readDtb(readFileSync(file), file)) !== theirs.get(file),
  );
  expect(different).toEqual([]);
}

describe.skipIf(python === undefined)('the same tree as libfdt [needs python3-libfdt]', () => {
  it('of the shipped machines', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mtemu-libfdt-'));
    const sources = readdirSync(join(ROOT, 'dts')).filter((name) => name.endsWith('.dts'));
    expect(sources.length).toBeGreaterThan(4);
    const files = sources.map((name) => {
      const file = join(folder, `${basename(name, '.dts')}.dtb`);
      const text = readFileSync(join(ROOT, 'dts', name), 'utf8');
      writeFileSync(file, compileDts({ name, text }, {}).dtb);
      return file;
    });
    compare(files);
  });

  const real = process.env['MTEMU_REAL_DTBS'];
  it.skipIf(real === undefined || !existsSync(real))(
    'of real boards [needs a folder of blobs in MTEMU_REAL_DTBS]',
    () => {
      const names = readdirSync(real!, { recursive: true, encoding: 'utf8' });
      const files = names.filter((name) => name.endsWith('.dtb')).map((name) => join(real!, name));
      expect(files.length).toBeGreaterThan(0);
      compare(files);
    },
  );
});
