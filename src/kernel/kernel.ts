/**
 * The mini-kernel, wired: it supervises a machine's EL1, boots from the device tree that firmware hands
 * over, and runs user processes.
 *
 * The kernel is TypeScript. It sits behind a stub of guest code whose first instruction takes an
 * exception to EL1; from then on every exception to EL1 comes here instead of going through a vector.
 * Memory it reaches through the machine's memory port, EL0 through the CPU's registers, as an EL1 kernel
 * does; there is no other way in.
 *
 * Every thread is a generator (`#threadLife`): EL0 for a time slice, then whatever its exceptions ask
 * for, until it ends. The run queues move them, one CPU at a time; when all sleep, the clock goes to the next
 * timer. What Linux does by interprocessor interrupts (a signal to a thread that runs on another CPU, a change of
 * its affinity, the end of its process) reaches the other CPU at the end of its turn in EL0.
 */

import { type PA, Random } from '../base/index.js';
import type { DeviceTree } from '../devicetree/index.js';
import type { ElfFile } from '../elf/index.js';
import type { Cpu, Engine, Machine, Supervisor } from '../machine/index.js';
import { bootKernel, describeStop } from './boot.js';
import {
  Contexts,
  freezablePoint,
  type MaySleep,
  RunQueue,
  Sleeper,
  type Task,
  turnPoint,
} from './contexts/index.js';
import { UserEntry } from './entry.js';
import {
  Directory,
  FileSystem,
  FileTable,
  FsContext,
  type HostFolder,
  type InputStream,
  O_RDWR,
  type OpenFile,
  type RegularFile,
} from './fs/index.js';
import { SysvIpc } from './ipc/index.js';
import type { MemoryManager, PageSize, TraceSink, Violation } from './mm/index.js';
import { Network } from './net/index.js';
import {
  auxRandom,
  CAP,
  Clock,
  capable,
  chargeCpu,
  deliverSignals,
  exec,
  exitThread,
  Futexes,
  fileCaller,
  firstProcess,
  HWCAP_BITS,
  HWCAP_CPUID,
  HWCAP2_BITS,
  KernelLog,
  type KernelState,
  newKeys,
  noteRseq,
  outOfMemory,
  type Process,
  type ProcessEnd,
  ProcessTable,
  ProcFs,
  ResourceLimits,
  RLIM_INFINITY,
  RLIMIT,
  ROOT_CREDENTIALS,
  resumeRseq,
  rseqDue,
  SIGNAL,
  sendToProcess,
  sentSignal,
  symbolizerOf,
  type TaggedAddressControl,
  type Thread,
  Timers,
  terminalHost,
  UserCpus,
} from './process/index.js';
import { TagFaultReporter } from './tag-fault-reporter.js';
import { Console, type Keyboard, Ttys } from './tty/index.js';

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
  /** Guest input from descriptor 0; left out, it is at its end. */
  readonly input?: InputStream;
  /** The guest's standard streams are a terminal: what is typed there, and its size. */
  readonly terminal?: { readonly keyboard: Keyboard; readonly rows: number; readonly columns: number };
  /** A host folder under the guest's root, read-only. */
  readonly root?: HostFolder;
  /** Takes the core file of each process that a signal killed. */
  readonly core?: (pid: number, image: Uint8Array) => void;
  /** One line for each system call, as strace prints it. */
  readonly strace?: (line: string) => void;
  /** Each trace event of the memory manager, under Linux's name. */
  readonly traceEvents?: TraceSink;
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
  /** The file's bytes: the guest finds its own program under the name of its first argument. */
  readonly image?: Uint8Array;
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
  /** Every thread sleeps, and nothing in the machine can wake one. */
  | { readonly kind: 'stuck' }
  | { readonly kind: 'violation'; readonly violations: readonly Violation[] }
  /** The machine cannot go on. */
  | { readonly kind: 'halted'; readonly message: string };

/** A time slice in instructions: the seed decides where between these it ends. */
const SLICE_LEAST = 50_000;
const SLICE_SPREAD = 50_000;
/** Slices are so many times as long while nobody else has anything to do. */
const SLICE_ALONE = 8;
/** What an entry to the kernel costs of a slice, so that a thread of system calls has an end too. */
const ENTRY_COST = 200;
/** Turns between two looks for keys of a live terminal, and milliseconds that an idle system waits for one. */
const LOOK_EVERY = 16;
const LONGEST_IDLE = 1000;
/** Turns that what is left of a system whose first process ended gets to leave. */
const LEAVE_TURNS = 100_000;

const RESCHEDULE = freezablePoint('schedule');
const USER_TURN = turnPoint('EL0');

export class Kernel implements Supervisor {
  readonly machine: Machine;
  readonly cpu: Cpu;
  readonly contexts: Contexts;
  readonly #engine: Engine;
  readonly #options: KernelOptions;
  readonly #slices: Random;
  #state: KernelState | undefined;
  #entry: UserEntry | undefined;
  #tree: DeviceTree | undefined;
  readonly #threads = new WeakMap<Task, Thread>();
  #maxSteps = Number.MAX_SAFE_INTEGER;
  /** --check: memory has changed since the invariants were looked at. */
  #checkDue = false;
  /** The host's terminal, where the guest has one. */
  #console: Console | undefined;
  #looks = 0;
  readonly #messages = new KernelLog();
  /** Why no thread can go on. */
  #fatal: RunOutcome | undefined;

  constructor(options: KernelOptions) {
    this.#options = options;
    this.machine = options.machine;
    this.cpu = options.machine.cpus[0]!;
    this.contexts = new Contexts(options.machine.cpus.length);
    this.#engine = options.engine;
    this.#slices = new Random(options.seed ?? 0, 'time slices');
    options.machine.setSupervisor(this);
  }

  /** Supervisor: nothing to do at the moment of entry; the run stops and the thread looks at the syndrome. */
  exceptionTaken(): void {}

  get #booted(): KernelState {
    if (this.#state === undefined) throw new Error('the kernel has not booted');
    return this.#state;
  }

  get mm(): MemoryManager {
    return this.#booted.mm;
  }

  /** The tree the kernel booted from. */
  get tree(): DeviceTree {
    if (this.#tree === undefined) throw new Error('the kernel has not booted');
    return this.#tree;
  }

  /** system_supports_mte(): the CPU has it and the command line does not say arm64.nomte. */
  get mte(): boolean {
    return this.#booted.mte;
  }

  /** The guest's files. */
  get files(): FileSystem {
    return this.#booted.files;
  }

  /** Page faults handled. */
  get faults(): number {
    return this.#entry?.faults ?? 0;
  }

  /** What each CPU has done. */
  get activity(): readonly Readonly<Record<string, number>>[] {
    const { runQueue, shootdowns } = this.#booted;
    return this.machine.cpus.map(({ index, steps, tagChecks }) => {
      const { switches, migrations, ipis } = runQueue.activity[index]!;
      return {
        instructions: steps,
        tagChecks,
        switches,
        migrations,
        ipis,
        shootdowns: shootdowns[index]!,
      };
    });
  }

  #log(line: string): void {
    this.#messages.add(this.#state?.clock.monotonic ?? 0n, line);
    this.#options.log?.(line);
  }

  /**
   * Runs firmware until it enters the kernel, then brings everything up.
   *
   * @throws InputError where firmware does not hand over or its device tree cannot be booted from.
   */
  boot(): void {
    const { machine, contexts } = this;
    const options = this.#options;
    const { mm, mte, tree, diskBytes, shootdowns } = bootKernel({
      machine,
      engine: this.#engine,
      contexts,
      image: options.image,
      pageSize: options.pageSize ?? 4096,
      policy: options.policy,
      log: (line) => this.#log(line),
    });
    this.#tree = tree;
    if (options.traceEvents !== undefined) mm.traceTo(options.traceEvents);
    const { features } = machine;
    const fp = features.has('FEAT_FP');
    const clock = new Clock(machine.cpus);
    const timers = new Timers();
    const random = new Random(options.seed ?? 0, 'AT_RANDOM');
    const table = new ProcessTable();
    const currentThread = () => this.#threads.get(contexts.current);
    const files = new FileSystem({
      contexts,
      mm,
      quota: (mm.meminfo()['MemTotal'] ?? 0) * 512,
      random: new Random(options.seed ?? 0, '/dev/random'),
      now: () => clock.realtime,
      currentRoot: () => currentThread()?.process.fs.root,
      currentCaller: () => {
        const thread = currentThread();
        return thread && fileCaller(thread.credentials);
      },
      diskBytes,
      ...(options.root === undefined ? {} : { host: options.root }),
    });
    const { terminal } = options;
    if (terminal !== undefined) {
      this.#console = new Console(terminal.keyboard, (bytes) => options.write?.(1, bytes), terminal);
    }
    const state: KernelState = {
      mm,
      shootdowns,
      mte,
      contexts,
      fp,
      pac: features.has('FEAT_PAuth'),
      bti: features.has('FEAT_BTI'),
      ...this.#hwcaps(mte),
      clock,
      random,
      keyRandom: new Random(options.seed ?? 0, 'pointer authentication keys'),
      runQueue: new RunQueue(contexts, options.seed ?? 0),
      user: new UserCpus(machine.cpus, contexts, fp, features.has('FEAT_PAuth')),
      table,
      futexes: new Futexes(mm),
      timers,
      files,
      network: networkOf(clock, timers),
      ipc: new SysvIpc({
        pageSize: mm.pageSize,
        mostBytes: (mm.meminfo()['MemTotal'] ?? 0) * 1024,
        newFile: (name, size, unmapped) => mm.newFile({ name, size, unmapped }),
        discard: (file) => files.store.giveBack(file),
        now: () => clock.realtime / 1_000_000_000n,
        currentPid: () => currentThread()?.process.pid ?? 0,
      }),
      power: {
        mode: 'shutdown',
        cycle: (lost) => machine.memory.loseContents(lost),
        freezer: {
          freezeProcesses: () => this.#booted.runQueue.freeze((task) => this.#threads.has(task)),
          freezeKernelThreads: () => this.#booted.runQueue.freeze(() => true),
          thaw: () => this.#booted.runQueue.thaw(),
        },
      },
      takeCore: options.core,
      log: (line) => this.#log(line),
      messages: this.#messages,
      currentThread,
      ttys: new Ttys(terminalHost({ table, timers, clock, currentThread }), files, this.#console),
      threadLife: (thread) => this.#threadLife(thread),
    };
    this.#state = state;
    mm.useOomKiller((request) => outOfMemory(state, request));
    mm.useCapabilities(() => capable(currentThread()?.credentials ?? ROOT_CREDENTIALS, CAP.SYS_ADMIN));
    for (const { nodeId } of mm.nodeInfo().filter((node) => node.hasMemory)) {
      state.runQueue.spawn(contexts.newTask(`kswapd${nodeId}`), mm.kswapd(nodeId));
      state.runQueue.spawn(
        contexts.newTask(`kcompactd${nodeId}`),
        mm.kcompactd(nodeId, (ms, woken) => this.#sleepOrWake('kcompactd_wait', ms, woken)),
      );
    }
    state.runQueue.spawn(contexts.newTask('ksmd'), mm.ksmd(this.#pause(clock, timers)));
    state.runQueue.spawn(
      contexts.newTask('khugepaged'),
      mm.khugepaged((ms) =>
        this.#sleepOrWake('khugepaged_wait', ms, (wake) => {
          this.mm.thp.khugepaged.wake = wake;
        }),
      ),
    );
    state.runQueue.spawn(
      contexts.newTask('kworker/u2:0-flush'),
      mm.flusher((ms, woken) => this.#sleepOrWake('wb_workfn', ms, woken)),
    );
    const reporter = new TagFaultReporter(machine, mm, state.user, () => [...state.table.processes]);
    const { tagHistory } = machine.memory;
    if (tagHistory !== undefined) {
      tagHistory.callersOf = (cpu) => {
        const thread = state.currentThread();
        return thread === undefined ? [] : reporter.callersOf(thread, cpu);
      };
    }
    new ProcFs(state, state.currentThread);
    this.#entry = new UserEntry({
      machine,
      services: state,
      reporter,
      strace: options.strace,
    });
  }

  /** A kernel thread sleeps, for a millisecond at least: what it does between takes no time of ours. */
  #pause(clock: Clock, timers: Timers): (milliseconds: number) => MaySleep<void> {
    const sleeper = new Sleeper('ksmd');
    return function* (milliseconds) {
      const deadline = clock.monotonic + BigInt(Math.max(1, milliseconds)) * 1_000_000n;
      timers.add(deadline, () => sleeper.wake(), true);
      yield sleeper.point;
    };
  }

  /** A sleep, likewise, that also ends when what `woken` is given is called. */
  *#sleepOrWake(name: string, ms: number, woken: (wake: (() => void) | undefined) => void): MaySleep<void> {
    const { clock, timers } = this.#booted;
    const sleeper = new Sleeper(name);
    let over = false;
    const wake = () => {
      over = true;
      sleeper.wake();
    };
    woken(wake);
    const deadline = clock.monotonic + BigInt(Math.max(1, ms)) * 1_000_000n;
    const timer = timers.add(deadline, wake, true);
    while (!over) yield sleeper.point;
    timers.cancel(timer);
    woken(undefined);
  }

  #hwcaps(mte: boolean): { hwcap: bigint; hwcap2: bigint } {
    const { features } = this.machine;
    const collect = (bits: typeof HWCAP_BITS) =>
      bits.reduce((sum, [bit, feature]) => (features.has(feature) ? sum | (1n << BigInt(bit)) : sum), 0n);
    const hidden = mte ? [] : ['FEAT_MTE2', 'FEAT_MTE3'];
    const visible = HWCAP2_BITS.filter(([, feature]) => !hidden.includes(feature));
    return { hwcap: collect(HWCAP_BITS) | BigInt(HWCAP_CPUID), hwcap2: collect(visible) };
  }

  // ---- processes -----------------------------------------------------------------------------------

  /** Loads a program. Gives the process, or a negative errno (-ENOEXEC, -ENOMEM, -E2BIG). */
  spawn(request: SpawnRequest): Process | number {
    const state = this.#booted;
    const name = request.args[0] ?? request.elf.name;
    const { hwcap, hwcap2, files } = state;
    const limits = new ResourceLimits();
    // Who runs the guest asked for core files: as a shell's `ulimit -c unlimited`.
    if (state.takeCore !== undefined)
      limits.set(RLIMIT.CORE, { soft: RLIM_INFINITY, hard: RLIM_INFINITY }, true);
    const installed = request.image && this.#install(name, request.image);
    const file = installed && this.contexts.runToCompletion(installed.mappable(false));
    const loaded = this.contexts.runToCompletion(
      exec(state.mm, {
        elf: request.elf,
        args: request.args,
        env: request.env ?? [],
        execfn: name,
        hwcap,
        hwcap2,
        limits,
        random: auxRandom(state),
        ...(file === undefined ? {} : { file }),
      }),
    );
    if (typeof loaded === 'number') return loaded;
    const path = absolute(name);
    const program = {
      name,
      path,
      args: request.args,
      env: request.env ?? [],
      auxv: loaded.auxv,
      symbolize: symbolizerOf(request.elf, loaded.bias),
      keys: newKeys(state.keyRandom),
    };
    const table = new FileTable();
    const process = firstProcess(state, program, loaded, table, new FsContext(files.root), limits);
    if (typeof process === 'number') return process;
    for (const stream of this.#standardStreams(process)) table.add(stream, false);
    const thread = process.leader!;
    if (request.control !== undefined && state.mte) thread.control = request.control;
    state.runQueue.spawn(thread.task, this.#threadLife(thread));
    return process;
  }

  /** Descriptors 0, 1 and 2: the terminal where there is one, which then is the process's own. */
  #standardStreams(process: Process): readonly OpenFile[] {
    const { ttys, files } = this.#booted;
    const terminal = ttys.openConsole(O_RDWR, process);
    if (terminal !== undefined) return [terminal, terminal, terminal];
    const { input, write } = this.#options;
    return files.standardStreams(
      input,
      (bytes) => write?.(1, bytes),
      (bytes) => write?.(2, bytes),
    );
  }

  /**
   * The program as a file of the guest, so that it can open and execute itself; undefined where a host's file stands in
   * the way.
   */
  #install(name: string, image: Uint8Array): RegularFile | undefined {
    const { files } = this.#booted;
    const path = absolute(name);
    let at = files.root;
    const parts = path.split('/').slice(1);
    for (const part of parts.slice(0, -1)) {
      let next = at.lookup(part);
      if (next === undefined) {
        next = new Directory(files.nextInode(), 0o755, at);
        at.add(part, next);
      }
      if (!(next instanceof Directory)) return undefined;
      at = next;
    }
    const last = parts.at(-1)!;
    if (at.lookup(last) !== undefined) return undefined;
    const file = files.hostFile(0o755, path, image);
    at.add(last, file);
    return file;
  }

  /** Runs the system until this process has ended, or to a limit. */
  run(process: Process, limits: RunLimits = {}): RunOutcome {
    const state = this.#booted;
    this.#maxSteps = limits.maxSteps ?? Number.MAX_SAFE_INTEGER;
    for (;;) {
      if (process.end !== undefined) {
        this.#endAll();
        return this.#violated() ?? { kind: 'ended', end: process.end };
      }
      if (this.#checkDue) this.#fatal ??= this.#violated();
      if (this.#fatal !== undefined) return this.#fatal;
      if (state.clock.steps >= this.#maxSteps) return { kind: 'limit', which: 'steps' };
      if (limits.expired?.() === true) return { kind: 'limit', which: 'time' };
      state.timers.run(state.clock.monotonic);
      const live = this.#console?.isLive === true ? this.#console : undefined;
      if (++this.#looks % LOOK_EVERY === 0) live?.feed();
      if (state.runQueue.step()) continue;
      const next = state.timers.next;
      const isIdle = next === undefined || state.timers.onlyBackground;
      if (live !== undefined) {
        // Somebody sits at it: the machine's time is theirs, and does not run ahead while they think.
        const passed = live.wait(isIdle ? LONGEST_IDLE : Number(next - state.clock.monotonic) / 1e6);
        const until = state.clock.monotonic + BigInt(Math.ceil(passed * 1e6));
        state.clock.idleUntil(next === undefined || until < next ? until : next);
        continue;
      }
      if (isIdle) return { kind: 'stuck' };
      state.clock.idleUntil(next);
    }
  }

  /** The first process is gone, and with it the system: whoever is left is killed and leaves. */
  #endAll(): void {
    const { table, runQueue, timers, clock } = this.#booted;
    for (const other of table.processes) {
      sendToProcess(other, sentSignal(SIGNAL.SIGKILL, 'SI_KERNEL'));
    }
    for (let turn = 0; turn < LEAVE_TURNS && table.threadCount > 0; turn++) {
      if (!runQueue.step()) {
        const next = timers.next;
        if (next === undefined) break;
        clock.idleUntil(next);
        timers.run(next);
      }
    }
  }

  /** The invariants, where no CPU but the one whose turn it is is inside the kernel; else as soon as that is so. */
  #violated(): RunOutcome | undefined {
    if (this.#options.check !== true) return undefined;
    // What another CPU is in the middle of is not to be judged.
    this.#checkDue = !this.#booted.runQueue.othersInUser;
    if (this.#checkDue) return undefined;
    const violations = this.mm.checkInvariants();
    return violations.length === 0 ? undefined : { kind: 'violation', violations };
  }

  // ---- threads -------------------------------------------------------------------------------------

  /** Everything a thread does: ret_to_user, EL0, an exception, again; and its end. */
  *#threadLife(thread: Thread): MaySleep<void> {
    const state = this.#booted;
    const { clock, runQueue } = state;
    const { cpus } = this.machine;
    const entry = this.#entry!;
    const { task } = thread;
    this.#threads.set(task, thread);
    let slice = this.#newSlice();
    let turn = runQueue.turnLength();
    for (;;) {
      if (hasWork(thread)) yield* deliverSignals(state, thread);
      if (thread.exiting !== undefined || thread.process.groupExit !== undefined) {
        yield* exitThread(state, thread);
        return;
      }
      if (hasWork(thread)) continue;
      if (turn <= 0) yield USER_TURN;
      // Others may have got work, or have none any more.
      if (turn <= 0 || this.contexts.racing === (turn === Number.POSITIVE_INFINITY)) {
        turn = runQueue.turnLength();
        continue;
      }
      if (slice <= 0 || (slice > SLICE_LEAST + SLICE_SPREAD && !runQueue.isAlone)) slice = this.#newSlice();
      const deadline = state.timers.next;
      const until = deadline === undefined ? slice : Math.min(slice, clock.instructionsUntil(deadline));
      const budget = Math.min(until, turn, this.#maxSteps - clock.steps);
      if (budget <= 0 || runQueue.misplaced(task)) {
        noteRseq(thread);
        yield* this.mm.numaTick(thread.process.mm, clock.monotonic);
        yield RESCHEDULE;
        turn = 0;
        continue;
      }
      if (rseqDue(thread)) {
        yield* resumeRseq(state, thread);
        continue;
      }
      const cpu = cpus[task.cpu]!;
      clock.runOn(cpu);
      const before = cpu.steps;
      state.user.here.enter(thread);
      cpu.exceptionReturn();
      const stop = this.#engine.run(cpu, budget);
      slice -= cpu.steps - before + ENTRY_COST;
      turn -= cpu.steps - before + ENTRY_COST;
      chargeCpu(state, thread, cpu.steps - before);
      if (stop.kind === 'supervisor') {
        const rest = entry.handle(thread);
        if (rest !== undefined) yield* rest;
        this.#fatal ??= this.#violated();
        if (this.#fatal === undefined) continue;
      } else if (stop.kind === 'limit' || stop.kind === 'wait') {
        this.#interrupt(cpu);
        entry.interrupt(thread);
        if (turn <= 0 && slice > 0) continue;
      } else {
        this.#fatal = { kind: 'halted', message: describeStop(stop, cpu) };
      }
      noteRseq(thread);
      yield RESCHEDULE;
      turn = runQueue.turnLength();
    }
  }

  #newSlice(): number {
    const slice = SLICE_LEAST + this.#slices.below(SLICE_SPREAD);
    return this.#booted.runQueue.isAlone ? SLICE_ALONE * slice : slice;
  }

  /** The slice ended inside EL0: bring the CPU to EL1 as an interrupt would, so that it can return. */
  #interrupt(cpu: Cpu): void {
    cpu.takeAsynchronous(1, 0x80, cpu.pc);
    cpu.stop = undefined;
  }
}

/** Sockets have deadlines: those of the kernel's timers. */
function networkOf(clock: Clock, timers: Timers): Network {
  return new Network({
    now: () => clock.monotonic,
    at(deadline, fire) {
      const timer = timers.add(deadline, fire);
      return () => timers.cancel(timer);
    },
  });
}

/** TIF_WORK_MASK: something is to be done before EL0 runs. */
function hasWork(thread: Thread): boolean {
  return (
    thread.interrupted ||
    thread.syscall !== undefined ||
    thread.savedMask !== undefined ||
    (thread.process.stopped !== 0 && thread.tracing === undefined)
  );
}

/** A name as a path from the root, which is every first process's working directory. */
function absolute(name: string): string {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}
