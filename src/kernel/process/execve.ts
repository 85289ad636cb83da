/**
 * execve: the calling process gets another program.
 *
 * Static ELF executables and `#!` scripts. The new address space is complete before the old one is let
 * go, so that a program that does not fit leaves the caller as it was.
 *
 * Ref. fs/exec.c (bprm_execve, begin_new_exec, de_thread), fs/binfmt_script.c.
 */
import { InputError, textOfBytes } from '../../base/index.js';
import { type ElfFile, isElf, readElf } from '../../elf/index.js';
import { EACCES, EAGAIN, ELOOP, ENOEXEC, type MaySleep } from '../contexts/index.js';
import { type Directory, type Inode, inodePermission, MAY, RegularFile, Symlink } from '../fs/index.js';
import { credentialsAfterExec } from './credentials.js';
import { exec } from './exec.js';
import { releaseUserWords } from './exit.js';
import type { KernelState } from './kernel-state.js';
import { commOf, leaveSpace } from './life.js';
import { newKeys } from './pointer-auth-keys.js';
import type { Program, Symbolizer } from './process.js';
import { ptraceEvent } from './ptrace.js';
import { PTRACE_EVENT } from './ptrace-abi.js';
import { DEFAULT_CONTROL } from './tagged-address-control.js';
import { NO_ALTERNATE_STACK, type Thread } from './thread.js';

/** Scripts whose interpreter is a script. */
const MOST_INTERPRETERS = 4;
/** BINPRM_BUF_SIZE. */
const SCRIPT_LINE = 256;
/** The largest executable that is read. */
const MOST_BYTES = 256 * 2 ** 20;

export interface ExecveRequest {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** The file itself, where a descriptor said which; `path` is the name it goes by then. */
  readonly inode?: Inode | undefined;
  /** The path whose last part the thread is named after; left out, `path`. */
  readonly comm?: string;
  /** Left out: links are followed. */
  readonly follow?: boolean;
}

/** Programs that were read, by file; a file that changed is read again. */
const PARSED = new WeakMap<
  Inode,
  { readonly modified: bigint; readonly size: number; readonly elf: ElfFile }
>();

export function symbolizerOf(elf: ElfFile, bias: bigint): Symbolizer {
  return (address) => {
    const symbol = elf.symbolAt(address - bias);
    if (symbol === undefined) return undefined;
    return symbol.offset === 0n ? symbol.name : `${symbol.name}+0x${symbol.offset.toString(16)}`;
  };
}

export function auxRandom(state: KernelState): Uint8Array {
  return Uint8Array.from({ length: 16 }, () => state.random.u32() & 0xff);
}

interface Resolved {
  readonly elf: ElfFile;
  readonly inode: RegularFile;
  readonly path: string;
  readonly args: readonly string[];
}

/** The ELF file that a path means, through interpreters of scripts; or a negative errno. */
function* resolve(state: KernelState, base: Directory, request: ExecveRequest): MaySleep<Resolved | number> {
  let { path, args, inode: given, follow = true } = request;
  for (let depth = 0; depth <= MOST_INTERPRETERS; depth++) {
    const inode = given ?? state.files.lookup(base, path, follow);
    if (typeof inode === 'number') return inode;
    if (inode instanceof Symlink) return -ELOOP;
    const refused = inodePermission(inode, MAY.EXEC, state.files.caller) !== 0;
    if (!(inode instanceof RegularFile) || refused) return -EACCES;
    const head = yield* inode.read(0, SCRIPT_LINE);
    if (isElf(head)) {
      const elf = yield* parse(inode, path);
      return elf === undefined ? -ENOEXEC : { elf, inode, path, args };
    }
    if (head[0] !== 0x23 || head[1] !== 0x21) return -ENOEXEC;
    const line = textOfBytes(head).slice(2).split('\n')[0]!.trim();
    const space = line.search(/[ \t]/);
    const interpreter = space < 0 ? line : line.slice(0, space);
    if (interpreter === '') return -ENOEXEC;
    const option = space < 0 ? [] : [line.slice(space).trim()];
    args = [interpreter, ...option, path, ...args.slice(1)];
    path = interpreter;
    given = undefined;
    follow = true;
  }
  return -ELOOP;
}

function* parse(inode: RegularFile, path: string): MaySleep<ElfFile | undefined> {
  const known = PARSED.get(inode);
  const modified = inode.times.modify;
  if (known !== undefined && known.modified === modified && known.size === inode.size) return known.elf;
  if (inode.size > MOST_BYTES) return undefined;
  try {
    const elf = readElf(yield* inode.read(0, inode.size), path);
    PARSED.set(inode, { modified, size: inode.size, elf });
    return elf;
  } catch (thrown) {
    if (thrown instanceof InputError) return undefined;
    throw thrown;
  }
}

/** execve(2): 0 with the thread at the new program's first instruction, or a negative errno. */
export function* execve(
  state: KernelState,
  thread: Thread,
  base: Directory,
  request: ExecveRequest,
): MaySleep<number> {
  const { process } = thread;
  const oldTid = thread.tid;
  const resolved = yield* resolve(state, base, request);
  if (typeof resolved === 'number') return resolved;
  const { elf, inode, path, args } = resolved;
  if (process.execWaiter !== undefined) return -EAGAIN;
  const readable = inodePermission(inode, MAY.READ, state.files.caller) === 0;
  const loaded = yield* exec(state.mm, {
    elf,
    file: yield* inode.mappable(false),
    args,
    env: request.env,
    execfn: request.path,
    limits: process.limits,
    hwcap: state.hwcap,
    hwcap2: state.hwcap2,
    random: auxRandom(state),
  });
  if (typeof loaded === 'number') return loaded;
  if (!(yield* becomeOnlyThread(state, thread))) {
    yield* state.mm.exitMmap(loaded.mm);
    return -EAGAIN;
  }
  // ksm_execve(): PR_SET_MEMORY_MERGE is the process's, not the program's.
  if (process.mm.mergeAny) yield* state.mm.setMemoryMerge(loaded.mm, true);
  const program: Program = {
    name: args[0] ?? path,
    path: path.startsWith('/') ? path : `${state.files.pathOf(base).replace(/\/$/, '')}/${path}`,
    args,
    env: request.env,
    auxv: loaded.auxv,
    symbolize: symbolizerOf(elf, loaded.bias),
    keys: newKeys(state.keyRandom),
  };
  yield* releaseUserWords(state, thread);
  yield* leaveSpace(state, process);
  process.space = { as: loaded.mm, users: 1 };
  process.program = program;
  process.handledFault = undefined;
  process.membarriers = 0;
  process.actions = process.actions.clone();
  process.actions.flushHandlers();
  process.files.execClose();
  for (const { timer, timers } of process.posixTimers.values()) timers.cancel(timer);
  process.posixTimers.clear();
  reset(state, thread, loaded.entry, loaded.sp);
  thread.comm = commOf(request.comm ?? request.path);
  // A traced program and one that may gain nothing run as the caller (bprm_fill_uid, unsafe execution).
  const gainsNothing = process.noNewPrivileges || thread.tracing !== undefined;
  thread.credentials = credentialsAfterExec(thread.credentials, gainsNothing ? undefined : inode);
  // begin_new_exec(), would_dump(): what runs as another, or could not be read, cannot be looked into.
  const { user, group } = thread.credentials;
  const isOwn = user.effective === user.real && group.effective === group.real;
  process.dumpable = isOwn && readable ? 1 : 0;
  yield* ptraceEvent(thread, PTRACE_EVENT.EXEC, BigInt(oldTid));
  return 0;
}

/** de_thread(): false where the group is being ended meanwhile, or another thread got here first. */
function* becomeOnlyThread(state: KernelState, thread: Thread): MaySleep<boolean> {
  const { process } = thread;
  if (process.execWaiter !== undefined || thread.exiting !== undefined) return false;
  process.execWaiter = thread;
  for (const other of process.threads) {
    if (other === thread) continue;
    other.exiting = 0;
    other.task.fatalSignalPending = true;
    other.sleeper.wake();
  }
  while (process.threads.size > 1) yield thread.sleeper.point;
  process.execWaiter = undefined;
  if (process.groupExit !== undefined) return false;
  if (thread.tid !== process.pid) {
    state.table.removeThread(thread);
    thread.tid = process.pid;
    state.table.addThread(thread);
    process.leader = thread;
  }
  return true;
}

/** flush_thread() and start_thread(). */
function reset(state: KernelState, thread: Thread, entry: bigint, sp: bigint): void {
  state.user.forget(thread);
  const { registers } = thread;
  registers.x.fill(0n);
  registers.v.fill(0n);
  registers.pc = entry;
  registers.sp = sp;
  registers.pstate = 0n;
  registers.tls = 0n;
  registers.fpcr = 0n;
  registers.fpsr = 0n;
  thread.control = DEFAULT_CONTROL;
  thread.alternateStack = NO_ALTERNATE_STACK;
  thread.clearChildTid = 0n;
  thread.robustList = 0n;
  thread.rseq = undefined;
  thread.faultEsr = 0n;
  thread.faultAddress = 0n;
  thread.syscall = undefined;
  thread.hardwareDebug = undefined;
}
