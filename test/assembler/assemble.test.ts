/**
 * What `assemble` gives: addresses, symbols, entry, lines, and the flat forms.
 */
import { describe, expect, it } from 'vitest';
import { type AssembleOptions, assemble, toFlat, toHex } from '../../src/assembler/index.js';
import { InputError, VA } from '../../src/base/index.js';

const build = (text: string, options: AssembleOptions = {}) => assemble({ name: 't.s', text }, options);
const codes = (text: string, options: AssembleOptions = {}): string[] => {
  try {
    return build(text, options).warnings.map((d) => d.code);
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.diagnostics.map((d) => d.code);
    throw thrown;
  }
};
const words = (text: string, options: AssembleOptions = {}) => toHex(build(text, options)).trim().split('\n');

describe('layout', () => {
  const text = '.text\n_start: nop\n.data\nv: .word 1\n.bss\nb: .space 8\n.section .rodata\nr: .byte 1\n';

  it('static: code behind the headers, writable data on the next 64 KiB page', () => {
    const sections = new Map(build(text).sections.map((s) => [s.name, s]));
    expect(sections.get('.text')!.address).toBe(0x400158n);
    expect(sections.get('.rodata')!.address).toBe(0x40015cn);
    expect(sections.get('.data')!.address).toBe(0x41015dn);
    expect(sections.get('.bss')!.type).toBe('nobits');
    expect(sections.get('.bss')!.bytes).toHaveLength(0);
    expect(sections.get('.bss')!.size).toBe(8);
  });

  it('flat: one behind the other from the base', () => {
    const program = build(text, { layout: 'flat', textBase: 0x40080000n });
    expect(program.sections.map((s) => [s.name, s.address])).toEqual([
      ['.text', 0x40080000n],
      ['.rodata', 0x40080004n],
      ['.data', 0x40080005n],
      ['.bss', 0x40080009n],
    ]);
    expect([...toFlat(program)]).toEqual([0x1f, 0x20, 0x03, 0xd5, 1, 1, 0, 0, 0]);
  });

  it('section addresses can be given', () => {
    const addresses = new Map([['.data', 0x12340000n]]);
    const program = build(text, { sectionAddresses: addresses });
    expect(program.sections.find((s) => s.name === '.data')!.address).toBe(0x12340000n);
    expect(program.symbols.find((s) => s.name === 'v')!.value).toBe(0x12340000n);
  });

  it('alignment of a section is kept', () => {
    const program = build('.text\nnop\n.balign 256\nhere: nop\n.data\n.balign 64\nd: .byte 1');
    expect(program.symbols.find((s) => s.name === 'here')!.value % 256n).toBe(0n);
    expect(program.symbols.find((s) => s.name === 'd')!.value % 64n).toBe(0n);
    expect(program.sections[0]!.alignment).toBe(256);
  });
});

describe('symbols', () => {
  it('have binding, type, size and section; .L names stay inside', () => {
    const program = build(
      '.global f\n.type f, @function\nf: nop\n.Lx: nop\n.size f, . - f\n.weak w\nw = 7\nabs = 0x1234\n.data\n.hidden d\nd: .quad 1\n.type d, %object\n.size d, 8',
    );
    const named = new Map(program.symbols.map((s) => [s.name, s]));
    expect(named.get('f')).toMatchObject({ binding: 'global', type: 'function', size: 8n, section: 0 });
    expect(named.get('w')).toMatchObject({ binding: 'weak', value: 7n, section: undefined });
    expect(named.get('abs')).toMatchObject({ binding: 'local', value: 0x1234n });
    expect(named.get('d')).toMatchObject({ visibility: 'hidden', type: 'object', size: 8n, section: 1 });
    expect(named.has('.Lx')).toBe(false);
  });

  it('mapping symbols tell code from data', () => {
    const program = build('nop\n.word 1\nnop\n.data\n.word 2');
    const map = program.symbols.filter((s) => s.name.startsWith('$')).map((s) => `${s.name}${s.section}`);
    expect(map).toEqual(['$x0', '$d0', '$x0', '$d1']);
  });

  it('can be defined from outside', () => {
    expect(words('.if DEBUG == 3\n.word DEBUG\n.endif', { define: { DEBUG: 3n } })).toEqual(['00000003']);
  });
});

describe('the entry', () => {
  it('is _start, or another symbol, or the start of .text with a warning', () => {
    const text = '.text\nnop\n_start: nop\nmain: nop\n';
    const base = build(text).sections[0]!.address;
    expect(build(text).entry).toBe(base + 4n);
    expect(build(text).warnings).toEqual([]);
    expect(build(text, { entry: 'main' }).entry).toBe(base + 8n);
    expect(codes(text, { entry: 'none' })).toEqual(['ASM-ENTRY']);
    const bare = build('nop');
    expect(bare.entry).toBe(bare.sections[0]!.address);
    expect(bare.warnings.map((w) => w.code)).toEqual(['ASM-ENTRY']);
  });

  it('an empty source is a program of nothing', () => {
    expect(toHex(build(''))).toBe('');
    expect(build('# only a comment\n').sections.map((s) => s.size)).toEqual([0]);
  });
});

describe('the line table', () => {
  it('has an entry an instruction, in the line that wrote it', () => {
    const program = build('// one\n.macro two\nnop\nnop\n.endm\n_start: nop\ntwo\n.rept 2\nret\n.endr\n');
    expect(program.lineTable.map((l) => l.line)).toEqual([6, 3, 4, 9, 9]);
    expect(program.lineTable[1]!.address - program.lineTable[0]!.address).toBe(4n);
  });

  it('takes a compiler at its word', () => {
    const program = build('.file 1 "dir" "x.c"\n_start: .loc 1 12 3\nnop\n.loc 1 14\nnop');
    expect(program.lineTable.map((l) => `${l.file}:${l.line}`)).toEqual(['x.c:12', 'x.c:14']);
  });
});

describe('flat forms', () => {
  it('hex is one word a line, the last one padded', () => {
    expect(toHex(build('nop\n.byte 1, 2'))).toBe('d503201f\n00000201\n');
  });

  it('a base below moves the image up, one above is refused', () => {
    const program = build('nop', { layout: 'flat', textBase: 0x1000n });
    expect(toFlat(program, VA(0xffcn))).toHaveLength(8);
    expect(() => toFlat(program, VA(0x1004n))).toThrow(/ASM-FLAT/);
  });

  it('sections far apart make no image', () => {
    const far = new Map([['.data', 0x7fff00000000n]]);
    const program = build('nop\n.data\n.word 1', { sectionAddresses: far });
    expect(() => toFlat(program)).toThrow(/ASM-FLAT/);
  });
});

describe('reporting', () => {
  it('says all errors of a file, in the order of its lines, and warnings with them', () => {
    const found = codes(
      'b nowhere\n.byte 300\nfrobnicate\nadd x0, x1, #5000\n.word 1 +\n1: b 2f\n.quad nowhere2',
    );
    expect(found).toEqual([
      'ASM-TRUNCATED',
      'ASM-UNDEFINED-SYMBOL',
      'ASM-UNKNOWN-MNEMONIC',
      'ASM-OPERAND',
      'ASM-SYNTAX',
      'ASM-UNDEFINED-SYMBOL',
      'ASM-UNDEFINED-SYMBOL',
    ]);
  });

  it('an include without file access is an error, not a crash', () => {
    expect(codes('.include "x"\n.incbin "y"')).toEqual(['ASM-INCLUDE', 'ASM-INCLUDE']);
  });

  it('an included file is read from where it stands', () => {
    const asked: string[] = [];
    const program = build('.include "a.inc"\n.word after', {
      include(path, from) {
        asked.push(`${from}>${path}`);
        return path === 'a.inc'
          ? { name: 'dir/a.inc', text: '.word 1\n.include "b.inc"\nafter = 9' }
          : { name: 'dir/b.inc', text: '.word 2' };
      },
    });
    expect(asked).toEqual(['t.s>a.inc', 'dir/a.inc>b.inc']);
    expect(toHex(program)).toBe('00000001\n00000002\n00000009\n');
  });

  it('.incbin takes a part of a file', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    expect(words('.incbin "x", 2, 4', { incbin: () => bytes })).toEqual(['06050403']);
  });
});

describe('relocation operators', () => {
  it('apply to addresses in any place', () => {
    const text = `
      .text
      adrp x0, :pg_hi21:v
      ldr  x1, [x0, :lo12:v]
      movz x2, #:abs_g3:v
      movk x2, #:abs_g2_nc:v
      movk x2, #:abs_g1_nc:v
      movk x2, #:abs_g0_nc:v
      movz x3, #:abs_g0_s:minus
      movz x3, #:prel_g0:before
      .data
      .balign 8
    v: .quad 1
      .equ minus, -5
      .equ before, 0x40008010`;
    const addresses = new Map([
      ['.text', 0x40008000n],
      ['.data', 0x123456789ab8n],
    ]);
    expect(codes(text, { sectionAddresses: addresses })).toContain('ASM-OPERAND');
    const near = new Map([
      ['.text', 0x123456700000n],
      ['.data', 0x123456789ab8n],
    ]);
    const program = build(text.replace('before, 0x40008010', 'before, 0x123456700010'), {
      sectionAddresses: near,
    });
    const hex = toHex({ ...program, sections: program.sections.filter((s) => s.name === '.text') }).split(
      '\n',
    );
    expect(hex.slice(0, 8)).toEqual([
      'b0000440', // adrp x0, +0x89000
      'f9455c01', // ldr x1, [x0, #0xab8]
      'd2e00002',
      'f2c24682', // 0x1234
      'f2aacf02', // 0x5678
      'f2935702', // 0x9ab8
      '92800083', // movn x3, #4
      '92800163', // movn x3, #11: 0x10 - 0x1c
    ]);
  });
});
