/**
 * GICv3: distributor, one redistributor a CPU, and the CPU interfaces behind the ICC_* registers.
 *
 * One security state (GICD_CTLR.DS = 1), affinity routing always on, 256 shared interrupts, 32 levels of
 * priority, no LPIs and no virtual interface: what a board without secure software needs. Group 0 is
 * signalled as FIQ, group 1 as IRQ. Level-sensitive inputs (timers, UART) are held by their device;
 * edges and SGIs are latched.
 *
 * Whenever something changes, the highest pending interrupt of the CPUs concerned is worked out anew and
 * their IRQ and FIQ inputs set; nothing is looked at while instructions run.
 *
 * Ref. IHI 0069H: 4.8 (priorities), 12.9 (distributor), 12.11 (redistributor), 12.2 (ICC registers).
 */
import type { Cpu } from '../cpu/cpu.js';
import type { Device } from '../memory/bus.js';

/** Interrupts: 16 SGIs, 16 PPIs, 256 SPIs. */
const PRIVATE = 32;
const INTERRUPTS = 288;
export const SPURIOUS = 1023;
const IDLE_PRIORITY = 0xff;
/** Five bits of priority: the lowest three are zero. */
const PRIORITY_MASK = 0xf8;
const NO_INTERRUPT = -1;

export const REDISTRIBUTOR_STRIDE = 0x20000;
const SGI_FRAME = 0x10000;

/** GICD_CTLR. */
const ENABLE_GROUP0 = 1;
const ENABLE_GROUP1 = 2;
const CTLR_FIXED = (1 << 4) | (1 << 6);

/** State of a run of interrupts, one entry each. */
class InterruptState {
  readonly enabled: Uint8Array;
  readonly latched: Uint8Array;
  /** The device's line, for level-sensitive interrupts. */
  readonly line: Uint8Array;
  readonly active: Uint8Array;
  readonly group: Uint8Array;
  readonly edge: Uint8Array;
  readonly priority: Uint8Array;

  constructor(count: number) {
    this.enabled = new Uint8Array(count);
    this.latched = new Uint8Array(count);
    this.line = new Uint8Array(count);
    this.active = new Uint8Array(count);
    this.group = new Uint8Array(count);
    this.edge = new Uint8Array(count);
    this.priority = new Uint8Array(count);
  }

  isPending(n: number): boolean {
    return this.latched[n] === 1 || (this.edge[n] === 0 && this.line[n] === 1);
  }
}

/** One CPU's private interrupts and its interface. */
class CpuInterface {
  readonly cpu: Cpu;
  readonly state = new InterruptState(PRIVATE);
  asleep = true;
  pmr = 0;
  readonly bpr = [2, 3];
  readonly enabled = [false, false];
  /** Active priorities of each group: bit n for priority 8 n. */
  readonly activePriorities = [0, 0];
  /** EOImode and CBPR. */
  control = 0;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
    // SGIs are edges always.
    this.state.edge.fill(1, 0, 16);
  }

  get runningPriority(): number {
    const active = (this.activePriorities[0]! | this.activePriorities[1]!) >>> 0;
    return active === 0 ? IDLE_PRIORITY : (31 - Math.clz32(active & -active)) * 8;
  }

  /** The part of a priority that decides preemption. Ref. IHI 0069, 4.8.6 (group priority field). */
  groupPriority(group: number, priority: number): number {
    const shared = group === 1 && (this.control & 1) === 0;
    const point = shared ? this.bpr[1]! : this.bpr[0]! + 1;
    return priority & (0xff << point) & 0xff;
  }
}

export class Gic {
  readonly devices: readonly Device[];
  #interfaces: CpuInterface[] = [];
  readonly #shared = new InterruptState(INTERRUPTS);
  /** IROUTER as written. */
  readonly #route = new Array<bigint>(INTERRUPTS).fill(0n);
  #control = 0;

  /** Throws nothing; `redistributors` bytes beyond the last CPU's frames read as zero. */
  constructor(distributor: { base: number; size: number }, redistributor: { base: number; size: number }) {
    this.devices = [
      {
        name: `gic-distributor@${distributor.base.toString(16)}`,
        ...distributor,
        read: (offset, bytes) => this.#wide(offset, bytes, (at) => this.#readDistributor(at)),
        write: (offset, bytes, value) => {
          this.#narrow(offset, bytes, value, 0);
        },
      },
      {
        name: `gic-redistributor@${redistributor.base.toString(16)}`,
        ...redistributor,
        read: (offset, bytes) => this.#wide(offset, bytes, (at) => this.#readRedistributor(at)),
        write: (offset, bytes, value) => {
          this.#narrow(offset, bytes, value, 1);
        },
      },
    ];
  }

  attach(cpus: readonly Cpu[]): void {
    this.#interfaces = cpus.map((cpu) => new CpuInterface(cpu));
  }

  // ---- inputs --------------------------------------------------------------------------------------

  /** A device's level-sensitive or edge-triggered line; `intid` from 32. */
  setShared(intid: number, level: boolean): void {
    this.#setLine(this.#shared, intid, level);
    this.#updateAll();
  }

  /** A private interrupt (16..31) of one CPU. */
  setPrivate(cpu: Cpu, intid: number, level: boolean): void {
    const own = this.#interfaces[cpu.index]!;
    if ((own.state.line[intid] === 1) === level) return;
    this.#setLine(own.state, intid, level);
    this.#update(own);
  }

  #setLine(state: InterruptState, n: number, level: boolean): void {
    if (level && state.line[n] === 0 && state.edge[n] === 1) state.latched[n] = 1;
    state.line[n] = level ? 1 : 0;
  }

  // ---- what is pending -----------------------------------------------------------------------------

  #stateOf(own: CpuInterface, intid: number): InterruptState {
    return intid < PRIVATE ? own.state : this.#shared;
  }

  /** The CPU a shared interrupt goes to; IRM = 1 may choose any, here the first. */
  #targetOf(intid: number): number {
    const route = this.#route[intid]!;
    return ((route >> 31n) & 1n) === 1n ? 0 : Number(route & 0xff_00ff_ffffn);
  }

  /** The pending, enabled, inactive interrupt of highest priority, of enabled groups; or NO_INTERRUPT. */
  #highest(own: CpuInterface): number {
    let best = NO_INTERRUPT;
    let bestPriority = IDLE_PRIORITY + 1;
    const consider = (state: InterruptState, n: number) => {
      if (state.enabled[n] === 0 || state.active[n] === 1 || !state.isPending(n)) return;
      const group = state.group[n]!;
      if ((this.#control & (group === 1 ? ENABLE_GROUP1 : ENABLE_GROUP0)) === 0) return;
      if (!own.enabled[group]) return;
      if (state.priority[n]! < bestPriority) {
        best = n;
        bestPriority = state.priority[n]!;
      }
    };
    for (let n = 0; n < PRIVATE; n++) consider(own.state, n);
    for (let n = PRIVATE; n < INTERRUPTS; n++) {
      if (this.#shared.enabled[n] === 1 && this.#targetOf(n) === own.cpu.index) consider(this.#shared, n);
    }
    return best;
  }

  /** The interrupt that is signalled now: high enough for the mask and for what is running. */
  #signalled(own: CpuInterface): number {
    const n = this.#highest(own);
    if (n === NO_INTERRUPT) return n;
    const state = this.#stateOf(own, n);
    const priority = state.priority[n]!;
    if (priority >= own.pmr) return NO_INTERRUPT;
    return own.groupPriority(state.group[n]!, priority) < own.runningPriority ? n : NO_INTERRUPT;
  }

  #update(own: CpuInterface): void {
    const n = this.#signalled(own);
    const group = n === NO_INTERRUPT ? -1 : this.#stateOf(own, n).group[n]!;
    own.cpu.setInterruptLines(group === 1, group === 0);
  }

  #updateAll(): void {
    for (const own of this.#interfaces) this.#update(own);
  }

  // ---- registers of distributor and redistributor ---------------------------------------------------

  #wide(offset: number, bytes: number, read: (at: number) => number): bigint {
    const word = (at: number) => BigInt(read(at) >>> 0);
    if (bytes === 8) return word(offset) | (word(offset + 4) << 32n);
    if (bytes === 4) return word(offset);
    return (word(offset - (offset % 4)) >> BigInt(8 * (offset % 4))) & (bytes === 1 ? 0xffn : 0xffffn);
  }

  #narrow(offset: number, bytes: number, value: bigint, which: 0 | 1): void {
    const write = (at: number, word: number) => {
      if (which === 0) this.#writeDistributor(at, word);
      else this.#writeRedistributor(at, word);
    };
    if (bytes === 8) {
      write(offset, Number(value & 0xffff_ffffn));
      write(offset + 4, Number(value >> 32n));
    } else if (bytes === 4) {
      write(offset, Number(value));
    } else {
      // Only priorities are byte-accessible; other registers ignore narrow writes.
      const at = which === 0 ? offset : offset % REDISTRIBUTOR_STRIDE;
      const frame = which === 0 ? 0 : SGI_FRAME;
      if (bytes !== 1 || at < frame + 0x400 || at >= frame + 0x800) return;
      const owner = which === 0 ? undefined : this.#interfaces[Math.floor(offset / REDISTRIBUTOR_STRIDE)];
      const state = which === 0 ? this.#shared : owner?.state;
      const n = at - frame - 0x400;
      if (state !== undefined && this.#exists(n, which)) state.priority[n] = Number(value) & PRIORITY_MASK;
    }
    this.#updateAll();
  }

  /** Private interrupts are the redistributors', shared ones the distributor's. */
  #exists(n: number, which: 0 | 1): boolean {
    return which === 0 ? n >= PRIVATE && n < INTERRUPTS : n < PRIVATE;
  }

  /** The registers both have: one bit, two bits or a byte an interrupt, from `offset` 0x080 on. */
  #readFields(state: InterruptState, offset: number, which: 0 | 1): number {
    const bits = (from: number, value: (n: number) => number, width: number) => {
      let word = 0;
      const first = ((offset - from) / 4) * (32 / width);
      for (let i = 0; i < 32 / width; i++) {
        const n = first + i;
        if (this.#exists(n, which)) word |= value(n) << (i * width);
      }
      return word;
    };
    if (offset < 0x100) return bits(0x080, (n) => state.group[n]!, 1);
    if (offset < 0x200) return bits(offset < 0x180 ? 0x100 : 0x180, (n) => state.enabled[n]!, 1);
    if (offset < 0x300) return bits(offset < 0x280 ? 0x200 : 0x280, (n) => (state.isPending(n) ? 1 : 0), 1);
    if (offset < 0x400) return bits(offset < 0x380 ? 0x300 : 0x380, (n) => state.active[n]!, 1);
    if (offset < 0x800) return bits(0x400, (n) => state.priority[n]!, 8);
    if (offset >= 0xc00 && offset < 0xd00) return bits(0xc00, (n) => state.edge[n]! << 1, 2);
    return 0;
  }

  #writeFields(state: InterruptState, offset: number, word: number, which: 0 | 1): void {
    const each = (from: number, width: number, set: (n: number, value: number) => void) => {
      const first = ((offset - from) / 4) * (32 / width);
      for (let i = 0; i < 32 / width; i++) {
        const n = first + i;
        if (this.#exists(n, which)) set(n, (word >>> (i * width)) & (2 ** width - 1));
      }
    };
    const put = (array: Uint8Array, from: number, value: 0 | 1) =>
      each(from, 1, (n, bit) => {
        if (bit === 1) array[n] = value;
      });
    if (offset < 0x100) {
      each(0x080, 1, (n, bit) => {
        state.group[n] = bit;
      });
    } else if (offset < 0x180) put(state.enabled, 0x100, 1);
    else if (offset < 0x200) put(state.enabled, 0x180, 0);
    else if (offset < 0x280) put(state.latched, 0x200, 1);
    else if (offset < 0x300) put(state.latched, 0x280, 0);
    else if (offset < 0x380) put(state.active, 0x300, 1);
    else if (offset < 0x400) put(state.active, 0x380, 0);
    else if (offset < 0x800) {
      each(0x400, 8, (n, byte) => {
        state.priority[n] = byte & PRIORITY_MASK;
      });
    } else if (offset >= 0xc00 && offset < 0xd00) {
      each(0xc00, 2, (n, field) => {
        if (n >= 16) state.edge[n] = field >>> 1;
      });
    }
  }

  #readDistributor(offset: number): number {
    switch (offset) {
      case 0x000:
        return this.#control | CTLR_FIXED;
      case 0x004:
        // ITLinesNumber, 10 bits of interrupt identifier, no LPIs, affinity level 3 is zero.
        return INTERRUPTS / 32 - 1 + (9 << 19);
      case 0x008:
        return 0x43b;
      case 0xffe8:
        return 0x3b;
      default:
    }
    if (offset >= 0x6100 && offset < 0x6000 + 8 * INTERRUPTS) {
      const route = this.#route[Math.floor((offset - 0x6000) / 8)]!;
      return Number(BigInt.asUintN(32, offset % 8 === 0 ? route : route >> 32n));
    }
    return offset >= 0x080 && offset < 0xd00 ? this.#readFields(this.#shared, offset, 0) : 0;
  }

  #writeDistributor(offset: number, word: number): void {
    if (offset === 0) {
      this.#control = word & (ENABLE_GROUP0 | ENABLE_GROUP1);
    } else if (offset >= 0x6100 && offset < 0x6000 + 8 * INTERRUPTS) {
      const n = Math.floor((offset - 0x6000) / 8);
      const old = this.#route[n]!;
      this.#route[n] =
        offset % 8 === 0
          ? (old & ~0xffff_ffffn) | (BigInt(word >>> 0) & 0x80ff_ffffn)
          : (old & 0xffff_ffffn) | ((BigInt(word) & 0xffn) << 32n);
    } else if (offset >= 0x080 && offset < 0xd00 && offset % 4 === 0) {
      this.#writeFields(this.#shared, offset, word, 0);
    }
  }

  #readRedistributor(offset: number): number {
    const own = this.#interfaces[Math.floor(offset / REDISTRIBUTOR_STRIDE)];
    if (own === undefined) return 0;
    const { index } = own.cpu;
    const at = offset % REDISTRIBUTOR_STRIDE;
    if (at >= SGI_FRAME) {
      const inFrame = at - SGI_FRAME;
      return inFrame >= 0x080 && inFrame < 0xd00 ? this.#readFields(own.state, inFrame, 1) : 0;
    }
    switch (at) {
      case 0x004:
        return 0x43b;
      case 0x008:
        // Processor number, and Last on the last one.
        return (index << 8) | (index === this.#interfaces.length - 1 ? 1 << 4 : 0);
      case 0x00c:
        return index;
      case 0x014:
        return own.asleep ? 6 : 0;
      case 0xffe8:
        return 0x3b;
      default:
        return 0;
    }
  }

  #writeRedistributor(offset: number, word: number): void {
    const own = this.#interfaces[Math.floor(offset / REDISTRIBUTOR_STRIDE)];
    if (own === undefined) return;
    const at = offset % REDISTRIBUTOR_STRIDE;
    if (at === 0x014) own.asleep = (word & 2) !== 0;
    const inFrame = at - SGI_FRAME;
    if (inFrame >= 0x080 && inFrame < 0xd00 && inFrame % 4 === 0)
      this.#writeFields(own.state, inFrame, word, 1);
  }

  // ---- CPU interface -------------------------------------------------------------------------------

  #acknowledge(own: CpuInterface, group: number): number {
    const n = this.#signalled(own);
    if (n === NO_INTERRUPT) return SPURIOUS;
    const state = this.#stateOf(own, n);
    if (state.group[n] !== group) return SPURIOUS;
    state.active[n] = 1;
    state.latched[n] = 0;
    const level = own.groupPriority(group, state.priority[n]!) >>> 3;
    own.activePriorities[group] = (own.activePriorities[group]! | (1 << level)) >>> 0;
    this.#updateAll();
    return n;
  }

  #endOfInterrupt(own: CpuInterface, group: number, intid: number): void {
    if (intid >= INTERRUPTS) return;
    const active = own.activePriorities[group]!;
    own.activePriorities[group] = (active & (active - 1)) >>> 0;
    if ((own.control & 2) === 0) this.#stateOf(own, intid).active[intid] = 0;
    this.#updateAll();
  }

  /** ICC_SGI1R_EL1 and its kin. `group`: the SGIs it can make pending. */
  #generate(own: CpuInterface, value: bigint, group: number): void {
    const intid = Number((value >> 24n) & 15n);
    const others = ((value >> 40n) & 1n) === 1n;
    const isHere = (value & 0xff_00ff_00ff_0000n) === 0n && ((value >> 44n) & 15n) === 0n;
    for (const target of this.#interfaces) {
      const { index } = target.cpu;
      const named = others ? target !== own : isHere && ((value >> BigInt(index)) & 1n) === 1n;
      if (named && target.state.group[intid] === group) target.state.latched[intid] = 1;
    }
    this.#updateAll();
  }

  /** ICC_CTLR_EL1: PRIbits 5, IDbits 16, A3V 0. */
  #controlValue(own: CpuInterface): bigint {
    return BigInt(own.control | (4 << 8));
  }

  /** Undefined where the register is not there. */
  read(cpu: Cpu, name: string): bigint | undefined {
    const own = this.#interfaces[cpu.index]!;
    const pending = (group: number) => {
      const n = this.#highest(own);
      return BigInt(n !== NO_INTERRUPT && this.#stateOf(own, n).group[n] === group ? n : SPURIOUS);
    };
    switch (name) {
      case 'icc_iar0_el1':
        return BigInt(this.#acknowledge(own, 0));
      case 'icc_iar1_el1':
        return BigInt(this.#acknowledge(own, 1));
      case 'icc_hppir0_el1':
        return pending(0);
      case 'icc_hppir1_el1':
        return pending(1);
      case 'icc_pmr_el1':
        return BigInt(own.pmr);
      case 'icc_rpr_el1':
        return BigInt(own.runningPriority);
      case 'icc_bpr0_el1':
        return BigInt(own.bpr[0]!);
      case 'icc_bpr1_el1':
        return BigInt((own.control & 1) === 0 ? own.bpr[1]! : Math.min(7, own.bpr[0]! + 1));
      case 'icc_ctlr_el1':
      case 'icc_ctlr_el3':
        return this.#controlValue(own);
      case 'icc_igrpen0_el1':
        return own.enabled[0] ? 1n : 0n;
      case 'icc_igrpen1_el1':
        return own.enabled[1] ? 1n : 0n;
      case 'icc_igrpen1_el3':
        return own.enabled[1] ? 3n : 0n;
      case 'icc_sre_el1':
        return 7n;
      case 'icc_sre_el2':
      case 'icc_sre_el3':
        return 15n;
      case 'icc_ap0r0_el1':
        return BigInt(own.activePriorities[0]!);
      case 'icc_ap1r0_el1':
        return BigInt(own.activePriorities[1]!);
      case 'ich_hcr_el2':
      case 'ich_vmcr_el2':
        return 0n;
      default:
        return undefined;
    }
  }

  write(cpu: Cpu, name: string, value: bigint): boolean {
    const own = this.#interfaces[cpu.index]!;
    const low = Number(value & 0xff_ffffn);
    switch (name) {
      case 'icc_eoir0_el1':
        this.#endOfInterrupt(own, 0, low);
        return true;
      case 'icc_eoir1_el1':
        this.#endOfInterrupt(own, 1, low);
        return true;
      case 'icc_dir_el1':
        if (low < INTERRUPTS && (own.control & 2) !== 0) this.#stateOf(own, low).active[low] = 0;
        break;
      case 'icc_pmr_el1':
        own.pmr = low & PRIORITY_MASK;
        break;
      case 'icc_bpr0_el1':
        own.bpr[0] = Math.max(2, low & 7);
        break;
      case 'icc_bpr1_el1':
        if ((own.control & 1) === 0) own.bpr[1] = Math.max(3, low & 7);
        break;
      case 'icc_ctlr_el1':
      case 'icc_ctlr_el3':
        own.control = low & 3;
        break;
      case 'icc_igrpen0_el1':
        own.enabled[0] = (low & 1) !== 0;
        break;
      case 'icc_igrpen1_el1':
        own.enabled[1] = (low & 1) !== 0;
        break;
      case 'icc_igrpen1_el3':
        own.enabled[1] = (low & 3) !== 0;
        break;
      case 'icc_ap0r0_el1':
        own.activePriorities[0] = Number(value & 0xffff_ffffn);
        break;
      case 'icc_ap1r0_el1':
        own.activePriorities[1] = Number(value & 0xffff_ffffn);
        break;
      case 'icc_sgi1r_el1':
        this.#generate(own, value, 1);
        return true;
      case 'icc_asgi1r_el1':
      case 'icc_sgi0r_el1':
        this.#generate(own, value, 0);
        return true;
      // Always on, and nothing virtual to control.
      case 'icc_sre_el1':
      case 'icc_sre_el2':
      case 'icc_sre_el3':
      case 'ich_hcr_el2':
      case 'ich_vmcr_el2':
        return true;
      default:
        return false;
    }
    this.#updateAll();
    return true;
  }
}
