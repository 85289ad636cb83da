/**
 * What the interpreter asks of a translator, and what it gives it to work on.
 *
 * The interpreter counts branches to each instruction; what has become hot it reports here. A translator
 * puts functions into the table of generated code and their places into the heat of the instructions
 * they begin at. It never has to: everything runs without.
 */
import type { Cpu, Machine } from '../../machine/index.js';
import type { CodePages } from './code-pages.js';

/** A branch target that is hot. */
export interface HotTarget {
  readonly cpu: Cpu;
  /** Its address: canonical, and a multiple of 4. */
  readonly pc: bigint;
  /** Physical address of its page. */
  readonly pa: number;
  /** Host offset of its page's records. */
  readonly records: number;
  /** Bits of `Special` that are in force. */
  readonly specialization: number;
}

export interface TranslationStatistics {
  /** Regions that exist, and all that were made. */
  readonly regions: number;
  readonly regionsMade: number;
  readonly modules: number;
  /** Bytes of WebAssembly of the regions that exist. */
  readonly regionBytes: number;
  /** Times all regions were dropped because there were too many. */
  readonly evictions: number;
  readonly translationMilliseconds: number;
}

export interface Translation {
  /** Branches after which a target is hot. */
  readonly hotAfter: number;
  /** Instructions that may run after a target was reported before `flush` must be called. */
  readonly patience: number;
  readonly statistics: TranslationStatistics;
  /** Takes note of a target, whose heat is zero or a region made for another context; changes its heat. */
  hot(target: HotTarget): void;
  /** Translates what was reported. May grow the linear memory. */
  flush(): void;
  /** Instructions of the page at this physical address are other ones now, or its records are gone. */
  forget(pa: number): void;
  forgetAll(): void;
}

export interface TranslationContext {
  readonly machine: Machine;
  readonly table: WebAssembly.Table;
  readonly pages: CodePages;
  /** Puts soft-float into the table, before code that calls it runs. */
  readonly loadSoftFloat: () => void;
}

export type MakeTranslation = (context: TranslationContext) => Translation;
