/**
 * Register names, and the names that operators of shifted and extended operands have.
 *
 * Ref. DDI 0487, C1.2.5 (register names), C1.2.6 (system registers are plain names, not these).
 */
import type { RegisterOperand } from '../../isa/index.js';

/** A register as its name alone says it. */
export interface RegisterName {
  readonly file: RegisterOperand['file'];
  readonly number: number;
  readonly role: RegisterOperand['role'];
  readonly arrangement?: string;
}

const NAMES: ReadonlyMap<string, RegisterName> = buildNames();

function buildNames(): Map<string, RegisterName> {
  const names = new Map<string, RegisterName>();
  for (let n = 0; n <= 30; n++) {
    names.set(`x${n}`, { file: 'x', number: n, role: 'plain' });
    names.set(`w${n}`, { file: 'w', number: n, role: 'plain' });
  }
  names.set('xzr', { file: 'x', number: 31, role: 'zero' });
  names.set('wzr', { file: 'w', number: 31, role: 'zero' });
  names.set('sp', { file: 'x', number: 31, role: 'sp' });
  names.set('wsp', { file: 'w', number: 31, role: 'sp' });
  names.set('fp', { file: 'x', number: 29, role: 'plain' });
  names.set('lr', { file: 'x', number: 30, role: 'plain' });
  names.set('ip0', { file: 'x', number: 16, role: 'plain' });
  names.set('ip1', { file: 'x', number: 17, role: 'plain' });
  for (const file of ['b', 'h', 's', 'd', 'q', 'v'] as const) {
    for (let n = 0; n <= 31; n++) names.set(`${file}${n}`, { file, number: n, role: 'plain' });
  }
  return names;
}

const ARRANGEMENT = /^(v(?:[12]?\d|3[01]))\.((?:16|8|4|2|1)?[bhsdq])$/;

/** The register that `name` (any case) is, without `.req` aliases. */
export function registerNamed(name: string): RegisterName | undefined {
  const direct = NAMES.get(name);
  if (direct !== undefined) return direct;
  const lower = name.toLowerCase();
  const again = NAMES.get(lower);
  if (again !== undefined) return again;
  const vector = lower.startsWith('v') ? ARRANGEMENT.exec(lower) : null;
  if (vector === null) return undefined;
  return { ...NAMES.get(vector[1]!)!, arrangement: vector[2]! };
}

const SHIFTS = new Set([
  ...['lsl', 'lsr', 'asr', 'ror', 'msl'],
  ...['uxtb', 'uxth', 'uxtw', 'uxtx', 'sxtb', 'sxth', 'sxtw', 'sxtx'],
]);

/** Whether `name` (lower case) is an operator of a shifted or extended operand. */
export function isShiftName(name: string): boolean {
  return SHIFTS.has(name);
}

/** What to say about a name that looks like a register and is none; undefined for other names. */
export function registerHelp(name: string): string | undefined {
  const match = /^([xwbhsdqv])(\d+)(\..*)?$/i.exec(name);
  if (match === null || registerNamed(name) !== undefined) return undefined;
  const file = match[1]!.toLowerCase();
  if (file === 'x') return 'registers go from x0 to x30; 31 is written xzr or sp';
  if (file === 'w') return 'registers go from w0 to w30; 31 is written wzr or wsp';
  return `registers go from ${file}0 to ${file}31`;
}
