/**
 * The ELF reader and writer: what is read, what is refused and where, and that nothing crashes it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type Diagnostic, InputError, VA } from '../../src/base/index.js';
import { isCode, isElf, type LinkedImage, readElf, toElf } from '../../src/elf/index.js';

const NONE = { alloc: false, write: false, execute: false, tls: false, merge: false, strings: false };
const section = (
  name: string,
  address: bigint,
  bytes: number[],
  flags: Partial<typeof NONE>,
  type: 'progbits' | 'nobits' | 'note' = 'progbits',
  size = bytes.length,
) => ({
  name,
  address: VA(address),
  size,
  bytes: Uint8Array.from(bytes),
  alignment: 4,
  type,
  entrySize: 0,
  flags: { ...NONE, ...flags },
});

const NOP = [0x1f, 0x20, 0x03, 0xd5];
const IMAGE: LinkedImage = {
  sections: [
    section('.text', 0x400158n, [...NOP, ...NOP, ...NOP], { alloc: true, execute: true }),
    section(
      '.note.gnu.property',
      0x400164n,
      [
        4, 0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0, 0x47, 0x4e, 0x55, 0, 0, 0, 0, 0xc0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0,
        0, 0,
      ],
      { alloc: true },
      'note',
    ),
    section('.tdata', 0x410184n, [1, 2, 3, 4], { alloc: true, write: true, tls: true }),
    section('.tbss', 0x410188n, [], { alloc: true, write: true, tls: true }, 'nobits', 8),
    section('.data', 0x410188n, [5, 6, 7, 8], { alloc: true, write: true }),
    section('.bss', 0x41018cn, [], { alloc: true, write: true }, 'nobits', 100),
    section('.comment', 0n, [65, 66], {}),
  ],
  symbols: [
    {
      name: 'main',
      value: 0x40015cn,
      size: 4n,
      binding: 'global',
      type: 'function',
      visibility: 'default',
      section: 0,
    },
    {
      name: '_start',
      value: 0x400158n,
      size: 0n,
      binding: 'global',
      type: 'notype',
      visibility: 'default',
      section: 0,
    },
    {
      name: '$x',
      value: 0x400158n,
      size: 0n,
      binding: 'local',
      type: 'notype',
      visibility: 'default',
      section: 0,
    },
    {
      name: 'value',
      value: 0x410188n,
      size: 4n,
      binding: 'local',
      type: 'object',
      visibility: 'hidden',
      section: 4,
    },
    {
      name: 'number',
      value: 77n,
      size: 0n,
      binding: 'local',
      type: 'notype',
      visibility: 'default',
      section: undefined,
    },
  ],
  entry: VA(0x400158n),
  lineTable: [
    { address: VA(0x400158n), file: 'a.s', line: 3 },
    { address: VA(0x40015cn), file: 'b.s', line: 1 },
    { address: VA(0x400160n), file: 'a.s', line: 5 },
  ],
};
const GOOD = toElf(IMAGE);

describe('what the writer writes', () => {
  const file = readElf(GOOD, 'good');

  it('segments', () => {
    expect(file.type).toBe('exec');
    expect(file.entry).toBe(0x400158n);
    expect(
      file.segments.map((s) => [s.address, s.memorySize, s.bytes.length, s.read, s.write, s.execute]),
    ).toEqual([
      [0x400158n, 44n, 44, true, false, true],
      [0x410184n, 108n, 8, true, true, false],
    ]);
    expect(file.segments.every((s) => s.fileOffset % 0x10000n === s.address % 0x10000n)).toBe(true);
    expect([...file.segments[1]!.bytes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(file.stackExecutable).toBe(false);
  });

  it('thread-local storage and properties', () => {
    expect(file.threadLocal).toMatchObject({ address: 0x410184n, memorySize: 12n, alignment: 4n });
    expect([...file.threadLocal!.bytes]).toEqual([1, 2, 3, 4]);
    expect(file.properties).toEqual({ bti: true, pac: false });
  });

  it('sections and symbols', () => {
    expect(file.sections.map((s) => s.name)).toEqual([
      ...['', '.text', '.note.gnu.property', '.tdata', '.tbss', '.data', '.bss', '.comment'],
      ...['.debug_info', '.debug_abbrev', '.debug_line', '.symtab', '.strtab', '.shstrtab'],
    ]);
    expect(file.sections.filter(isCode).map((s) => s.name)).toEqual(['.text']);
    expect(file.sections[6]!.size).toBe(100n);
    const byName = new Map(file.symbols.map((s) => [s.name, s]));
    expect(byName.get('main')).toMatchObject({ type: 'function', binding: 'global', size: 4n, section: 1 });
    expect(byName.get('number')).toMatchObject({ value: 77n, section: 0xfff1 });
  });

  it('symbolAt knows names, offsets and ends', () => {
    expect(file.symbolAt(0x400158n)).toEqual({ name: '_start', offset: 0n });
    expect(file.symbolAt(0x40015en)).toEqual({ name: 'main', offset: 2n });
    expect(file.symbolAt(0x400160n)).toBeUndefined();
    expect(file.symbolAt(0x41018bn)).toEqual({ name: 'value', offset: 3n });
    expect(file.symbolAt(77n)).toBeUndefined();
    expect(file.symbolAt(0n)).toBeUndefined();
  });
});

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The diagnostic for GOOD with some bytes changed. */
function refusal(change: (v: DataView, bytes: Uint8Array) => void, length = GOOD.length): Diagnostic {
  const bytes = GOOD.slice(0, length);
  change(view(bytes), bytes);
  try {
    readElf(bytes, 'bad.elf');
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.diagnostics[0]!;
    throw thrown;
  }
  throw new Error('it was accepted');
}

const PHDR = 64;
const phdr = (i: number) => PHDR + i * 56;

describe('what is refused, and where', () => {
  const cases: [
    name: string,
    code: string,
    offset: number | undefined,
    change: (v: DataView, b: Uint8Array) => void,
    length?: number,
  ][] = [
    ['no ELF file', 'ELF-MAGIC', 0, (v) => v.setUint8(0, 0x23)],
    ['nothing', 'ELF-MAGIC', 0, () => {}, 0],
    ['a cut header', 'ELF-TRUNCATED', 40, () => {}, 40],
    ['32-bit', 'ELF-CLASS', 4, (v) => v.setUint8(4, 1)],
    ['no class', 'ELF-CLASS', 4, (v) => v.setUint8(4, 9)],
    ['big-endian', 'ELF-ENDIAN', 5, (v) => v.setUint8(5, 2)],
    ['another version', 'ELF-VERSION', 6, (v) => v.setUint8(6, 2)],
    ['x86-64', 'ELF-MACHINE', 18, (v) => v.setUint16(18, 62, true)],
    ['an unknown machine', 'ELF-MACHINE', 18, (v) => v.setUint16(18, 4711, true)],
    ['an object file', 'ELF-TYPE', 16, (v) => v.setUint16(16, 1, true)],
    ['a core dump', 'ELF-TYPE', 16, (v) => v.setUint16(16, 4, true)],
    ['no program headers', 'ELF-SEGMENTS', 56, (v) => v.setUint16(56, 0, true)],
    ['program headers of a strange size', 'ELF-SEGMENTS', 54, (v) => v.setUint16(54, 32, true)],
    ['too many program headers', 'ELF-SEGMENTS', 56, (v) => v.setUint16(56, 60000, true)],
    ['program headers beyond the file', 'ELF-TRUNCATED', 32, (v) => v.setBigUint64(32, 1n << 40n, true)],
    ['program headers near 2^64', 'ELF-TRUNCATED', 32, (v) => v.setBigUint64(32, (1n << 64n) - 8n, true)],
    ['a dynamic program', 'ELF-DYNAMIC', phdr(1), (v) => v.setUint32(phdr(1), 3, true)],
    [
      'a segment beyond the file',
      'ELF-TRUNCATED',
      phdr(0) + 8,
      (v) => {
        v.setBigUint64(phdr(0) + 32, 0x10000n, true);
        v.setBigUint64(phdr(0) + 40, 0x10000n, true);
      },
    ],
    [
      'a segment larger in the file',
      'ELF-SEGMENTS',
      phdr(0) + 32,
      (v) => v.setBigUint64(phdr(0) + 40, 1n, true),
    ],
    ['a huge segment', 'ELF-SEGMENTS', phdr(1) + 16, (v) => v.setBigUint64(phdr(1) + 40, 1n << 60n, true)],
    [
      'a segment at the end of everything',
      'ELF-SEGMENTS',
      phdr(0) + 16,
      (v) => v.setBigUint64(phdr(0) + 16, (1n << 64n) - 16n, true),
    ],
    [
      'overlapping segments',
      'ELF-SEGMENTS',
      phdr(1) + 16,
      (v) => v.setBigUint64(phdr(0) + 40, 0x20000n, true),
    ],
    [
      'a segment out of line with its offset',
      'ELF-SEGMENTS',
      phdr(0) + 8,
      (v) => v.setBigUint64(phdr(0) + 16, 0x401000n, true),
    ],
    [
      'an alignment that is none',
      'ELF-SEGMENTS',
      phdr(0) + 48,
      (v) => v.setBigUint64(phdr(0) + 48, 3n, true),
    ],
    [
      'nothing to load',
      'ELF-SEGMENTS',
      56,
      (v) => {
        v.setUint32(phdr(0), 4, true);
        v.setUint32(phdr(1), 4, true);
      },
    ],
    ['an entry outside', 'ELF-ENTRY', 24, (v) => v.setBigUint64(24, 0x1000n, true)],
    ['an entry in data', 'ELF-ENTRY', 24, (v) => v.setBigUint64(24, 0x410188n, true)],
    ['an odd entry', 'ELF-ENTRY', 24, (v) => v.setBigUint64(24, 0x400159n, true)],
    ['section headers beyond the file', 'ELF-TRUNCATED', 40, (v) => v.setBigUint64(40, 1n << 33n, true)],
    ['section headers of a strange size', 'ELF-SECTIONS', 58, (v) => v.setUint16(58, 40, true)],
    ['no section of names', 'ELF-SECTIONS', 62, (v) => v.setUint16(62, 200, true)],
  ];
  for (const [name, code, offset, change, length] of cases) {
    it(name, () => {
      const found = refusal(change, length);
      expect(found.code).toBe(code);
      expect(found.offset).toBe(offset);
      expect(found.file).toBe('bad.elf');
      expect(found.message).not.toBe('');
    });
  }

  it('names beyond their table', () => {
    const sections = Number(view(GOOD).getBigUint64(40, true));
    expect(refusal((v) => v.setUint32(sections + 64, 0xffffff, true))).toMatchObject({
      code: 'ELF-STRINGS',
      offset: sections + 64,
    });
  });

  it('a note that runs out of its segment', () => {
    const property = phdr(2);
    const at = Number(view(GOOD).getBigUint64(property + 8, true));
    expect(refusal((v) => v.setUint32(at + 4, 4000, true))).toMatchObject({ code: 'ELF-NOTE', offset: at });
  });
});

describe('noise', () => {
  const attempt = (bytes: Uint8Array): boolean => {
    try {
      const file = readElf(bytes, 'noise.elf');
      file.symbolAt(0x400158n);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown;
      expect(thrown.diagnostics[0]!.file).toBe('noise.elf');
      return false;
    }
  };

  it('every truncation is refused or harmless', () => {
    let refused = 0;
    for (let length = 0; length < GOOD.length; length++) if (!attempt(GOOD.subarray(0, length))) refused++;
    expect(refused).toBe(GOOD.length);
  });

  it('every byte of the headers, set to extremes', () => {
    const sections = Number(view(GOOD).getBigUint64(40, true));
    let refused = 0;
    for (let at = 0; at < GOOD.length; at++) {
      if (at > 64 + 5 * 56 && at < sections) continue;
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const bytes = GOOD.slice();
        bytes[at] = value;
        if (!attempt(bytes)) refused++;
      }
    }
    expect(refused).toBeGreaterThan(200);
  });

  it('mutations', () => {
    let refused = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(GOOD.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        (edits) => {
          const bytes = GOOD.slice();
          for (const [at, value] of edits) bytes[at] = value;
          if (!attempt(bytes)) refused++;
        },
      ),
      { numRuns: 3000, seed: 4 },
    );
    expect(refused).toBeGreaterThan(500);
  });
});

const gcc = spawnSync('aarch64-linux-gnu-gcc', ['--version']).status === 0;
const scratch = mkdtempSync(join(tmpdir(), 'mtemu-elf-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('files of the GNU tools', () => {
  const source = '__thread int t = 5; __thread long z[4]; int main(void) { return t - 5 + (int)z[0]; }';
  const compile = (flags: string[]) => {
    const c = join(scratch, 'p.c');
    const out = join(scratch, 'p');
    writeFileSync(c, source);
    execFileSync('aarch64-linux-gnu-gcc', ['-O1', ...flags, c, '-o', out], { stdio: 'pipe' });
    return readFileSync(out);
  };

  it.skipIf(!gcc)('a static program with libc [needs gcc]', () => {
    const bytes = compile(['-static', '-no-pie']);
    const file = readElf(bytes, 'p');
    expect(isElf(bytes)).toBe(true);
    expect(file.type).toBe('exec');
    expect(file.segments).toHaveLength(2);
    expect(file.threadLocal!.memorySize).toBeGreaterThan(35n);
    expect(file.programHeaders.address).toBe(file.segments[0]!.address + 64n);
    const main = file.symbols.find((s) => s.name === 'main')!;
    expect(file.symbolAt(main.value + 4n)).toEqual({ name: 'main', offset: 4n });
  });

  it.skipIf(!gcc)('a static-PIE program, its property note [needs gcc]', () => {
    const file = readElf(
      compile(['-static-pie', '-nostdlib', '-Wl,-e,main', '-mbranch-protection=standard']),
      'p',
    );
    expect(file.type).toBe('static-pie');
    expect(file.properties).toEqual({ bti: true, pac: true });
  });

  it.skipIf(!gcc)('a dynamic program is refused with its interpreter [needs gcc]', () => {
    expect(() => readElf(compile([]), 'p')).toThrow(/ELF-DYNAMIC.*ld-linux-aarch64/);
  });
});
