/**
 * What the history of a granule says about a fault: who gave the memory the pointer's tag, and who took it away.
 *
 * An allocator that tags shows each life of its memory as two events, one that gives a tag and one that gives
 * another. Where the pointer's tag is one that the granule bore, the fault is a use after that life; where a
 * neighbour bears it now, the pointer left its own memory.
 */
import type { VA } from '../../base/index.js';
import type { StackFrame } from './tag-fault.js';

/** A run of granules that were given one tag. */
export interface TaggedRun {
  readonly start: VA;
  /** First byte after. */
  readonly end: VA;
  readonly before: number;
  readonly after: number;
  readonly process: number;
  readonly thread: number;
  /** Instructions executed before it. */
  readonly step: number;
  readonly backtrace: readonly StackFrame[];
}

export interface HistoryEntry extends TaggedRun {
  /**
   * `allocated`: gave memory of tag 0 the pointer's tag; `retagged`: gave it to memory of another tag, as
   * allocators do that tag what they are freed for its next life; `freed`: took it away; `reused`: gave the
   * memory, later, the tag that it bears now; `owned`: gave it that tag, and it never bore the pointer's.
   */
  readonly what: 'allocated' | 'retagged' | 'freed' | 'reused' | 'owned';
}

/** The runs that matter, latest first. */
export interface RunsOf {
  /** Of the granule of the access. */
  readonly granule: readonly TaggedRun[];
  /** Of the nearest granule that bears the pointer's tag, if that is another one. */
  readonly neighbour: readonly TaggedRun[];
}

/**
 * The history to show, latest first.
 *
 * Empty where the latest event is not what memory says: then the tag has been written by the kernel since.
 */
export function historyOf(runs: RunsOf, pointerTag: number, memoryTag: number): HistoryEntry[] {
  const [latest] = runs.granule;
  const own = latest?.after === memoryTag ? runs.granule : [];
  const life = own.findIndex((run, i) => i > 0 && run.after === pointerTag);
  const entries: HistoryEntry[] = [];
  if (runs.neighbour.length === 0 && life > 0) {
    if (life > 1) entries.push({ ...own[0]!, what: 'reused' });
    entries.push({ ...own[life - 1]!, what: 'freed' }, beginning(own[life]!));
    return entries;
  }
  if (own.length > 0) entries.push({ ...own[0]!, what: 'owned' });
  const mine = runs.neighbour.find((run) => run.after === pointerTag);
  if (mine !== undefined && mine === runs.neighbour[0]) entries.push(beginning(mine));
  return entries;
}

const beginning = (run: TaggedRun): HistoryEntry => ({
  ...run,
  what: run.before === 0 ? 'allocated' : 'retagged',
});
