/**
 * Exceptions from EL0: what a thread's system calls and faults lead to.
 *
 * Ref. arch/arm64/kernel/{entry-common,syscall,traps}.c, arch/arm64/mm/fault.c.
 */

import { explainUndefined, footprintOf } from '../../isa/index.js';
import { untagged, VA } from '../base/index.js';
import { CpuLayout, cellOf, ExceptionClass, type Machine } from '../machine/index.js';
import {
  ENOSYS,
  ERESTART_RESTARTBLOCK,
  ERESTARTNOINTR,
  ERESTARTSYS,
  type MaySleep,
} from './contexts/index.js';
import { GFP_HIGHUSER_MOVABLE } from './mm/index.js';
import {
  decodeUserException,
  emulateIdRead,
  forceSignal,
  NO_SYSCALL,
  outOfMemory,
  type Process,
  type SignalInfo,
  sendToThread,
  signalInfo,
  stepTaken,
  syscallWork,
  type Thread,
  traceSyscallEnter,
  traceSyscallExit,
  type UserException,
} from './process/index.js';
import {
  describeCall,
  describeResult,
  KEEP_REGISTERS,
  readTexts,
  SYSCALLS,
  type Syscall,
  type SyscallArguments,
  type SyscallResult,
  type SyscallServices,
  seccompCheck,
} from './syscalls/index.js';
import type { TagFaultReporter } from './tag-fault-reporter.js';

const ESR_EL1 = cellOf('esr_el1');
const ELR_EL1 = cellOf('elr_el1');
const FAR_EL1 = cellOf('far_el1');
const TFSRE0_EL1 = cellOf('tfsre0_el1');

/** Bits 63:60 of a tag check fault's address are not the CPU's to say. */
const TAG_FAULT_ADDRESS = (1n << 60n) - 1n;

/** X0 above this is a negative errno (IS_ERR_VALUE). */
const LEAST_ERROR = 2n ** 64n - 4096n;
/** Words remembered at most. */
const MOST_WORDS = 4096;

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
  /** Whether instruction words access tags: they fault in the same places again and again. */
  readonly #tagAccesses = new Map<number, boolean>();
  /** Page faults handled. */
  faults = 0;

  constructor(options: EntryOptions) {
    this.#machine = options.machine;
    this.#services = options.services;
    this.#reporter = options.reporter;
    this.#strace = options.strace;
  }

  /**
   * Deals with the exception that the thread, whose registers are in the CPU, has taken. Gives what is left to
   * do where that may sleep: most system calls are over at once.
   */
  handle(thread: Thread): MaySleep<void> | undefined {
    const { cells } = this.#services.user.cpu;
    const isCall = cells.field(ESR_EL1, 31, 26) === ExceptionClass.SVC;
    if (isCall && (cells.field(TFSRE0_EL1, 0, 0) === 0 || !this.#tagFaultBefore(thread))) {
      return this.#systemCall(thread);
    }
    return isCall ? undefined : this.#exception(thread);
  }

  /** An asynchronous tag fault precedes the call, which is made again after its signal (el0_svc_common). */
  #tagFaultBefore(thread: Thread): boolean {
    const { cpu } = this.#services.user;
    if (!this.#asynchronousTagFault(thread, VA(cpu.cells.get(ELR_EL1)), cpu.cells.get(ESR_EL1))) return false;
    thread.syscall = { number: Number(BigInt.asUintN(32, cpu.readX(8))), originalX0: cpu.readX(0) };
    cpu.writeX(0, BigInt.asUintN(64, BigInt(-ERESTARTNOINTR)));
    return true;
  }

  *#exception(thread: Thread): MaySleep<void> {
    const { cpu } = this.#services.user;
    const esr = cpu.cells.get(ESR_EL1);
    const pc = VA(cpu.cells.get(ELR_EL1));
    this.#asynchronousTagFault(thread, pc, esr);
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
    const report = () => this.#reporter.asynchronous(thread, pc, esr);
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
        const report = () => this.#reporter.synchronous(thread, pc, far, what.write, esr);
        const info = signalInfo('SIGSEGV', 'SEGV_MTESERR', far & TAG_FAULT_ADDRESS);
        this.#force(thread, { ...info, report }, esr, far);
        return;
      }
      case 'step':
        stepTaken(this.#services, thread, pc);
        return;
      case 'undefined':
        if (!this.#emulated(thread, pc)) {
          const info = signalInfo('SIGILL', 'ILL_ILLOPC', pc);
          this.#force(thread, { ...info, reason: this.#whyUndefined(thread.process, pc) }, esr, pc);
        }
        return;
      case 'wait':
        // wfi_handler().
        this.#services.user.registersOf(thread).pc = pc + 4n;
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
    const { process } = thread;
    const result = yield* mm.handleMmFault(process.mm, what.va, what.access);
    if (result.kind === 'handled' && result.major) process.majorFaults++;
    else process.minorFaults++;
    if (result.kind === 'signal') {
      const code = result.code === 'ADRERR' ? 'BUS_ADRERR' : (`SEGV_${result.code}` as const);
      this.#force(thread, signalInfo(result.signal, code, far), esr, far);
    } else if (result.kind === 'oom') {
      // No page it was that failed, but a tag block: migration gives up where the allocator would go on.
      yield* outOfMemory(this.#services, { gfp: GFP_HIGHUSER_MOVABLE, order: 0 });
    }
  }

  /** Whether the aborted access was to tags; only asked for aborts. */
  #accessesTags(process: Process, esr: bigint, pc: VA): boolean {
    if (Number(esr >> 26n) !== ExceptionClass.DataAbort) return false;
    const word = this.#wordAt(process, pc);
    if (word === undefined) return false;
    let known = this.#tagAccesses.get(word);
    if (known === undefined) {
      known = footprintOf(word)?.tags === true;
      if (this.#tagAccesses.size >= MOST_WORDS) this.#tagAccesses.clear();
      this.#tagAccesses.set(word, known);
    }
    return known;
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

  #systemCall(thread: Thread): MaySleep<void> | undefined {
    const { cpu } = this.#services.user;
    const number = cpu.linear.u32[(cpu.base + CpuLayout.X + 8 * 8) >>> 2]!;
    const args: SyscallArguments = [
      cpu.readX(0),
      cpu.readX(1),
      cpu.readX(2),
      cpu.readX(3),
      cpu.readX(4),
      cpu.readX(5),
    ];
    thread.syscallNumber = number;
    thread.syscallX0 = args[0];
    if (thread.tracing !== undefined) return this.#ptracedCall(thread, number, args);
    if (thread.seccompMode !== 0) {
      const instead = seccompCheck(this.#services, thread, number, args);
      if (instead !== undefined) {
        this.#finish(thread, number, args[0], instead);
        return undefined;
      }
    }
    const row = SYSCALLS.get(number);
    if (this.#strace !== undefined) return this.#tracedCall(thread, number, row, args, this.#strace);
    const outcome = row === undefined ? -ENOSYS : row.run(this.#services, thread, args);
    if (typeof outcome === 'object' || this.#services.files.pending) {
      return this.#sleepingCall(thread, number, args, outcome);
    }
    this.#finish(thread, number, args[0], outcome);
    return undefined;
  }

  *#sleepingCall(
    thread: Thread,
    number: number,
    args: SyscallArguments,
    outcome: ReturnType<Syscall['run']>,
  ): MaySleep<void> {
    const result = typeof outcome === 'object' ? yield* outcome : outcome;
    if (this.#services.files.pending) yield* this.#services.files.flush();
    this.#finish(thread, number, args[0], result);
  }

  /** A call of a thread with a tracer, who may have changed what is asked for. */
  *#ptracedCall(thread: Thread, asked: number, given: SyscallArguments): MaySleep<void> {
    const services = this.#services;
    let number = asked;
    let args = given;
    if (syscallWork(thread)) {
      const isMade = yield* traceSyscallEnter(services, thread);
      number = isMade ? thread.syscallNumber : NO_SYSCALL;
      const { x } = services.user.registersOf(thread);
      args = [x[0]!, x[1]!, x[2]!, x[3]!, x[4]!, x[5]!];
    }
    const isFiltered = thread.seccompMode !== 0 && number !== NO_SYSCALL;
    const instead = isFiltered ? seccompCheck(services, thread, number, args) : undefined;
    const row = SYSCALLS.get(number);
    if (instead !== undefined) this.#finish(thread, number, args[0], instead);
    else if (number === NO_SYSCALL) this.#finish(thread, number, thread.syscallX0, args[0]);
    else if (this.#strace !== undefined) yield* this.#tracedCall(thread, number, row, args, this.#strace);
    else {
      const outcome = row === undefined ? -ENOSYS : row.run(services, thread, args);
      yield* this.#sleepingCall(thread, number, args, outcome);
    }
    if (syscallWork(thread) && !isLeaving(thread)) yield* traceSyscallExit(services, thread);
  }

  *#tracedCall(
    thread: Thread,
    number: number,
    row: Syscall | undefined,
    args: SyscallArguments,
    strace: (line: string) => void,
  ): MaySleep<void> {
    const texts = yield* readTexts(this.#services, thread, row, args);
    const describe = () => `${this.#who(thread)}${describeCall(number, row, args, texts)}`;
    const outcome = row === undefined ? -ENOSYS : row.run(this.#services, thread, args);
    const result = typeof outcome === 'object' ? yield* outcome : outcome;
    if (this.#services.files.pending) yield* this.#services.files.flush();
    if (result === KEEP_REGISTERS) strace(`${describe()} = 0`);
    else if (isLeaving(thread)) strace(`${describe()} = ?`);
    else strace(`${describe()} ${describeResult(row, BigInt.asUintN(64, BigInt(result)))}`);
    this.#finish(thread, number, args[0], result);
  }

  /** The call's result goes to X0, and what asks for a restart is remembered (do_signal). */
  #finish(thread: Thread, number: number, originalX0: bigint, result: SyscallResult): void {
    if (result === KEEP_REGISTERS || isLeaving(thread)) return;
    const x0 = BigInt.asUintN(64, BigInt(result));
    if (x0 > LEAST_ERROR) {
      const error = Number(BigInt.asIntN(64, -x0));
      if (error >= ERESTARTSYS && error <= ERESTART_RESTARTBLOCK) thread.syscall = { number, originalX0 };
    }
    this.#services.user.setResult(thread, x0);
  }

  /** strace -f names the thread when there are several. */
  #who(thread: Thread): string {
    return this.#services.table.threadCount > 1 || thread.tid !== 1 ? `[pid ${thread.tid}] ` : '';
  }
}

function isLeaving(thread: Thread): boolean {
  return thread.exiting !== undefined || thread.process.groupExit !== undefined;
}
