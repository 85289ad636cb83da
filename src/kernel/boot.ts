/**
 * The kernel's first steps: firmware hands over, the device tree is read, translation is set up, memory
 * comes up.
 *
 * Ref. arch/arm64/kernel/head.S (hand-over: x0 = device tree), arch/arm64/mm/proc.S (__cpu_setup),
 * init/main.c (start_kernel).
 */
import { formatSize, inputError, PA } from '../base/index.js';
import { type DeviceTree, discoverTagStorage, readDtb } from '../devicetree/index.js';
import { type Cpu, type Engine, type Machine, mpidrOf, type StopReason } from '../machine/index.js';
import { MAIR_EL1_SET } from './arch/pgtable/index.js';
import { readBootLayout } from './boot-layout.js';
import type { Contexts } from './contexts/index.js';
import type { MemoryManager, PageSize, TagRegion } from './mm/index.js';
import { bootMemory, diskPagesOf, movableCoreOf, swapPagesOf } from './tag-storage/index.js';
import { tlbHooks } from './tlb.js';

/** The immediate of the stub's SVC: what tells the hand-over from any other exception. */
export const KERNEL_ENTRY_CALL = 0x4d54;

const PSCI_CPU_ON = 0xc400_0003n;
/** Aff3, Aff2, Aff1, Aff0. */
const MPIDR_AFFINITY = 0xff_00ff_ffffn;

/** Firmware that has not handed over after this many instructions never will. */
const MOST_FIRMWARE_STEPS = 10_000_000;

export interface BootOptions {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly contexts: Contexts;
  /** Where the stub's image lies, so that it is never given out. */
  readonly image: { readonly base: PA; readonly size: number };
  readonly pageSize: PageSize;
  readonly policy: string | undefined;
  readonly log: (line: string) => void;
}

export interface Booted {
  readonly mm: MemoryManager;
  readonly mte: boolean;
  readonly tree: DeviceTree;
  /** TLB invalidations that each CPU broadcast to others. */
  readonly shootdowns: ArrayLike<number>;
  /** Bytes of the simulated disk; 0 where there is none. */
  readonly diskBytes: number;
}

/**
 * Runs firmware until it enters the kernel, then brings memory up.
 *
 * @throws InputError where firmware does not hand over or its device tree cannot be booted from.
 */
export function bootKernel(options: BootOptions): Booted {
  const { machine, pageSize, log } = options;
  const cpu = machine.cpus[0]!;
  const dtb = waitForHandOver(machine, cpu, options.engine);
  const bytes = machine.memory.readBytes(dtb.base, Math.min(dtb.size, 1 << 24));
  const tree = readDtb(bytes, 'device tree in memory');
  const layout = readBootLayout(tree);
  const discovery = discoverTagStorage(tree, { pageSize, as: 'binding' });
  log(`Machine model: ${layout.model}`);
  if (layout.bootargs !== '') log(`Kernel command line: ${layout.bootargs}`);
  for (const d of discovery.diagnostics) log(`${d.path}: ${d.message}`);
  if (discovery.described && !discovery.enabled) log('MTE tag storage region management disabled');
  const tagRegions: TagRegion[] = discovery.regions.map((r) => ({
    memStartPfn: r.mem_start_pfn,
    memEndPfn: r.mem_end_pfn,
    tagStartPfn: r.tag_start_pfn,
    tagEndPfn: r.tag_end_pfn,
    blockSizePages: r.block_size_pages,
  }));
  const mte = machine.features.has('FEAT_MTE2') && !/(^| )arm64\.nomte( |$)/.test(layout.bootargs);
  startOthers(machine, options.engine, PA(options.image.base));
  for (const each of machine.cpus) setUpCpu(each, pageSize, mte, machine.features.has('FEAT_PAuth'));
  if (machine.cpus.length > 1) log(`SMP: Total of ${machine.cpus.length} processors activated.`);
  const tlb = tlbHooks(machine, options.contexts, pageSize);
  const mm = bootMemory({
    port: machine.memory,
    contexts: options.contexts,
    tlb: tlb.hooks,
    banks: layout.banks,
    nodes: layout.numa,
    reserved: [
      ...layout.reserved,
      ...(discovery.enabled ? [] : layout.tagStorage),
      { base: options.image.base, size: options.image.size },
      { base: dtb.base, size: dtb.size },
    ],
    tagRegions: discovery.enabled ? tagRegions : [],
    pageSize,
    policy: options.policy ?? (discovery.regions.length > 0 ? 'cma' : 'static'),
    mte,
    // Here the kernel allocates no tagged memory for itself; but it can be told to behave as one that does.
    kasanHwTags: /(^| )kasan=on( |$)/.test(layout.bootargs),
    swapPages: swapPagesOf(layout.bootargs, pageSize),
    movable: movableCoreOf(layout.bootargs),
    log,
  });
  logMemory(mm, log);
  return {
    mm,
    mte,
    tree,
    shootdowns: tlb.shootdowns,
    diskBytes: diskPagesOf(layout.bootargs, pageSize) * pageSize,
  };
}

/** What mem_init_print_info says, and what reuse of tag storage gains over a static carve-out. */
function logMemory(mm: MemoryManager, log: (line: string) => void): void {
  const { MemTotal = 0, MemFree = 0, CmaTotal = 0 } = mm.meminfo();
  log(`Memory: ${MemFree}K/${MemTotal}K available (${CmaTotal}K cma-reserved)`);
  const { regions, free, data } = mm.snapshotTagStorage();
  if (regions.length === 0) return;
  const gained = (free + data) * mm.pageSize;
  log(gained === 0 ? 'Tag storage: not lent' : `Tag storage: ${formatSize(gained)} gained for ordinary data`);
}

function waitForHandOver(machine: Machine, cpu: Cpu, engine: Engine): { base: PA; size: number } {
  const stop = engine.run(cpu, MOST_FIRMWARE_STEPS);
  if (!isKernelEntry(cpu, stop)) {
    throw inputError('BOOT-FIRMWARE', `firmware did not enter the kernel: ${describeStop(stop, cpu)}`);
  }
  const base = cpu.readX(0);
  const magic = base < 1n << 52n ? machine.memory.readBytes(PA(Number(base)), 8) : new Uint8Array(8);
  const view = new DataView(magic.buffer, magic.byteOffset);
  if (view.getUint32(0) !== 0xd00dfeed) {
    throw inputError(
      'BOOT-DTB',
      `firmware handed over x0 = 0x${base.toString(16)}, where there is no device tree`,
    );
  }
  return { base: PA(Number(base)), size: view.getUint32(4) };
}

/**
 * smp_init(): the other CPUs are switched on by PSCI, and firmware brings each to the stub, where it too takes its
 * first exception to EL1.
 *
 * @throws InputError where one does not come.
 */
function startOthers(machine: Machine, engine: Engine, entry: PA): void {
  const [boot, ...others] = machine.cpus;
  for (const cpu of others) {
    const { firmwareCall } = cpu.environment;
    [PSCI_CPU_ON, mpidrOf(cpu.index) & MPIDR_AFFINITY, BigInt(entry), 0n].forEach((value, n) => {
      boot!.writeX(n, value);
    });
    const answered = firmwareCall?.(boot!, 'smc') === true && boot!.readX(0) === 0n;
    const stop: StopReason = answered
      ? engine.run(cpu, MOST_FIRMWARE_STEPS)
      : { kind: 'halted', message: 'PSCI does not switch it on' };
    if (!isKernelEntry(cpu, stop)) {
      throw inputError('BOOT-CPU', `CPU ${cpu.index} did not enter the kernel: ${describeStop(stop, cpu)}`);
    }
    cpu.stop = undefined;
  }
}

function isKernelEntry(cpu: Cpu, stop: StopReason): boolean {
  const esr = cpu.readRegister('esr_el1');
  return stop.kind === 'supervisor' && esr >> 26n === 0x15n && Number(esr & 0xffffn) === KERNEL_ENTRY_CALL;
}

/** MAIR, TCR, SCTLR and CPACR as __cpu_setup leaves them; the tables themselves are each process's. */
function setUpCpu(cpu: Cpu, pageSize: PageSize, mte: boolean, pac: boolean): void {
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
      (pac ? (1n << 31n) | (1n << 30n) | (1n << 27n) | (1n << 13n) : 0n) | // EnIA, EnIB, EnDA, EnDB
      (1n << 14n) | // DZE
      (1n << 15n) | // UCT
      (1n << 18n) | // nTWE: EL0 may WFE; WFI is the kernel's to skip
      (1n << 26n) | // UCI
      (mte ? (1n << 42n) | (1n << 43n) : 0n), // ATA0, ATA
  );
  // FPEN: EL0 has FP and SIMD; its registers move with the thread.
  cpu.writeRegister('cpacr_el1', cpu.readRegister('cpacr_el1') | (3n << 20n));
  cpu.mmu.flushAll();
}

/** Why a run of the CPU ended, for messages. */
export function describeStop(stop: StopReason, cpu: Cpu): string {
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
