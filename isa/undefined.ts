/**
 * Why a word is UNDEFINED, for people: what to say of a program that was killed by SIGILL.
 *
 * Decoding and access checks only say that it is so; here the same rows are asked again for the reason.
 */
import { decode } from './decode.js';
import { disassemble } from './disassemble.js';
import type { Row } from './row.js';
import {
  encodingParts,
  genericName,
  type SystemOperation,
  type SystemRegister,
  systemOperationByEncoding,
  systemRegisterByEncoding,
} from './sysregs/index.js';

export interface UndefinedContext {
  /** What the machine implements. */
  readonly hasFeature: (feature: string) => boolean;
  /** The exception level of the instruction. */
  readonly el: number;
}

/** Instructions that a level below cannot execute, whatever their operands. */
const LEVELS: Readonly<Record<string, number>> = {
  LDGM: 1,
  STGM: 1,
  STZGM: 1,
  ERET_branch_reg: 1,
  ERETA_branch_reg: 1,
  HVC_exception: 1,
  SMC_exception: 1,
  MSR_UAO: 1,
  MSR_PAN: 1,
  MSR_SPSel: 1,
};

/** `op0=3, op1=0, CRn=15, CRm=2, op2=1`. */
function numbersOf(encoding: number): string {
  const { op0, op1, crn, crm, op2 } = encodingParts(encoding);
  return `op0=${op0}, op1=${op1}, CRn=${crn}, CRm=${crm}, op2=${op2}`;
}

/** One sentence without a full stop: the instruction, and why it is UNDEFINED here as far as that is known. */
export function explainUndefined(word: number, context: UndefinedContext): string {
  const decoded = decode(word);
  const hex = `0x${(word >>> 0).toString(16).padStart(8, '0')}`;
  if (decoded === undefined) return `${hex} is not an instruction`;
  const text = `'${disassemble(word)}'`;
  const why = reasonOf(decoded.row, word, context);
  return why === undefined ? `${text} (${hex}) is undefined` : `${text} (${hex}): ${why}`;
}

function reasonOf(row: Row, word: number, { hasFeature, el }: UndefinedContext): string | undefined {
  for (const feature of [row.feature, row.andFeature]) {
    if (feature !== undefined && !hasFeature(feature)) return lacking('it', feature);
  }
  const encoding = (word >>> 5) & 0xffff;
  if (row.id === 'MRS') return registerReason(encoding, 'read', { hasFeature, el });
  if (row.id === 'MSR_register') return registerReason(encoding, 'write', { hasFeature, el });
  if (row.id === 'SYS' || row.id === 'SYSL') return operationReason(encoding, { hasFeature, el });
  const level = LEVELS[row.id];
  if (level !== undefined && el < level) return needsLevel('it', level, el);
  if (row.id === 'UDF_reserved') return 'it is permanently undefined';
  if (row.id === 'HLT_exception') return 'there is no debugger, and semihosting is off or has another number';
  return undefined;
}

const lacking = (what: string, feature: string) => `${what} needs ${feature}, which this machine has not`;
const needsLevel = (what: string, level: number, el: number) =>
  `${what} needs EL${level} and this is EL${el}`;

function registerReason(
  encoding: number,
  direction: 'read' | 'write',
  context: UndefinedContext,
): string | undefined {
  const register: SystemRegister | undefined = systemRegisterByEncoding(encoding, direction);
  if (register === undefined) {
    return `there is no system register ${genericName(encoding)} (${numbersOf(encoding)})`;
  }
  const { name, access } = register;
  if (register.nameOnly) return `${name} (${numbersOf(encoding)}) is not implemented`;
  if (register.feature !== undefined && !context.hasFeature(register.feature)) {
    return lacking(name, register.feature);
  }
  if (access === 'ro' && direction === 'write') return `${name} is read-only`;
  if (access === 'wo' && direction === 'read') return `${name} is write-only`;
  const rule = direction === 'read' ? register.el0Read : register.el0Write;
  const lowest = register.el === 0 && rule === 'never' ? 1 : register.el;
  if (context.el < lowest) return needsLevel(name, lowest, context.el);
  if (register.highestWrites && direction === 'write') return `${name} is written at the highest level alone`;
  return undefined;
}

function operationReason(encoding: number, context: UndefinedContext): string | undefined {
  const operation: SystemOperation | undefined = systemOperationByEncoding(encoding);
  if (operation === undefined) return `there is no system operation with ${numbersOf(encoding)}`;
  const name = `${operation.group} ${operation.name}`;
  if (operation.nameOnly) return `${name} (${numbersOf(encoding)}) is not implemented`;
  if (operation.feature !== undefined && !context.hasFeature(operation.feature)) {
    return lacking(name, operation.feature);
  }
  return context.el < operation.el ? needsLevel(name, operation.el, context.el) : undefined;
}
