/**
 * Against GNU as and ld: the same sources, linked at the same addresses, byte for byte.
 *
 * The corpus is hand-written (`corpus/`, every directive) and compiled (`compiled/*.c`, and the
 * workloads where they lie beside the checkout, through gcc at several optimisation levels).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type AssembledProgram, assemble } from '../../src/assembler/index.js';

import { Random } from '../../src/base/index.js';
import { readElf, toElf } from '../../src/elf/index.js';

const HERE = new URL('.', import.meta.url).pathname;
const WORKLOADS = join(HERE, '../../../shared/workloads');
const scratch = mkdtempSync(join(tmpdir(), 'mtemu-assembler-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const has = (tool: string, flag = '--version') => spawnSync(tool, [flag]).status === 0;
const binutils = has('aarch64-linux-gnu-as') && has('aarch64-linux-gnu-ld');
const gcc = has('aarch64-linux-gnu-gcc');
const qemu = has('qemu-aarch64-static');

/** Section contents as GNU ld leaves them at the addresses that `program` has. */
function gnuSections(source: string, program: AssembledProgram, entry: boolean): Map<string, Uint8Array> {
  const object = join(scratch, 'gnu.o');
  const script = join(scratch, 'gnu.ld');
  const linked = join(scratch, 'gnu.elf');
  execFileSync('aarch64-linux-gnu-as', ['-march=armv8.5-a+memtag', source, '-o', object], { stdio: 'pipe' });
  const lines = program.sections
    .filter((s) => s.flags.alloc)
    .map((s) => {
      const common = s.name === '.bss' ? '*(COMMON)' : '';
      return `${s.name} 0x${s.address.toString(16)} : { *(${s.name}) ${common} }`;
    });
  writeFileSync(
    script,
    `${entry ? 'ENTRY(_start)' : ''}\nSECTIONS {\n${lines.join('\n')}\n/DISCARD/ : { *(.note.GNU-stack) *(.comment) *(.eh_frame) *(.debug_*) }\n}\n`,
  );
  execFileSync('aarch64-linux-gnu-ld', ['--no-warn-rwx-segments', '-T', script, object, '-o', linked], {
    stdio: 'pipe',
  });
  const out = new Map<string, Uint8Array>();
  const header = execFileSync('aarch64-linux-gnu-objdump', ['-h', linked], { encoding: 'utf8' });
  for (const match of header.matchAll(/^\s*\d+ (\S+)\s+([0-9a-f]{8})\s[^\n]*\n\s*([^\n]*)/gm)) {
    const [, name, size, flags] = match as unknown as [string, string, string, string];
    if (!flags.includes('ALLOC')) continue;
    if (!flags.includes('CONTENTS')) {
      out.set(name, new Uint8Array(Number.parseInt(size, 16)));
      continue;
    }
    const raw = join(scratch, 'gnu.bin');
    execFileSync('aarch64-linux-gnu-objcopy', ['-O', 'binary', '-j', name, linked, raw], { stdio: 'pipe' });
    out.set(name, readFileSync(raw));
  }
  return out;
}

function compare(path: string): number {
  const text = readFileSync(path, 'utf8');
  const program = assemble({ name: path, text });
  const theirs = gnuSections(path, program, /^_start:/m.test(text));
  const ours = new Map(
    program.sections
      .filter((s) => s.flags.alloc && s.size > 0)
      .map((s) => [s.name, s.type === 'nobits' ? new Uint8Array(s.size) : s.bytes]),
  );
  expect([...ours.keys()].sort()).toEqual(
    [...theirs]
      .filter(([, b]) => b.length > 0)
      .map(([n]) => n)
      .sort(),
  );
  let compared = 0;
  for (const [name, bytes] of ours) {
    expect(Buffer.from(bytes).toString('hex'), `${path} ${name}`).toBe(
      Buffer.from(theirs.get(name)!).toString('hex'),
    );
    compared += bytes.length;
  }
  return compared;
}

describe('hand-written sources', () => {
  const files = readdirSync(join(HERE, 'corpus')).filter((f) => f.endsWith('.s'));
  it('has a corpus', () => expect(files.length).toBeGreaterThanOrEqual(7));
  for (const file of files) {
    it.skipIf(!binutils)(`${file} equals GNU as and ld [needs aarch64 binutils]`, () => {
      expect(compare(join(HERE, 'corpus', file))).toBeGreaterThan(100);
    });
  }
});

describe('expressions', () => {
  it.skipIf(!binutils)('2000 random ones have the values GNU as gives them [needs aarch64 binutils]', () => {
    const random = new Random(5);
    const pick = <T>(from: readonly T[]): T => from[random.below(from.length)]!;
    const leaf = () =>
      pick([
        () => String(random.below(20)),
        () => `0x${random.below(2 ** 31).toString(16)}${random.below(2 ** 31).toString(16)}`,
        () => pick(['A', 'B', 'C', '(L2 - L1)', '(L1 - L2)']),
        () => `'${pick(['a', 'Z', '0'])}'`,
        () => `0b${random.below(256).toString(2)}`,
      ])();
    const expression = (depth: number): string => {
      if (depth === 0) return leaf();
      const kind = random.below(10);
      if (kind === 0) return `(${expression(depth - 1)})`;
      // In parentheses: GNU as reads `x ! !y` as `x ^ y`, for the sake of another assembler.
      if (kind === 1) return `(${pick(['-', '~', '!', '+'])}${pick(['', ' '])}${expression(depth - 1)})`;
      const operator = pick([
        '+',
        '-',
        '*',
        '|',
        '&',
        '^',
        '!',
        '==',
        '<',
        '>',
        '<=',
        '>=',
        '<>',
        '&&',
        '||',
      ]);
      // Shifts beyond 63 and division by zero are our errors or zeros, GNU's warnings.
      if (kind === 2) return `(${expression(depth - 1)}) ${pick(['<<', '>>'])} ${random.below(64)}`;
      if (kind === 3) return `(${expression(depth - 1)}) ${pick(['/', '%'])} ${1 + random.below(1000)}`;
      return `${expression(depth - 1)} ${operator} ${expression(depth - 1)}`;
    };
    const lines = Array.from({ length: 2000 }, () => `        .quad   ${expression(1 + random.below(4))}`);
    const head =
      '        .equ A, 7\n        .set B, -3\n        C = 0x8000000000000000\n        .data\nL1: .space 24\nL2:\n';
    const path = join(scratch, 'random.s');
    writeFileSync(path, `${head}${lines.join('\n')}\n`);
    expect(compare(path)).toBe(24 + 2000 * 8);
  });
});

const FLAGS = [
  ['-O2'],
  ['-O0'],
  ['-Os', '-fpie'],
  ['-O2', '-march=armv8.5-a+memtag', '-mbranch-protection=standard'],
  ['-O2', '-fcommon', '-fno-pic', '-g'],
];

describe('compiled sources', () => {
  const own = readdirSync(join(HERE, 'compiled')).map((f) => join(HERE, 'compiled', f));
  const shared = existsSync(WORKLOADS)
    ? readdirSync(WORKLOADS)
        .filter((f) => /^wl_.*\.c$/.test(f))
        .map((f) => join(WORKLOADS, f))
    : [];
  for (const source of [...own, ...shared]) {
    it.skipIf(!binutils || !gcc)(
      `${source.slice(source.lastIndexOf('/') + 1)} equals GNU as and ld [needs gcc]`,
      () => {
        for (const flags of FLAGS) {
          const out = join(scratch, 'compiled.s');
          const fixed = [
            ...['-S', '-mgeneral-regs-only', '-mno-outline-atomics', '-ffreestanding'],
            ...['-fno-asynchronous-unwind-tables', '-fno-tree-loop-distribute-patterns', '-w'],
          ];
          execFileSync('aarch64-linux-gnu-gcc', [...flags, ...fixed, source, '-o', out], { stdio: 'pipe' });
          expect(compare(out)).toBeGreaterThan(100);
        }
      },
    );
  }

  it.skipIf(!gcc || !qemu)(
    "a compiled program runs and prints what gcc's own does [needs gcc and qemu-user]",
    () => {
      const source = join(HERE, 'compiled/tables.c');
      const assembly = join(scratch, 'tables.s');
      const flags = ['-O2', '-mgeneral-regs-only', '-ffreestanding', '-fno-tree-loop-distribute-patterns'];
      execFileSync('aarch64-linux-gnu-gcc', [...flags, '-S', source, '-o', assembly]);
      const mine = join(scratch, 'mine');
      writeFileSync(mine, toElf(assemble({ name: assembly, text: readFileSync(assembly, 'utf8') })));
      chmodSync(mine, 0o755);
      const theirs = join(scratch, 'theirs');
      execFileSync('aarch64-linux-gnu-gcc', [...flags, '-nostdlib', '-static', source, '-o', theirs]);
      const expected = spawnSync('qemu-aarch64-static', [theirs]);
      const got = spawnSync('qemu-aarch64-static', [mine]);
      expect(got.status).toBe(expected.status);
      expect(got.stdout.toString()).toBe(expected.stdout.toString());
      expect(got.stdout.length).toBe(17);
    },
  );
});

describe('the executable', () => {
  const hello = readFileSync(join(HERE, '../../firmware/examples/hello.s'), 'utf8');
  it.skipIf(!has('readelf'))('is fine by readelf, for the whole corpus [needs readelf]', () => {
    for (const file of readdirSync(join(HERE, 'corpus'))) {
      const path = join(scratch, `${file}.elf`);
      writeFileSync(
        path,
        toElf(assemble({ name: file, text: readFileSync(join(HERE, 'corpus', file), 'utf8') })),
      );
      const outcome = spawnSync('readelf', ['-aW', '--debug-dump=info,abbrev,rawline,decodedline', path]);
      expect(outcome.stderr.toString(), file).toBe('');
      expect(outcome.status).toBe(0);
    }
  });

  it.skipIf(!qemu)('says hello under qemu [needs qemu-user]', () => {
    const path = join(scratch, 'hello');
    writeFileSync(path, toElf(assemble({ name: 'hello.s', text: hello })));
    chmodSync(path, 0o755);
    const outcome = spawnSync('qemu-aarch64-static', [path]);
    expect(outcome.status).toBe(0);
    expect(outcome.stdout.toString()).toBe('hello from EL0\n');
  });

  it.skipIf(!binutils)('has line numbers that addr2line finds [needs aarch64 binutils]', () => {
    const path = join(scratch, 'lines');
    const program = assemble({ name: 'hello.s', text: hello });
    writeFileSync(path, toElf(program));
    const at = program.entry + 8n;
    const found = execFileSync('aarch64-linux-gnu-addr2line', ['-e', path, `0x${at.toString(16)}`], {
      encoding: 'utf8',
    });
    const line = hello.split('\n').findIndex((l) => l.includes('message_end - message')) + 1;
    expect(found.trim()).toBe(`hello.s:${line}`);
  });

  it.skipIf(!binutils)("is read back as GNU ld's own files are [needs aarch64 binutils]", () => {
    const path = join(scratch, 'hello.s');
    writeFileSync(path, hello);
    execFileSync('aarch64-linux-gnu-as', [path, '-o', `${path}.o`]);
    execFileSync('aarch64-linux-gnu-ld', [`${path}.o`, '-o', `${path}.elf`]);
    const theirs = readElf(readFileSync(`${path}.elf`), 'theirs');
    const ours = readElf(toElf(assemble({ name: path, text: hello })), 'ours');
    const named = (names: typeof ours.symbols) =>
      names
        .map((s) => s.name)
        .filter((n) => /^(_start|message)/.test(n))
        .sort();
    expect(named(ours.symbols)).toEqual(named(theirs.symbols));
    expect(theirs.symbolAt(theirs.entry + 4n)).toEqual({ name: '_start', offset: 4n });
    expect(ours.symbolAt(ours.entry + 4n)).toEqual({ name: '_start', offset: 4n });
    expect(ours.segments).toHaveLength(theirs.segments.length);
  });
});
