/**
 * The commands that random programs of the memory manager are made of, and their text.
 *
 * A command is a word and three numbers; each operation takes them modulo what exists when it runs (processes,
 * pages), so that any sequence is a program and a sequence stays one when commands are left out of it. What
 * stands together happens at the same time, in an order that a schedule records.
 */
import type { Schedule } from '../../kernel/index.js';

/** What a process does to its own mappings: nothing else may happen to that process at the same time. */
export const LAYOUT_OPS = [
  'mmap',
  'mmapMte',
  'mmapShared',
  'munmap',
  'mprotect',
  'mprotectMte',
  'dontneed',
  'fork',
  'exit',
  'mremap',
  'mergeable',
  'mlock',
  'mlockOnFault',
  'munlock',
] as const;

/** Loads and stores: each is one moment, so they may happen whenever they like. */
export const ACCESS_OPS = ['write', 'writeMany', 'tag', 'tagMany', 'read'] as const;

/** What happens to memory without the program's doing. */
export const KERNEL_OPS = ['migrate', 'pin', 'unpin', 'reclaim', 'compact', 'pressure', 'ksm'] as const;

export const OPS = [...LAYOUT_OPS, ...ACCESS_OPS, ...KERNEL_OPS] as const;

/** Of the first kind, for machines with room for huge pages: a mapping of one whole block, and a block that moves. */
const HUGE_LAYOUT_OPS = ['mmapHuge', 'mremapHuge'] as const;

/** Of the last kind: MADV_COLLAPSE of the page's block, khugepaged's round, a split, NUMA hints. */
export const HUGE_KERNEL_OPS = ['collapse', 'khugepaged', 'split', 'numaHint'] as const;

/** What commands in a row of one process bring about that seldom comes about by chance. `mmapHuge 6`: private, untagged. */
const SMALL_PHRASES: readonly (readonly (Op | readonly [Op, number])[])[] = [
  ['mmap', ['mergeable', 6], ['mergeable', 13], ['ksm', 1], 'writeMany'],
  ['mmap', 'writeMany', 'reclaim', 'reclaim', 'read', 'read', 'writeMany'],
  ['mmapMte', 'tagMany', 'reclaim', 'reclaim', 'read', 'tagMany', 'read'],
  ['mmapMte', 'tagMany', 'fork', 'migrate', 'tagMany', 'read'],
  ['mmap', 'writeMany', ['pin', 1], 'migrate', 'reclaim', 'writeMany', 'unpin'],
];
const HUGE_PHRASES: typeof SMALL_PHRASES = [
  [['mmapHuge', 6], 'writeMany', ['collapse', 1], 'split', ['collapse', 1], 'writeMany'],
  [['mmapHuge', 6], 'writeMany', 'split', 'migrate', 'fork', ['collapse', 1], 'writeMany', 'exit'],
  [['mmapHuge', 6], 'writeMany', 'reclaim', 'reclaim', 'read', ['collapse', 1], 'read'],
];

/** For machines with and without room for huge pages. */
export const phrases = (roomy: boolean): typeof SMALL_PHRASES =>
  roomy ? [...SMALL_PHRASES, ...HUGE_PHRASES] : SMALL_PHRASES;

/** The commands of a phrase; `number` gives those numbers that it leaves open. */
export const phraseSteps = (
  phrase: (typeof SMALL_PHRASES)[number],
  a: number,
  number: (i: number) => number,
): Step[] =>
  phrase.map((word, i): Step => {
    const [op, c] = typeof word === 'string' ? [word, number(2 * i + 1)] : word;
    return { op, a, b: number(2 * i) % 200, c };
  });

/** What a run can go through that needs more than the command: counted where it came about. */
export const REACHED = ['collapse', 'split', 'merge', 'swapOut', 'swapIn', 'migrate', 'fork', 'pin'] as const;

export type Reached = (typeof REACHED)[number];

/** Everything a script may say; a machine without room for huge pages makes nothing of these. */
export const ALL_OPS = [...OPS, ...HUGE_LAYOUT_OPS, ...HUGE_KERNEL_OPS] as const;

export type Op = (typeof ALL_OPS)[number];

/** One command: `a` chooses the process, `b` the page, `c` the rest. */
export interface Step {
  readonly op: Op;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** Commands that start at once, each on a CPU of its own. */
export interface Together {
  readonly op: 'together';
  readonly steps: readonly Step[];
  /** The order of their steps: recorded, or drawn from a seed. */
  readonly order: { readonly schedule: Schedule } | { readonly seed: number };
}

export type Command = Step | Together;

const LAYOUT = new Set<string>([...LAYOUT_OPS, ...HUGE_LAYOUT_OPS]);
const KERNEL = new Set<string>([...KERNEL_OPS, ...HUGE_KERNEL_OPS]);

export const isLayoutOp = (op: Op): boolean => LAYOUT.has(op);
export const isKernelOp = (op: Op): boolean => KERNEL.has(op);

/** The command as a script has it. */
export const stepText = ({ op, a, b, c }: Step): string => `${op} ${a} ${b} ${c}`;
