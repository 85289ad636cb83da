/**
 * Forms: a row with its statics chosen, and what the semantics asked about SP.
 *
 * A form's key is made of what semantics may branch on, so that two instructions with one key run one
 * code. `allForms` finds every form there is by decoding words that vary everything that matters;
 * `formOf` is the form of one word. Both run the same builder, so that records and code agree.
 */
import {
  type Concrete,
  composeWord,
  type Decoded,
  decode,
  decodeOperands,
  type Row,
  type Shape,
} from '../../../isa/index.js';
import { type Field, RecordFull } from './fields.js';
import { FloatFormBuilder } from './float-vectors.js';
import { formBuilder } from './form-builder.js';
import { FunctionFrame, LoopFrame, type RecordFrame, Unsupported } from './frame.js';
import type { Operand } from './operands.js';
import { RecordOperands } from './record-operands.js';
import type { FloatSource } from './soft-forms.js';

export interface Form {
  readonly key: string;
  readonly row: Row;
  readonly builder: FloatFormBuilder;
  readonly fields: readonly Field[];
}

/** Why the interpreter has no form for an instruction. */
export interface NoForm {
  readonly row: Row;
  /** The operation of the builder that is not there. */
  readonly missing: string;
}

export const isForm = (form: Form | NoForm): form is Form => 'key' in form;

/** An operand as the form builder's semantics see it; static parts go to `statics`. */
function symbolic(
  builder: FloatFormBuilder,
  shape: Shape,
  value: Concrete<Shape>,
  path: readonly string[],
  statics: number[],
): unknown {
  if (shape === 'static') {
    statics.push(value as number);
    return value;
  }
  if (shape === 'imm') return builder.operands.immediate(path);
  if (typeof shape === 'string') {
    return { path, plus: 0, isSP: shape === 'reg' && value === 32 } satisfies Operand;
  }
  const parts = value as Readonly<Record<string, Concrete<Shape>>>;
  return Object.fromEntries(
    Object.entries(shape).map(([name, part]) => [
      name,
      symbolic(builder, part, parts[name]!, [...path, name], statics),
    ]),
  );
}

/**
 * Runs the semantics of an instruction on the builder; gives the key of its form.
 * Throws Unsupported where the builder does not do them.
 */
export function lower(builder: FloatFormBuilder, decoded: Decoded, values = decodeOperands(decoded)): string {
  const { row, fields } = decoded;
  const parts: number[] = [];
  const operands = Object.fromEntries(
    Object.entries(row.operands).map(([name, kind]) => [
      name,
      symbolic(builder, kind.shape, values[name]!, [name], parts),
    ]),
  );
  const statics = Object.fromEntries(row.statics.map((name) => [name, fields[name]!]));
  row.execute(formBuilder(builder), operands, statics);
  return [row.id, Object.values(statics).join(','), parts.join(','), builder.asked.map(Number).join('')].join(
    '|',
  );
}

/** The form of a decoded instruction, made for `frame`. */
export function formOf(decoded: Decoded, frame: RecordFrame, floats: FloatSource = 'host'): Form | NoForm {
  const { row } = decoded;
  const operands = new RecordOperands(frame);
  const builder = new FloatFormBuilder(frame, operands);
  builder.floats = floats;
  try {
    const key = lower(builder, decoded);
    return { key, row, builder, fields: operands.fields.fields };
  } catch (thrown) {
    if (thrown instanceof Unsupported || thrown instanceof RecordFull) {
      return { row, missing: thrown.message };
    }
    throw thrown;
  }
}

/** Everything that may decide what form a word has, without making it. */
export function discriminator(decoded: Decoded, values = decodeOperands(decoded)): string {
  const { row, fields } = decoded;
  const sp = baseFields(row)
    .map((name) => (fields[name] === 31 ? '1' : '0'))
    .join('');
  const statics = row.statics.map((name) => fields[name]).join(',');
  const parts: number[] = [];
  for (const [name, { shape }] of Object.entries(row.operands)) staticParts(shape, values[name]!, parts);
  return `${row.id}|${statics}|${parts.join(',')}|${sp}`;
}

function staticParts(shape: Shape, value: Concrete<Shape>, out: number[]): void {
  if (shape === 'static') out.push(value as number);
  if (typeof shape === 'string') return;
  const parts = value as Readonly<Record<string, Concrete<Shape>>>;
  for (const [name, part] of Object.entries(shape)) staticParts(part, parts[name]!, out);
}

function has(shape: Shape, part: Shape): boolean {
  if (typeof shape === 'string') return shape === part;
  return Object.values(shape).some((inner) => has(inner, part));
}

const BASE_FIELDS = new Map<Row, readonly string[]>();

/** Fields of registers that may be SP. */
function baseFields(row: Row): readonly string[] {
  let names = BASE_FIELDS.get(row);
  if (names === undefined) {
    const bases = Object.values(row.operands).filter((kind) => has(kind.shape, 'reg'));
    const candidates = new Set(bases.flatMap((kind) => kind.fields));
    names = row.fields.filter((f) => f.width === 5 && candidates.has(f.name)).map((f) => f.name);
    BASE_FIELDS.set(row, names);
  }
  return names;
}

/** Whether the row's instructions name V registers; their forms are in a module of their own. */
export const usesVectors = (row: Row): boolean =>
  Object.values(row.operands).some((kind) => has(kind.shape, 'vreg'));

/** Rows that are ways out of generated code (Exit.supervisorCall, Exit.exceptionReturn), and so have no form. */
export const SUPERVISOR_CALL = 'SVC_exception';
export const EXCEPTION_RETURN = 'ERET_branch_reg';

/** Words of the row that between them have every form; at most this many are tried. */
const MOST_WORDS = 4096;
/** Rows that have no form in so many tries have none. */
const ENOUGH = 16;

function* wordsOf(row: Row): Generator<number> {
  const matters = new Set(row.statics);
  for (const kind of Object.values(row.operands)) {
    if (has(kind.shape, 'static')) for (const name of kind.fields) matters.add(name);
  }
  const bases = new Set(baseFields(row));
  const choices = row.fields.map(({ name, width }) => {
    if (matters.has(name) && width < 5) return Array.from({ length: 2 ** width }, (_, i) => i);
    // What says which register, and may say size and element beside it.
    const isRegister = name.startsWith('R');
    if (width === 5 && isRegister) return bases.has(name) ? [2, 31] : [2];
    if (width === 5 && !matters.has(name)) return [2];
    if (width === 1) return [0, 1];
    if (matters.has(name)) return Array.from({ length: 2 ** Math.min(width, 6) }, (_, i) => i);
    // Small numbers may be rows of their own: hints are.
    return [0, 1, 2 ** width - 1];
  });
  let tried = 0;
  const at = choices.map(() => 0);
  for (;;) {
    if (tried++ === MOST_WORDS) return;
    yield composeWord(row, Object.fromEntries(row.fields.map((f, i) => [f.name, choices[i]![at[i]!]!])));
    let digit = 0;
    while (digit < at.length && ++at[digit]! === choices[digit]!.length) at[digit++] = 0;
    if (digit === at.length) return;
  }
}

export interface FormSet {
  readonly forms: ReadonlyMap<string, Decoded>;
  /** Rows with instructions that have no form, and the operations that are missing. */
  readonly missing: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * The form of an instruction in the loop, or, where that cannot be or is not worth it, in a function; of
 * those that use V registers by the host's arithmetic, or by soft-float alone.
 */
export function anyFormOf(decoded: Decoded): Form | NoForm {
  if (usesVectors(decoded.row)) {
    const host = formOf(decoded, new FunctionFrame());
    return isForm(host) ? host : formOf(decoded, new FunctionFrame(), 'soft');
  }
  const form = formOf(decoded, new LoopFrame());
  return isForm(form) ? form : formOf(decoded, new FunctionFrame());
}

/** Every form of these rows, by key, with an instruction of it. */
export function allForms(rows: readonly Row[]): FormSet {
  const forms = new Map<string, Decoded>();
  const missing = new Map<string, Set<string>>();
  for (const row of rows) {
    if (row.id === SUPERVISOR_CALL || row.id === EXCEPTION_RETURN) continue;
    const seen = new Set<string>();
    let found = 0;
    for (const word of wordsOf(row)) {
      const decoded = decode(word);
      if (decoded?.row !== row) continue;
      const which = discriminator(decoded);
      if (seen.has(which)) continue;
      seen.add(which);
      const form = anyFormOf(decoded);
      if (isForm(form)) {
        found++;
        if (!forms.has(form.key)) forms.set(form.key, decoded);
      } else {
        const operations = missing.get(row.id) ?? new Set();
        operations.add(form.missing);
        missing.set(row.id, operations);
        if (found === 0 && seen.size >= ENOUGH) break;
      }
    }
  }
  return { forms, missing };
}
