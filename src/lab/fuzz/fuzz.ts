/**
 * The differential fuzzer: cases on our machine and on qemu-aarch64, outcomes compared, and a case that
 * differs made as small as it still differs.
 *
 * The oracle is a function from a program to its standard output, so that nothing here needs a process.
 */
import { decode, disassemble, type InstructionClass } from '../../../isa/index.js';
import { hex } from '../../base/index.js';
import type { FuzzCase, FuzzOutcome, FuzzSignal } from './case.js';
import { countRows, FUZZ_CLASSES, fuzzedRows, makeCase } from './generate.js';
import { entryOf, SLOTS } from './layout.js';
import { whatIsHidden } from './open.js';
import { oracleProgram, readOutcomes } from './oracle-program.js';
import { FuzzMachine } from './ours.js';

/** Runs an executable under qemu-aarch64 with QEMU_OPTIONS; gives what it wrote, all or in part. */
export type Oracle = (elf: Uint8Array) => Uint8Array;

export interface FuzzOptions {
  readonly seed: number;
  /** The number of the first case; default 0. */
  readonly first?: number;
  readonly cases: number;
  readonly engine?: string;
  readonly classes?: readonly InstructionClass[];
  /** Stop after this many failures; default 10. */
  readonly mostFailures?: number;
  /** Called after each program. */
  readonly onProgress?: (done: number) => void;
}

export interface FuzzDifference {
  readonly name: string;
  readonly ours: string;
  readonly qemu: string;
}

export interface FuzzFailure {
  readonly index: number;
  /** The case with every instruction that does not matter made a NOP. */
  readonly minimal: FuzzCase;
  readonly differences: readonly FuzzDifference[];
}

export interface FuzzResult {
  /** Cases compared. */
  readonly compared: number;
  /** Cases of which something was not compared, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly failures: readonly FuzzFailure[];
  /** Occurrences of each row. */
  readonly rows: ReadonlyMap<string, number>;
}

const NOP = 0xd503201f;

export function fuzz(options: FuzzOptions, oracle: Oracle): FuzzResult {
  const rows = fuzzedRows(options.classes ?? FUZZ_CLASSES);
  const machine = new FuzzMachine(options.engine ?? 'evaluate');
  const first = options.first ?? 0;
  const end = first + options.cases;
  const most = options.mostFailures ?? 10;
  const skipped: Record<string, number> = {};
  const failures: FuzzFailure[] = [];
  const occurrences = new Map<string, number>();
  let compared = 0;
  for (let from = first; from < end && failures.length < most; ) {
    const to = Math.min(end, from + SLOTS);
    const cases = Array.from({ length: to - from }, (_, i) => makeCase(options.seed, from + i, rows));
    for (const [id, count] of countRows(cases)) occurrences.set(id, (occurrences.get(id) ?? 0) + count);
    for (const [c, comparison] of compareAll(machine, cases, oracle)) {
      for (const reason of comparison.hidden) skipped[reason] = (skipped[reason] ?? 0) + 1;
      if (comparison.compared) compared++;
      if (comparison.differences.length > 0 && failures.length < most) {
        failures.push(minimize(machine, c, comparison.differences, oracle));
      }
    }
    from = to;
    options.onProgress?.(from - first);
  }
  return { compared, skipped, failures, rows: occurrences };
}

interface Comparison {
  /** Why something, or everything, was not compared. */
  readonly hidden: readonly string[];
  readonly compared: boolean;
  readonly differences: readonly FuzzDifference[];
}

/** Cases whose sequence does not end on our side would not end on the other. */
const ENDLESS = 'the sequence does not end';

function* compareAll(
  machine: FuzzMachine,
  cases: readonly FuzzCase[],
  oracle: Oracle,
): Generator<[FuzzCase, Comparison]> {
  machine.load(cases);
  const ours = cases.map((c) => machine.run(c));
  const runnable = cases.filter((_, i) => ours[i]!.note !== 'limit');
  const theirs = new Map<FuzzCase, FuzzOutcome>();
  let left = runnable;
  while (left.length > 0) {
    const outcomes = readOutcomes(oracle(oracleProgram(left, cases)));
    for (const [i, outcome] of outcomes.entries()) theirs.set(left[i]!, outcome);
    // The case at which the program ended has no outcome; those behind it run in a new one.
    left = left.slice(outcomes.length + 1);
  }
  for (const [i, c] of cases.entries()) {
    const our = ours[i]!;
    const their = theirs.get(c);
    if (our.note === 'limit') yield [c, { hidden: [ENDLESS], compared: false, differences: [] }];
    else if (their === undefined) {
      const differences = [{ name: 'end', ours: describe(our), qemu: 'the program ended' }];
      yield [c, { hidden: [], compared: true, differences }];
    } else yield [c, compare(c, our, their)];
  }
}

function compare(c: FuzzCase, our: FuzzOutcome, their: FuzzOutcome): Comparison {
  const rowAt = (pc: bigint) => {
    const word = c.words[Number(pc - BigInt(entryOf(c.index))) / 4];
    return word === undefined ? undefined : decode(word)?.row;
  };
  const hidden = whatIsHidden(our, their, { ours: rowAt(our.pc), theirs: rowAt(their.pc) });
  const reasons = hidden.map(({ reason }) => reason);
  const hides = (what: 'all' | 'end' | 'data') => hidden.some((mask) => mask.hides === what);
  if (hides('all')) return { hidden: reasons, compared: false, differences: [] };
  const differences: FuzzDifference[] = [];
  const number = (name: string, a: bigint | number, b: bigint | number) => {
    if (a !== b) differences.push({ name, ours: hex(a), qemu: hex(b) });
  };
  const [a, b] = [describe(our), describe(their)];
  if (a !== b && !hides('end')) differences.push({ name: 'end', ours: a, qemu: b });
  our.x.forEach((value, n) => {
    number(`x${n}`, value, their.x[n]!);
  });
  number('sp', our.sp, their.sp);
  number('pc', our.pc, their.pc);
  number('nzcv', our.nzcv, their.nzcv);
  number('tco', our.tco, their.tco);
  // Bits 31:28 are the flags of AArch32, which our machine has not.
  number('fpsr', our.fpsr, their.fpsr & 0x0fff_ffff);
  // Stride and Len likewise.
  number('fpcr', our.fpcr, their.fpcr & ~0x0037_0000);
  number('tpidr_el0', our.tpidr, their.tpidr);
  if (hides('data')) return { hidden: reasons, compared: true, differences };
  our.v.forEach((value, n) => {
    number(`v${n}`, value, their.v[n]!);
  });
  for (const page of ['tagged', 'untagged'] as const) {
    our[page].forEach((byte, i) => {
      if (byte !== their[page][i]) number(`${page}[${hex(i)}]`, byte, their[page][i]!);
    });
  }
  our.tags.forEach((tag, g) => {
    if (tag !== their.tags[g]) number(`tag[${hex(16 * g)}]`, tag, their.tags[g]!);
  });
  return { hidden: reasons, compared: true, differences };
}

const CODES: Readonly<Record<FuzzSignal['name'], readonly string[]>> = {
  SIGILL: [],
  SIGTRAP: ['', 'TRAP_BRKPT'],
  SIGBUS: ['', 'BUS_ADRALN'],
  SIGFPE: [],
  SIGSEGV: ['', 'SEGV_MAPERR', 'SEGV_ACCERR', '', '', '', '', '', 'SEGV_MTEAERR', 'SEGV_MTESERR'],
};

function describe({ signal, note }: FuzzOutcome): string {
  if (signal === undefined) return note ?? 'an exception without a signal';
  const { name, code, address } = signal;
  // QEMU says ILL_ILLOPN where Linux says ILL_ILLOPC.
  if (name === 'SIGILL') return `${name} at ${hex(address)}`;
  return `${name} ${CODES[name][code] ?? code} at ${hex(address)}`;
}

/** Makes instructions NOPs, one after the other, as long as the case still differs. */
function minimize(
  machine: FuzzMachine,
  original: FuzzCase,
  differences: readonly FuzzDifference[],
  oracle: Oracle,
): FuzzFailure {
  let minimal = original;
  let best = differences;
  for (let i = 0; i < original.words.length; i++) {
    const words = minimal.words.map((word, at) => (at === i ? NOP : word));
    const smaller = { ...minimal, words };
    const [[, comparison]] = [...compareAll(machine, [smaller], oracle)] as [[FuzzCase, Comparison]];
    if (comparison.differences.length === 0) continue;
    minimal = smaller;
    best = comparison.differences;
  }
  return { index: original.index, minimal, differences: best };
}

/** Differences shown of one case. */
const MOST_SHOWN = 12;

/** A failure for people: the instructions that matter, the state they start from, what differs. */
export function renderFailure({ index, minimal, differences }: FuzzFailure): string[] {
  const pc = BigInt(entryOf(index));
  const texts = minimal.words.map((word, i) => disassemble(word, { pc: pc + 4n * BigInt(i) }));
  const named = (pattern: RegExp) =>
    [...new Set([...texts.join(' ').matchAll(pattern)].map((m) => Number(m[1])))].sort((a, b) => a - b);
  const vectors = named(/\b[vqdshb](\d+)\b/g);
  const lines = [
    `case ${index}: nzcv=${minimal.nzcv.toString(2).padStart(4, '0')} tco=${minimal.tco} tcf=${minimal.checked ? 'sync' : 'none'} exclude=${hex(minimal.exclude)} sp=${hex(minimal.sp)}`,
    ...named(/\b[xw](\d+)\b/g).map((n) => `    x${n} = ${hex(minimal.x[n]!)}`),
    ...vectors.map((n) => `    v${n} = ${hex(minimal.v[n]!, 32)}`),
    ...(vectors.length > 0 ? [`    fpcr = ${hex(minimal.fpcr)}`] : []),
    ...texts.flatMap((text, i) => {
      const word = minimal.words[i]!;
      if (word === NOP) return [];
      return [`    ${hex(pc + 4n * BigInt(i))}  ${word.toString(16).padStart(8, '0')}  ${text}`];
    }),
    ...differences
      .slice(0, MOST_SHOWN)
      .map(({ name, ours, qemu }) => `  ${name}: ours ${ours}, qemu ${qemu}`),
  ];
  if (differences.length > MOST_SHOWN)
    lines.push(`  and ${differences.length - MOST_SHOWN} further differences`);
  return lines;
}
