/** What must hold of every row, whoever wrote it, without any tool. */
import { describe, expect, it } from 'vitest';
import {
  type Concrete,
  composeWord,
  contradictionsIn,
  decode,
  decodeOperands,
  extractFields,
  isFeature,
  ROWS,
  type Row,
  type Shape,
} from '../../isa/index.js';
import { LinearityBuilder, LinearityError, type LinearWords } from './linearity-builder.js';
import { samplesOf } from './samples.js';

const byId = new Map(ROWS.map((row) => [row.id, row]));

describe('the table of rows', () => {
  it('has unique ids, and refinements that name rows', () => {
    expect(byId.size).toBe(ROWS.length);
    for (const row of ROWS) for (const id of row.refines) expect(byId.has(id), `${row.id}: ${id}`).toBe(true);
  });

  it('has words for every row: no row is shadowed by others or by its own conditions', () => {
    const shadowed = ROWS.filter((row) => samplesOf(row, 4).length === 0).map((row) => row.id);
    expect(shadowed).toEqual([]);
  });

  it('says of every row what it is: mnemonic, section of the Arm ARM, semantics', () => {
    for (const row of ROWS) {
      expect(row.names.length, row.id).toBeGreaterThan(0);
      expect(row.arm, row.id).toMatch(/^[A-K]\d+(\.\d+)*( |$)/);
      expect(row.summary, row.id).toMatch(/^[A-Z].*[^.]$/);
      if (row.feature !== undefined) expect(isFeature(row.feature), `${row.id}: ${row.feature}`).toBe(true);
      expect(typeof row.execute, row.id).toBe('function');
      for (const name of row.statics)
        expect(
          row.fields.map((f) => f.name),
          row.id,
        ).toContain(name);
    }
  });

  it('overlaps only where a row declares that it refines another', () => {
    const undeclared: string[] = [];
    for (const [at, a] of ROWS.entries()) {
      for (const b of ROWS.slice(at + 1)) {
        if (a.refines.includes(b.id) || b.refines.includes(a.id)) continue;
        const word = commonWord(a, b);
        if (word !== undefined) undeclared.push(`${a.id} and ${b.id}: ${word.toString(16)}`);
      }
    }
    expect(undeclared).toEqual([]);
  });

  it('decodes a refinement before what it refines', () => {
    for (const row of ROWS) {
      for (const id of row.refines) {
        const general = byId.get(id)!;
        const common = samplesOf(row, 20).filter(({ word }) => accepts(general, word));
        expect(common.length, `${row.id} refines ${id}`).toBeGreaterThan(0);
      }
    }
  });

  it('builds its decoding tables fast enough not to be felt at start', () => {
    // The first decode of this process may have been made above; what is measured is 20000 decodes.
    const start = performance.now();
    let known = 0;
    for (let i = 0; i < 20_000; i++) if (decode(Math.imul(i, 0x9e3779b1) >>> 0) !== undefined) known++;
    expect(known).toBeGreaterThan(1000);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

/** Whether the row's pattern and conditions take the word, were there no other rows. */
function accepts(row: Row, word: number): boolean {
  if ((word & row.mask) >>> 0 !== row.value) return false;
  return row.where === undefined || row.where(extractFields(row, word));
}

/** A word that both rows take, found by trying the bits that both leave free. */
function commonWord(a: Row, b: Row): number | undefined {
  if (((a.value ^ b.value) & a.mask & b.mask) !== 0) return undefined;
  const fixed = (a.value | b.value) >>> 0;
  const free: number[] = [];
  for (let bit = 0; bit < 32; bit++) if ((((a.mask | b.mask) >>> bit) & 1) === 0) free.push(bit);
  const tries = Math.min(2 ** free.length, 1 << 14);
  for (let i = 0; i < tries; i++) {
    // All combinations where there are few free bits, else a spread of them.
    const choice = free.length <= 14 ? i : Math.imul(i, 0x9e3779b1) >>> 0;
    let word = fixed;
    for (const [at, bit] of free.entries()) if ((choice >>> (at % 32)) & 1) word |= 1 << bit;
    if (accepts(a, word >>> 0) && accepts(b, word >>> 0)) return word >>> 0;
  }
  return undefined;
}

// ---- semantics -------------------------------------------------------------------------------------

/** The operand as tokens; static parts keep their numbers. `tag` makes the tokens of two runs differ. */
function tokens(b: LinearityBuilder, shape: Shape, value: Concrete<Shape>, path: string): unknown {
  switch (shape) {
    case 'imm':
      return b.operand(`operand ${path}`);
    case 'reg':
      return { reg: path } satisfies LinearWords['reg'];
    case 'vreg':
      return { vreg: path } satisfies LinearWords['vreg'];
    case 'cond':
      return { cond: path } satisfies LinearWords['cond'];
    case 'label':
      return { label: path } satisfies LinearWords['label'];
    case 'sysreg':
      return { sysreg: path } satisfies LinearWords['sysreg'];
    case 'static':
      return value;
    default: {
      const parts = value as Readonly<Record<string, Concrete<Shape>>>;
      return Object.fromEntries(
        Object.entries(shape).map(([name, part]) => [name, tokens(b, part, parts[name]!, `${path}.${name}`)]),
      );
    }
  }
}

/** The values of an operand's static parts, for telling forms apart. */
function staticParts(shape: Shape, value: Concrete<Shape>): unknown {
  if (shape === 'static') return value;
  if (typeof shape === 'string') return undefined;
  const parts = value as Readonly<Record<string, Concrete<Shape>>>;
  return Object.entries(shape).map(([name, part]) => staticParts(part, parts[name]!));
}

function execute(row: Row, word: number, baseIsSP: boolean): string[] {
  const decoded = decode(word)!;
  const values = decodeOperands(decoded);
  const b = new LinearityBuilder(baseIsSP);
  const operands: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(row.operands)) {
    operands[name] = tokens(b, kind.shape, values[name]!, name);
  }
  const statics = Object.fromEntries(row.statics.map((name) => [name, decoded.fields[name]!]));
  row.execute(b, operands, statics);
  b.finish();
  return b.trace;
}

/** Rows that truly do nothing: hints that no state of ours answers to, and prefetches. */
const DO_NOTHING = new Set([
  ...['NOP', 'PSB', 'TSB', 'CSDB', 'CLEARBHB', 'HINT'],
  ...['PRFM_literal', 'PRFM_unsigned', 'PRFUM_unscaled', 'PRFM_register'],
]);

describe('semantics obey the rules of the builder', () => {
  it.each(ROWS.map((row) => [row.id, row] as const))('%s', (_, row) => {
    const traces = new Map<string, string>();
    for (const { word } of samplesOf(row, 60)) {
      const decoded = decode(word)!;
      const values = decodeOperands(decoded);
      const form = JSON.stringify([
        row.statics.map((name) => decoded.fields[name]),
        Object.entries(row.operands).map(([name, kind]) => staticParts(kind.shape, values[name]!)),
      ]);
      for (const baseIsSP of [false, true]) {
        const trace = execute(row, word, baseIsSP).join('\n');
        expect(trace === '', 'does nothing').toBe(DO_NOTHING.has(row.id));
        // Within one form nothing but tokens differs, so nothing may differ in what is done.
        const key = `${form} ${baseIsSP}`;
        expect(trace).toBe(traces.get(key) ?? trace);
        traces.set(key, trace);
      }
    }
    expect(traces.size).toBeGreaterThan(0);
    expect(traces.size, 'forms').toBeLessThanOrEqual(64);
  });
});

describe('the linearity builder', () => {
  const reg = { reg: 'r' };
  it('refuses an unnamed value used twice', () => {
    const b = new LinearityBuilder(false);
    const x = b.readX(64, reg);
    expect(() => b.add(64, x, x)).toThrow(LinearityError);
    const named = b.let(b.readX(64, reg));
    expect(() => b.add(64, named, named)).not.toThrow();
  });
  it('refuses an unnamed read after a write', () => {
    const b = new LinearityBuilder(false);
    const x = b.add(64, b.readX(64, reg), b.imm(1));
    b.writeX(64, reg, b.imm(0));
    expect(() => b.branchTo(x, 'call')).toThrow(/unnamed/);
  });
  it('refuses an unnamed load used after another effect', () => {
    const b = new LinearityBuilder(false);
    const x = b.load(8, b.imm(0));
    b.load(8, b.imm(8));
    expect(() => b.writeX(64, reg, x)).toThrow(/unnamed/);
  });
  it('refuses a memory access after a register write', () => {
    const b = new LinearityBuilder(false);
    b.writeX(64, reg, b.imm(0));
    expect(() => b.load(8, b.imm(0))).toThrow(/after a register/);
  });
});

describe('the linearity builder on floating point', () => {
  const reg = { vreg: 'v' };
  it('refuses V registers before the check of access, and the check after anything', () => {
    expect(() => new LinearityBuilder(false).readF(64, reg)).toThrow(/without checkFPAdvSIMDEnabled/);
    const b = new LinearityBuilder(false);
    b.readX(64, { reg: 'x' });
    expect(() => b.checkFPAdvSIMDEnabled()).toThrow(/not the first/);
  });
  it('refuses a floating-point result that nothing uses, named or not', () => {
    const b = new LinearityBuilder(false);
    b.checkFPAdvSIMDEnabled();
    const sum = b.let(b.fp2('add', 64, b.readF(64, reg), b.readF(64, reg)));
    expect(() => b.finish()).toThrow(/is not used/);
    b.writeF(64, reg, sum);
    expect(() => b.finish()).not.toThrow();
  });
});

describe('a row', () => {
  it('does not contradict itself', () => {
    expect(ROWS.flatMap(contradictionsIn)).toEqual([]);
  });

  it('that does is found out', () => {
    const { id, fields, names, operands, aliases, shouldBe } = byId.get('ADR_pcreladdr')!;
    const adr = { id, fields, names, operands, aliases, shouldBe };
    const { rd } = operands;
    expect(contradictionsIn(adr)).toEqual([]);
    expect(contradictionsIn({ ...adr, operands: { rd: rd! } })).toEqual([
      `row ${id}: nothing in its syntax sets field immlo`,
      `row ${id}: nothing in its syntax sets field immhi`,
    ]);
    expect(contradictionsIn({ ...adr, fields: [...fields, fields[0]!] })).toEqual([
      `row ${id}: a field appears twice`,
    ]);
    const unknown = { ...rd!, fields: ['Rx'] };
    const alias = { name: 'x', operands: { ...operands, unknown } };
    expect(contradictionsIn({ ...adr, aliases: [alias] })).toEqual([
      `row ${id}: operand ${rd!.syntax} uses unknown field Rx`,
    ]);
  });
});

describe('patterns', () => {
  it('give back the word from its fields', () => {
    for (const row of ROWS) {
      for (const { word } of samplesOf(row, 20, true)) {
        expect(composeWord(row, extractFields(row, word))).toBe(word);
      }
    }
  });
});
