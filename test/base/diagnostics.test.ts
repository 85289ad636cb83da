import { describe, expect, it } from 'vitest';
import { positionOf, renderDiagnostic, SourceText, suggest } from '../../src/base/index.js';

describe('diagnostics', () => {
  const source = new SourceText('a.s', 'first\n\tadd x0, x1, #9999\nlast');
  const start = source.text.indexOf('#9999');
  const span = { source, start, end: start + 5 };

  it('locates by line and byte column', () => {
    expect(positionOf(span)).toEqual({ file: 'a.s', line: 2, column: 14 });
    const wide = new SourceText('u.s', 'é = x');
    expect(positionOf({ source: wide, start: 4, end: 5 }).column).toBe(6);
  });

  it('renders place, line, carets and help', () => {
    const text = renderDiagnostic({
      code: 'ASM-RANGE',
      severity: 'error',
      message: 'immediate 9999 out of range 0 to 4095',
      span,
      help: 'load it into a register first',
    });
    expect(text.split('\n')).toEqual([
      'error[ASM-RANGE]: immediate 9999 out of range 0 to 4095',
      ' --> a.s:2:14',
      '  |',
      '2 | \tadd x0, x1, #9999',
      '  | \t            ^^^^^',
      ' help: load it into a register first',
    ]);
  });

  it('clips very long lines', () => {
    const long = new SourceText('l.s', 'x'.repeat(100_000));
    const text = renderDiagnostic({
      code: 'C',
      severity: 'error',
      message: 'm',
      span: { source: long, start: 99_990, end: 99_999 },
    });
    expect(text.length).toBeLessThan(2000);
  });

  it('suggests near misses only', () => {
    expect(suggest('sgt', ['stg', 'ldg', 'add'])).toEqual(['stg']);
    expect(suggest('zzzzzz', ['stg', 'ldg', 'add'])).toEqual([]);
  });
});
