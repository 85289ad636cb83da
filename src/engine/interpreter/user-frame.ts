/**
 * The frame of unprivileged accesses (LDTR, STTR): another frame in everything but what decides whether an access is
 * allowed and checked, which is EL0's.
 *
 * They are nearly always to the lower half; those to the upper one are given up, so that how it ignores top
 * bytes does not matter.
 */
import { type Code, i32, i64, type ValueType } from '../wasm/index.js';
import type { Frame } from './frame.js';
import { Cell, STATE } from './layout.js';

export class UserFrame implements Frame {
  readonly #frame: Frame;
  /** Regions have no way to ask the second level for another context. */
  readonly onMiss: 'fail' | 'refill';
  readonly dataContext: Code;
  readonly topMask: Code;
  readonly half = i64.const(0n);
  readonly checks: Code;
  readonly alignment: Code;

  constructor(frame: Frame) {
    this.#frame = frame;
    this.onMiss = frame.onMiss === 'refill' ? 'refill' : 'fail';
    this.dataContext = i64.load(frame.cpu, STATE + Cell.USER_CONTEXT);
    this.topMask = i64.load(frame.cpu, STATE + Cell.USER_TOP_MASK);
    this.checks = i32.load(frame.cpu, STATE + Cell.USER_CHECKS);
    this.alignment = i32.load(frame.cpu, STATE + Cell.USER_ALIGNMENT);
  }

  get thorough(): boolean {
    return this.#frame.thorough;
  }
  get cpu(): Code {
    return this.#frame.cpu;
  }
  get tlbOffset(): number {
    return this.#frame.tlbOffset;
  }
  get spChecked(): Frame['spChecked'] {
    return this.#frame.spChecked;
  }
  get fpTrapped(): Frame['fpTrapped'] {
    return this.#frame.fpTrapped;
  }
  get ata(): Code {
    return this.#frame.ata;
  }
  get tagWriters(): Code | undefined {
    return this.#frame.tagWriters;
  }
  get fuelLeft(): Code {
    return this.#frame.fuelLeft;
  }
  entry(slot: Code): Code {
    return this.#frame.entry(slot);
  }
  countTagCheck(): Code {
    return this.#frame.countTagCheck();
  }
  local(type: ValueType): number {
    return this.#frame.local(type);
  }
  fail(): Code {
    return this.#frame.fail();
  }
  failIf(condition: Code): Code {
    return this.#frame.failIf(condition);
  }
}
