/**
 * System calls as strace prints them: `mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x...`.
 */
import { hex } from '../../base/index.js';
import * as errno from '../contexts/errno.js';
import type { MaySleep } from '../contexts/index.js';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  PROT_BTI,
  PROT_EXEC,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
} from '../mm/index.js';
import { ptraceRequestName, readString, signalName, type Thread } from '../process/index.js';
import {
  type ArgumentKind,
  int,
  type Syscall,
  type SyscallArguments,
  type SyscallServices,
  uint,
} from './row.js';

const PROT_NAMES = { PROT_READ, PROT_WRITE, PROT_EXEC, PROT_BTI, PROT_MTE };
const MAP_NAMES = {
  MAP_SHARED,
  MAP_PRIVATE,
  MAP_FIXED,
  MAP_ANONYMOUS,
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_STACK,
  MAP_HUGETLB,
  MAP_FIXED_NOREPLACE,
};
const CLOCKS = ['CLOCK_REALTIME', 'CLOCK_MONOTONIC', 'CLOCK_PROCESS_CPUTIME_ID', 'CLOCK_THREAD_CPUTIME_ID'];

function flagNames(value: number, names: Readonly<Record<string, number>>, none: string): string {
  const parts: string[] = [];
  let rest = value;
  for (const [name, bit] of Object.entries(names)) {
    if ((rest & bit) !== 0) {
      parts.push(name);
      rest &= ~bit;
    }
  }
  if (rest !== 0) parts.push(hex(rest >>> 0));
  return parts.length === 0 ? none : parts.join('|');
}

function describeArgument(kind: ArgumentKind, value: bigint): string {
  switch (kind) {
    case 'int':
    case 'fd':
      return String(int(value));
    case 'unsigned':
      return String(value);
    case 'hex':
      return hex(value);
    case 'pointer':
    case 'buffer':
      return value === 0n ? 'NULL' : hex(value);
    case 'prot':
      return flagNames(int(value), PROT_NAMES, 'PROT_NONE');
    case 'map-flags':
      return flagNames(int(value), MAP_NAMES, '0');
    case 'clock':
      return CLOCKS[int(value)] ?? String(int(value));
    case 'ptrace-request':
      return ptraceRequestName(int(value));
    case 'octal':
      return `0${uint(value).toString(8)}`;
    case 'signal':
      return int(value) >= 1 && int(value) <= 64 ? signalName(int(value)) : String(int(value));
    case 'string':
      return value === 0n ? 'NULL' : hex(value);
  }
}

/** Strings are cut at this many bytes. */
const MOST_TEXT = 64;

/** The strings among a call's arguments, quoted, by position; what cannot be read stays a pointer. */
export function* readTexts(
  { mm }: SyscallServices,
  thread: Thread,
  row: Syscall | undefined,
  args: SyscallArguments,
): MaySleep<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  for (const [i, kind] of (row?.args ?? []).entries()) {
    if (kind !== 'string') continue;
    const bytes = yield* readString(mm, thread, args[i]!);
    if (typeof bytes === 'number') continue;
    const cut = bytes.length > MOST_TEXT ? '...' : '';
    texts[i] = `${JSON.stringify(new TextDecoder().decode(bytes.subarray(0, MOST_TEXT)))}${cut}`;
  }
  return texts;
}

/** `name(args)`; an unknown number prints as strace does: `syscall_0x123(...)`. */
export function describeCall(
  number: number,
  row: Syscall | undefined,
  args: SyscallArguments,
  texts: readonly (string | undefined)[] = [],
): string {
  if (row === undefined) return `syscall_${hex(number)}(${args.map((a) => hex(a)).join(', ')})`;
  const shown = row.args.map((kind, i) => texts[i] ?? describeArgument(kind, args[i]!));
  return `${row.name}(${shown.join(', ')})`;
}

const RESTARTS: Readonly<Record<number, string>> = {
  [errno.ERESTARTSYS]: 'ERESTARTSYS',
  [errno.ERESTARTNOINTR]: 'ERESTARTNOINTR',
  [errno.ERESTARTNOHAND]: 'ERESTARTNOHAND',
  [errno.ERESTART_RESTARTBLOCK]: 'ERESTART_RESTARTBLOCK',
};

/** `= 12`, `= 0xffff...`, `= -1 ENOMEM`. */
export function describeResult(row: Syscall | undefined, result: bigint): string {
  const signed = BigInt.asIntN(64, result);
  const restart = RESTARTS[Number(-signed)];
  if (restart !== undefined) return `= ? ${restart} (to be restarted)`;
  if (signed < 0n && signed >= -4095n) return `= -1 ${errnoName(Number(-signed))}`;
  const address = row?.name === 'mmap' || row?.name === 'brk';
  return `= ${address ? hex(result) : signed}`;
}

/** `EFAULT` for 14. */
export function errnoName(value: number): string {
  for (const [name, number] of Object.entries(errno)) if (number === value) return name;
  return `errno ${value}`;
}
