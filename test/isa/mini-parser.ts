/**
 * Just enough of the GNU syntax to encode our own disassembly: one instruction, numbers, no labels.
 *
 * Branch targets are absolute addresses there, so expressions are numbers. The assembler proper has a
 * grammar of its own; this one keeps the instruction set testable without it.
 */

import {
  type EncodeContext,
  type Expression,
  encode,
  type ImmediateOperand,
  type MemoryOperand,
  Mismatch,
  type OperandAst,
  type RegisterOperand,
  type ShiftOperand,
} from '../../isa/index.js';
import { SourceText, type Span } from '../../src/base/index.js';

interface NumberExpression extends Expression {
  readonly value: bigint | undefined;
}

const SHIFT = /^(lsl|lsr|asr|ror|msl|[us]xt[bhwx])(?: +#?(-?\w+))?$/i;
const SCALAR = /^([bhsdqwx])(\d+)$/i;
const VECTOR = /^v(\d+)(?:\.(\w+))?(?:\[(\d+)\])?$/i;

/** Splits at commas outside brackets and braces. */
function split(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!;
    if (c === '[' || c === '{') depth++;
    else if (c === ']' || c === '}') depth--;
    else if (c === ',' && depth === 0) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  const last = text.slice(from).trim();
  return last === '' && parts.length === 0 ? [] : [...parts, last];
}

class Parser {
  readonly #source: SourceText;

  constructor(text: string) {
    this.#source = new SourceText('line', text);
  }

  /** Places inside the line do not matter here; the whole line stands for each operand. */
  get span(): Span {
    return { source: this.#source, start: 0, end: this.#source.text.length };
  }

  expression(text: string): NumberExpression {
    const match = /^(-?)(0x[0-9a-f]+|\d+)$/i.exec(text);
    const value = match === null ? undefined : BigInt(match[2]!) * (match[1] === '-' ? -1n : 1n);
    return { span: this.span, value };
  }

  register(text: string): RegisterOperand | undefined {
    const { span } = this;
    const common = { kind: 'register', span } as const;
    const lower = text.toLowerCase();
    if (lower === 'sp' || lower === 'wsp') {
      return { ...common, file: lower === 'sp' ? 'x' : 'w', number: 31, role: 'sp' };
    }
    if (lower === 'xzr' || lower === 'wzr') {
      return { ...common, file: lower === 'xzr' ? 'x' : 'w', number: 31, role: 'zero' };
    }
    const scalar = SCALAR.exec(lower);
    if (scalar !== null) {
      const file = scalar[1] as 'w';
      const number = Number(scalar[2]);
      if (number > 31 || (number === 31 && (file === 'w' || (file as string) === 'x'))) return undefined;
      return { ...common, file, number, role: 'plain' };
    }
    const vector = VECTOR.exec(lower);
    if (vector === null) return undefined;
    return {
      ...common,
      file: 'v',
      number: Number(vector[1]),
      role: 'plain',
      ...(vector[2] === undefined ? {} : { arrangement: vector[2] }),
      ...(vector[3] === undefined ? {} : { index: this.expression(vector[3]) }),
    };
  }

  immediate(text: string): ImmediateOperand {
    const bare = text.replace(/^#/, '');
    const value = this.expression(bare);
    const isName = /^[a-z_.$][\w.$]*$/i.test(bare);
    const isFloat = text.startsWith('#') && /^[-+]?\d+\.\d+(e[-+]?\d+)?$/i.test(bare);
    return {
      kind: 'immediate',
      value,
      span: this.span,
      ...(isName ? { symbol: bare.toLowerCase() } : {}),
      ...(isFloat ? { float: Number(bare) } : {}),
    };
  }

  shift(text: string): ShiftOperand | undefined {
    const match = SHIFT.exec(text);
    if (match === null) return undefined;
    const amount = match[2] === undefined ? {} : { amount: this.expression(match[2]) };
    return { kind: 'shift', operator: match[1]!.toLowerCase(), span: this.span, ...amount };
  }

  memory(text: string): MemoryOperand {
    const writeback = text.endsWith('!');
    const inside = text.slice(1, text.lastIndexOf(']'));
    const [base, offset, shift] = split(inside);
    const register = this.register(base ?? '');
    if (register === undefined) throw new Error(`no base register in ${text}`);
    const shiftOperand = shift === undefined ? undefined : this.shift(shift);
    return {
      kind: 'memory',
      base: register,
      writeback,
      span: this.span,
      ...(offset === undefined ? {} : { offset: this.register(offset) ?? this.immediate(offset) }),
      ...(shiftOperand === undefined ? {} : { shift: shiftOperand }),
    };
  }

  list(text: string): OperandAst {
    const match = /^\{(.*)\}(?:\[(\d+)\])?$/.exec(text);
    if (match === null) throw new Error(`not a register list: ${text}`);
    const registers: RegisterOperand[] = [];
    for (const part of split(match[1]!)) {
      const [first, last] = part.split('-').map((name) => this.register(name.trim()));
      if (first === undefined) throw new Error(`not a register: ${part}`);
      const count = last === undefined ? 1 : ((last.number - first.number + 32) % 32) + 1;
      for (let i = 0; i < count; i++) registers.push({ ...first, number: (first.number + i) % 32 });
    }
    const index = match[2] === undefined ? {} : { index: this.expression(match[2]) };
    return { kind: 'list', registers, span: this.span, ...index };
  }

  operand(text: string): OperandAst {
    if (text.startsWith('[')) return this.memory(text);
    if (text.startsWith('{')) return this.list(text);
    return this.register(text) ?? this.shift(text) ?? this.immediate(text);
  }
}

/** Encodes one line of our own disassembly at `pc`; a string says why not. */
export function encodeLine(line: string, pc: bigint): number | string {
  const [, mnemonic, rest] = /^(\S+) ?(.*)$/.exec(line)!;
  const parser = new Parser(line);
  const context: EncodeContext = {
    pc,
    evaluate(expression) {
      const { value } = expression as NumberExpression;
      if (value === undefined) throw new Error(`not a number in: ${line}`);
      return BigInt.asIntN(64, value);
    },
  };
  const operands = split(rest!).map((text) => parser.operand(text));
  const result = encode(mnemonic!, operands, context, parser.span);
  if (result === undefined) return `no mnemonic ${mnemonic}`;
  return result instanceof Mismatch ? result.message : result;
}
