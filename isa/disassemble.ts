/**
 * From an instruction word to GNU text, as `objdump -d` writes it, preferred aliases included.
 */
import { decode } from './decode.js';
import type { Alias, Fields, OperandSet, PrintContext, Row } from './row.js';

/** The text of one word; an unallocated one gives `.inst 0x........ // undefined`. */
export function disassemble(word: number, context: PrintContext = { pc: 0n }): string {
  const decoded = decode(word);
  if (decoded === undefined) return `.inst 0x${(word >>> 0).toString(16).padStart(8, '0')} // undefined`;
  const { row, fields } = decoded;
  const alias = row.aliases.find((a) => isPreferred(a, fields));
  if (alias !== undefined) return textOf(alias.name, alias.operands, fields, context);
  return textOf(nameOf(row, fields), row.operands, fields, context);
}

export function nameOf(row: Row, fields: Fields): string {
  return (row.names.find((n) => matches(n.fixed, fields)) ?? row.names[0]!).name;
}

function matches(fixed: Readonly<Record<string, number | undefined>>, fields: Fields): boolean {
  return Object.entries(fixed).every(([name, value]) => fields[name] === value);
}

/** Every way to write the word that its row knows: all of its names, then all aliases that can stand for it. */
export function spellings(word: number, context: PrintContext = { pc: 0n }): string[] {
  const decoded = decode(word);
  if (decoded === undefined) return [];
  const { row, fields } = decoded;
  const out: string[] = [];
  for (const { name, fixed } of row.names) {
    if (matches(fixed, fields)) out.push(textOf(name, row.operands, fields, context));
  }
  for (const { name, operands, fixed = {}, requires } of row.aliases) {
    if (matches(fixed, fields) && (requires === undefined || requires(fields))) {
      out.push(textOf(name, operands, fields, context));
    }
  }
  return out;
}

function isPreferred(alias: Alias, fields: Fields): boolean {
  if (alias.when === 'never') return false;
  const { fixed = {}, requires, when } = alias;
  return (
    matches(fixed, fields) &&
    (requires === undefined || requires(fields)) &&
    (when === undefined || when(fields))
  );
}

function textOf(name: string, operands: OperandSet, fields: Fields, context: PrintContext): string {
  const parts: string[] = [];
  for (const kind of Object.values(operands)) {
    const text = kind.print(fields, context);
    if (text !== '') parts.push(text);
  }
  return parts.length === 0 ? name : `${name} ${parts.join(', ')}`;
}
