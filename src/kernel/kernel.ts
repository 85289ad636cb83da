/**
 * The mini-kernel, wired: it supervises a machine's EL1, boots from the device tree that firmware hands
 * over, and runs user processes.
 *
 * The kernel is TypeScript. It sits behind a stub of guest code whose first instruction takes an
 * exception to EL1; from then on every exception to EL1 comes here instead of going through a vector.
 * Memory it reaches through the machine's memory port, EL0 through the CPU's registers, as an EL1 kernel
 * does; there is no other way in.
 *
 * Ref. arch/arm64/kernel/head.S (hand-over: x0 = device tree), init/main.c (start_kernel),
 * arch/arm64/kernel/entry-common.c.
 */

import { footprintOf } from '../../isa/index.js';
import { formatSize, inputError, PA, untagged, VA } from '../base/index.js';
import { type DeviceTree, discoverTagStorage, readDtb } from '../devicetree/index.js';
import type { ElfFile } from '../elf/index.js';
import {
  type Cpu,
  type Engine,
  ExceptionClass,
  type Machine,
  physicalCount,
  type StopReason,
  type Supervisor,
} from '../machine/index.js';
import { MAIR_EL1_SET } from './arch/pgtable/index.js';
import { readBootLayout } from './boot-layout.js';
import { Contexts, type MaySleep } from './contexts/index.js';
import type { MemoryManager, PageSize, TagRegion, Violation } from './mm/index.js';
import {
  decodeUserException,
  exec,
  HWCAP_BITS,
  HWCAP_CPUID,
  HWCAP2_BITS,
  loadTaggedAddressControl,
  loadUserRegisters,
  Process,
  type ProcessEnd,
  type SignalInfo,
  saveUserRegisters,
  signalInfo,
  type TaggedAddressControl,
} from './process/index.js';
import {
  describeCall,
  describeResult,
  SYSCALLS,
  type SyscallArguments,
  type SyscallServices,
} from './syscalls/index.js';
import { TagFaultReporter } from './tag-fault-reporter.js';
import { bootMemory } from './tag-storage/index.js';
import { tlbHooks } from './tlb.js';

/** The immediate of the stub's SVC: what tells the hand-over from any other exception. */
export const KERNEL_ENTRY_CALL = 0x4d54;

/** Firmware that has not handed over after this many instructions never will. */
const MOST_FIRMWARE_STEPS = 10_000_000;

export interface KernelOptions {
  readonly machine: Machine;
  readonly engine: Engine;
  /** Where the stub's image lies, so that it is never given out. */
  readonly image: { readonly base: PA; readonly size: number };
  readonly pageSize?: PageSize;
  /** A tag storage policy; left out: `cma` where the tree has tag storage, else `static`. */
  readonly policy?: string;
  readonly seed?: number;
  /** dmesg. */
  readonly log?: (line: string) => void;
  /** Guest output to descriptors 1 and 2. */
  readonly write?: (fd: 1 | 2, bytes: Uint8Array) => void;
  /** One line for each system call, as strace prints it. */
  readonly strace?: (line: string) => void;
  /** Check the invariants after every kernel operation, and end the run where one is broken. */
  readonly check?: boolean;
}

export interface SpawnRequest {
  readonly elf: ElfFile;
  /** argv, the program's name first. */
  readonly args: readonly string[];
  readonly env?: readonly string[];
  /** As if prctl(PR_SET_TAGGED_ADDR_CTRL) had been called; left out: as Linux starts a program. */
  readonly control?: TaggedAddressControl;
}

export interface RunLimits {
  /** Instructions, firmware's included. */
  readonly maxSteps?: number;
  /** Asked between slices of execution: true ends the run. */
  readonly expired?: () => boolean;
}

export type RunOutcome =
  | { readonly kind: 'ended'; readonly end: ProcessEnd }
  | { readonly kind: 'limit'; readonly which: 'steps' | 'time' }
  | { readonly kind: 'violation'; readonly violations: readonly Violation[] }
  /** The machine cannot go on. */
  | { readonly kind: 'halted'; readonly message: string };

/** Instructions between two looks at the clock. */
const SLICE = 1 << 20;

export class Kernel implements Supervisor {
  readonly machine: Machine;
  readonly cpu: Cpu;
  readonly contexts = new Contexts(1);
  readonly #engine: Engine;
  readonly #options: KernelOptions;
  readonly #services: SyscallServices;
  readonly #reporter: TagFaultReporter;
  #mm: MemoryManager | undefined;
  #mte = false;
  #tree: DeviceTree | undefined;
  #current: Process | undefined;
  #nextPid = 1;
  #faults = 0;

  constructor(options: KernelOptions) {
    this.#options = options;
    this.machine = options.machine;
    this.cpu = options.machine.cpus[0]!;
    this.#engine = options.engine;
    options.machine.setSupervisor(this);
    this.#reporter = new TagFaultReporter(options.machine, () => this.mm);
    const kernel = this;
    this.#services = {
      get mm() {
        return kernel.mm;
      },
      get mte() {
        return kernel.mte;
      },
      monotonicNs: () => (physicalCount(this.cpu) * 1_000_000_000n) / this.cpu.readRegister('cntfrq_el0'),
      writeOut: (fd, bytes) => this.#options.write?.(fd, bytes),
      controlChanged: (process) => loadTaggedAddressControl(this.cpu, process.control),
    };
  }

  /** Supervisor: nothing to do at the moment of entry; the run stops and `#handle` looks at the syndrome. */
  exceptionTaken(): void {}

  get mm(): MemoryManager {
    if (this.#mm === undefined) throw new Error('the kernel has not booted');
    return this.#mm;
  }

  /** The tree the kernel booted from. */
  get tree(): DeviceTree {
    if (this.#tree === undefined) throw new Error('the kernel has not booted');
    return this.#tree;
  }

  /** system_supports_mte(): the CPU has it and the command line does not say arm64.nomte. */
  get mte(): boolean {
    return this.#mte;
  }

  /** Page faults handled. */
  get faults(): number {
    return this.#faults;
  }

  #log(line: string): void {
    this.#options.log?.(line);
  }

  // ---- boot ----------------------------------------------------------------------------------------

  /**
   * Runs firmware until it enters the kernel, then brings memory up.
   *
   * @throws InputError where firmware does not hand over or its device tree cannot be booted from.
   */
  boot(): void {
    const dtb = this.#waitForHandOver();
    const tree = this.#readTree(dtb);
    this.#tree = tree;
    const pageSize = this.#options.pageSize ?? 4096;
    const layout = readBootLayout(tree);
    const discovery = discoverTagStorage(tree, { pageSize, as: 'binding' });
    this.#log(`Machine model: ${layout.model}`);
    if (layout.bootargs !== '') this.#log(`Kernel command line: ${layout.bootargs}`);
    for (const d of discovery.diagnostics) this.#log(`${d.path}: ${d.message}`);
    if (discovery.described && !discovery.enabled) this.#log('MTE tag storage region management disabled');
    const tagRegions: TagRegion[] = discovery.regions.map((r) => ({
      memStartPfn: r.mem_start_pfn,
      memEndPfn: r.mem_end_pfn,
      tagStartPfn: r.tag_start_pfn,
      tagEndPfn: r.tag_end_pfn,
      blockSizePages: r.block_size_pages,
    }));
    this.#mte = this.machine.features.has('FEAT_MTE2') && !/(^| )arm64\.nomte( |$)/.test(layout.bootargs);
    this.#setUpTranslation(pageSize);
    // FPEN: no traps. Linux enables EL0 lazily, to save registers only where they were used.
    if (this.machine.features.has('FEAT_FP')) this.cpu.writeRegister('cpacr_el1', 3n << 20n);
    this.#mm = bootMemory({
      port: this.machine.memory,
      contexts: this.contexts,
      tlb: tlbHooks(this.machine, pageSize),
      banks: layout.banks,
      reserved: [
        ...layout.reserved,
        ...(discovery.enabled ? [] : layout.tagStorage),
        { base: this.#options.image.base, size: this.#options.image.size },
        { base: dtb.base, size: dtb.size },
      ],
      tagRegions: discovery.enabled ? tagRegions : [],
      pageSize,
      policy: this.#options.policy ?? (discovery.regions.length > 0 ? 'cma' : 'static'),
      mte: this.#mte,
      log: (line) => this.#log(line),
    });
    this.#logMemory();
  }

  /** What mem_init_print_info says, and what reuse of tag storage gains over a static carve-out. */
  #logMemory(): void {
    const { MemTotal = 0, MemFree = 0, CmaTotal = 0 } = this.mm.meminfo();
    this.#log(`Memory: ${MemFree}K/${MemTotal}K available (${CmaTotal}K cma-reserved)`);
    const { regions, free, data } = this.mm.snapshotTagStorage();
    if (regions.length === 0) return;
    const gained = (free + data) * this.mm.pageSize;
    this.#log(
      gained === 0 ? 'Tag storage: not lent' : `Tag storage: ${formatSize(gained)} gained for ordinary data`,
    );
  }

  #waitForHandOver(): { base: PA; size: number } {
    const { cpu } = this;
    const stop = this.#engine.run(cpu, MOST_FIRMWARE_STEPS);
    const esr = cpu.readRegister('esr_el1');
    const entered =
      stop.kind === 'supervisor' && esr >> 26n === 0x15n && Number(esr & 0xffffn) === KERNEL_ENTRY_CALL;
    if (!entered) {
      throw inputError('BOOT-FIRMWARE', `firmware did not enter the kernel: ${describeStop(stop, cpu)}`);
    }
    const base = cpu.readX(0);
    const memory = this.machine.memory;
    const magic = base < 1n << 52n ? memory.readBytes(PA(Number(base)), 8) : new Uint8Array(8);
    const view = new DataView(magic.buffer, magic.byteOffset);
    if (view.getUint32(0) !== 0xd00dfeed) {
      throw inputError(
        'BOOT-DTB',
        `firmware handed over x0 = 0x${base.toString(16)}, where there is no device tree`,
      );
    }
    return { base: PA(Number(base)), size: view.getUint32(4) };
  }

  #readTree(dtb: { base: PA; size: number }): DeviceTree {
    return readDtb(
      this.machine.memory.readBytes(dtb.base, Math.min(dtb.size, 1 << 24)),
      'device tree in memory',
    );
  }

  /** MAIR, TCR and SCTLR as __cpu_setup leaves them; the tables themselves are each process's. */
  #setUpTranslation(pageSize: PageSize): void {
    const { cpu } = this;
    const granule = { 4096: 0n, 16384: 2n, 65536: 1n }[pageSize];
    const granule1 = { 4096: 2n, 16384: 1n, 65536: 3n }[pageSize];
    const t0sz = 16n;
    cpu.writeRegister('mair_el1', MAIR_EL1_SET);
    cpu.writeRegister(
      'tcr_el1',
      t0sz | // T0SZ: 48 bits
        (1n << 8n) | // IRGN0, ORGN0 write-back, SH0 inner shareable
        (1n << 10n) |
        (3n << 12n) |
        (granule << 14n) |
        (16n << 16n) |
        (1n << 23n) | // EPD1: the kernel's half is not in tables; it is TypeScript
        (1n << 24n) |
        (1n << 26n) |
        (3n << 28n) |
        (granule1 << 30n) |
        (5n << 32n) | // IPS: 48 bits
        (1n << 36n) | // AS: 16-bit ASIDs
        (1n << 37n), // TBI0
    );
    const sctlr = cpu.readRegister('sctlr_el1');
    cpu.writeRegister(
      'sctlr_el1',
      sctlr |
        1n | // M
        (1n << 2n) | // C
        (1n << 3n) | // SA
        (1n << 4n) | // SA0
        (1n << 12n) | // I
        (1n << 14n) | // DZE
        (1n << 15n) | // UCT
        (1n << 26n) | // UCI
        (this.#mte ? (1n << 42n) | (1n << 43n) : 0n), // ATA0, ATA
    );
    cpu.mmu.flushAll();
  }

  // ---- processes -----------------------------------------------------------------------------------

  /** Loads a program. Gives the process, or a negative errno (-ENOEXEC, -ENOMEM). */
  spawn(request: SpawnRequest): Process | number {
    const name = request.args[0] ?? request.elf.name;
    const { hwcap, hwcap2 } = this.#hwcaps();
    const loaded = this.contexts.runToCompletion(
      exec(this.mm, {
        elf: request.elf,
        args: request.args,
        env: request.env ?? [],
        execfn: name,
        hwcap,
        hwcap2,
        seed: this.#options.seed ?? 0,
      }),
    );
    if (typeof loaded === 'number') return loaded;
    const symbolize = (address: bigint) => {
      const symbol = request.elf.symbolAt(address - loaded.bias);
      if (symbol === undefined) return undefined;
      return symbol.offset === 0n ? symbol.name : `${symbol.name}+0x${symbol.offset.toString(16)}`;
    };
    const process = new Process(this.#nextPid++, name, loaded.mm, loaded.entry, loaded.sp, symbolize);
    if (request.control !== undefined && this.#mte) process.control = request.control;
    return process;
  }

  #hwcaps(): { hwcap: bigint; hwcap2: bigint } {
    const { features } = this.machine;
    const collect = (bits: typeof HWCAP_BITS) =>
      bits.reduce((sum, [bit, feature]) => (features.has(feature) ? sum | (1n << BigInt(bit)) : sum), 0n);
    const hidden = this.#mte ? [] : ['FEAT_MTE2', 'FEAT_MTE3'];
    const visible = HWCAP2_BITS.filter(([, feature]) => !hidden.includes(feature));
    return { hwcap: collect(HWCAP_BITS) | BigInt(HWCAP_CPUID), hwcap2: collect(visible) };
  }

  #switchTo(process: Process): void {
    const { cpu } = this;
    if (this.#current === process) return;
    if (this.#current !== undefined && this.#current.end === undefined) {
      saveUserRegisters(cpu, this.#current.registers);
    }
    this.#current = process;
    loadUserRegisters(cpu, process.registers);
    loadTaggedAddressControl(cpu, process.control);
    cpu.writeRegister('ttbr0_el1', (BigInt(process.mm.asid) << 48n) | BigInt(process.mm.pgd));
  }

  /** Runs a process to its end or to a limit. */
  run(process: Process, limits: RunLimits = {}): RunOutcome {
    const { cpu } = this;
    const maxSteps = limits.maxSteps ?? Number.MAX_SAFE_INTEGER;
    for (;;) {
      if (process.end !== undefined) {
        this.contexts.runToCompletion(this.mm.exitMmap(process.mm));
        this.#current = undefined;
        return this.#verified() ?? { kind: 'ended', end: process.end };
      }
      if (cpu.steps >= maxSteps) return { kind: 'limit', which: 'steps' };
      if (limits.expired?.() === true) return { kind: 'limit', which: 'time' };
      this.#switchTo(process);
      cpu.exceptionReturn();
      const stop = this.#engine.run(cpu, Math.min(SLICE, maxSteps - cpu.steps));
      if (stop.kind === 'limit') {
        this.#pause(process);
        continue;
      }
      if (stop.kind === 'supervisor') {
        this.contexts.runToCompletion(this.#handle(process));
        const broken = this.#verified();
        if (broken !== undefined) return broken;
        continue;
      }
      return { kind: 'halted', message: describeStop(stop, cpu) };
    }
  }

  /** The slice ended inside EL0: bring the CPU to EL1 as an interrupt would, so that it can return. */
  #pause(_process: Process): void {
    const { cpu } = this;
    cpu.takeAsynchronous(1, 0x80, cpu.pc);
    cpu.stop = undefined;
  }

  #verified(): RunOutcome | undefined {
    if (this.#options.check !== true) return undefined;
    const violations = this.mm.checkInvariants();
    return violations.length === 0 ? undefined : { kind: 'violation', violations };
  }

  // ---- exceptions from EL0 -------------------------------------------------------------------------

  *#handle(process: Process): MaySleep<void> {
    const { cpu } = this;
    const esr = cpu.readRegister('esr_el1');
    const pc = VA(cpu.readRegister('elr_el1'));
    // check_mte_async_tcf: before anything else, so that the signal precedes the call.
    if ((cpu.readRegister('tfsre0_el1') & 1n) === 1n) {
      cpu.writeRegister('tfsre0_el1', 0n);
      const info = signalInfo('SIGSEGV', 'SEGV_MTEAERR', 0n);
      process.end = { kind: 'killed', info, report: this.#reporter.asynchronous(process, pc, esr) };
      return;
    }
    const far = VA(cpu.readRegister('far_el1'));
    const what = decodeUserException(esr, far, pc, this.#accessesTags(process, esr, pc));
    switch (what.kind) {
      case 'system-call':
        yield* this.#systemCall(process);
        return;
      case 'page-fault': {
        this.#faults++;
        const result = yield* this.mm.handleMmFault(process.mm, what.va, what.access);
        if (result.kind === 'signal') {
          const code = result.code === 'ADRERR' ? 'BUS_ADRERR' : (`SEGV_${result.code}` as const);
          process.end = { kind: 'killed', info: signalInfo(result.signal, code, what.va) };
        } else if (result.kind === 'oom' || result.kind === 'killed') {
          if (result.kind === 'oom') {
            this.#log(`Out of memory: Killed process ${process.pid} (${process.name})`);
          }
          const info: SignalInfo = { signal: 'SIGKILL', code: 0x80, codeName: 'SI_KERNEL', address: 0n };
          process.end = { kind: 'killed', info };
        }
        return;
      }
      case 'tag-check-fault': {
        const info = signalInfo('SIGSEGV', 'SEGV_MTESERR', untagged(what.va));
        process.end = {
          kind: 'killed',
          info,
          report: this.#reporter.synchronous(process, pc, what.va, what.write, esr),
        };
        return;
      }
      case 'signal':
        process.end = { kind: 'killed', info: what.info };
        return;
    }
  }

  /** Whether the aborted access was to tags; only asked for aborts. */
  #accessesTags(process: Process, esr: bigint, pc: VA): boolean {
    if (Number(esr >> 26n) !== ExceptionClass.DataAbort) return false;
    const mapping = this.mm.virtToPhys(process.mm, pc);
    return mapping !== undefined && footprintOf(this.machine.memory.read32(mapping.pa))?.tags === true;
  }

  *#systemCall(process: Process): MaySleep<void> {
    const { cpu } = this;
    const number = Number(BigInt.asUintN(32, cpu.readX(8)));
    const args = [0, 1, 2, 3, 4, 5].map((i) => cpu.readX(i)) as unknown as SyscallArguments;
    const row = SYSCALLS.get(number);
    const strace = this.#options.strace;
    let result: bigint | number = -38;
    if (row !== undefined) {
      const outcome = row.run(this.#services, process, args);
      result = typeof outcome === 'object' ? yield* outcome : outcome;
    }
    const x0 = BigInt.asUintN(64, BigInt(result));
    if (process.end?.kind === 'exited') {
      strace?.(`${describeCall(number, row, args)} = ?`);
      return;
    }
    strace?.(`${describeCall(number, row, args)} ${describeResult(row, x0)}`);
    this.#switchTo(process);
    cpu.writeX(0, x0);
  }
}

function describeStop(stop: StopReason, cpu: Cpu): string {
  const at = `PC 0x${cpu.pc.toString(16)}, EL${cpu.pstate.el}, ${cpu.steps} instructions`;
  switch (stop.kind) {
    case 'halted':
      return `${stop.message} (${at})`;
    case 'exit':
      return `it asked to end with status ${stop.status} (${at})`;
    case 'wait':
      return `it waits for an event that cannot come (${at})`;
    case 'supervisor': {
      const esr = cpu.readRegister(`esr_el${stop.el}`);
      return `an exception was taken to EL${stop.el}, ESR 0x${esr.toString(16)} (${at})`;
    }
    default:
      return `${stop.kind} (${at})`;
  }
}
