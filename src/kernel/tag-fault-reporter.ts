/**
 * Gathers what a tag-check fault report says, from the CPU, the page tables, the memory controller and
 * the owner of the page of tag storage, at the moment the fault is taken.
 */
import { disassemble, footprintOf } from '../../isa/index.js';
import { logicalTag, PA, Pfn, untagged, VA } from '../base/index.js';
import type { Machine } from '../machine/index.js';
import type { MemoryManager } from './mm/index.js';
import type { Process, Thread, UserCpus, UserRegisters } from './process/index.js';
import { describeTagPageOwner, type StackFrame, type TagFaultReport, type TagRow } from './report/index.js';

const GRANULE = 16;
/** The bits of a user address. */
const ADDRESS_MASK = (1n << 48n) - 1n;
/** Granules in a row of the tag map, and rows on each side of the fault's own. */
const ROW_GRANULES = 16;
const ROW_BYTES = BigInt(ROW_GRANULES * GRANULE);
const ROWS_EACH_SIDE = 8n;
/** Frames of a backtrace at most. */
const MOST_FRAMES = 32;
/** Frames further apart than this are no chain. */
const MOST_FRAME_BYTES = 1n << 24n;

export class TagFaultReporter {
  readonly #machine: Machine;
  readonly #mm: MemoryManager;
  readonly #user: UserCpus;

  constructor(machine: Machine, mm: MemoryManager, user: UserCpus) {
    this.#machine = machine;
    this.#mm = mm;
    this.#user = user;
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
    const writer = pa === undefined ? undefined : memory.lastTagWriter(pa);
    const word = this.#wordAt(process, pc);
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
      tags: this.#tagRows(process, va),
      tagPageOwner:
        tagByte < 0
          ? undefined
          : describeTagPageOwner(mm.ownerOfTagPage(Pfn(Math.floor(tagByte / mm.pageSize)))),
      lastTagWriter:
        writer === undefined
          ? undefined
          : {
              pc: VA(writer.pc),
              step: writer.step,
              symbol: process.symbolize(writer.pc),
              before: writer.before,
              after: writer.after,
            },
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
   * The chain of frame records (AAPCS64, 6.4.6): each aligned, mapped, and above the one before it. X30 is
   * the return address of a leaf function where it leads to another function than the one being executed;
   * elsewhere it is a call's that has returned already.
   */
  #backtrace(process: Process, { x, sp }: UserRegisters, pc: VA): StackFrame[] {
    const frame = (at: bigint): StackFrame => ({ pc: VA(at), symbol: process.symbolize(at) });
    const frames = [frame(pc)];
    let record = untagged(VA(x[29]!)) as bigint;
    let below = untagged(VA(sp)) as bigint;
    const lr = x[30]! & ADDRESS_MASK;
    const isLeaf = lr >= 4n && this.#isCode(process, lr - 4n) && !sameFunction(process, lr - 4n, pc);
    if (isLeaf && lr !== ((this.#wordOf(process, record + 8n) ?? 0n) & ADDRESS_MASK)) frames.push(frame(lr));
    while (frames.length < MOST_FRAMES && record % 8n === 0n) {
      if (record < below || record - below > MOST_FRAME_BYTES) break;
      const next = this.#wordOf(process, record);
      const link = this.#wordOf(process, record + 8n);
      // The outermost record has no return address; a code in it is taken off.
      const returns = link === undefined ? 0n : link & ADDRESS_MASK;
      if (next === undefined || returns < 4n || !this.#isCode(process, returns - 4n)) break;
      frames.push(frame(returns));
      below = record + 16n;
      record = untagged(VA(next)) as bigint;
    }
    return frames;
  }

  #wordOf(process: Process, address: bigint): bigint | undefined {
    const mapping = this.#mm.virtToPhys(process.mm, VA(address));
    if (mapping === undefined) return undefined;
    const { memory } = this.#machine;
    const low = memory.read32(mapping.pa);
    return (BigInt(memory.read32(PA(mapping.pa + 4)) >>> 0) << 32n) | BigInt(low >>> 0);
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
