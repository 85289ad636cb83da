/**
 * Operands of the system instructions: system registers, system operations, barrier options, keywords.
 *
 * Names come from the tables in `sysregs/`; an encoding without a name prints and reads as
 * `s3_0_c1_c0_0`. To semantics a register or an operation is op0:op1:CRn:CRm:op2 as 16 bits.
 *
 * Ref. DDI 0487, C5.1 "The System instruction class encoding space".
 */
import { suggest } from '../../src/base/index.js';
import type { Fields, OperandKind } from '../row.js';
import { Mismatch, type OperandCursor } from '../syntax.js';
import {
  type Direction,
  encodingParts,
  genericName,
  type OperationGroup,
  parseGenericName,
  systemOperationByEncoding,
  systemOperationByName,
  systemOperationNames,
  systemRegisterByName,
  systemRegisterName,
  systemRegisterNames,
} from '../sysregs/index.js';
import { encodeScaled } from './immediates.js';
import { gprName, takeGpr, ZERO_SLOT } from './registers.js';

/** The 16-bit encoding of the word's fields; SYS has op0 = 1, MSR and MRS have 2 + o0. */
function encodingOf(f: Fields, op0: number): number {
  return (op0 << 14) | (f['op1']! << 11) | (f['CRn']! << 7) | (f['CRm']! << 3) | f['op2']!;
}

function takeName(cursor: OperandCursor, expected: string) {
  const operand = cursor.take('immediate', expected);
  if (operand instanceof Mismatch) return operand;
  if (operand.symbol === undefined) return new Mismatch(operand.span, `expected ${expected}`);
  return { name: operand.symbol, span: operand.span };
}

function suggestion(name: string, known: Iterable<string>): { readonly help?: string } {
  const [best] = suggest(name, known, 1);
  return best === undefined ? {} : { help: `did you mean ${best}?` };
}

/** `<systemreg>`: a register by name, by either name where reading and writing have two. */
export function systemRegister(direction: Direction): OperandKind<'sysreg'> {
  const encoding = (f: Fields) => encodingOf(f, 2 + f['o0']!);
  return {
    shape: 'sysreg',
    syntax: '(<systemreg>|S<op0>_<op1>_<Cn>_<Cm>_<op2>)',
    fields: ['o0', 'op1', 'CRn', 'CRm', 'op2'],
    decode: encoding,
    print: (f) => systemRegisterName(encoding(f), direction),
    parse(cursor) {
      const taken = takeName(cursor, 'a system register');
      if (taken instanceof Mismatch) return taken;
      const register = systemRegisterByName(taken.name);
      if (register === undefined) {
        return new Mismatch(taken.span, `unknown system register ${taken.name}`, {
          weight: 1,
          ...suggestion(taken.name, systemRegisterNames()),
        });
      }
      const { op0, op1, crn, crm, op2 } = encodingParts(register.encoding);
      return { o0: op0 - 2, op1, CRn: crn, CRm: crm, op2 };
    },
  };
}

/** `s1_3_c7_c14_1`: SYS written as MSR, as GNU as accepts it. */
export function genericOperation(): OperandKind<'sysreg'> {
  return {
    shape: 'sysreg',
    syntax: 'S1_<op1>_<Cn>_<Cm>_<op2>',
    fields: ['op1', 'CRn', 'CRm', 'op2'],
    decode: (f) => encodingOf(f, 1),
    print: (f) => genericName(encodingOf(f, 1)),
    parse(cursor) {
      const taken = takeName(cursor, 'a system operation');
      if (taken instanceof Mismatch) return taken;
      const encoding = parseGenericName(taken.name);
      if (encoding === undefined || encoding >> 14 !== 1) {
        return new Mismatch(taken.span, 'expected a system operation, s1_...');
      }
      const { op1, crn, crm, op2 } = encodingParts(encoding);
      return { op1, CRn: crn, CRm: crm, op2 };
    },
  };
}

/** `#<op1>, <Cn>, <Cm>, #<op2>`: a system operation in full. */
export function systemOperationParts(): OperandKind<'sysreg'> {
  return {
    shape: 'sysreg',
    syntax: '#<op1>, <Cn>, <Cm>, #<op2>',
    fields: ['op1', 'CRn', 'CRm', 'op2'],
    decode: (f) => encodingOf(f, 1),
    print: (f) => `#${f['op1']}, C${f['CRn']}, C${f['CRm']}, #${f['op2']}`,
    parse(cursor) {
      const op1 = takeSmall(cursor, 3);
      if (op1 instanceof Mismatch) return op1;
      const CRn = takeControlRegister(cursor);
      if (CRn instanceof Mismatch) return CRn;
      const CRm = takeControlRegister(cursor);
      if (CRm instanceof Mismatch) return CRm;
      const op2 = takeSmall(cursor, 3);
      if (op2 instanceof Mismatch) return op2;
      return { op1, CRn, CRm, op2 };
    },
  };
}

function takeSmall(cursor: OperandCursor, bits: number): number | Mismatch {
  const operand = cursor.take('immediate', 'an immediate');
  if (operand instanceof Mismatch) return operand;
  return encodeScaled(operand, cursor.context, { bits, signed: false, scale: 1 });
}

function takeControlRegister(cursor: OperandCursor): number | Mismatch {
  const taken = takeName(cursor, 'a name from c0 to c15');
  if (taken instanceof Mismatch) return taken;
  const match = /^c(\d|1[0-5])$/.exec(taken.name);
  return match === null ? new Mismatch(taken.span, 'expected a name from c0 to c15') : Number(match[1]);
}

/** True if the word's operation has a name in `group` and takes a register as `hasOperand` says. */
export function isOperation(f: Fields, group: OperationGroup, hasOperand: boolean): boolean {
  const operation = systemOperationByEncoding(encodingOf(f, 1));
  return operation?.group === group && operation.hasOperand === hasOperand;
}

/**
 * `civac` of DC, `vmalle1` of TLBI. An operation without an operand ignores Rt, which assembling sets
 * to 31.
 */
export function systemOperation(group: OperationGroup, hasOperand: boolean): OperandKind<'sysreg'> {
  const fields = ['op1', 'CRn', 'CRm', 'op2'];
  return {
    shape: 'sysreg',
    syntax: `<${group}_op>`,
    fields: hasOperand ? fields : [...fields, 'Rt'],
    decode: (f) => encodingOf(f, 1),
    print: (f) => systemOperationByEncoding(encodingOf(f, 1))?.name ?? genericName(encodingOf(f, 1)),
    parse(cursor) {
      const taken = takeName(cursor, `a ${group} operation`);
      if (taken instanceof Mismatch) return taken;
      const operation = systemOperationByName(group, taken.name);
      if (operation === undefined) {
        return new Mismatch(taken.span, `unknown ${group} operation ${taken.name}`, {
          weight: 1,
          ...suggestion(taken.name, systemOperationNames(group)),
        });
      }
      if (operation.hasOperand !== hasOperand) {
        const problem = hasOperand ? 'takes no register' : 'needs a register';
        return new Mismatch(taken.span, `${group} ${operation.name} ${problem}`, { weight: 1 });
      }
      const { op1, crn, crm, op2 } = encodingParts(operation.encoding);
      const encoded = { op1, CRn: crn, CRm: crm, op2 };
      return hasOperand ? encoded : { ...encoded, Rt: ZERO_SLOT };
    },
  };
}

/** `{, <Xt>}` that is left out for XZR. */
export function optionalX(field: string): OperandKind<'reg'> {
  return {
    shape: 'reg',
    syntax: `{<X${field.slice(1)}>}`,
    fields: [field],
    decode: (f) => f[field]!,
    print: (f) => (f[field] === ZERO_SLOT ? '' : gprName(f[field]!, 64, 'zero')),
    parse(cursor) {
      if (cursor.peek() === undefined) return { [field]: ZERO_SLOT };
      const taken = takeGpr(cursor, 64, 'zero');
      return taken instanceof Mismatch ? taken : { [field]: taken.number };
    },
  };
}

/** A fixed word of the syntax: `csync`, the `tco` of `msr tco, #1`. Nothing to semantics. */
export function keyword(word: string): OperandKind<'static'> {
  return {
    shape: 'static',
    syntax: word.toUpperCase(),
    fields: [],
    decode: () => 0,
    print: () => word,
    parse(cursor) {
      const taken = takeName(cursor, word);
      if (taken instanceof Mismatch) return taken;
      return taken.name === word ? {} : new Mismatch(taken.span, `expected ${word}`);
    },
  };
}

const BARRIER_OPTIONS: readonly (string | undefined)[] = [
  undefined,
  'oshld',
  'oshst',
  'osh',
  undefined,
  'nshld',
  'nshst',
  'nsh',
  undefined,
  'ishld',
  'ishst',
  'ish',
  undefined,
  'ld',
  'st',
  'sy',
];

/** `(<option>|#<imm>)` of DMB and DSB. The emulator orders everything, so that semantics ignore it. */
export function barrierOption(field: string): OperandKind<'imm'> {
  return {
    shape: 'imm',
    syntax: '(<option>|#<imm>)',
    fields: [field],
    decode: (f) => BigInt(f[field]!),
    print: (f) => BARRIER_OPTIONS[f[field]!] ?? `#0x${f[field]!.toString(16).padStart(2, '0')}`,
    parse(cursor) {
      const operand = cursor.take('immediate', 'a barrier option');
      if (operand instanceof Mismatch) return operand;
      const named = operand.symbol === undefined ? -1 : BARRIER_OPTIONS.indexOf(operand.symbol);
      if (named >= 0) return { [field]: named };
      const encoded = encodeScaled(operand, cursor.context, { bits: 4, signed: false, scale: 1 });
      return encoded instanceof Mismatch ? encoded : { [field]: encoded };
    },
  };
}

/** `{#<imm>}` that is left out for 15: ISB (where it is also written `sy`) and CLREX. */
export function optionalNibble(field: string, options: { readonly sy: boolean }): OperandKind<'imm'> {
  return {
    shape: 'imm',
    syntax: options.sy ? '{SY|#<imm>}' : '{#<imm>}',
    fields: [field],
    decode: (f) => BigInt(f[field]!),
    print: (f) => (f[field] === 15 ? '' : `#0x${f[field]!.toString(16)}`),
    parse(cursor) {
      if (cursor.peek() === undefined) return { [field]: 15 };
      const operand = cursor.take('immediate', 'an immediate');
      if (operand instanceof Mismatch) return operand;
      if (options.sy && operand.symbol === 'sy') return { [field]: 15 };
      const encoded = encodeScaled(operand, cursor.context, { bits: 4, signed: false, scale: 1 });
      return encoded instanceof Mismatch ? encoded : { [field]: encoded };
    },
  };
}
