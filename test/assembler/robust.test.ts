/**
 * No input crashes the assembler or keeps it busy: noise, mutilated sources, bombs; and time grows
 * with length, not with its square.
 */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { InputError, renderDiagnostics } from '../../src/base/index.js';
import { toElf } from '../../src/elf/index.js';

const CORPUS = new URL('corpus/', import.meta.url).pathname;
const SOURCES = readdirSync(CORPUS).map((f) => readFileSync(CORPUS + f, 'utf8'));

/** Assembles; an InputError with located diagnostics is the only thing that may be thrown. */
function attempt(text: string): 'fine' | 'refused' {
  try {
    const program = assemble(
      { name: 'noise.s', text },
      { include: () => ({ name: 'i', text: ' nop\n' }), incbin: () => new Uint8Array(8) },
    );
    toElf(program);
    return 'fine';
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    expect(thrown.diagnostics.some((d) => d.severity === 'error')).toBe(true);
    expect(thrown.diagnostics.every((d) => d.span !== undefined || d.file !== undefined)).toBe(true);
    expect(renderDiagnostics(thrown.diagnostics)).not.toBe('');
    return 'refused';
  }
}

/** Words that reach deep into the assembler more often than letters do. */
const WORD = fc.oneof(
  fc.constantFrom(
    ...[
      '.macro m a',
      '.endm',
      '.rept 3',
      '.rept 1000000',
      '.irp x, 1, 2',
      '.irpc y, ab',
      '.endr',
      '.exitm',
      'm',
      'm 1',
    ],
    ...[
      '.if 1',
      '.if 0',
      '.else',
      '.elseif x',
      '.endif',
      '.ifdef x',
      '.ifc a, b',
      '.ifb',
      '.text',
      '.data',
      '.bss',
    ],
    ...[
      '.section .s, "aw"',
      '.pushsection .t',
      '.popsection',
      '.previous',
      '.align 3',
      '.balign 16, 1',
      '.org 64',
    ],
    ...[
      '.word 1, x, .',
      '.quad x - y',
      '.byte -1',
      '.asciz "s"',
      '.space 8',
      '.fill 2, 4, 1',
      '.set x, 1',
      'x = y + 1',
    ],
    ...[
      'x:',
      '1:',
      'b 1f',
      'b 1b',
      'ldr x0, =x',
      'ldr x0, =5',
      '.ltorg',
      'add x0, x1, #x',
      'adrp x0, x',
      'nop',
    ],
    ...[
      'add x0, x0, :lo12:x',
      'movz x0, #:abs_g1_s:x',
      'a .req x1',
      '.unreq a',
      '.comm c, 8',
      '.weak w',
      '.size x, . - x',
    ],
    ...[
      '\\a',
      '\\@',
      '\\()',
      '\\+',
      '"',
      "'",
      '/*',
      '*/',
      '//',
      ';',
      '{v0.4s-v3.4s}',
      '[x0, x1, lsl #3]!',
      '::',
      '#',
    ],
    ...[
      '.include "i"',
      '.incbin "b"',
      '.uleb128 x',
      '.loc 1 2',
      '.file 1 "f"',
      '.global x',
      '.hidden x',
      '.type x, @function',
    ],
  ),
  fc.string({ maxLength: 6 }),
);
const LINE = fc.array(WORD, { maxLength: 4 }).map((words) => words.join(' '));

describe('noise', () => {
  it('of words and letters', () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.array(LINE, { maxLength: 25 }), (lines) => {
        if (attempt(lines.join('\n')) === 'refused') refused++;
      }),
      { numRuns: 1500, seed: 1 },
    );
    expect(refused).toBeGreaterThan(500);
  });

  it('of any characters', () => {
    let seen = 0;
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        attempt(text);
        seen++;
      }),
      { numRuns: 700, seed: 2 },
    );
    expect(seen).toBe(700);
  });

  it('in sources that were good: bytes changed, cut, doubled', () => {
    const outcomes = { fine: 0, refused: 0 };
    fc.assert(
      fc.property(
        fc.constantFrom(...SOURCES),
        fc.array(fc.tuple(fc.nat(), fc.nat(9), fc.constantFrom(...' \n"\'\\,;:#[](){}.=+-*/x0~')), {
          minLength: 1,
          maxLength: 6,
        }),
        (source, edits) => {
          let text = source;
          for (const [where, kind, character] of edits) {
            const at = where % text.length;
            if (kind < 4) text = text.slice(0, at) + character + text.slice(at + 1);
            else if (kind < 7) text = text.slice(0, at) + text.slice(at + 1 + kind);
            else if (kind < 9) text = text.slice(0, at) + text.slice(at - 20, at) + text.slice(at);
            else text = text.slice(0, at);
          }
          outcomes[attempt(text)]++;
        },
      ),
      { numRuns: 300, seed: 3 },
    );
    expect(outcomes.refused).toBeGreaterThan(100);
    expect(outcomes.fine).toBeGreaterThan(5);
  });
});

describe('bombs end in an error, soon', () => {
  const bombs: Readonly<Record<string, string>> = {
    'a long chain of forward symbols': `${Array.from({ length: 20000 }, (_, i) => `.set a${i}, a${i + 1} + 1`).join('\n')}\n.quad a0`,
    'doubling symbols': `${Array.from({ length: 300 }, (_, i) => `.set a${i}, a${i + 1} + a${i + 1}`).join('\n')}\n.quad a0`,
    'doubling symbols, settled late': `${Array.from({ length: 200 }, (_, i) => `.set a${i}, a${i + 1} + a${i + 1}`).join('\n')}\n.set a200, 1\n.if a0\n.endif\n.quad nothing`,
    'a wall of brackets': `.word ${'('.repeat(100000)}`,
    'a wall of minus signs': `.word ${'- '.repeat(100000)}1; .quad nothing`,
    'a long sum': `.quad ${'1 + '.repeat(100000)}nothing`,
    'a long line of data': `.word ${'x, '.repeat(50000)}1`,
    'a macro that doubles itself': '.macro m n\n.if \\n\nm "(\\n-1)"\nm "(\\n-1)"\n.endif\n.endm\nm 60',
    'a macro whose argument doubles': '.macro m a:vararg\nm \\a \\a\n.endm\nm abcdefghijklmnopqrstuvwxyz',
    'an argument that grows in an .irp': `.macro m a\n.irp x, ${'\\a'.repeat(50)}\nm "${'\\a'.repeat(50)}"\n.endr\n.endm\nm abcdef`,
    'many sections pushed': '.rept 100000\n.pushsection .a\n.endr',
    'many bad lines': 'frobnicate\n'.repeat(100000),
    'many undefined labels': Array.from({ length: 3000 }, (_, i) => `b nowhere${i}`).join('\n'),
  };
  for (const [name, text] of Object.entries(bombs)) {
    it(name, () => {
      const start = performance.now();
      expect(attempt(text)).toBe('refused');
      expect(performance.now() - start).toBeLessThan(15000);
    });
  }
});

describe('speed', () => {
  const source = (lines: number) =>
    Array.from({ length: lines / 5 }, (_, i) =>
      [
        `lab${i}: add x${i % 30}, x${(i * 7) % 30}, #${i % 4096}   // comment`,
        `        ldr x1, [x2, #${8 * (i % 500)}]`,
        `        b.ne lab${i}`,
        `        stp x1, x2, [sp, #-16]!`,
        `        .word ${i}, lab${i} - ., 0x${i.toString(16)}`,
      ].join('\n'),
    ).join('\n');

  it('100 000 lines take seconds, and time is linear in lines', () => {
    const timed = (text: string) => {
      const start = performance.now();
      const program = assemble({ name: 'big.s', text });
      const took = performance.now() - start;
      expect(program.sections[0]!.size).toBe((text.split('\n').length / 5) * 28);
      return took;
    };
    timed(source(10000));
    const small = timed(source(25000));
    const large = timed(source(100000));
    expect(large).toBeLessThan(20000);
    expect(large).toBeLessThan(small * 12 + 500);
  });
});
