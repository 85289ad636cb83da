/**
 * The function of generated code that remembers a tag store which does not lengthen the run before it, called by
 * forms and regions.
 *
 * In the frame of a function, and where nobody is known to run, that is by granule (tag-writers.ts). Otherwise an
 * event of the tagging history begins: it writes what TagHistory writes when that happens in TypeScript, the
 * return addresses of the frames included, as far as the TLB has their records. It stands in the interpreter's
 * table at Handler.tagEvent; its type is the first of every module, so that code can call it before its module is
 * known.
 *
 * Ref. src/machine/memory/tag-history.ts, src/kernel/frame-chain.ts.
 */
import {
  CpuLayout,
  MOST_CALLERS,
  MOST_FRAME_BYTES,
  MOST_TAG_EVENTS,
  TAG_LOG,
  TAG_LOG_BYTES,
  TAG_RING_HEAD,
  TAG_RING_LOGGED,
  TAG_RUN_STACK,
  TagEventField,
  Tagging,
  TagLogField,
} from '../../machine/index.js';
import {
  block,
  br,
  type Code,
  i32,
  i64,
  Label,
  local,
  loop,
  type ModuleWriter,
  ValueType,
  when,
} from '../wasm/index.js';
import { endOfForm, FunctionFrame } from './frame.js';
import { Cell, Outcome, STATE, TAG_WRITER_ENTRIES, TagWriterEntry } from './layout.js';
import { MemoryFormBuilder } from './memory-forms.js';
import { RecordOperands } from './record-operands.js';

const { i32: I32, i64: I64 } = ValueType;

/** Parameters; where the CPU's distance and the fuel are is FunctionFrame's. */
const Param = { tags: 0, cpu: 1, va: 2, fuel: 3, pc: 4, x29: 5, x30: 6, sp: 7 } as const;
const PARAMS: readonly ValueType[] = [I32, I32, I64, I32, I64, I64, I64, I64];

/** Index of the function's type in every module that may call it. */
export const TAG_EVENT_TYPE = 0;

/** Gives a module the function's type, before any other. */
export function tagEventType(module: ModuleWriter): number {
  const type = module.type(PARAMS, [I32]);
  if (type !== TAG_EVENT_TYPE) throw new Error('the type of tagging events is not the first');
  return type;
}

const VALUE_SHIFT = 4;
const GRANULES_SHIFT = 8;

/** The first parameter: the first granule's tag before, the tag after, and granules written. */
export const tagsOfEvent = (before: Code, value: Code, granules: number): Code =>
  i32.or(i32.or(before, i32.shl(value, i32.const(VALUE_SHIFT))), i32.const(granules << GRANULES_SHIFT));

/** An i32 each. */
const tagsIn = (tags: Code): Readonly<Record<'before' | 'value' | 'granules', Code>> => ({
  before: i32.and(tags, i32.const(15)),
  value: i32.and(i32.shrU(tags, i32.const(VALUE_SHIFT)), i32.const(15)),
  granules: i32.shrU(tags, i32.const(GRANULES_SHIFT)),
});

/** A store of the event at local `event` as the log has it; all i32, `log`: a local. */
export function logTagStore(
  log: number,
  ring: Code,
  { start, step, pc, event }: Readonly<Record<'start' | 'step' | 'pc' | 'event', Code>>,
): Code {
  const logged = i32.load(ring, TAG_RING_LOGGED);
  const place = i32.add(ring, i32.and(local.get(log), i32.const(TAG_LOG_BYTES - 1)));
  const next = i32.add(local.get(log), i32.const(TagLogField.BYTES));
  return [
    local.set(log, logged),
    i32.store(ring, next, TAG_RING_LOGGED),
    local.set(log, place),
    i32.store(local.get(log), start, TAG_LOG + TagLogField.START),
    i32.store(local.get(log), step, TAG_LOG + TagLogField.STEP),
    i32.store(local.get(log), pc, TAG_LOG + TagLogField.PC),
    i32.store(local.get(log), event, TAG_LOG + TagLogField.EVENT),
  ];
}

/** The bits of a user address in a pointer. */
const USER_BITS = (1n << 48n) - 1n;
const user = (code: Code) => i64.and(code, i64.const(USER_BITS));
const get = local.get;

class TagEventBuilder extends MemoryFormBuilder {
  #tagging(word: number): Code {
    return i32.load(this.frame.cpu, STATE + CpuLayout.TAGGING + word);
  }

  note(): void {
    const nobody = i32.eqz(this.#tagging(Tagging.SPACE));
    const aboveSp = i32.sub(i32.wrap(get(Param.va)), i32.wrap(get(Param.sp)));
    const isByGranule = i32.or(nobody, i32.ltU(aboveSp, i32.const(TAG_RUN_STACK)));
    const byGranule = this.nested(() => this.#granules());
    const event = this.nested(() => this.#event());
    this.emit(when(isByGranule, byGranule, event));
  }

  /** Who writes each granule. Gives up where another granule has the entry, before anything is remembered. */
  #granules(): void {
    const { frame } = this;
    const low = this.keep32(i32.wrap(get(Param.va)));
    const probe = this.probeOf('write', Param.va, low);
    const addend = this.keep32(probe.tagAddend);
    const first = this.keep32(i32.shrU(this.hostOf(probe), i32.const(4)));
    const { value, granules } = tagsIn(get(Param.tags));
    const end = this.keep32(i32.add(get(first), granules));
    const [key, entry, at] = [frame.local(I32), frame.local(I32), frame.local(I32)];
    const { GRANULE, TAGS, PC, STEP, BYTES } = TagWriterEntry;
    const each = (body: Code): Code => {
      const again = new Label('next granule');
      const index = i32.and(get(key), i32.const(TAG_WRITER_ENTRIES - 1));
      return [
        local.set(key, get(first)),
        loop(again, [
          local.set(entry, i32.add(frame.tagWriters!, i32.mul(index, i32.const(BYTES)))),
          body,
          local.set(key, i32.add(get(key), i32.const(1))),
          when(i32.ltU(get(key), get(end)), br(again)),
        ]),
      ];
    };
    const known = i32.load(get(entry), GRANULE);
    this.emit(each(when(known, frame.failIf(i32.ne(known, get(key))))));
    const byte = i32.load8U(i32.add(i32.shrU(get(at), i32.const(5)), get(addend)));
    const shift = i32.and(i32.shrU(get(at), i32.const(2)), i32.const(4));
    const before = i32.and(i32.shrU(byte, shift), i32.const(15));
    this.emit(
      each([
        local.set(at, i32.add(get(low), i32.shl(i32.sub(get(key), get(first)), i32.const(4)))),
        i32.store(get(entry), get(key), GRANULE),
        i32.store(get(entry), i32.or(before, i32.shl(value, i32.const(8))), TAGS),
        i64.store(get(entry), get(Param.pc), PC),
        i64.store(get(entry), this.#step(), STEP),
      ]),
    );
  }

  /** An i64: instructions executed before this one. */
  #step(): Code {
    const { cpu, fuelLeft } = this.frame;
    return i64.sub(i64.load(cpu, STATE + Cell.STEPS_AT_END), i64.extendI32U(fuelLeft));
  }

  #event(): void {
    const ring = this.keep32(this.#tagging(Tagging.RING));
    this.emit(this.frame.failIf(i32.eqz(get(ring))));
    const number = i32.and(i32.load(get(ring)), i32.const(MOST_TAG_EVENTS - 1));
    const place = i32.mul(number, i32.const(TagEventField.BYTES));
    const slot = this.keep32(i32.add(i32.add(get(ring), i32.const(TAG_RING_HEAD)), place));
    this.#callers(slot);
    this.#begin(slot, ring);
  }

  /** The return addresses of the frames into the event; gives up where the TLB does not have a record's page. */
  #callers(slot: number): void {
    const { frame } = this;
    const put = (index: Code, value: Code) =>
      i64.store(i32.add(get(slot), i32.shl(index, i32.const(3))), value, TagEventField.CALLERS);
    this.emit(i64.store(get(slot), user(get(Param.x30)), TagEventField.CALLERS));
    const record = this.keep(user(get(Param.x29)));
    const below = this.keep(user(get(Param.sp)));
    const count = this.keep32(i32.const(1));
    const [next, link] = [frame.local(I64), frame.local(I64)];
    const [done, again, zeros] = [new Label('no more frames'), new Label('frame'), new Label('zeros')];
    const one = this.nested(() => {
      const low = this.keep32(i32.wrap(get(record)));
      // Both words of the record in one page.
      this.emit(frame.failIf(i32.eq(i32.and(get(low), i32.const(0xfff)), i32.const(0xff8))));
      const host = this.keep32(this.hostOf(this.probeOf('read', record, low)));
      this.emit(
        local.set(next, user(i64.load(get(host)))),
        local.set(link, user(i64.load(get(host), 8))),
        when(i64.ltU(get(link), i64.const(4n)), br(done)),
        put(get(count), get(link)),
        local.set(count, i32.add(get(count), i32.const(1))),
        local.set(below, i64.add(get(record), i64.const(16n))),
        local.set(record, get(next)),
        br(again),
      );
    });
    const isRecord = i64.eqz(i64.and(get(record), i64.const(7n)));
    const isAbove = i64.geU(get(record), get(below));
    const isClose = i64.ltU(i64.sub(get(record), get(below)), i64.const(BigInt(MOST_FRAME_BYTES) + 1n));
    const goesOn = i32.and(i32.and(isRecord, isAbove), isClose);
    const hasRoom = i32.ltU(get(count), i32.const(MOST_CALLERS));
    this.emit(
      block(done, loop(again, when(i32.and(goesOn, hasRoom), one))),
      loop(
        zeros,
        when(hasRoom, [
          put(get(count), i64.const(0n)),
          local.set(count, i32.add(get(count), i32.const(1))),
          br(zeros),
        ]),
      ),
    );
  }

  #begin(slot: number, ring: number): void {
    const { cpu } = this.frame;
    const put = (field: number, code: Code) => i32.store(get(slot), code, field);
    const low = i32.wrap(get(Param.va));
    const { before, value, granules } = tagsIn(get(Param.tags));
    const high = i32.wrap(i64.shrU(get(Param.va), i64.const(32n)));
    const step = this.#step();
    this.emit(
      put(TagEventField.START, i32.or(low, value)),
      put(TagEventField.END, i32.add(low, i32.shl(granules, i32.const(4)))),
      put(TagEventField.LAST, i32.wrap(step)),
      put(TagEventField.HIGH, i32.and(high, i32.const(0xff_ffff))),
      put(TagEventField.BEFORE, before),
      put(TagEventField.SPACE, this.#tagging(Tagging.SPACE)),
      put(TagEventField.PROCESS, this.#tagging(Tagging.PROCESS)),
      put(TagEventField.THREAD, this.#tagging(Tagging.THREAD)),
      put(TagEventField.LOGGED, i32.load(get(ring), TAG_RING_LOGGED)),
      i64.store(get(slot), get(Param.pc), TagEventField.PC),
      i64.store(get(slot), step, TagEventField.STEP),
      i32.store(get(ring), i32.add(i32.load(get(ring)), i32.const(1))),
      i32.store(cpu, get(slot), STATE + CpuLayout.TAGGING + Tagging.OPEN),
      logTagStore(this.frame.local(I32), get(ring), {
        start: i32.or(low, before),
        step: i32.wrap(step),
        pc: i32.or(i32.wrap(get(Param.pc)), i32.shrU(granules, i32.const(1))),
        event: get(slot),
      }),
    );
  }
}

/** The function: 0 where the store is remembered, Outcome.evaluate where that cannot be in generated code. */
export function tagEventFunction(): { readonly locals: readonly ValueType[]; readonly code: Code } {
  const frame = new FunctionFrame(PARAMS.length);
  const builder = new TagEventBuilder(frame, new RecordOperands(frame));
  builder.note();
  return { locals: frame.locals, code: endOfForm(builder.body, i32.const(Outcome.evaluate)) };
}
