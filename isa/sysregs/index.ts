/**
 * System registers and system operations: tables and look-ups by name and by encoding.
 */
import { EL1_REGISTERS } from './el1.js';
import { EL2_EL3_REGISTERS } from './el2-el3.js';
import { NAMED_REGISTERS } from './names.js';
import { SYSTEM_OPERATIONS } from './operations.js';
import { type Direction, genericName, nameOnly, type SystemOperation, type SystemRegister } from './row.js';

export * from './fields.js';
export { SYSTEM_OPERATIONS } from './operations.js';
export * from './row.js';

/** Every row: implemented registers first, then those that have only a name. */
export const SYSTEM_REGISTERS: readonly SystemRegister[] = [
  ...EL1_REGISTERS,
  ...EL2_EL3_REGISTERS,
  ...NAMED_REGISTERS,
];

const byName = new Map<string, SystemRegister>();
const forRead = new Map<number, SystemRegister>();
const forWrite = new Map<number, SystemRegister>();
for (const row of SYSTEM_REGISTERS) {
  if (byName.has(row.name)) throw new Error(`system register ${row.name} appears twice`);
  byName.set(row.name, row);
  // Two names share an encoding where a register is read as one thing and written as another.
  if (row.access !== 'wo' || !forRead.has(row.encoding)) forRead.set(row.encoding, row);
  if (row.access !== 'ro' || !forWrite.has(row.encoding)) forWrite.set(row.encoding, row);
}

const operationsByName = new Map<string, SystemOperation>();
const operationsByEncoding = new Map<number, SystemOperation>();
for (const row of SYSTEM_OPERATIONS) {
  operationsByName.set(`${row.group} ${row.name}`, row);
  operationsByEncoding.set(row.encoding, row);
}

const GENERIC = /^s([0-3])_([0-7])_c(1[0-5]|[0-9])_c(1[0-5]|[0-9])_([0-7])$/;

/** op0:op1:CRn:CRm:op2 of a generic name (`s3_0_c1_c0_0`), or undefined. */
export function parseGenericName(name: string): number | undefined {
  const match = GENERIC.exec(name.toLowerCase());
  if (match === null) return undefined;
  const [op0, op1, crn, crm, op2] = match.slice(1).map(Number) as [number, number, number, number, number];
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

/**
 * The register of a name in either case, or of a generic name; undefined where there is none.
 * A generic name of an encoding without a row gives a row that has only this name.
 */
export function systemRegisterByName(name: string): SystemRegister | undefined {
  const known = byName.get(name.toLowerCase());
  if (known !== undefined) return known;
  const encoding = parseGenericName(name);
  if (encoding === undefined || encoding < 0x8000) return undefined;
  return systemRegisterByEncoding(encoding) ?? nameOnly(genericName(encoding), encoding);
}

/** The row of an encoding (16 bits, op0:op1:CRn:CRm:op2). Two names differ by direction only for DBGDTR. */
export function systemRegisterByEncoding(
  encoding: number,
  direction: Direction = 'read',
): SystemRegister | undefined {
  return (direction === 'read' ? forRead : forWrite).get(encoding);
}

/** What a disassembler prints for an encoding. */
export function systemRegisterName(encoding: number, direction: Direction = 'read'): string {
  return systemRegisterByEncoding(encoding, direction)?.name ?? genericName(encoding);
}

/** `systemOperationByName('dc', 'civac')`, either case. */
export function systemOperationByName(group: string, name: string): SystemOperation | undefined {
  return operationsByName.get(`${group.toLowerCase()} ${name.toLowerCase()}`);
}

export function systemOperationByEncoding(encoding: number): SystemOperation | undefined {
  return operationsByEncoding.get(encoding);
}

/** Names for suggestions. */
export function systemRegisterNames(): Iterable<string> {
  return byName.keys();
}

export function systemOperationNames(group: string): string[] {
  return SYSTEM_OPERATIONS.filter((o) => o.group === group.toLowerCase()).map((o) => o.name);
}
