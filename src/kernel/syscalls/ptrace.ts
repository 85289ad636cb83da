/**
 * System calls that reach into another process: ptrace, process_vm_readv, process_vm_writev.
 *
 * Tags are read and written through the tag storage policy: a page whose tags are elsewhere gets them back
 * first.
 *
 * Ref. kernel/ptrace.c (ptrace_request), arch/arm64/kernel/{ptrace,mte}.c, mm/process_vm_access.c.
 */
import { VA } from '../../base/index.js';
import { EFAULT, EINVAL, EIO, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import {
  AUDIT_ARCH,
  attach,
  checkAttached,
  detach,
  interrupt,
  listen,
  PTRACE,
  PTRACE_EVENTMSG_SYSCALL_ENTRY,
  PTRACE_O_MASK,
  ptraceMayAccess,
  queuedSignal,
  readSome,
  readUser,
  registerSet,
  resume,
  SIGINFO_BYTES,
  SIGNAL,
  SIGNALS,
  sendToThread,
  sentSignal,
  setRegisters,
  setStepping,
  sigbit,
  siginfoBytes,
  type Thread,
  traceMe,
  writeSome,
  writeU64,
  writeUser,
} from '../process/index.js';
import { readVectors, type Stretch } from './io.js';
import { count, int, type Syscall, type SyscallServices, uint } from './row.js';

const SIGTRAP_SYSGOOD = SIGNAL.SIGTRAP | 0x80;
const UNBLOCKABLE = sigbit(SIGNAL.SIGKILL) | sigbit(SIGNAL.SIGSTOP);
/** Tags of one page are moved at a time: 4096 bytes hold 256. */
const TAGS_AT_ONCE = 256;
const GRANULE = 16n;
/** Bytes moved at a time between two processes. */
const PIECE = 1 << 16;

/** What one request has to do with: the tracer's call and the thread it is about. */
interface Request {
  readonly services: SyscallServices;
  readonly tracer: Thread;
  readonly target: Thread;
  readonly address: bigint;
  readonly data: bigint;
}

type Handler = (request: Request) => MaySleep<number> | number;

/** The top byte of an address in the tracee is ignored: untagged_addr(). */
const remote = (address: bigint) => VA(BigInt.asUintN(56, address));

function* peek({ services, tracer, target, address, data }: Request): MaySleep<number> {
  const bytes = yield* services.mm.copyFromUser(target.process.mm, remote(address), 8);
  if (bytes.length < 8) return -EIO;
  return yield* writeUser(services.mm, tracer, data, bytes);
}

function* poke({ services, target, address, data }: Request): MaySleep<number> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, data, true);
  const done = yield* services.mm.accessRemoteWrite(target.process.mm, remote(address), bytes);
  return done === 8 ? 0 : -EIO;
}

// ---- going on ------------------------------------------------------------------------------------------

function goOn(syscalls: 'run' | 'trace' | 'emulate', step: boolean): Handler {
  return ({ services, target, data }) => {
    if (data > BigInt(SIGNALS)) return -EIO;
    const { tracing } = target;
    if (tracing === undefined) return -ESRCH;
    tracing.syscalls = syscalls;
    setStepping(services, target, step);
    resume(target, Number(data));
    return 0;
  };
}

function kill({ target }: Request): number {
  sendToThread(target, sentSignal(SIGNAL.SIGKILL, 'SI_USER'));
  return 0;
}

function letGo({ services, target, data }: Request): number {
  if (data > BigInt(SIGNALS)) return -EIO;
  detach(services, target, Number(data));
  return 0;
}

function setOptions({ target, data }: Request): number {
  if ((data & ~BigInt(PTRACE_O_MASK)) !== 0n) return -EINVAL;
  if (target.tracing !== undefined) target.tracing.options = Number(data);
  return 0;
}

// ---- what a stop says ----------------------------------------------------------------------------------

function* getEventMessage({ services, tracer, target, data }: Request): MaySleep<number> {
  return yield* writeU64(services.mm, tracer, data, target.tracing?.message ?? 0n);
}

function* getSiginfo({ services, tracer, target, data }: Request): MaySleep<number> {
  const info = target.tracing?.stop?.info;
  if (info === undefined) return -EINVAL;
  return yield* writeUser(services.mm, tracer, data, siginfoBytes(info));
}

function* setSiginfo({ services, tracer, target, data }: Request): MaySleep<number> {
  const bytes = yield* readUser(services.mm, tracer, data, SIGINFO_BYTES);
  if (bytes === undefined) return -EFAULT;
  const stop = target.tracing?.stop;
  if (stop?.info === undefined) return -EINVAL;
  stop.info = queuedSignal(new DataView(bytes.buffer).getInt32(0, true), bytes);
  return 0;
}

/** struct ptrace_peeksiginfo_args: where in the queue to begin, which queue, how many. */
function* peekSiginfo({ services, tracer, target, address, data }: Request): MaySleep<number> {
  const bytes = yield* readUser(services.mm, tracer, address, 16);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const from = view.getBigUint64(0, true);
  const flags = view.getUint32(8, true);
  const wanted = view.getInt32(12, true);
  if ((flags & ~1) !== 0 || wanted < 0) return -EINVAL;
  const queue = (flags & 1) !== 0 ? target.process.pending : target.pending;
  let done = 0;
  for (; done < wanted; done++) {
    const info = queue.peek(from + BigInt(done));
    if (info === undefined) break;
    const at = data + BigInt(SIGINFO_BYTES * done);
    if ((yield* writeUser(services.mm, tracer, at, siginfoBytes(info))) !== 0) {
      return done > 0 ? done : -EFAULT;
    }
  }
  return done;
}

function* getSignalMask({ services, tracer, target, address, data }: Request): MaySleep<number> {
  if (address !== 8n) return -EINVAL;
  return yield* writeU64(services.mm, tracer, data, target.savedMask ?? target.blocked);
}

function* setSignalMask({ services, tracer, target, address, data }: Request): MaySleep<number> {
  if (address !== 8n) return -EINVAL;
  const bytes = yield* readUser(services.mm, tracer, data, 8);
  if (bytes === undefined) return -EFAULT;
  target.savedMask = undefined;
  target.setBlocked(new DataView(bytes.buffer).getBigUint64(0, true) & ~UNBLOCKABLE);
  return 0;
}

/** struct ptrace_syscall_info; `address` is the room there is, the result what would be written. */
function* getSyscallInfo({ services, tracer, target, address, data }: Request): MaySleep<number> {
  const registers = services.user.registersOf(target);
  const bytes = new Uint8Array(88);
  const view = new DataView(bytes.buffer);
  let size = 24;
  view.setUint32(4, AUDIT_ARCH, true);
  view.setBigUint64(8, registers.pc, true);
  view.setBigUint64(16, registers.sp, true);
  if (target.tracing?.stop?.info?.code === SIGTRAP_SYSGOOD) {
    if (target.tracing.message === PTRACE_EVENTMSG_SYSCALL_ENTRY) {
      bytes[0] = 1;
      view.setBigUint64(24, BigInt.asUintN(64, BigInt(target.syscallNumber)), true);
      view.setBigUint64(32, target.syscallX0, true);
      for (let i = 1; i < 6; i++) view.setBigUint64(32 + 8 * i, registers.x[i]!, true);
      size = 80;
    } else {
      bytes[0] = 2;
      const value = BigInt.asIntN(64, registers.x[0]!);
      view.setBigInt64(24, value, true);
      bytes[32] = value < 0n && value >= -4095n ? 1 : 0;
      size = 33;
    }
  }
  const room = address > BigInt(size) ? size : Number(address);
  const error = yield* writeUser(services.mm, tracer, data, bytes.subarray(0, room));
  return error === 0 ? size : error;
}

// ---- registers and tags --------------------------------------------------------------------------------

interface Vector {
  readonly base: bigint;
  readonly length: bigint;
}

/** A struct iovec. */
function* readVector({ services, tracer, data }: Request): MaySleep<Vector | undefined> {
  const bytes = yield* readUser(services.mm, tracer, data, 16);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer);
  return { base: view.getBigUint64(0, true), length: view.getBigUint64(8, true) };
}

function* registersRequest(request: Request, write: boolean): MaySleep<number> {
  const { services, tracer, target, address, data } = request;
  const vector = yield* readVector(request);
  if (vector === undefined) return -EFAULT;
  const set = registerSet(uint(address), Number(vector.length & 7n));
  const current = set?.get(services, target);
  if (set === undefined || current === undefined) return -EINVAL;
  const length = vector.length > BigInt(set.bytes) ? set.bytes : Number(vector.length);
  if (write) {
    const bytes = yield* readUser(services.mm, tracer, vector.base, length);
    if (bytes === undefined) return -EFAULT;
    const error = setRegisters(services, target, set, bytes);
    if (error !== 0) return error;
  } else {
    const error = yield* writeUser(services.mm, tracer, vector.base, current.subarray(0, length));
    if (error !== 0) return error;
  }
  return yield* writeU64(services.mm, tracer, data + 8n, BigInt(length));
}

/** mte_ptrace_copy_tags(): one tag a byte; what was moved is the vector's new length. */
function* tagsRequest(request: Request, write: boolean): MaySleep<number> {
  const { services, tracer, target, address, data } = request;
  const { mm } = services;
  const vector = yield* readVector(request);
  if (vector === undefined) return -EFAULT;
  const start = BigInt.asUintN(56, address) & ~(GRANULE - 1n);
  let done = 0n;
  let error = -EIO;
  while (done < vector.length) {
    const at = start + done * GRANULE;
    // To the end of the page: what is beyond may have no tags.
    const inPage = (BigInt(mm.pageSize) - (at % BigInt(mm.pageSize))) / GRANULE;
    const left = vector.length - done;
    const piece = [BigInt(TAGS_AT_ONCE), inPage, left].reduce((a, b) => (a < b ? a : b));
    let tags = new Uint8Array(Number(piece));
    if (write) {
      tags = (yield* readSome(mm, tracer, vector.base + done, tags.length)).slice();
      // The tracee's side is asked first.
      if (tags.length === 0) {
        error =
          (yield* mm.accessRemoteTags(target.process.mm, VA(at), new Uint8Array(1), false)) < 1
            ? -EIO
            : -EFAULT;
        break;
      }
    }
    const moved = yield* mm.accessRemoteTags(target.process.mm, VA(at), tags, write);
    if (moved <= 0) break;
    const kept = write ? moved : yield* writeSome(mm, tracer, vector.base + done, tags.subarray(0, moved));
    done += BigInt(kept);
    if (kept < Number(piece)) {
      error = -EFAULT;
      break;
    }
  }
  if (done === 0n) return error;
  return yield* writeU64(mm, tracer, data + 8n, done);
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [PTRACE.PEEKTEXT, peek],
  [PTRACE.PEEKDATA, peek],
  [PTRACE.POKETEXT, poke],
  [PTRACE.POKEDATA, poke],
  [PTRACE.CONT, goOn('run', false)],
  [PTRACE.SYSCALL, goOn('trace', false)],
  [PTRACE.SINGLESTEP, goOn('run', true)],
  [PTRACE.SYSEMU, goOn('emulate', false)],
  [PTRACE.SYSEMU_SINGLESTEP, goOn('emulate', true)],
  [PTRACE.KILL, kill],
  [PTRACE.DETACH, letGo],
  [PTRACE.SETOPTIONS, setOptions],
  [PTRACE.GETEVENTMSG, getEventMessage],
  [PTRACE.GETSIGINFO, getSiginfo],
  [PTRACE.SETSIGINFO, setSiginfo],
  [PTRACE.PEEKSIGINFO, peekSiginfo],
  [PTRACE.GETSIGMASK, getSignalMask],
  [PTRACE.SETSIGMASK, setSignalMask],
  [PTRACE.GET_SYSCALL_INFO, getSyscallInfo],
  [PTRACE.GETREGSET, (request) => registersRequest(request, false)],
  [PTRACE.SETREGSET, (request) => registersRequest(request, true)],
  [PTRACE.PEEKMTETAGS, (request) => tagsRequest(request, false)],
  [PTRACE.POKEMTETAGS, (request) => tagsRequest(request, true)],
  [PTRACE.INTERRUPT, ({ target }) => interrupt(target)],
  [PTRACE.LISTEN, ({ target }) => listen(target)],
]);

/** Requests for threads that run. */
const ANY_STATE: ReadonlySet<number> = new Set([PTRACE.KILL, PTRACE.INTERRUPT]);

function* ptrace(
  services: SyscallServices,
  tracer: Thread,
  request: number,
  pid: number,
  address: bigint,
  data: bigint,
): MaySleep<number> {
  if (request === PTRACE.TRACEME) return traceMe(tracer);
  const target = services.table.thread(pid);
  if (target === undefined) return -ESRCH;
  if (request === PTRACE.ATTACH) return attach(target, tracer, undefined);
  if (request === PTRACE.SEIZE) return attach(target, tracer, { address, options: data });
  const error = checkAttached(target, tracer, ANY_STATE.has(request));
  if (error !== 0) return error;
  const handler = HANDLERS.get(request);
  if (handler === undefined) return -EIO;
  const outcome = handler({ services, tracer, target, address, data });
  return typeof outcome === 'number' ? outcome : yield* outcome;
}

// ---- process_vm_readv and process_vm_writev --------------------------------------------------------------

/** Takes the next piece of a list of stretches; undefined at its end. */
function nextPiece(stretches: Stretch[]): Stretch | undefined {
  while (stretches.length > 0 && stretches[0]!.bytes === 0) stretches.shift();
  return stretches[0];
}

function advance(stretches: Stretch[], bytes: number): void {
  const first = stretches[0]!;
  stretches[0] = { address: first.address + BigInt(bytes), bytes: first.bytes - bytes };
}

function* processVm(
  services: SyscallServices,
  thread: Thread,
  args: readonly [bigint, bigint, bigint, bigint, bigint, bigint],
  write: boolean,
): MaySleep<number> {
  const [pid, localAt, localCount, remoteAt, remoteCount, flags] = args;
  if (flags !== 0n) return -EINVAL;
  const { mm, table } = services;
  const local = yield* readVectors(services, thread, localAt, localCount);
  if (typeof local === 'number') return local;
  const far = yield* readVectors(services, thread, remoteAt, remoteCount);
  if (typeof far === 'number') return far;
  if (nextPiece(local) === undefined || nextPiece(far) === undefined) return 0;
  const target = table.thread(int(pid))?.process ?? table.get(int(pid));
  if (target === undefined || target.end !== undefined) return -ESRCH;
  // mm_access(): whoever may not trace it may not look into it either.
  const inspected = table.thread(int(pid)) ?? target.leader;
  if (inspected !== undefined && !ptraceMayAccess(thread, inspected)) return -EPERM;
  let done = 0;
  for (;;) {
    const mine = nextPiece(local);
    const theirs = nextPiece(far);
    if (mine === undefined || theirs === undefined) return done;
    const piece = Math.min(mine.bytes, theirs.bytes, PIECE);
    let moved: number;
    if (write) {
      const data = yield* readSome(mm, thread, mine.address, piece);
      moved = yield* mm.copyToUser(target.mm, remote(theirs.address), data);
    } else {
      const data = yield* mm.copyFromUser(target.mm, remote(theirs.address), piece);
      moved = yield* writeSome(mm, thread, mine.address, data);
    }
    done += moved;
    if (moved < piece) return done > 0 ? done : -EFAULT;
    advance(local, moved);
    advance(far, moved);
  }
}

export const ptraceSyscalls: readonly Syscall[] = [
  {
    number: 117,
    name: 'ptrace',
    args: ['ptrace-request', 'int', 'pointer', 'pointer'],
    run: (services, thread, [request, pid, address, data]) =>
      ptrace(services, thread, count(request), int(pid), address, data),
  },
  {
    number: 270,
    name: 'process_vm_readv',
    args: ['int', 'pointer', 'unsigned', 'pointer', 'unsigned', 'hex'],
    run: (services, thread, args) => processVm(services, thread, args, false),
  },
  {
    number: 271,
    name: 'process_vm_writev',
    args: ['int', 'pointer', 'unsigned', 'pointer', 'unsigned', 'hex'],
    run: (services, thread, args) => processVm(services, thread, args, true),
  },
];
