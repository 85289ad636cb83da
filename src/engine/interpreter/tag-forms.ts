/**
 * Allocation tags in forms: choosing, reading and writing them, also those of blocks (DC ZVA and its kin).
 *
 * As with data, nothing is written before all of an instruction's probes have passed.
 *
 * Ref. src/machine/cpu/{tags,tag-access}.ts.
 */
import {
  CHUNK,
  CpuLayout,
  cellOf,
  SP_SLOT,
  TAG_RUN_GAP,
  TAG_RUN_STACK,
  TAG_RUN_STEPS,
  TagEventField,
  Tagging,
  ZERO_CHUNK,
} from '../../machine/index.js';
import {
  block,
  br,
  brIf,
  brIfUnlikely,
  type Code,
  callIndirect,
  i32,
  i64,
  Label,
  local,
  loop,
  ValueType,
  when,
  whenUnlikely,
} from '../wasm/index.js';
import { Cell, Handler, STATE } from './layout.js';
import { MemoryFormBuilder, type Probe, SPECIAL, type Table } from './memory-forms.js';
import type { Operand } from './operands.js';
import { BlockAction, Permission } from './system-forms.js';
import { logTagStore, TAG_EVENT_TYPE, tagsOfEvent } from './tag-events.js';
import { constantValue, narrowLocal, narrowValue, type Value, wideValue } from './values.js';

const GCR_EL1 = CpuLayout.SYSTEM + 8 * cellOf('gcr_el1');
const RGSR_EL1 = CpuLayout.SYSTEM + 8 * cellOf('rgsr_el1');

export class TagFormBuilder extends MemoryFormBuilder {
  // ---- tags ----------------------------------------------------------------------------------------

  tagAccessEnabled(): Code {
    return this.frame.ata;
  }
  tagOf(address: Value): Value {
    const top = i32.wrap(i64.shrU(address.wide(), i64.const(56n)));
    return narrowValue(i32.and(top, i32.const(15)));
  }
  withTag(address: Value, tag: Value): Value {
    const plain = i64.and(address.wide(), i64.const(~(0xfn << 56n)));
    const high = i64.shl(i64.and(tag.wide(), i64.const(15n)), i64.const(56n));
    return wideValue(i64.or(plain, high));
  }
  /** ChooseNonExcludedTag with GCR_EL1.Exclude; where access is not enabled the result is not used. */
  nextTag(tag: Value, offset: Value): Value {
    const at = this.keep32(tag.low());
    const steps = this.keep32(i32.and(offset.low(), i32.const(15)));
    const exclude = this.keep32(this.#exclude());
    this.emit(this.#chooseTag(at, steps, exclude));
    return narrowLocal(at);
  }

  #exclude(): Code {
    return i32.load16U(this.frame.cpu, STATE + GCR_EL1);
  }

  #isExcluded(exclude: number, tag: number): Code {
    return i32.and(i32.shrU(local.get(exclude), local.get(tag)), i32.const(1));
  }

  /** Moves the tag in local `at` by the steps in local `steps` over tags that are not excluded. */
  #chooseTag(at: number, steps: number, exclude: number): Code {
    const step = local.set(at, i32.and(i32.add(local.get(at), i32.const(1)), i32.const(15)));
    const again = new Label('next tag');
    const more = i32.gtU(local.get(steps), i32.const(1));
    const fewer = local.set(steps, i32.sub(local.get(steps), i32.const(1)));
    const search: Code = [
      when(local.get(steps), step),
      loop(again, [
        when(this.#isExcluded(exclude, at), [step, br(again)]),
        when(more, [fewer, step, br(again)]),
      ]),
    ];
    const allExcluded = i32.eq(local.get(exclude), i32.const(0xffff));
    return when(allExcluded, local.set(at, i32.const(0)), search);
  }

  /** IRG. Ref. TagUnit.random. */
  randomTag(exclude: Value): Value {
    this.isRare = true;
    const cpu = this.frame.cpu;
    const excluded = this.keep32(i32.or(i32.and(exclude.low(), i32.const(0xffff)), this.#exclude()));
    const tag = this.keep32(i32.const(0));
    const seed = this.frame.local(ValueType.i32);
    const rgsr = i32.load(cpu, STATE + RGSR_EL1);
    const startSeed = local.set(seed, i32.and(i32.shrU(rgsr, i32.const(8)), i32.const(0xffff)));
    const ours = this.nested(() => this.#uniformTag(tag, excluded));
    const theirs = this.nested(() => {
      this.emit(local.set(tag, i32.and(rgsr, i32.const(15))));
      const offset = this.keep32(i32.const(0));
      for (let i = 0; i < 4; i++) this.emit(this.#shiftSeed(seed, offset, i));
      this.emit(this.#chooseTag(tag, offset, excluded));
    });
    const isOurs = i32.and(i32.load8U(cpu, STATE + GCR_EL1 + 2), i32.const(1));
    const result = i32.or(i32.shl(local.get(seed), i32.const(8)), local.get(tag));
    this.emit(
      when(this.tagAccessEnabled(), [
        startSeed,
        when(isOurs, ours, theirs),
        i64.store(cpu, i64.extendI32U(result), STATE + RGSR_EL1),
      ]),
    );
    return narrowLocal(tag);
  }

  /** One step of RGSR_EL1's shift register; its new top bit is bit `i` of the offset. */
  #shiftSeed(seed: number, offset: number, i: number): Code {
    const bit = (n: number) => i32.shrU(local.get(seed), i32.const(n));
    const taps = i32.xor(i32.xor(bit(5), bit(3)), i32.xor(bit(2), local.get(seed)));
    const top = this.frame.local(ValueType.i32);
    return [
      local.set(top, i32.and(taps, i32.const(1))),
      local.set(seed, i32.or(i32.shl(local.get(top), i32.const(15)), bit(1))),
      local.set(offset, i32.or(local.get(offset), i32.shl(local.get(top), i32.const(i)))),
    ];
  }

  /** A tag of those not excluded, each as likely. Ref. src/base/random.ts (xoshiro128**), uniformTag. */
  #uniformTag(tag: number, excluded: number): void {
    const cpu = this.frame.cpu;
    const word = (i: number) => i32.load(cpu, STATE + Cell.RANDOM + 4 * i);
    const put = (i: number, value: Code) => i32.store(cpu, value, STATE + Cell.RANDOM + 4 * i);
    const rotl = (value: Code, by: number) => i32.rotr(value, i32.const(32 - by));
    const random = this.keep32(i32.mul(rotl(i32.mul(word(1), i32.const(5)), 7), i32.const(9)));
    const t = this.keep32(i32.shl(word(1), i32.const(9)));
    this.emit(
      put(2, i32.xor(word(2), word(0))),
      put(3, i32.xor(word(3), word(1))),
      put(1, i32.xor(word(1), word(2))),
      put(0, i32.xor(word(0), word(3))),
      put(2, i32.xor(word(2), local.get(t))),
      put(3, rotl(word(3), 11)),
    );
    const allowed = i32.sub(i32.const(16), i32.popcnt(local.get(excluded)));
    const scaled = i64.mul(i64.extendI32U(local.get(random)), i64.extendI32U(allowed));
    const index = this.keep32(i32.wrap(i64.shrU(scaled, i64.const(32n))));
    const again = new Label('next tag');
    const step = local.set(tag, i32.add(local.get(tag), i32.const(1)));
    const fewer = local.set(index, i32.sub(local.get(index), i32.const(1)));
    const search = loop(again, [
      when(this.#isExcluded(excluded, tag), [step, br(again)]),
      when(local.get(index), [fewer, step, br(again)]),
    ]);
    this.emit(when(allowed, search));
  }

  /** The granule of an address, translated for tag access: the probe, and the tag addend in a local. */
  #tagProbe(table: Table, va: number): { probe: Probe; addend: number } {
    const low = this.keep32(i32.wrap(local.get(va)));
    const probe = this.probeFromBase(table, va, low);
    const addend = this.keep32(probe.tagAddend);
    this.emit(this.frame.failIf(i32.eq(local.get(addend), i32.const(SPECIAL))));
    return { probe, addend };
  }

  /** True where the entry's memory has tags and the level may access them. */
  #hasTags(addend: number): Code {
    return i32.and(i32.ne(local.get(addend), i32.const(-1)), this.tagAccessEnabled());
  }

  #tagByte(probe: Probe, addend: number): Code {
    return i32.add(i32.shrU(local.get(probe.low), i32.const(5)), local.get(addend));
  }

  loadTag(address: Value): Value {
    const va = this.keep(i64.and(address.wide(), i64.const(~15n)));
    const { probe, addend } = this.#tagProbe('read', va);
    const tag = this.keep32(i32.const(0));
    this.emit(when(this.#hasTags(addend), local.set(tag, this.#tagBefore(probe, addend))));
    return narrowLocal(tag);
  }

  storeTag(address: Value, tag: Value, granules: 1 | 2, zeroData: boolean): void {
    const { frame } = this;
    const va = this.keep(address.wide());
    const value = this.keep32(tag.low());
    if (this.asked.includes(true)) this.isRare = true;
    this.emit(frame.failIf(i32.and(i32.wrap(local.get(va)), i32.const(15))));
    if (granules === 1) {
      this.#storeTags([va], value, 1, zeroData);
      return;
    }
    const atEnd = i32.eq(i32.and(i32.wrap(local.get(va)), i32.const(4095)), i32.const(4080));
    if (frame.onMiss === 'fail') {
      this.emit(frame.failIf(atEnd));
      this.#storeTags([va], value, 2, zeroData);
      return;
    }
    const across = this.nested(() => {
      const next = this.keep(i64.add(local.get(va), i64.const(16n)));
      // Behind the last page is another tag, or the other half.
      const top = i64.shrU(i64.xor(local.get(va), local.get(next)), i64.const(55n));
      this.emit(frame.failIf(i32.wrap(top)));
      this.#storeTags([va, next], value, 1, zeroData);
    });
    const inPage = this.nested(() => this.#storeTags([va], value, 2, zeroData));
    this.emit(whenUnlikely(atEnd, across, inPage));
  }

  /** The same at each of the addresses in locals, in one page each; nothing is stored before all may be. */
  #storeTags(addresses: readonly number[], value: number, granules: 1 | 2, zeroData: boolean): void {
    const places = addresses.map((va) => {
      const { probe, addend } = this.#tagStore(va);
      return { probe, addend, host: this.keep32(this.hostOf(probe)) };
    });
    for (const { probe, addend } of places) {
      const noted = this.#noteTags(probe, addend, value, granules);
      this.emit(when(this.#hasTags(addend), noted));
    }
    for (const { probe, addend, host } of places) {
      if (zeroData)
        for (let at = 0; at < 16 * granules; at += 8) this.putToHost(8, host, constantValue(0n), at);
      this.emit(when(this.#hasTags(addend), this.#putTags(probe, addend, value, granules)));
    }
  }

  storeTagPair(address: Value, tag: Value, first: Value, second: Value): void {
    const va = this.keep(address.wide());
    const value = this.keep32(tag.low());
    if (this.asked.includes(true)) this.isRare = true;
    this.emit(this.frame.failIf(i32.and(i32.wrap(local.get(va)), i32.const(15))));
    const { probe, addend } = this.#tagStore(va);
    const host = this.keep32(this.hostOf(probe));
    this.emit(when(this.#hasTags(addend), this.#noteTags(probe, addend, value, 1)));
    this.putToHost(8, host, first, 0);
    this.putToHost(8, host, second, 8);
    this.emit(when(this.#hasTags(addend), this.#putTags(probe, addend, value, 1)));
  }

  /**
   * Remembers who writes these tags, where that is asked for: lengthens the run of granules that the CPU is tagging,
   * or asks the function of tag-events.ts, see TagHistory. Gives up where that does, before anything is
   * remembered but an event's beginning, which the evaluator then finds; so it stands behind all else that gives
   * up and before what is written. In the switch nothing is asked.
   */
  #noteTags(probe: Probe, addend: number, value: number, granules: 1 | 2 | 4): Code {
    const { frame } = this;
    if (frame.tagWriters === undefined) return [];
    const [event, run, end, step, ring, log] = Array.from({ length: 6 }, () => frame.local(ValueType.i32));
    const [noted, another] = [new Label('noted'), new Label('no run goes on')];
    const sp = this.operands.readX(64, { path: [], plus: SP_SLOT, isSP: true });
    const ofFrame = i32.ltU(i32.sub(local.get(probe.low), sp.low()), i32.const(TAG_RUN_STACK));
    const here = local.get(probe.low);
    const next = i32.add(here, i32.const(16 * granules));
    const at = local.get(event!);
    const start = i32.and(local.get(run!), i32.const(~15));
    const from = i32.add(i32.sub(here, start), i32.const(TAG_RUN_GAP));
    const size = i32.add(i32.sub(local.get(end!), start), i32.const(2 * TAG_RUN_GAP));
    const since = i32.sub(local.get(step!), i32.load(at, TagEventField.LAST));
    const differs = i32.and(i32.xor(local.get(run!), local.get(value)), i32.const(15));
    const lengthen = [
      brIf(another, ofFrame),
      local.set(event!, this.#tagging(Tagging.OPEN)),
      brIfUnlikely(another, i32.eqz(at)),
      local.set(run!, i32.load(at, TagEventField.START)),
      brIfUnlikely(another, differs),
      local.set(end!, i32.load(at, TagEventField.END)),
      brIfUnlikely(another, i32.gtU(from, size)),
      local.set(step!, i32.wrap(this.#step())),
      brIfUnlikely(another, i32.gtU(since, i32.const(TAG_RUN_STEPS))),
      when(i32.ltU(here, start), i32.store(at, i32.or(here, local.get(value)), TagEventField.START)),
      when(i32.gtU(next, local.get(end!)), i32.store(at, next, TagEventField.END)),
      i32.store(at, local.get(step!), TagEventField.LAST),
      local.set(ring!, this.#tagging(Tagging.RING)),
      logTagStore(log!, local.get(ring!), {
        start: i32.or(here, this.#tagBefore(probe, addend)),
        step: local.get(step!),
        pc: i32.or(i32.wrap(this.operands.pc()), i32.const(granules >> 1)),
        event: at,
      }),
      br(noted),
    ];
    const otherwise =
      frame.onMiss === 'fail'
        ? frame.fail()
        : frame.failIf(this.#noteElsewhere(probe, addend, value, granules));
    return when(frame.tagWriters, block(noted, [block(another, lengthen), otherwise]));
  }

  #tagging(word: number): Code {
    return i32.load(this.frame.cpu, STATE + CpuLayout.TAGGING + word);
  }

  /** An i32: the tag that the probe's granule has. */
  #tagBefore(probe: Probe, addend: number): Code {
    const shift = i32.and(i32.shrU(local.get(probe.low), i32.const(2)), i32.const(4));
    return i32.and(i32.shrU(i32.load8U(this.#tagByte(probe, addend)), shift), i32.const(15));
  }

  /** An i32: not 0 where TypeScript must do it. */
  #noteElsewhere(probe: Probe, addend: number, value: number, granules: 1 | 2 | 4): Code {
    const { frame, operands } = this;
    const inCells = frame.onMiss === 'refill';
    const register = (n: number): Code =>
      inCells
        ? i64.load(frame.cpu, STATE + CpuLayout.X + 8 * n)
        : operands.readX(64, { path: [], plus: n, isSP: n === SP_SLOT }).wide();
    return callIndirect(
      TAG_EVENT_TYPE,
      i32.const(Handler.tagEvent),
      tagsOfEvent(this.#tagBefore(probe, addend), local.get(value), granules),
      frame.cpu,
      local.get(probe.address),
      frame.fuelLeft,
      operands.pc(),
      register(29),
      register(30),
      register(SP_SLOT),
    );
  }

  /** An i64: instructions executed before this one. */
  #step(): Code {
    const left = i64.extendI32U(this.frame.fuelLeft);
    return i64.sub(i64.load(this.frame.cpu, STATE + Cell.STEPS_AT_END), left);
  }

  /** Gives up where a tag store is not one of bytes in memory. */
  #tagStore(va: number): { probe: Probe; addend: number } {
    const found = this.#tagProbe('write', va);
    this.#requireBytes(found.probe, found.addend);
    return found;
  }

  /** Gives up where tags are not bytes in memory that may be written without TypeScript. */
  #requireBytes(probe: Probe, addend: number): void {
    const { frame } = this;
    if (frame.tagWriters !== undefined) this.emit(frame.failIf(i32.eq(frame.tagWriters, i32.const(1))));
    // Tag storage that does not exist yet reads as the chunk of zeros, which is never written.
    const place = i32.sub(this.#tagByte(probe, addend), i32.const(ZERO_CHUNK));
    const inZeroes = i32.ltU(place, i32.const(CHUNK));
    this.emit(frame.failIf(i32.and(i32.ne(local.get(addend), i32.const(-1)), inZeroes)));
  }

  #putTags(probe: Probe, addend: number, value: number, granules: 1 | 2): Code {
    const put = (low: Code): Code => {
      const at = i32.add(i32.shrU(low, i32.const(5)), local.get(addend));
      const shift = i32.and(i32.shrU(low, i32.const(2)), i32.const(4));
      const kept = i32.and(i32.load8U(at), i32.shrU(i32.const(0xf0), shift));
      return i32.store8(at, i32.or(kept, i32.shl(local.get(value), shift)));
    };
    const low = local.get(probe.low);
    return granules === 1 ? put(low) : [put(low), put(i32.add(low, i32.const(16)))];
  }

  // ---- blocks --------------------------------------------------------------------------------------

  /** DC ZVA, DC GVA and DC GZVA: 64 bytes are zeroed, get their address's tag, or both. */
  systemOperation(operation: Operand, value: Value): void {
    this.isRare = true;
    const actions = this.keep32(this.operands.blockActions(operation));
    const { maintainData, maintainTags, maintainCode } = BlockAction;
    const isMaintenance = i32.and(local.get(actions), i32.const(maintainData | maintainTags | maintainCode));
    const maintained = this.nested(() => this.#maintained(actions, value));
    const done = this.nested(() => this.#blockDone(actions, value));
    this.emit(when(isMaintenance, maintained, done));
  }

  /** Maintenance of caches that are not modelled needs a translation, and is counted. */
  #maintained(actions: number, value: Value): void {
    const { frame } = this;
    this.emit(frame.failIf(i32.eqz(this.permitted(i32.const(Permission.maintenance)))));
    const va = this.keep(value.wide());
    this.probeOf('read', va, this.keep32(i32.wrap(local.get(va))));
    const { maintainData, maintainTags, maintainCode } = BlockAction;
    [maintainData, maintainTags, maintainCode].forEach((action, i) => {
      const at = STATE + Cell.MAINTAINED + 4 * i;
      const isDone = i32.ne(i32.and(local.get(actions), i32.const(action)), i32.const(0));
      this.emit(i32.store(frame.cpu, i32.add(i32.load(frame.cpu, at), isDone), at));
    });
  }

  #blockDone(actions: number, value: Value): void {
    const { frame } = this;
    const does = (action: number) => i32.and(local.get(actions), i32.const(action));
    this.emit(frame.failIf(i32.eqz(this.permitted(i32.const(Permission.blocks)))));
    const va = this.keep(i64.and(value.wide(), i64.const(~63n)));
    const low = this.keep32(i32.wrap(local.get(va)));
    const probe = this.probeFromBase('write', va, low);
    const addend = this.keep32(probe.tagAddend);
    const host = this.keep32(this.hostOf(probe));
    const tag = this.keep32(i32.and(i32.wrap(i64.shrU(local.get(va), i64.const(56n))), i32.const(15)));
    const tagged = this.nested(() => {
      this.emit(frame.failIf(i32.eq(local.get(addend), i32.const(SPECIAL))));
      this.#requireBytes(probe, addend);
      this.emit(when(this.#hasTags(addend), this.#noteTags(probe, addend, tag, 4)));
    });
    const checked = this.nested(() => this.checkBlock(probe, 64));
    const zeroed = this.nested(() => {
      for (let at = 0; at < 64; at += 8) this.putToHost(8, host, constantValue(0n), at);
    });
    const both = i32.mul(local.get(tag), i32.const(0x1111));
    this.emit(
      when(does(BlockAction.tag), tagged),
      when(does(BlockAction.check), checked),
      when(does(BlockAction.zero), zeroed),
      when(
        does(BlockAction.tag),
        when(this.#hasTags(addend), i32.store16(this.#tagByte(probe, addend), both)),
      ),
    );
  }
}
