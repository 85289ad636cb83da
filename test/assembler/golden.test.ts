/**
 * What is said about bad assembly: one file a case in golden/, its input above the separator and the
 * expected output below.
 *
 * `UPDATE_GOLDEN=1 npx vitest run --config test/vitest.config.ts test/assembler/golden.test.ts`
 * rewrites what is below the separators; the diff is to be read.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { InputError, inputError, renderDiagnostics } from '../../src/base/index.js';

const FOLDER = new URL('golden/', import.meta.url).pathname;
const SEPARATOR = '\n======== expected ========\n';
const UPDATE = process.env['UPDATE_GOLDEN'] === '1';

/** Files that cases may include; their names say what they do. */
const INCLUDES: Readonly<Record<string, string>> = {
  'itself.inc': '        .include "itself.inc"\n',
  'bad.inc': '        nop\n        frobnicate x0\n',
  'open-if.inc': '        .if 1\n        nop\n',
};

function outputOf(name: string, text: string): string {
  try {
    const { warnings } = assemble(
      { name, text },
      {
        include(path) {
          const found = INCLUDES[path];
          if (found === undefined)
            throw inputError('CLI-READ', `cannot read ${path}: no such file or directory`);
          return { name: path, text: found };
        },
        incbin(path) {
          if (path === 'four.bin') return Uint8Array.of(1, 2, 3, 4);
          throw inputError('CLI-READ', `cannot read ${path}: no such file or directory`);
        },
      },
    );
    return renderDiagnostics(warnings.filter((w) => w.code !== 'ASM-ENTRY'));
  } catch (thrown) {
    if (thrown instanceof InputError) return renderDiagnostics(thrown.diagnostics);
    throw thrown;
  }
}

const CASES = readdirSync(FOLDER).filter((f) => f.endsWith('.txt'));

describe('diagnostics of the assembler', () => {
  it('has at least sixty cases', () => {
    expect(CASES.length).toBeGreaterThanOrEqual(60);
  });

  for (const file of CASES) {
    it(file.replace(/\.txt$/, ''), () => {
      const whole = readFileSync(FOLDER + file, 'utf8');
      const cut = whole.indexOf(SEPARATOR);
      const input = `${cut < 0 ? whole.replace(/\n$/, '') : whole.slice(0, cut)}\n`;
      const expected = cut < 0 ? '' : whole.slice(cut + SEPARATOR.length).replace(/\n$/, '');
      const output = outputOf(`${file.replace(/\.txt$/, '')}.s`, input);
      if (UPDATE && output !== expected) {
        writeFileSync(FOLDER + file, `${input.replace(/\n$/, '')}${SEPARATOR}${output}\n`);
      } else {
        expect(output).toBe(expected);
      }
      expect(output).not.toBe('');
    });
  }
});
