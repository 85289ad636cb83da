/** dtc's options beyond the usual ones: the same blobs, sources and rules as dtc 1.6.1 makes with them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const hasDtc = /1\.6\.1/.test(spawnSync('dtc', ['--version'], { encoding: 'utf8' }).stdout ?? '');
const ROOT = new URL('../..', import.meta.url).pathname;

const SMALL = `/dts-v1/;
/memreserve/ 0x30000000 0x1000;
/memreserve/ 0x10000000 0x2000;
/ {
	#address-cells = <1>;
	#size-cells = <1>;
	zeta = "last";
	alpha = <1 2 3>;
	bytes = [01 02 03];
	long = /bits/ 64 <0x1122334455667788 2>;
	b: node@20 { reg = <0x20 4>; to = <&a>; path = &a; };
	a: node@10 { reg = <0x10 4>; c: deep { text = "eight by", "te"; }; };
};
`;
const SOURCES: Readonly<Record<string, string>> = {
  'small.dts': SMALL,
  'default.dts': readFileSync(`${ROOT}dts/default.dts`, 'utf8'),
};
const OPTIONS: readonly (readonly string[])[] = [
  ...['1', '2', '3', '16', '17'].map((version) => ['-V', version]),
  ['-V', '3', '-b', '7'],
  ['-V', '2', '-p', '33'],
  ['-R', '3'],
  ['-S', '4096'],
  ['-S', '8'],
  ['-p', '100'],
  ['-p', '0x21', '-a', '16'],
  ['-a', '64'],
  ['-R', '2', '-S', '5000', '-a', '8'],
  ['-s'],
  ['-s', '-@'],
  ['-A'],
  ['-A', '-@', '-s'],
  ['-H', 'legacy'],
  ['-H', 'both'],
  ['-H', 'epapr', '-V', '1'],
];

describe.skipIf(!hasDtc)('options [needs dtc 1.6.1]', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mtemu-dtc-'));
  for (const [name, source] of Object.entries(SOURCES)) writeFileSync(join(folder, name), source);

  it.each(
    Object.keys(SOURCES).flatMap((name) => OPTIONS.map((options) => [name, options.join(' ')] as const)),
  )('%s with %s', async (name, words) => {
    const options = words.split(' ');
    for (const form of ['dtb', 'dts']) {
      const theirs = spawnSync('dtc', ['-q', '-I', 'dts', '-O', form, ...options, name], { cwd: folder });
      expect(theirs.status).toBe(0);
      const ours = await mtemu(
        ['dtc', '-q', '-I', 'dts', '-O', form, ...options, '-o', 'out', name],
        SOURCES,
      );
      expect(ours.status).toBe(0);
      const bytes = Buffer.from(ours.written.get('out')!);
      if (form === 'dtb') {
        expect(bytes.equals(theirs.stdout)).toBe(true);
      } else {
        // dtc prints source in a form of its own; what it says is what counts.
        const blob = (text: Buffer) =>
          spawnSync('dtc', ['-q', '-I', 'dts', '-O', 'dtb', '-'], { input: text }).stdout;
        expect(blob(bytes).equals(blob(theirs.stdout))).toBe(true);
      }
    }
  });

  it('-f writes what an error of a check leaves', async () => {
    const source = '/dts-v1/; / { n@1 { reg = <1>; }; d { phandle = <1>; }; e { phandle = <1>; }; };';
    writeFileSync(join(folder, 'wrong.dts'), source);
    const without = await mtemu(['dtc', '-q', '-o', 'out', 'wrong.dts'], { 'wrong.dts': source });
    expect(without.status).toBe(2);
    expect(without.written.size).toBe(0);
    const theirs = spawnSync('dtc', ['-q', '-f', 'wrong.dts'], { cwd: folder });
    const ours = await mtemu(['dtc', '-q', '-f', '-o', 'out', 'wrong.dts'], { 'wrong.dts': source });
    expect([ours.status, theirs.status]).toEqual([0, 0]);
    expect(Buffer.from(ours.written.get('out')!).equals(theirs.stdout)).toBe(true);
  });

  it('-d writes the rule that make wants', async () => {
    spawnSync('dtc', ['-q', '-d', 'rule', '-o', 'small.dtb', 'small.dts'], { cwd: folder });
    const ours = await mtemu(['dtc', '-q', '-d', 'rule', '-o', 'small.dtb', 'small.dts'], SOURCES);
    expect(new TextDecoder().decode(ours.written.get('rule')!)).toBe(
      readFileSync(join(folder, 'rule'), 'utf8'),
    );
  });
});

describe('options', () => {
  it.each([
    [['-V', '4'], /there is no version 4 of blobs/],
    [['-a', '24'], /takes a power of two, not '24'/],
    [['-p', '1', '-S', '1'], /exclude each other/],
    [['-p', '999999999999'], /a number from 0 to/],
    [['-H', 'new'], /phandle/],
  ] as const)('%j is refused', async (options, message) => {
    const outcome = await mtemu(['dtc', ...options, '-o', 'out', 'small.dts'], SOURCES);
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.written.size).toBe(0);
  });

  it('-O null only checks, and -qq is silent about errors', async () => {
    const fine = await mtemu(['dtc', '-O', 'null', 'small.dts'], SOURCES);
    expect([fine.status, fine.stdout]).toEqual([0, '']);
    const wrong = await mtemu(['dtc', '-qq', 'wrong.dts'], { 'wrong.dts': '/dts-v1/; / { a = <; };' });
    expect([wrong.status, wrong.stdout, wrong.stderr]).toEqual([2, '', '']);
  });
});
