/**
 * Gathers what a tag-check fault report says, from the CPU, the page tables, the memory controller and
 * the owner of the page of tag storage, at the moment the fault is taken.
 */
import { disassemble, footprintOf } from '../../isa/index.js';
import { logicalTag, PA, Pfn, untagged, VA } from '../base/index.js';
import { type Machine, MOST_CALLERS, type TagEvent, type TaggingCpu, TlbKind } from '../machine/index.js';
import { frameChain, userBits } from './frame-chain.js';
import type { MemoryManager } from './mm/index.js';
import {
  type Process,
  SIGFRAME_BYTES,
  SIGFRAME_PC,
  type Thread,
  type UserCpus,
  type UserRegisters,
} from './process/index.js';
import {
  describeTagPageOwner,
  type HistoryEntry,
  historyOf,
  nearestOfTag,
  type StackFrame,
  type TagFaultReport,
  type TaggedRun,
  type TagRow,
  type TagWriter,
  wasJustRetagged,
} from './report/index.js';

const GRANULE = 16;
/** Granules in a row of the tag map, and rows on each side of the fault's own. */
const ROW_GRANULES = 16;
const ROW_BYTES = BigInt(ROW_GRANULES * GRANULE);
const ROWS_EACH_SIDE = 8n;
/** Frames of a backtrace at most. */
const MOST_FRAMES = 32;
/** Events of one granule that are looked at. */
const MOST_RUNS = 64;
/** What ends a signal handler, whoever provides it: `mov x8, #139` and `svc #0`, after `bti c` perhaps. */
const BTI_C = 0xd503245f;
const MOV_X8_SIGRETURN = 0xd2801168;
const SVC = 0xd4000001;

export class TagFaultReporter {
  readonly #machine: Machine;
  readonly #mm: MemoryManager;
  readonly #user: UserCpus;
  readonly #processes: () => readonly Process[];

  /** `processes`: those that are alive. */
  constructor(machine: Machine, mm: MemoryManager, user: UserCpus, processes: () => readonly Process[]) {
    this.#machine = machine;
    this.#mm = mm;
    this.#user = user;
    this.#processes = processes;
  }

  /** As the fault left them, whatever CPU the thread is on now. */
  #registersOf(thread: Thread): UserRegisters {
    return this.#user.registersOf(thread);
  }

  /** A fault that the faulting instruction itself took. `va`: FAR_EL1, the whole pointer. */
  synchronous(thread: Thread, pc: VA, va: VA, write: boolean, esr: bigint): TagFaultReport {
    const { memory, controller } = this.#machine;
    const { process } = thread;
    const mm = this.#mm;
    const pa = mm.virtToPhys(process.mm, untagged(va))?.pa;
    const tagByte = pa === undefined ? -1 : controller.tagByteOf(pa);
    const word = this.#wordAt(process, pc);
    const lastTagWriter = pa === undefined ? undefined : this.#lastTagWriter(process, untagged(va), pa);
    const tags = this.#tagRows(process, va);
    return {
      ...this.#common(thread, pc, esr, word),
      mode: 'sync',
      access: {
        type: write ? 'store' : 'load',
        size: (word === undefined ? undefined : footprintOf(word)?.bytes) ?? 1,
      },
      va,
      pa,
      tagPa: tagByte < 0 ? undefined : PA(tagByte),
      nibble: tagByte < 0 || pa === undefined ? undefined : (pa & GRANULE) === 0 ? 'low' : 'high',
      pointerTag: logicalTag(va),
      memoryTag: pa === undefined ? undefined : memory.readTag(pa),
      far: va,
      tags,
      tagPageOwner:
        tagByte < 0
          ? undefined
          : describeTagPageOwner(mm.ownerOfTagPage(Pfn(Math.floor(tagByte / mm.pageSize)))),
      lastTagWriter,
      history: this.#history(process, va, tags, lastTagWriter),
    };
  }

  /** A fault found in TFSRE0_EL1 at a kernel entry: which access it was is not known. */
  asynchronous(thread: Thread, pc: VA, esr: bigint): TagFaultReport {
    return {
      ...this.#common(thread, pc, esr, this.#wordAt(thread.process, pc)),
      mode: 'async',
      access: undefined,
      va: undefined,
      pa: undefined,
      tagPa: undefined,
      nibble: undefined,
      pointerTag: undefined,
      memoryTag: undefined,
      far: undefined,
      tags: [],
      tagPageOwner: undefined,
      lastTagWriter: undefined,
      history: [],
    };
  }

  #wordAt(process: Process, pc: VA): number | undefined {
    const mapping = this.#mm.virtToPhys(process.mm, pc);
    return mapping === undefined ? undefined : this.#machine.memory.read32(mapping.pa);
  }

  #common(thread: Thread, pc: VA, esr: bigint, word: number | undefined) {
    const { process } = thread;
    const user = this.#registersOf(thread);
    const registers = Array.from(user.x, (value, i) => ({ name: `x${i}`, value }));
    registers.push(
      { name: 'sp', value: user.sp },
      { name: 'pc', value: pc },
      { name: 'spsr', value: user.pstate },
    );
    return {
      kind: 'tag-check-fault' as const,
      pc,
      symbol: process.symbolize(pc),
      instruction: word === undefined ? undefined : disassemble(word, { pc }),
      esr,
      registers,
      backtrace: this.#backtrace(process, user, pc),
      pid: process.pid,
      program: process.name,
      step: BigInt(this.#machine.cpus.reduce((sum, cpu) => sum + cpu.steps, 0)),
    };
  }

  /**
   * Functions from return addresses. X30 is the return address of a leaf function where it leads to another
   * function than the one being executed; elsewhere it is a call's that has returned already.
   */
  #frames(process: Process, pc: bigint, lr: number, returns: readonly number[]): StackFrame[] {
    const frame = (at: number): StackFrame => {
      const isHandlerEnd = this.#returnsFromHandler(process, at);
      return {
        pc: VA(BigInt(at)),
        symbol: isHandlerEnd ? '<signal handler called>' : process.symbolize(BigInt(at)),
      };
    };
    const found: StackFrame[] = [frame(Number(pc))];
    // The function that was called last, and what its X30 is: both known again where a signal interrupted one.
    let leaf = pc;
    let link: number | undefined = lr;
    for (let i = 0; i <= returns.length; i++) {
      const next = returns[i];
      if (link !== undefined) {
        const isLeaf = this.#leadsToCode(process, link) && !sameFunction(process, BigInt(link - 4), leaf);
        if (isLeaf && link !== next) found.push(frame(link));
      }
      if (next === undefined || !this.#leadsToCode(process, next)) break;
      found.push(frame(next));
      link = undefined;
      if (!this.#returnsFromHandler(process, next) || returns[i + 1] === undefined) continue;
      const interrupted = returns[++i]!;
      found.push(frame(interrupted));
      leaf = BigInt(interrupted);
      link = returns[++i];
    }
    return found;
  }

  #leadsToCode(process: Process, address: number): boolean {
    return (
      address >= 4 &&
      (this.#isCode(process, BigInt(address - 4)) || this.#returnsFromHandler(process, address))
    );
  }

  /** The code at an address calls rt_sigreturn: a signal handler returns there. */
  #returnsFromHandler(process: Process, address: number): boolean {
    if (address % 4 !== 0) return false;
    const at = (word: number) => this.#wordAt(process, VA(BigInt(address + 4 * word)));
    const first = at(0) === BTI_C ? 1 : 0;
    return at(first) === MOV_X8_SIGRETURN && at(first + 1) === SVC;
  }

  #backtrace(process: Process, { x, sp }: UserRegisters, pc: VA): StackFrame[] {
    const locate = (address: number) => this.#mm.virtToPhys(process.mm, VA(BigInt(address)))?.pa;
    const wordAt = (address: number) => this.#wordAt(process, VA(BigInt(address)));
    const interrupted = (link: number, record: number): number | undefined => {
      if (record % 8 !== 0 || !this.#returnsFromHandler(process, link)) return undefined;
      const saved = record - SIGFRAME_BYTES + SIGFRAME_PC;
      const low = wordAt(saved);
      return low === undefined ? undefined : (low >>> 0) + ((wordAt(saved + 4) ?? 0) & 0xffff) * 2 ** 32;
    };
    const lr = userBits(x[30]!);
    const start = { record: x[29]!, sp, most: MOST_FRAMES, locate, interrupted, link: lr };
    return this.#frames(process, pc, lr, frameChain(this.#machine.memory, start));
  }

  /** What `TagHistory` asks for where generated code did not see it, inside the instruction that tags. */
  callersOf(thread: Thread, { index }: TaggingCpu): readonly number[] {
    const { memory, cpus } = this.#machine;
    const cpu = cpus[index]!;
    const { process } = thread;
    const { tlb } = cpu.mmu;
    const locate = (address: number): number | undefined => {
      const entry = tlb.find(TlbKind.read, address | 0, Math.floor(address / 2 ** 32), cpu.dataContext);
      if (entry >= 0) return tlb.page[entry]! + (address % 4096);
      return this.#mm.virtToPhys(process.mm, VA(BigInt(address)))?.pa;
    };
    const start = { record: cpu.readX(29), sp: cpu.sp, most: MOST_CALLERS - 1, locate };
    return [userBits(cpu.readX(30)), ...frameChain(memory, start)];
  }

  /**
   * Who wrote the granule's tag last: the event of the history that gave it the tag which it bears, in this
   * address space or in another one that maps the page, or what was remembered by granule.
   */
  #lastTagWriter(process: Process, va: VA, pa: PA): TagWriter | undefined {
    const { memory } = this.#machine;
    const { tagHistory } = memory;
    const tag = memory.readTag(pa);
    const symbolized = (pc: bigint) => ({ pc: VA(pc), symbol: process.symbolize(pc) });
    const alone = memory.lastTagWriter(pa);
    const events = tagHistory?.eventsOf(process.mm.id, va) ?? [];
    const [latest, previous] = [...firstOf(events, MOST_RUNS)].filter(
      (event) => tagHistory?.storeOf(event, va) !== false,
    );
    const isOwn = latest?.after === tag;
    const found = isOwn ? { event: latest, va } : this.#eventElsewhere(process, pa, tag, latest?.step ?? 0);
    if (found === undefined || (alone !== undefined && alone.step > BigInt(found.event.step))) {
      return alone && { ...symbolized(alone.pc), step: alone.step, before: alone.before, after: alone.after };
    }
    const { event } = found;
    const { pc, step, before } = tagHistory?.storeOf(event, found.va) || { ...event, before: undefined };
    // Memory that nobody tagged has tag 0.
    const first = isOwn ? (previous?.after ?? (event.before === 0 ? 0 : undefined)) : undefined;
    return { ...symbolized(BigInt(pc)), step: BigInt(step), before: before ?? first, after: tag };
  }

  /** Bytes from the beginning of its page. */
  #granuleInPage(pa: PA): number {
    const offset = pa % this.#mm.pageSize;
    return offset - (offset % GRANULE);
  }

  /** The latest event of other processes that gave the granule this tag, after step `since`, and its address there. */
  #eventElsewhere(
    process: Process,
    pa: PA,
    tag: number,
    since: number,
  ): { readonly event: TagEvent; readonly va: VA } | undefined {
    const { pageSize } = this.#mm;
    const { tagHistory } = this.#machine.memory;
    const offset = this.#granuleInPage(pa);
    for (const event of firstOf(tagHistory?.eventsInPages(offset, pageSize, process.mm.id), MOST_RUNS)) {
      const other = this.#processes().find(({ mm }) => mm.id === event.space);
      if (other === undefined || event.after !== tag || event.step < since) continue;
      const first = event.start + ((offset - (event.start % pageSize) + pageSize) % pageSize);
      for (let at = first; at < event.end; at += pageSize) {
        const va = VA(BigInt(at));
        const there = this.#mm.virtToPhys(other.mm, va)?.pa;
        if (there === pa - (pa % GRANULE) && tagHistory?.storeOf(event, va) !== false) return { event, va };
      }
    }
    return undefined;
  }

  /** The events that tagged one granule, latest first. */
  #runsOf(process: Process, granule: bigint): TaggedRun[] {
    const { tagHistory } = this.#machine.memory;
    const events = [...firstOf(tagHistory?.eventsOf(process.mm.id, granule), MOST_RUNS)];
    return events.map(({ start, end, pc, callers, ...event }) => {
      const [lr, ...returns] = callers;
      const backtrace = this.#frames(process, BigInt(pc), lr ?? 0, returns);
      return { ...event, start: VA(BigInt(start)), end: VA(BigInt(end)), backtrace };
    });
  }

  #history(process: Process, va: VA, tags: readonly TagRow[], writer: TagWriter | undefined): HistoryEntry[] {
    const pa = this.#mm.virtToPhys(process.mm, untagged(va))?.pa;
    if (pa === undefined) return [];
    const pointerTag = logicalTag(va);
    const near = wasJustRetagged(writer, pointerTag) ? undefined : nearestOfTag(va, pointerTag, tags);
    const runs = {
      granule: this.#runsOf(process, untagged(va)),
      neighbour: near === undefined ? [] : this.#runsOf(process, near.granule),
    };
    return historyOf(runs, pointerTag, this.#machine.memory.readTag(pa));
  }

  #isCode(process: Process, address: bigint): boolean {
    return this.#mm.findVma(process.mm, VA(address))?.exec === true;
  }

  /** At most 17 rows of 16 granules around `va`, those of mapped pages. */
  #tagRows(process: Process, va: VA): TagRow[] {
    const center = untagged(va) & ~(ROW_BYTES - 1n);
    const rows: TagRow[] = [];
    for (let i = -ROWS_EACH_SIDE; i <= ROWS_EACH_SIDE; i++) {
      const address = center + i * ROW_BYTES;
      const mapping = address < 0n ? undefined : this.#mm.virtToPhys(process.mm, VA(address));
      if (mapping === undefined) continue;
      const tags = Array.from({ length: ROW_GRANULES }, (_, g) =>
        mapping.tagged ? this.#machine.memory.readTag(PA(mapping.pa + g * GRANULE)) : undefined,
      );
      rows.push({ address: VA(address), tags });
    }
    return rows;
  }
}

/** Both addresses lie in the function that one symbol names. */
function sameFunction(process: Process, a: bigint, b: bigint): boolean {
  const nameOf = (address: bigint) => process.symbolize(address)?.split('+')[0];
  return nameOf(a) === nameOf(b);
}

/** What comes first, so many at most. */
function* firstOf<T>(all: Iterable<T> | undefined, most: number): Generator<T> {
  let left = most;
  for (const one of all ?? []) {
    if (left-- === 0) return;
    yield one;
  }
}
