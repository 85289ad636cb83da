/**
 * Exceptions from EL0: what a thread's system calls and faults lead to.
 *
 * Ref. arch/arm64/kernel/{entry-common,syscall,traps}.c, arch/arm64/mm/fault.c.
 */

import { explainUndefined, footprintOf } from '../../isa/index.js';
import { untagged, VA } from '../base/index.js';
import { cellOf, ExceptionClass, type Machine } from '../machine/index.js';
import {
  ENOSYS,
  ERESTART_RESTARTBLOCK,
  ERESTARTNOINTR,
  ERESTARTSYS,
  type MaySleep,
  sleepPoint,
} from './contexts/index.js';
import {
  decodeUserException,
  emulateIdRead,
  forceSignal,
  killProcess,
  type Process,
  type SignalInfo,
  sendToThread,
  signalInfo,
  type Thread,
  type UserException,
} from './process/index.js';
import {
  describeCall,
  describeResult,
  KEEP_REGISTERS,
  readTexts,
  SYSCALLS,
  type SyscallArguments,
  type SyscallServices,
} from './syscalls/index.js';
import type { TagFaultReporter } from './tag-fault-reporter.js';

const ESR_EL1 = cellOf('esr_el1');
const ELR_EL1 = cellOf('elr_el1');
const FAR_EL1 = cellOf('far_el1');
const TFSRE0_EL1 = cellOf('tfsre0_el1');

/** Bits 63:60 of a tag check fault's address are not the CPU's to say. */
const TAG_FAULT_ADDRESS = (1n << 60n) - 1n;

const OOM_WAIT = sleepPoint('out of memory: the victim leaves');

export interface EntryOptions {
  readonly machine: Machine;
  readonly services: SyscallServices;
  readonly reporter: TagFaultReporter;
  readonly strace: ((line: string) => void) | undefined;
}

export class UserEntry {
  readonly #machine: Machine;
  readonly #services: SyscallServices;
  readonly #reporter: TagFaultReporter;
  readonly #strace: ((line: string) => void) | undefined;
  /** Page faults handled. */
  faults = 0;

  constructor(options: EntryOptions) {
    this.#machine = options.machine;
    this.#services = options.services;
    this.#reporter = options.reporter;
    this.#strace = options.strace;
  }

  /** Deals with the exception that the thread, whose registers are in the CPU, has taken. */
  *handle(thread: Thread): MaySleep<void> {
    const { cpu } = this.#services.user;
    const esr = cpu.cells.get(ESR_EL1);
    const pc = VA(cpu.cells.get(ELR_EL1));
    const isCall = Number(esr >> 26n) === ExceptionClass.SVC;
    if (this.#asynchronousTagFault(thread, pc, esr) && isCall) {
      // The signal precedes the call: the call is made again after it (el0_svc_common).
      thread.syscall = { number: Number(BigInt.asUintN(32, cpu.readX(8))), originalX0: cpu.readX(0) };
      cpu.writeX(0, BigInt.asUintN(64, BigInt(-ERESTARTNOINTR)));
      return;
    }
    if (isCall) {
      yield* this.#systemCall(thread);
      return;
    }
    const far = VA(cpu.cells.get(FAR_EL1));
    const what = decodeUserException(esr, far, pc, this.#accessesTags(thread.process, esr, pc));
    yield* this.#fault(thread, what, esr, far, pc);
  }

  /** An interrupt came while the thread was in EL0: what had accumulated is this thread's. */
  interrupt(thread: Thread): void {
    const { cpu } = this.#services.user;
    this.#asynchronousTagFault(thread, VA(cpu.cells.get(ELR_EL1)), cpu.cells.get(ESR_EL1));
  }

  /** check_mte_async_tcf(): the accumulated fault, as a signal that may be blocked or ignored. */
  #asynchronousTagFault(thread: Thread, pc: VA, esr: bigint): boolean {
    const { cpu } = this.#services.user;
    if ((cpu.cells.get(TFSRE0_EL1) & 1n) === 0n) return false;
    cpu.cells.set(TFSRE0_EL1, 0n);
    const report = () => this.#reporter.asynchronous(thread.process, pc, esr);
    sendToThread(thread, { ...signalInfo('SIGSEGV', 'SEGV_MTEAERR', 0n), report });
    return true;
  }

  *#fault(thread: Thread, what: UserException, esr: bigint, far: VA, pc: VA): MaySleep<void> {
    switch (what.kind) {
      case 'system-call':
        return;
      case 'page-fault':
        yield* this.#pageFault(thread, what, esr, far);
        return;
      case 'tag-check-fault': {
        const report = () => this.#reporter.synchronous(thread.process, pc, far, what.write, esr);
        const info = signalInfo('SIGSEGV', 'SEGV_MTESERR', far & TAG_FAULT_ADDRESS);
        this.#force(thread, { ...info, report }, esr, far);
        return;
      }
      case 'undefined':
        if (!this.#emulated(thread, pc)) {
          const info = signalInfo('SIGILL', 'ILL_ILLOPC', pc);
          this.#force(thread, { ...info, reason: this.#whyUndefined(thread.process, pc) }, esr, pc);
        }
        return;
      case 'signal':
        this.#force(thread, what.info, esr, VA(what.info.address));
        return;
    }
  }

  #force(thread: Thread, info: SignalInfo, esr: bigint, far: VA): void {
    // set_thread_esr(): what the frame's esr_context and fault_address say.
    thread.faultEsr = esr;
    thread.faultAddress = untagged(far);
    forceSignal(thread, info);
  }

  *#pageFault(
    thread: Thread,
    what: Extract<UserException, { kind: 'page-fault' }>,
    esr: bigint,
    far: VA,
  ): MaySleep<void> {
    const { mm } = this.#services;
    this.faults++;
    const result = yield* mm.handleMmFault(thread.process.mm, what.va, what.access);
    if (result.kind === 'signal') {
      const code = result.code === 'ADRERR' ? 'BUS_ADRERR' : (`SEGV_${result.code}` as const);
      this.#force(thread, signalInfo(result.signal, code, far), esr, far);
    } else if (result.kind === 'oom') {
      yield* this.#outOfMemory(thread);
    }
  }

  /** out_of_memory(): the process with the most resident memory dies. */
  *#outOfMemory(thread: Thread): MaySleep<void> {
    const { table } = this.#services;
    let victim = thread.process;
    for (const process of table.processes) {
      if (process.end !== undefined) continue;
      // Somebody is on the way out already: that frees memory too.
      if (process.groupExit !== undefined && process !== thread.process) {
        yield OOM_WAIT;
        return;
      }
      if (process.mm.residentPages > victim.mm.residentPages) victim = process;
    }
    this.#services.log(`Out of memory: Killed process ${victim.pid} (${victim.name})`);
    if (victim === thread.process) {
      killProcess(thread);
      return;
    }
    const leader = victim.leader ?? [...victim.threads][0];
    if (leader !== undefined) killProcess(leader);
    yield OOM_WAIT;
  }

  /** Whether the aborted access was to tags; only asked for aborts. */
  #accessesTags(process: Process, esr: bigint, pc: VA): boolean {
    if (Number(esr >> 26n) !== ExceptionClass.DataAbort) return false;
    const word = this.#wordAt(process, pc);
    return word !== undefined && footprintOf(word)?.tags === true;
  }

  #whyUndefined(process: Process, pc: VA): string {
    const word = this.#wordAt(process, pc);
    if (word === undefined) return 'the instruction cannot be read';
    const features: ReadonlySet<string> = this.#machine.features;
    return explainUndefined(word, { hasFeature: (feature) => features.has(feature), el: 0 });
  }

  #wordAt(process: Process, pc: VA): number | undefined {
    const mapping = this.#services.mm.virtToPhys(process.mm, pc);
    return mapping === undefined ? undefined : this.#machine.memory.read32(mapping.pa);
  }

  /** emulate_mrs(). */
  #emulated(thread: Thread, pc: VA): boolean {
    const { cpu } = this.#services.user;
    const word = this.#wordAt(thread.process, pc);
    const read = word === undefined ? undefined : emulateIdRead(cpu, word);
    if (read === undefined) return false;
    cpu.writeX(read.rt, read.value);
    cpu.cells.set(ELR_EL1, pc + 4n);
    return true;
  }

  // ---- system calls ----------------------------------------------------------------------------------

  *#systemCall(thread: Thread): MaySleep<void> {
    const { user } = this.#services;
    const { cpu } = user;
    const number = Number(BigInt.asUintN(32, cpu.readX(8)));
    const args = [0, 1, 2, 3, 4, 5].map((i) => cpu.readX(i)) as unknown as SyscallArguments;
    const row = SYSCALLS.get(number);
    const strace = this.#strace;
    const texts = strace === undefined ? [] : yield* readTexts(this.#services, thread, row, args);
    const describe = () => `${this.#who(thread)}${describeCall(number, row, args, texts)}`;
    let result: bigint | number = -ENOSYS;
    if (row !== undefined) {
      const outcome = row.run(this.#services, thread, args);
      result = typeof outcome === 'object' ? yield* outcome : outcome;
    }
    if (this.#services.files.pending) yield* this.#services.files.flush();
    if (result === KEEP_REGISTERS) {
      strace?.(`${describe()} = 0`);
      return;
    }
    if (thread.exiting !== undefined || thread.process.groupExit !== undefined) {
      strace?.(`${describe()} = ?`);
      return;
    }
    const x0 = BigInt.asUintN(64, BigInt(result));
    strace?.(`${describe()} ${describeResult(row, x0)}`);
    const error = Number(BigInt.asIntN(64, -x0));
    if (error >= ERESTARTSYS && error <= ERESTART_RESTARTBLOCK) {
      thread.syscall = { number, originalX0: args[0] };
    }
    user.setResult(thread, x0);
  }

  /** strace -f names the thread when there are several. */
  #who(thread: Thread): string {
    return this.#services.table.threadCount > 1 || thread.tid !== 1 ? `[pid ${thread.tid}] ` : '';
  }
}
