/**
 * Restartable sequences: a thread says where it keeps the number of its CPU and the critical section it is in; whoever
 * was preempted, moved or interrupted by a signal inside one goes on at its abort address.
 *
 * Ref. kernel/rseq.c (rseq_ip_fixup, rseq_update_cpu_node_id, sys_rseq), include/uapi/linux/rseq.h.
 */
import { EBUSY, EFAULT, EINVAL, EPERM, type MaySleep } from '../contexts/index.js';
import type { KernelState } from './kernel-state.js';
import { forceSignal } from './send-signal.js';
import { signalInfo } from './siginfo.js';
import type { Thread } from './thread.js';
import { readU32, readUser, writeU64, writeUser } from './user-memory.js';

/** sizeof(struct rseq) and its alignment; what of it is used, for AT_RSEQ_FEATURE_SIZE. */
export const RSEQ_BYTES = 32;
export const RSEQ_FEATURE_BYTES = 28;
const FLAG_UNREGISTER = 1;
const CPU_ID_UNINITIALIZED = -1;
const OFFSET_CS = 8n;

/** What a thread registered. */
export interface RseqRegistration {
  readonly address: bigint;
  readonly signature: number;
  /** The CPU that user space was told last. */
  cpu: number | undefined;
  /** The thread was preempted or got a signal since it last came from user space. */
  due: boolean;
}

/** rseq(2). */
export function* registerRseq(
  state: KernelState,
  thread: Thread,
  address: bigint,
  size: number,
  flags: number,
  signature: number,
): MaySleep<number> {
  const { rseq } = thread;
  if ((flags & FLAG_UNREGISTER) !== 0) {
    if (flags !== FLAG_UNREGISTER || rseq === undefined || rseq.address !== address) return -EINVAL;
    if (size !== RSEQ_BYTES) return -EINVAL;
    if (rseq.signature !== signature) return -EPERM;
    const error = yield* writeCpu(state, thread, address, 0, CPU_ID_UNINITIALIZED);
    if (error !== 0) return error;
    thread.rseq = undefined;
    return 0;
  }
  if (flags !== 0) return -EINVAL;
  if (rseq !== undefined) {
    if (rseq.address !== address || size !== RSEQ_BYTES) return -EINVAL;
    return rseq.signature === signature ? -EBUSY : -EPERM;
  }
  if (address % BigInt(RSEQ_BYTES) !== 0n || size !== RSEQ_BYTES) return -EINVAL;
  if (address + BigInt(size) > thread.process.mm.taskSize) return -EFAULT;
  thread.rseq = { address, signature, cpu: undefined, due: true };
  return 0;
}

/** cpu_id_start, cpu_id; node 0; the CPU's number as the concurrency id. */
function* writeCpu(
  { mm }: KernelState,
  thread: Thread,
  address: bigint,
  start: number,
  id: number,
): MaySleep<number> {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, start, true);
  view.setInt32(4, id, true);
  const error = yield* writeUser(mm, thread, address, bytes);
  if (error !== 0) return error;
  const more = new Uint8Array(8);
  new DataView(more.buffer).setInt32(4, start, true);
  return yield* writeUser(mm, thread, address + 20n, more);
}

/** The critical section that the thread's word names: none, its three addresses, or undefined where it is bad. */
function* criticalSection(
  { mm }: KernelState,
  thread: Thread,
  { address, signature }: RseqRegistration,
): MaySleep<
  'none' | { readonly start: bigint; readonly length: bigint; readonly abort: bigint } | undefined
> {
  const word = yield* readUser(mm, thread, address + OFFSET_CS, 8);
  if (word === undefined) return undefined;
  const at = new DataView(word.buffer).getBigUint64(0, true);
  if (at === 0n) return 'none';
  const { taskSize } = thread.process.mm;
  const bytes = at >= taskSize ? undefined : yield* readUser(mm, thread, at, 32);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer);
  const [start, length, abort] = [8, 16, 24].map((offset) => view.getBigUint64(offset, true)) as [
    bigint,
    bigint,
    bigint,
  ];
  const fits = start < taskSize && start + length < taskSize && abort < taskSize;
  const isInside = abort >= start && abort - start < length;
  if (view.getUint32(0, true) !== 0 || view.getUint32(4, true) !== 0 || !fits || isInside) return undefined;
  return (yield* readU32(mm, thread, abort - 4n)) === signature ? { start, length, abort } : undefined;
}

/** rseq_ip_fixup(): false where user space's structures are bad. */
function* leaveSection(state: KernelState, thread: Thread, rseq: RseqRegistration): MaySleep<boolean> {
  const section = yield* criticalSection(state, thread, rseq);
  if (section === 'none') return true;
  if (section === undefined) return false;
  const registers = state.user.registersOf(thread);
  const { start, length, abort } = section;
  const isIn = registers.pc >= start && registers.pc - start < length;
  if ((yield* writeU64(state.mm, thread, rseq.address + OFFSET_CS, 0n)) !== 0) return false;
  if (isIn) registers.pc = abort;
  return true;
}

/** rseq_handle_notify_resume() and rseq_signal_deliver(): before user space, or a handler, is entered. */
export function* resumeRseq(state: KernelState, thread: Thread): MaySleep<void> {
  const { rseq } = thread;
  if (rseq === undefined) return;
  rseq.due = false;
  const { cpu } = thread.task;
  let ok = yield* leaveSection(state, thread, rseq);
  if (ok && rseq.cpu !== cpu) {
    ok = (yield* writeCpu(state, thread, rseq.address, cpu, cpu)) === 0;
    rseq.cpu = cpu;
  }
  if (!ok) {
    thread.rseq = undefined;
    forceSignal(thread, signalInfo('SIGSEGV', 'SEGV_MAPERR', 0n));
  }
}

/** rseq_preempt(): others may run now. */
export function noteRseq({ rseq }: Thread): void {
  if (rseq !== undefined) rseq.due = true;
}

/** Whether `resumeRseq` has something to do. */
export function rseqDue({ rseq, task }: Thread): boolean {
  return rseq !== undefined && (rseq.due || rseq.cpu !== task.cpu);
}
