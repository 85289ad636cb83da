/**
 * Where the code of a form stands: inside the interpreter's loop, or in a function of its own.
 *
 * The loop keeps what accesses look at in locals; a form's own function finds it in the CPU's cells. In
 * the loop, what a lean form does not do leads to the form's function, which does more ("thorough": any
 * alignment inside a page); what that does not do either is left to the evaluator.
 */
import { contextOfSlot, SECOND_TLB_ENTRIES, TLB_ENTRIES, TLB_ENTRY_BYTES } from '../../machine/index.js';
import {
  block,
  br,
  brIfUnlikely,
  type Code,
  giveBack,
  i32,
  i64,
  Label,
  local,
  ValueType,
  when,
} from '../wasm/index.js';
import { Cell, Outcome, RECORD_BYTES, STATE } from './layout.js';

/** Thrown by a form that cannot be made, or not in this place. */
export class Unsupported extends Error {}

/** Something that code asks at run time (an i32, 0 or 1), or that is known when code is made. */
export type Switch = Code | boolean;

/** `body` where the switch is on. */
export function onlyWhen(on: Switch, body: Code): Code {
  if (typeof on === 'boolean') return on ? body : [];
  return when(on, body);
}

/** Locals: the first address of a page (i64; NO_PAGE for none) and what its TLB entry holds. */
export interface PageCache {
  readonly page: number;
  readonly hostAddend: number;
  /** Undefined where tags are not checked. */
  readonly tagAddend: number | undefined;
}

/** No address of a page's beginning. */
export const NO_PAGE = 0x800n;

export interface Frame {
  /** Accesses that are misaligned inside a page are done here. */
  readonly thorough: boolean;
  /** i32: the CPU's distance. */
  readonly cpu: Code;
  /** The entry of a TLB table whose offset in the table is `slot`: an address to which `tlbOffset` is added. */
  entry(slot: Code): Code;
  readonly tlbOffset: number;
  /** Where the page that the instruction's base register last led to is remembered, if anywhere. */
  pageCache?(table: 'read' | 'write'): PageCache | undefined;
  /** Whether the instruction's base register is stored by behind it, with nothing in between that may leave the block. */
  isStoredLater?(): boolean;
  readonly dataContext: Code;
  /** See Cell.TOP_MASK; undefined where no bit matters. */
  readonly topMask: Code | undefined;
  readonly half: Code;
  /** The half that addresses must be in, where that is all that `topMask` would ask; then it asks nothing. */
  readonly onlyHalf?: 'lower' | 'upper' | undefined;
  readonly checks: Switch;
  readonly alignment: Switch;
  readonly spChecked: Switch;
  /** V registers may not be used. */
  readonly fpTrapped: Switch;
  readonly ata: Code;
  /** See Cell.TAG_WRITERS; undefined where none are remembered. */
  readonly tagWriters: Code | undefined;
  /** Counts a tag check that passed. */
  countTagCheck(): Code;
  /** i32: fuel left when the instruction is done. */
  readonly fuelLeft: Code;
  local(type: ValueType): number;
  /** Gives up the instruction, of which nothing has been done. */
  fail(): Code;
  failIf(condition: Code): Code;
  /**
   * What is done about a miss of the TLB: the instruction is given up, the second level is looked at, or
   * `missIf` is asked.
   */
  readonly onMiss: 'fail' | 'refill' | 'ask';
  /** Gives up because the table has no entry for the address in local `address`. */
  missIf?(condition: Code, table: 'read' | 'write', address: number): Code;
}

/** Where a key has the context. */
const CONTEXT_SHIFT = 44;

/** Offset in a TLB table of an address's entry. `low`: the low half of the address, used twice. */
export const tlbSlotCode = (low: Code): Code =>
  i32.and(
    i32.xor(i32.shrU(low, i32.const(8)), i32.shrU(low, i32.const(20))),
    i32.const((TLB_ENTRIES - 1) * TLB_ENTRY_BYTES),
  );
/** The part of an offset that comes from the context of a key, an i64. */
function contextCode(entries: number, context: Code): Code {
  const { shift, mask } = contextOfSlot(entries);
  return i32.and(i32.wrap(i64.shrU(context, i64.const(BigInt(CONTEXT_SHIFT - shift)))), i32.const(mask));
}
/** The offset of an entry for fetches. `context`: as a key has it. */
export const fetchTlbSlotCode = (low: Code, context: Code): Code =>
  i32.xor(tlbSlotCode(low), contextCode(TLB_ENTRIES, context));
/** The offset of an entry in the second level's tables. */
export const secondTlbSlotCode = (low: Code, context: Code): Code =>
  i32.xor(
    i32.and(
      i32.xor(i32.shrU(low, i32.const(8)), i32.shrU(low, i32.const(22))),
      i32.const((SECOND_TLB_ENTRIES - 1) * TLB_ENTRY_BYTES),
    ),
    contextCode(SECOND_TLB_ENTRIES, context),
  );

/** A frame whose instruction has a record. */
export interface RecordFrame extends Frame {
  /** Locals: the record (i32) and the virtual address of the page of the instruction (i64). */
  readonly record: number;
  readonly page: number;
  /** Goes on at a record. */
  goTo(record: Code): Code;
  /** Goes on at an address; `btype`: 0 for direct branches, else INDIRECT and the new BTYPE. */
  jump(target: Code, btype: Code): Code;
  /** 1 where the page of the instruction is guarded. */
  readonly guarded: Code;
}

/** Locals of the loop, in order; temporaries follow. */
export const LoopLocal = {
  cpu: 0,
  fuel: 1,
  record: 2,
  records: 3,
  guarded: 4,
  btype: 5,
  tlb: 6,
  checks: 7,
  entry: 8,
  /** Tag checks that passed in the loop itself. */
  tagChecks: 9,
  page: 10,
  target: 11,
  dataContext: 12,
  fetchContext: 13,
  topMask: 14,
  half: 15,
  /** 1 where the next instruction is not to begin a region. */
  quiet: 16,
  heat: 17,
} as const;

export const LOOP_LOCALS: readonly ValueType[] = [
  ...new Array<ValueType>(8).fill(ValueType.i32),
  ...new Array<ValueType>(6).fill(ValueType.i64),
  ...new Array<ValueType>(2).fill(ValueType.i32),
];
/** Temporaries of the loop: this many i32, then as many i64. */
export const LOOP_TEMPORARIES = 20;
const FIRST_I32 = 18;
const FIRST_I64 = FIRST_I32 + LOOP_TEMPORARIES;

export const NEXT = new Label('next');
/** A branch was taken inside the page. */
export const TAKEN = new Label('taken');
export const JUMP = new Label('jump');
export const SLOW = new Label('slow');
/** In a form's own function: it gives up. */
export const FAIL = new Label('fail');

export class LoopFrame implements RecordFrame {
  readonly thorough = false;
  readonly onMiss = 'fail';
  readonly record = LoopLocal.record;
  readonly cpu = local.get(LoopLocal.cpu);
  readonly page = LoopLocal.page;
  readonly fuelLeft = local.get(LoopLocal.fuel);
  readonly tlbOffset = 0;
  readonly dataContext = local.get(LoopLocal.dataContext);
  readonly topMask = local.get(LoopLocal.topMask);
  readonly half = local.get(LoopLocal.half);
  readonly checks = local.get(LoopLocal.checks);
  readonly alignment = cellI32(LoopLocal.cpu, Cell.ALIGNMENT);
  readonly spChecked = cellI32(LoopLocal.cpu, Cell.SP_CHECKED);
  readonly fpTrapped = cellI32(LoopLocal.cpu, Cell.FP_TRAPPED);
  readonly ata = cellI32(LoopLocal.cpu, Cell.ATA);
  readonly tagWriters = cellI32(LoopLocal.cpu, Cell.TAG_WRITERS);
  readonly guarded = local.get(LoopLocal.guarded);
  /** The form may give up: its function must be there. */
  fails = false;
  #i32 = 0;
  #i64 = 0;

  entry(slot: Code): Code {
    return i32.add(local.get(LoopLocal.tlb), slot);
  }

  local(type: ValueType): number {
    const index = type === ValueType.i32 ? this.#i32++ : this.#i64++;
    if (index >= LOOP_TEMPORARIES) throw new Unsupported('more temporaries than the loop has');
    return (type === ValueType.i32 ? FIRST_I32 : FIRST_I64) + index;
  }

  fail(): Code {
    this.fails = true;
    return br(SLOW);
  }

  failIf(condition: Code): Code {
    this.fails = true;
    return brIfUnlikely(SLOW, condition);
  }

  goTo(record: Code): Code {
    return [local.set(LoopLocal.record, record), br(TAKEN)];
  }

  jump(target: Code, btype: Code): Code {
    return [local.set(LoopLocal.target, target), local.set(LoopLocal.btype, btype), br(JUMP)];
  }

  countTagCheck(): Code {
    return local.set(LoopLocal.tagChecks, i32.add(local.get(LoopLocal.tagChecks), i32.const(1)));
  }

  /** On to the instruction that follows. */
  static advance(): Code {
    const next = i32.add(local.get(LoopLocal.record), i32.const(RECORD_BYTES));
    return [local.set(LoopLocal.record, next), br(NEXT)];
  }
}

/** Parameters of a form's function: the record, the CPU's distance, the page, the fuel. */
export const FORM_PARAMS: readonly ValueType[] = [ValueType.i32, ValueType.i32, ValueType.i64, ValueType.i32];

/** A function that is given the CPU's distance in its second parameter and the fuel in its fourth. */
export class FunctionFrame implements RecordFrame {
  readonly thorough = true;
  readonly onMiss = 'refill';
  readonly record = 0;
  readonly cpu = local.get(1);
  readonly page = 2;
  readonly fuelLeft = local.get(3);
  readonly tlbOffset = 0;
  readonly dataContext = cellI64(1, Cell.DATA_CONTEXT);
  readonly topMask = cellI64(1, Cell.TOP_MASK);
  readonly half = cellI64(1, Cell.HALF);
  readonly checks = cellI32(1, Cell.CHECKS);
  readonly alignment = cellI32(1, Cell.ALIGNMENT);
  readonly spChecked = cellI32(1, Cell.SP_CHECKED);
  readonly fpTrapped = cellI32(1, Cell.FP_TRAPPED);
  readonly ata = cellI32(1, Cell.ATA);
  readonly tagWriters = cellI32(1, Cell.TAG_WRITERS);
  readonly locals: ValueType[] = [];
  readonly #parameters: number;

  constructor(parameters = FORM_PARAMS.length) {
    this.#parameters = parameters;
  }

  entry(slot: Code): Code {
    return i32.add(cellI32(1, Cell.TLB), slot);
  }

  countTagCheck(): Code {
    const sum = i32.add(cellI32(1, Cell.TAG_CHECKS), i32.const(1));
    return i32.store(this.cpu, sum, STATE + Cell.TAG_CHECKS);
  }

  get guarded(): Code {
    throw new Unsupported('a branch outside the loop');
  }

  local(type: ValueType): number {
    this.locals.push(type);
    return this.#parameters + this.locals.length - 1;
  }

  fail(): Code {
    return br(FAIL);
  }

  failIf(condition: Code): Code {
    return brIfUnlikely(FAIL, condition);
  }

  goTo(_record: Code): Code {
    throw new Unsupported('a branch outside the loop');
  }

  jump(_target: Code, _btype: Code): Code {
    throw new Unsupported('a branch outside the loop');
  }
}

/** A form's own function: its code, and what it does when it gives up. */
export const endOfForm = (body: Code, failed: Code, outcome: number = Outcome.done): Code => [
  block(FAIL, [body, giveBack(i32.const(outcome))]),
  failed,
];

/** Cells of the CPU whose distance is in local `cpu`. */
export const cellI32 = (cpu: number, cell: number): Code => i32.load(local.get(cpu), STATE + cell);
export const cellI64 = (cpu: number, cell: number): Code => i64.load(local.get(cpu), STATE + cell);
