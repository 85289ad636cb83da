/**
 * A case of the differential fuzzer: a sequence of instructions and the whole state it starts from; and
 * an outcome, the same words on both sides.
 */
import { CODE, CODE_BYTES, END_BRK, entryOf } from './layout.js';

export interface FuzzCase {
  /** Its number under its seed: the two together make it again. */
  readonly index: number;
  readonly words: readonly number[];
  /** X0..X30. */
  readonly x: readonly bigint[];
  readonly sp: bigint;
  readonly nzcv: number;
  readonly tco: number;
  readonly fpcr: number;
  /** V0..V31. */
  readonly v: readonly bigint[];
  /** State of the generator that fills the writable pages. */
  readonly fill: number;
  /** Tags of the tagged page's granules. */
  readonly tags: Uint8Array;
  /** Tag checks are synchronous, or off. */
  readonly checked: boolean;
  /** GCR_EL1.Exclude. */
  readonly exclude: number;
}

/** What Linux would tell the process. */
export interface FuzzSignal {
  readonly name: 'SIGILL' | 'SIGTRAP' | 'SIGBUS' | 'SIGFPE' | 'SIGSEGV';
  readonly code: number;
  /** Without the top byte, as si_addr has it for all but tag faults. */
  readonly address: bigint;
}

export interface FuzzOutcome {
  readonly signal: FuzzSignal | undefined;
  /** Why there is no signal: the sequence did not end, something our machine cannot be. */
  readonly note?: string;
  readonly x: readonly bigint[];
  readonly sp: bigint;
  readonly pc: bigint;
  readonly nzcv: number;
  readonly tco: number;
  readonly fpsr: number;
  readonly fpcr: number;
  readonly tpidr: bigint;
  readonly v: readonly bigint[];
  readonly tags: Uint8Array;
  readonly tagged: Uint8Array;
  readonly untagged: Uint8Array;
}

export const SIGNALS: Readonly<Record<number, FuzzSignal['name']>> = {
  4: 'SIGILL',
  5: 'SIGTRAP',
  7: 'SIGBUS',
  8: 'SIGFPE',
  11: 'SIGSEGV',
};

/** The words of all slots: each case's sequence, BRK behind it and in what is left over. */
export function codeOf(cases: readonly FuzzCase[]): Uint8Array {
  const words = new Uint32Array(CODE_BYTES / 4).fill(END_BRK);
  for (const c of cases) words.set(c.words, (entryOf(c.index) - CODE) / 4);
  return new Uint8Array(words.buffer);
}
