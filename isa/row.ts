/**
 * The row: one A64 encoding, from which everything about it is derived.
 *
 * Decoder, assembler, disassembler, evaluator, generated code, tests and the instruction reference all
 * read the same rows. A row's pattern is a string literal that TypeScript itself parses, so a field
 * name that the pattern does not have is a compile error.
 *
 *     pattern: 'sf 0 0 100010 sh imm12:12 Rn:5 Rd:5'
 *
 * Tokens are runs of fixed bits, one-bit fields (`sf`) and wider fields (`imm12:12`), from bit 31 down.
 *
 * Ref. DDI 0487, C4 (encodings) and C6 (instructions).
 */
import type { Builder, Words } from './builder.js';
import type { EncodeContext, Mismatch, OperandCursor } from './syntax.js';

// ---- pattern types ---------------------------------------------------------------------------------

type Tokens<P extends string> = P extends `${infer Head} ${infer Rest}` ? Head | Tokens<Rest> : P;
type FieldName<T extends string> = T extends `${infer Name}:${string}`
  ? Name
  : T extends `0${string}` | `1${string}` | ''
    ? never
    : T;
/** The union of field names in a pattern. */
export type FieldsOf<P extends string> = FieldName<Tokens<P>>;

/** Field values of one instruction word, by name. */
export type Fields = Readonly<Record<string, number>>;

// ---- operand shapes --------------------------------------------------------------------------------

/**
 * What an operand is to semantics.
 * `static` parts are plain numbers that semantics may branch on; the others belong to the builder.
 */
export type Shape =
  | 'reg'
  | 'vreg'
  | 'imm'
  | 'label'
  | 'cond'
  | 'sysreg'
  | 'static'
  | { readonly [part: string]: Shape };

/** The operand as semantics see it under the builder's types. */
export type Semantic<T extends Words, S> = S extends 'reg'
  ? T['reg']
  : S extends 'vreg'
    ? T['vreg']
    : S extends 'imm'
      ? T['x']
      : S extends 'label'
        ? T['label']
        : S extends 'cond'
          ? T['cond']
          : S extends 'sysreg'
            ? T['sysreg']
            : S extends 'static'
              ? number
              : { readonly [K in keyof S]: Semantic<T, S[K]> };

/**
 * The operand's decoded value. `reg`: slot 0..32 (31 zero register, 32 SP). `vreg`: 0..31. `imm`: the 64-bit value
 * semantics use (scaled, sign-extended to unsigned 64 bits, bitmask expanded). `label`: signed byte
 * offset from the instruction, before any page masking (`addressOf` of an ADRP label works on pages:
 * kinds mark it by the `page` flag). `cond`: 0..15. `sysreg`: op0:op1:CRn:CRm:op2.
 */
export type Concrete<S> = S extends 'imm'
  ? bigint
  : S extends 'label'
    ? LabelValue
    : S extends 'reg' | 'vreg' | 'cond' | 'sysreg' | 'static'
      ? number
      : { readonly [K in keyof S]: Concrete<S[K]> };

/** A PC-relative operand: target = (page ? pc & ~0xfff : pc) + offset. */
export interface LabelValue {
  readonly offset: bigint;
  readonly page: boolean;
}

/** What printing may ask. */
export interface PrintContext {
  /** The instruction's address; labels print as absolute addresses, as objdump does. */
  readonly pc: bigint;
  /** `addr` followed by ` <symbol+0x..>` where the disassembler knows symbols. */
  symbol?(address: bigint): string | undefined;
}

/** An operand in three directions: word to value, word to text, text to word. */
export interface OperandKind<S extends Shape = Shape> {
  readonly shape: S;
  /** For documentation: `<Xd|SP>`, `#<imm>{, LSL #12}`. */
  readonly syntax: string;
  /** Field names it reads and writes. */
  readonly fields: readonly string[];
  decode(fields: Fields): Concrete<S>;
  /** The operand's text, or '' where it is left out. */
  print(fields: Fields, context: PrintContext): string;
  /** Consumes its operands; gives the fields' values. `before`: those the operands to the left gave. */
  parse(cursor: OperandCursor, before: Fields): Fields | Mismatch;
}

/** Operands in syntax order; the keys are the names semantics use. */
export type OperandSet = Readonly<Record<string, OperandKind>>;

type SemanticsOf<T extends Words, O extends OperandSet> = {
  readonly [K in keyof O]: O[K] extends OperandKind<infer S> ? Semantic<T, S> : never;
};

// ---- rows ------------------------------------------------------------------------------------------

/** Another spelling of the same encodings; the first whose `when` holds is what disassembly prints. */
export interface Alias<F extends string = string> {
  readonly name: string;
  readonly operands: OperandSet;
  /** Field values the alias implies; it matches only words that have them. */
  readonly fixed?: Readonly<Partial<Record<F, number>>>;
  /** What `fixed` cannot say; it matches only words for which this holds, in both directions. */
  readonly requires?: (fields: Readonly<Record<F, number>>) => boolean;
  /** Preferred disassembly under this condition; left out: always preferred; `never`: accepted, not printed. */
  readonly when?: ((fields: Readonly<Record<F, number>>) => boolean) | 'never';
}

export type InstructionClass =
  | 'data-processing-immediate'
  | 'data-processing-register'
  | 'branch'
  | 'exception'
  | 'system'
  | 'load-store'
  | 'atomic'
  | 'mte'
  | 'pauth'
  | 'fp'
  | 'simd'
  | 'crypto';

export interface RowSpec<P extends string, O extends OperandSet, S extends FieldsOf<P>> {
  /** Unique: the Arm ARM's mnemonic and encoding form, `ADD_imm`, `STG_post`. */
  readonly id: string;
  /**
   * The mnemonic, or several that differ by field values (`{ 'b.eq': { cond: 0 }, ... }`); the first
   * whose values match is printed.
   */
  readonly name: string | Readonly<Record<string, Readonly<Partial<Record<FieldsOf<P>, number>>>>>;
  readonly pattern: P;
  readonly class: InstructionClass;
  /** One line for people: `Add (immediate)`. */
  readonly summary: string;
  /** The section of DDI 0487 that defines it: `C6.2.4`. */
  readonly arm: string;
  /** The feature without which the encoding is UNDEFINED: `FEAT_MTE2`. Armv8.0 needs none. */
  readonly feature?: string;
  /** Another feature that it needs as well. */
  readonly andFeature?: string;
  /** Reserved values: words for which this is false are not this row. */
  readonly where?: (fields: Readonly<Record<FieldsOf<P>, number>>) => boolean;
  /**
   * Fields that no operand sets, with the value encoding gives them: should-be-one and should-be-zero
   * bits, written `(1)` in the Arm ARM. Other values decode all the same.
   */
  readonly shouldBe?: Readonly<Partial<Record<FieldsOf<P>, number>>>;
  /** Rows whose encodings this one takes a part of; an overlap not declared here fails the tests. */
  readonly refines?: readonly string[];
  readonly operands: O;
  /** Fields that semantics branch on. */
  readonly statics?: readonly S[];
  readonly aliases?: readonly Alias<FieldsOf<P>>[];
  readonly execute: <T extends Words>(
    b: Builder<T>,
    operands: SemanticsOf<T, O>,
    statics: Readonly<Record<S, number>>,
  ) => void;
}

/** One bit-field of a pattern. */
export interface Field {
  readonly name: string;
  readonly lo: number;
  readonly width: number;
}

/** A row with its types forgotten, its pattern compiled; what tools iterate over. */
export interface Row {
  readonly id: string;
  readonly names: readonly { readonly name: string; readonly fixed: Readonly<Record<string, number>> }[];
  readonly pattern: string;
  readonly mask: number;
  readonly value: number;
  readonly fields: readonly Field[];
  readonly class: InstructionClass;
  readonly summary: string;
  readonly arm: string;
  readonly feature: string | undefined;
  readonly andFeature: string | undefined;
  readonly where: ((fields: Fields) => boolean) | undefined;
  readonly shouldBe: Fields;
  readonly refines: readonly string[];
  readonly operands: OperandSet;
  readonly statics: readonly string[];
  readonly aliases: readonly Alias[];
  readonly execute: <T extends Words>(
    b: Builder<T>,
    operands: Readonly<Record<string, unknown>>,
    statics: Fields,
  ) => void;
}

const NONE: readonly never[] = [];
const NO_FIELDS: Fields = {};

/**
 * A row's specification with what is derived from it. A thousand rows are made at every start and most
 * are never asked for more than mask and value: the rest is derived when first asked for.
 */
class CompiledRow implements Row {
  readonly id: string;
  readonly pattern: string;
  readonly mask: number;
  readonly value: number;
  readonly class: InstructionClass;
  readonly feature: string | undefined;
  readonly andFeature: string | undefined;
  readonly where: Row['where'];
  readonly operands: OperandSet;
  readonly execute: Row['execute'];
  readonly #spec: RowSpec<string, OperandSet, never>;
  #fields: readonly Field[] | undefined;
  #names: Row['names'] | undefined;

  constructor(spec: RowSpec<string, OperandSet, never>) {
    const { mask, value } = fixedBits(spec.id, spec.pattern);
    this.id = spec.id;
    this.pattern = spec.pattern;
    this.mask = mask;
    this.value = value;
    this.class = spec.class;
    this.feature = spec.feature;
    this.andFeature = spec.andFeature;
    this.where = spec.where;
    this.operands = spec.operands;
    this.execute = spec.execute as Row['execute'];
    this.#spec = spec;
  }

  get fields(): readonly Field[] {
    this.#fields ??= fieldsIn(this.pattern);
    return this.#fields;
  }
  get names(): Row['names'] {
    const { name } = this.#spec;
    this.#names ??=
      typeof name === 'string'
        ? [{ name, fixed: NO_FIELDS }]
        : Object.entries(name).map(([one, fixed]) => ({ name: one, fixed: fixed as Fields }));
    return this.#names;
  }
  get summary(): string {
    return this.#spec.summary;
  }
  get arm(): string {
    return this.#spec.arm;
  }
  get shouldBe(): Fields {
    return (this.#spec.shouldBe as Fields | undefined) ?? NO_FIELDS;
  }
  get refines(): readonly string[] {
    return this.#spec.refines ?? NONE;
  }
  get statics(): readonly string[] {
    return this.#spec.statics ?? NONE;
  }
  get aliases(): readonly Alias[] {
    return this.#spec.aliases ?? NONE;
  }
}

/** Compiles one row. What rows must not contradict is checked by the tests, not at every start. */
export function defineRow<const P extends string, O extends OperandSet, const S extends FieldsOf<P> = never>(
  spec: RowSpec<P, O, S>,
): Row {
  return new CompiledRow(spec as unknown as RowSpec<string, OperandSet, never>);
}

/** How a row contradicts itself: operands and names that set fields twice, or not at all, or none it has. */
export function contradictionsIn({
  id,
  fields,
  names,
  operands,
  aliases,
  shouldBe,
}: Pick<Row, 'id' | 'fields' | 'names' | 'operands' | 'aliases' | 'shouldBe'>): string[] {
  const found: string[] = [];
  const known = new Set(fields.map((f) => f.name));
  if (known.size < fields.length) found.push(`row ${id}: a field appears twice`);
  for (const alias of [undefined, ...aliases]) {
    const kinds = Object.values(alias?.operands ?? operands);
    for (const kind of kinds) {
      for (const name of kind.fields) {
        if (!known.has(name)) found.push(`row ${id}: operand ${kind.syntax} uses unknown field ${name}`);
      }
    }
    const settable = new Set(kinds.flatMap((kind) => kind.fields));
    for (const name of known) {
      const named = alias === undefined ? names.every((n) => name in n.fixed) : name in (alias.fixed ?? {});
      if (!settable.has(name) && !named && !(name in shouldBe)) {
        found.push(`row ${id}: nothing in ${alias?.name ?? 'its syntax'} sets field ${name}`);
      }
    }
  }
  return found;
}

const COLON = 58;
const ZERO = 48;
const ONE = 49;
const isDigit = (c: number) => c >= ZERO && c <= ZERO + 9;

/** The bits that a pattern fixes, read character by character. */
function fixedBits(id: string, pattern: string): { readonly mask: number; readonly value: number } {
  let mask = 0;
  let value = 0;
  let at = 32;
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern.charCodeAt(i);
    if (c === ZERO || c === ONE) {
      at--;
      mask |= 1 << at;
      if (c === ONE) value |= 1 << at;
    } else if (c >= COLON) {
      // A field: its name begins with a letter, and its width follows a colon.
      let next = pattern.charCodeAt(++i);
      while (next > COLON || isDigit(next)) next = pattern.charCodeAt(++i);
      let width = next === COLON ? 0 : 1;
      if (next === COLON) {
        for (next = pattern.charCodeAt(++i); isDigit(next); next = pattern.charCodeAt(++i)) {
          width = 10 * width + next - ZERO;
        }
      }
      at -= width;
    }
  }
  if (at !== 0) throw new Error(`row ${id}: pattern has ${32 - at} bits, not 32`);
  return { mask: mask >>> 0, value: value >>> 0 };
}

function fieldsIn(pattern: string): Field[] {
  const fields: Field[] = [];
  let lo = 32;
  for (const token of pattern.split(' ')) {
    const [name, width] = token.split(':') as [string, string?];
    const isField = !isDigit(name.charCodeAt(0));
    const bits = isField ? Number(width ?? 1) : name.length;
    lo -= bits;
    if (isField) fields.push({ name, lo, width: bits });
  }
  return fields;
}

/** The field values of `word` under the row's pattern. */
export function extractFields(row: Row, word: number): Record<string, number> {
  const out: Record<string, number> = {};
  for (const f of row.fields)
    out[f.name] = f.width === 32 ? word >>> 0 : (word >>> f.lo) & ((1 << f.width) - 1);
  return out;
}

/** The word with the row's fixed bits and these fields; those not named are as they should be, else 0. */
export function composeWord(row: Row, fields: Fields): number {
  let word = row.value;
  for (const f of row.fields) {
    const v = fields[f.name] ?? row.shouldBe[f.name] ?? 0;
    word |= f.width === 32 ? v : (v & ((1 << f.width) - 1)) << f.lo;
  }
  return word >>> 0;
}

export type { EncodeContext };
