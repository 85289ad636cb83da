/**
 * Vector register operands: whole vectors with an arrangement, elements, and lists of registers.
 *
 * An arrangement rule says which fields make the arrangement of an operand and how, in both directions;
 * operands of one instruction that share fields thereby agree or do not assemble.
 *
 * Ref. DDI 0487, C1.2.6.
 */
import type { Concrete, Fields, OperandKind } from '../row.js';
import { type ListOperand, Mismatch, type OperandCursor, type RegisterOperand } from '../syntax.js';

/** What follows the dot: `16b`, `4s`, `1q`; of elements `b`, `s`. */
export interface ArrangementRule {
  readonly fields: readonly string[];
  /** Every arrangement with its fields, the first that matches is printed. */
  readonly choices: readonly (readonly [name: string, fields: Fields])[];
  /** The arrangement of a word, where its fields hold more than the choices say (`immh`, `imm5`). */
  readonly name?: (f: Fields) => string | undefined;
}

export const SIZES = ['b', 'h', 's', 'd'] as const;

/** `arrangement(2, 1)` is `4s`: 8 << size bits a lane, in 64 or (Q) 128 bits. */
export function arrangement(size: number, Q: number): string {
  return `${((Q ? 16 : 8) >> size).toString()}${SIZES[size]}`;
}

const ONLY = new Map<string, ArrangementRule>();

/** An arrangement that the instruction has only one of. */
export function only(name: string): ArrangementRule {
  const known = ONLY.get(name) ?? { fields: [], choices: [[name, {}]] };
  ONLY.set(name, known);
  return known;
}

/**
 * Arrangements by fields `size` and `Q`, of the lane sizes given (0 is b); `1d` is there only if asked
 * for, since most instructions reserve it. `double`: lanes of twice the size and all 128 bits, `Q`
 * ignored (the wide side of long and narrow instructions).
 */
export function bySizeAndQ(
  sizes: readonly number[],
  options: { readonly with1d?: boolean; readonly size?: string } = {},
): ArrangementRule {
  const { with1d = false, size: field = 'size' } = options;
  return {
    fields: [field, 'Q'],
    choices: sizes.flatMap((size) =>
      [0, 1]
        .filter((Q) => Q === 1 || size < 3 || with1d)
        .map((Q) => [arrangement(size, Q), { [field]: size, Q }] as const),
    ),
  };
}

/** 128-bit arrangements of lanes of twice `size`: `8h` for 0. */
export function wideBySize(sizes: readonly number[], field = 'size'): ArrangementRule {
  return {
    fields: [field],
    choices: sizes.map((size) => [size === 3 ? '1q' : arrangement(size + 1, 1), { [field]: size }] as const),
  };
}

/** Arrangements of one lane size, by Q alone: `2s`, `4s`. */
export function byQ(size: number, options: { readonly with1d?: boolean } = {}): ArrangementRule {
  return {
    fields: ['Q'],
    choices: [0, 1]
      .filter((Q) => Q === 1 || size < 3 || options.with1d === true)
      .map((Q) => [arrangement(size, Q), { Q }] as const),
  };
}

function nameOf(rule: ArrangementRule, f: Fields): string {
  if (rule.name !== undefined) return rule.name(f) ?? '?';
  const found = rule.choices.find(([, fields]) =>
    Object.entries(fields).every(([name, value]) => f[name] === value),
  );
  return found?.[0] ?? '?';
}

function encodeArrangement(
  rule: ArrangementRule,
  operand: RegisterOperand,
  before: Fields,
): Fields | Mismatch {
  const agrees = (fields: Fields) =>
    Object.entries(fields).every(([name, value]) => before[name] === undefined || before[name] === value);
  const named = rule.choices.filter(([name]) => name === operand.arrangement);
  const found = named.find(([, fields]) => agrees(fields)) ?? named[0];
  if (found !== undefined) return found[1];
  const possible = [...new Set(rule.choices.filter(([, fields]) => agrees(fields)).map(([name]) => name))];
  return new Mismatch(
    operand.span,
    operand.arrangement === undefined
      ? 'expected an arrangement'
      : `.${operand.arrangement} is not possible here`,
    possible.length === 0
      ? { weight: 1 }
      : { help: `v${operand.number} with ${possible.map((name) => `.${name}`).join(', ')}`, weight: 1 },
  );
}

/** Takes `v3.4s` or `v3.s[1]`. */
function takeVector(cursor: OperandCursor, isElement: boolean): RegisterOperand | Mismatch {
  const before = cursor.at;
  const what = isElement ? 'an element of a vector register' : 'a vector register';
  const operand = cursor.take('register', what);
  if (operand instanceof Mismatch) return operand;
  if (operand.file === 'v' && (operand.index !== undefined) === isElement) return operand;
  cursor.at = before;
  return new Mismatch(operand.span, `expected ${what}`);
}

/** Kinds made so far: hundreds of rows share a few, and each start makes all rows. */
const VECTORS = new Map<ArrangementRule, Map<string, OperandKind<'vreg'>>>();

/** `<Vn>.<T>`. */
export function V(field: string, rule: ArrangementRule): OperandKind<'vreg'> {
  const ofRule = VECTORS.get(rule) ?? new Map<string, OperandKind<'vreg'>>();
  VECTORS.set(rule, ofRule);
  const kind = ofRule.get(field) ?? vector(field, rule);
  ofRule.set(field, kind);
  return kind;
}

function vector(field: string, rule: ArrangementRule): OperandKind<'vreg'> {
  return {
    shape: 'vreg',
    syntax: `<V${field.slice(1)}>.${rule.choices.length === 1 ? rule.choices[0]![0].toUpperCase() : '<T>'}`,
    fields: [field, ...rule.fields],
    decode: (f) => f[field]!,
    print: (f) => `v${f[field]}.${nameOf(rule, f)}`,
    parse(cursor, before) {
      const taken = takeVector(cursor, false);
      if (taken instanceof Mismatch) return taken;
      const encoded = encodeArrangement(rule, taken, before);
      return encoded instanceof Mismatch ? encoded : { ...encoded, [field]: taken.number };
    },
  };
}

// ---- elements --------------------------------------------------------------------------------------

/** How an element's size and index stand in fields. */
export interface ElementRule {
  readonly fields: readonly string[];
  /** Lane size 0..3 (b, h, s, d) of a word of the row. */
  size(f: Fields): number;
  index(f: Fields): number;
  /** Undefined where the instruction has no elements of this size. */
  encode(size: number, index: number, before: Fields): Fields | undefined;
  /** Registers that the field cannot name: an index bit is the register's top bit. */
  readonly mostRegister?: (size: number) => number;
}

export type ElementShape = { readonly reg: 'vreg'; readonly index: 'imm' };

/** `<Vn>.<Ts>[<index>]`. Semantics that need the index as a static take the row's field. */
export function VElement(field: string, rule: ElementRule): OperandKind<ElementShape> {
  return {
    shape: { reg: 'vreg', index: 'imm' },
    syntax: `<V${field.slice(1)}>.<Ts>[<index>]`,
    fields: [field, ...rule.fields],
    decode: (f): Concrete<ElementShape> => ({ reg: f[field]!, index: BigInt(rule.index(f)) }),
    print: (f) => `v${f[field]}.${SIZES[rule.size(f)]}[${rule.index(f)}]`,
    parse(cursor, before) {
      const taken = takeVector(cursor, true);
      if (taken instanceof Mismatch) return taken;
      const size = SIZES.indexOf(taken.arrangement as (typeof SIZES)[number]);
      if (size < 0) return new Mismatch(taken.span, 'expected an element: .b, .h, .s or .d with an index');
      const index = takeIndex(cursor, taken, 16 >> size);
      if (index instanceof Mismatch) return index;
      const most = rule.mostRegister?.(size) ?? 31;
      if (taken.number > most) {
        return new Mismatch(taken.span, `only v0 to v${most} can be used here`, { weight: 1 });
      }
      const encoded = rule.encode(size, index, before);
      if (encoded === undefined) {
        return new Mismatch(taken.span, `.${SIZES[size]} is not possible here`, { weight: 1 });
      }
      return { ...encoded, [field]: taken.number };
    },
  };
}

/** The index of an element or of a list, below `lanes`. */
function takeIndex(
  cursor: OperandCursor,
  operand: RegisterOperand | ListOperand,
  lanes: number,
): number | Mismatch {
  const value = cursor.context.evaluate(operand.index!);
  if (value < 0n || value >= BigInt(lanes)) {
    return new Mismatch(operand.span, `element ${value} out of range 0 to ${lanes - 1}`, { weight: 1 });
  }
  return Number(value);
}

/** An element that the instruction has only one of: `<Vd>.D[1]`. */
export function onlyElement(field: string, size: number, index: number): OperandKind<'vreg'> {
  const kind = VElement(field, {
    fields: [],
    size: () => size,
    index: () => index,
    encode: (s, i) => (s === size && i === index ? {} : undefined),
  });
  return {
    shape: 'vreg',
    syntax: `<V${field.slice(1)}>.${SIZES[size]!.toUpperCase()}[${index}]`,
    fields: [field],
    decode: (f) => f[field]!,
    print: kind.print,
    parse: kind.parse,
  };
}

// ---- lists -----------------------------------------------------------------------------------------

/** Takes `{v0.4s-v3.4s}`: `count` registers that follow each other, v0 after v31, of one arrangement. */
function takeList(cursor: OperandCursor, count: number, isElement: boolean): ListOperand | Mismatch {
  const before = cursor.at;
  const list = cursor.take('list', `a list of ${count} vector register${count === 1 ? '' : 's'}`);
  if (list instanceof Mismatch) return list;
  const problem = listProblem(list, count, isElement);
  if (problem === undefined) return list;
  cursor.at = before;
  return problem;
}

function listProblem({ registers, index, span }: ListOperand, count: number, isElement: boolean) {
  if (registers.length !== count) {
    return new Mismatch(span, `expected a list of ${count} register${count === 1 ? '' : 's'}`);
  }
  if ((index !== undefined) !== isElement) {
    return new Mismatch(
      span,
      isElement ? 'expected an element index after the list' : 'unexpected element index',
    );
  }
  const [first] = registers;
  for (const [at, register] of registers.entries()) {
    if (register.file !== 'v') return new Mismatch(register.span, 'expected a vector register');
    if (register.arrangement !== first!.arrangement) {
      return new Mismatch(register.span, 'the registers of a list have one arrangement', { weight: 1 });
    }
    if (register.number !== (first!.number + at) % 32) {
      return new Mismatch(register.span, 'the registers of a list follow each other', { weight: 1 });
    }
  }
  return undefined;
}

/** As objdump prints: a range for more than two registers, unless it wraps round. */
function printList(first: number, count: number, name: string): string {
  const last = (first + count - 1) % 32;
  if (count > 2 && last > first) return `{v${first}.${name}-v${last}.${name}}`;
  const names = Array.from({ length: count }, (_, at) => `v${(first + at) % 32}.${name}`);
  return `{${names.join(', ')}}`;
}

/** `{<Vt>.<T>-<Vt4>.<T>}`; semantics get the first register. */
export function VList(field: string, count: number, rule: ArrangementRule): OperandKind<'vreg'> {
  const T = rule.choices.length === 1 ? rule.choices[0]![0].toUpperCase() : '<T>';
  const name = (at: number) => `<V${field.slice(1)}${at === 1 ? '' : at}>.${T}`;
  return {
    shape: 'vreg',
    syntax: `{ ${Array.from({ length: count }, (_, at) => name(at + 1)).join(', ')} }`,
    fields: [field, ...rule.fields],
    decode: (f) => f[field]!,
    print: (f) => printList(f[field]!, count, nameOf(rule, f)),
    parse(cursor, before) {
      const list = takeList(cursor, count, false);
      if (list instanceof Mismatch) return list;
      const [first] = list.registers;
      const encoded = encodeArrangement(rule, first!, before);
      return encoded instanceof Mismatch ? encoded : { ...encoded, [field]: first!.number };
    },
  };
}

/** `{<Vt>.B, <Vt2>.B}[<index>]`; the rule as of `VElement`. */
export function VListElement(field: string, count: number, rule: ElementRule): OperandKind<ElementShape> {
  const name = (at: number) => `<V${field.slice(1)}${at === 1 ? '' : at}>.<Ts>`;
  return {
    shape: { reg: 'vreg', index: 'imm' },
    syntax: `{ ${Array.from({ length: count }, (_, at) => name(at + 1)).join(', ')} }[<index>]`,
    fields: [field, ...rule.fields],
    decode: (f): Concrete<ElementShape> => ({ reg: f[field]!, index: BigInt(rule.index(f)) }),
    print: (f) => `${printList(f[field]!, count, SIZES[rule.size(f)]!)}[${rule.index(f)}]`,
    parse(cursor, before) {
      const list = takeList(cursor, count, true);
      if (list instanceof Mismatch) return list;
      const [first] = list.registers;
      const size = SIZES.indexOf(first!.arrangement as (typeof SIZES)[number]);
      if (size < 0) return new Mismatch(first!.span, 'expected .b, .h, .s or .d');
      const index = takeIndex(cursor, list, 16 >> size);
      if (index instanceof Mismatch) return index;
      const encoded = rule.encode(size, index, before);
      if (encoded === undefined) {
        return new Mismatch(first!.span, `.${SIZES[size]} is not possible here`, { weight: 1 });
      }
      return { ...encoded, [field]: first!.number };
    },
  };
}
