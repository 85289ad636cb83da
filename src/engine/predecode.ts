/**
 * From an instruction word to what the evaluator runs, once per word.
 *
 * Operands become the evaluator's own types (labels a plain number of bytes), so that running an
 * instruction is one call. Records are shared by all places that hold the word, and cached by word: they
 * depend on nothing else.
 */
import {
  type Concrete,
  decode,
  decodeOperands,
  type Fields,
  type LabelValue,
  type Row,
  type Shape,
} from '../../isa/index.js';
import type { EvaluatorBuilder } from './evaluator-builder.js';

/** A PC-relative operand: bytes from the instruction, or from its page. */
export interface EvaluatorLabel {
  readonly delta: number;
  readonly page: boolean;
}

export interface Predecoded {
  readonly word: number;
  /** Undefined where no row decodes the word. */
  readonly row: Row | undefined;
  readonly operands: Readonly<Record<string, unknown>>;
  readonly statics: Fields;
  readonly execute: (
    b: EvaluatorBuilder,
    operands: Readonly<Record<string, unknown>>,
    statics: Fields,
  ) => void;
}

function convert(shape: Shape, value: Concrete<Shape>): unknown {
  if (shape === 'label') {
    const { offset, page } = value as LabelValue;
    return { delta: Number(offset), page } satisfies EvaluatorLabel;
  }
  if (typeof shape === 'string') return value;
  const parts: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(shape)) {
    parts[name] = convert(part, (value as Readonly<Record<string, Concrete<Shape>>>)[name]!);
  }
  return parts;
}

const undefinedWord: Predecoded['execute'] = (b) => b.undefined();

/** Instruction words decoded so far at most; beyond it the cache starts again. */
const MOST_WORDS = 1 << 18;

export class Predecoder {
  readonly #records = new Map<number, Predecoded>();
  readonly #hasFeature: (feature: string) => boolean;

  constructor(hasFeature: (feature: string) => boolean) {
    this.#hasFeature = hasFeature;
  }

  /** `word`: unsigned 32 bits. */
  get(word: number): Predecoded {
    const known = this.#records.get(word);
    if (known !== undefined) return known;
    if (this.#records.size >= MOST_WORDS) this.#records.clear();
    const record = this.#decode(word);
    this.#records.set(word, record);
    return record;
  }

  #decode(word: number): Predecoded {
    const decoded = decode(word, this.#hasFeature);
    if (decoded === undefined)
      return { word, row: undefined, operands: {}, statics: {}, execute: undefinedWord };
    const { row, fields } = decoded;
    const values = decodeOperands(decoded);
    const operands: Record<string, unknown> = {};
    for (const [name, kind] of Object.entries(row.operands)) {
      operands[name] = convert(kind.shape, values[name]!);
    }
    const statics: Record<string, number> = {};
    for (const name of row.statics) statics[name] = fields[name]!;
    return { word, row, operands, statics, execute: row.execute as Predecoded['execute'] };
  }
}
