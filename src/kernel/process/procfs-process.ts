/**
 * /proc files of one process as text: status, stat, statm, io, fdinfo, mounts and small ones. Names, order and layout
 * are Linux 6.8's.
 *
 * Ref. fs/proc/array.c, fs/proc/base.c, fs/proc/fd.c; proc(5).
 */
import { describeLock, type FileTable, O_CLOEXEC } from '../fs/index.js';
import { VM_EXEC, VM_GROWSDOWN, VM_SHARED, VM_WRITE, type VmaInfo } from '../mm/index.js';
import type { KernelState } from './kernel-state.js';
import { RLIMIT } from './limits.js';
import type { Process } from './process.js';
import { trapped } from './ptrace.js';
import { SCHED } from './scheduling.js';
import type { Thread } from './thread.js';

/** USER_HZ: nanoseconds of a tick. */
const TICK = 10_000_000n;
const hex = (value: bigint, digits: number) => value.toString(16).padStart(digits, '0');

function stateOf(process: Process, thread: Thread | undefined): string {
  if (process.end !== undefined) return 'Z (zombie)';
  if (thread !== undefined && trapped(thread) !== undefined) return 't (tracing stop)';
  if (process.stopped !== 0) return 'T (stopped)';
  return thread?.sleeper.onWake !== undefined ? 'S (sleeping)' : 'R (running)';
}

/** Signals that are ignored and caught, as sets. */
function dispositions(process: Process): { readonly ignored: bigint; readonly caught: bigint } {
  let ignored = 0n;
  let caught = 0n;
  for (let n = 1; n <= 64; n++) {
    const { handler } = process.actions.get(n);
    if (handler === 1n) ignored |= 1n << BigInt(n - 1);
    else if (handler !== 0n) caught |= 1n << BigInt(n - 1);
  }
  return { ignored, caught };
}

const bytesOf = (vmas: readonly VmaInfo[], of: (vma: VmaInfo) => boolean): number =>
  vmas.filter(of).reduce((sum, vma) => sum + Number(vma.end - vma.start), 0);
const isStack = ({ flags }: VmaInfo): boolean => (flags & VM_GROWSDOWN) !== 0;
const isData = ({ flags }: VmaInfo): boolean => (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE;
const isCode = ({ flags }: VmaInfo): boolean => (flags & (VM_EXEC | VM_WRITE)) === VM_EXEC;

/** task_mem(). */
function memoryLines({ mm }: KernelState, process: Process): string[] {
  const space = process.mm;
  const vmas = mm.vmas(space);
  const line = (name: string, bytes: number) =>
    `${`${name}:`.padEnd(7)}\t${String(Math.floor(bytes / 1024)).padStart(8)} kB`;
  const pages = (name: string, count: number) => line(name, count * mm.pageSize);
  process.maxRss = Math.max(process.maxRss, (space.residentPages * mm.pageSize) / 1024);
  return [
    pages('VmPeak', space.peakPages),
    pages('VmSize', space.totalPages),
    pages('VmLck', mm.lockedPages(space)),
    pages('VmPin', 0),
    line('VmHWM', process.maxRss * 1024),
    pages('VmRSS', space.residentPages),
    pages('RssAnon', space.anonPages),
    pages('RssFile', space.filePages),
    pages('RssShmem', 0),
    line('VmData', bytesOf(vmas, isData)),
    line('VmStk', bytesOf(vmas, isStack)),
    line(
      'VmExe',
      bytesOf(vmas, (vma) => isCode(vma) && vma.name !== '[vdso]'),
    ),
    line(
      'VmLib',
      bytesOf(vmas, (vma) => vma.name === '[vdso]'),
    ),
    pages('VmPTE', space.nrTables),
    pages('VmSwap', space.swapEntries),
    pages('HugetlbPages', 0),
    `CoreDumping:\t${process.dumper === undefined ? 0 : 1}`,
    'THP_enabled:\t1',
    'untag_mask:\t0xffffffffffffffff',
  ];
}

/** cpu_possible_mask as a mask in hexadecimal, and as a list. */
function cpuLines({ user }: KernelState): string[] {
  const count = user.all.length;
  return [
    `Cpus_allowed:\t${((1 << count) - 1).toString(16)}`,
    `Cpus_allowed_list:\t${count === 1 ? '0' : `0-${count - 1}`}`,
    'Mems_allowed:\t1',
    'Mems_allowed_list:\t0',
  ];
}

function signalLines(process: Process, thread: Thread | undefined): string[] {
  const mask = (set: bigint) => hex(set, 16);
  const { ignored, caught } = dispositions(process);
  let queued = process.pending.length;
  for (const each of process.threads) queued += each.pending.length;
  return [
    `Threads:\t${process.threads.size}`,
    `SigQ:\t${queued}/${process.limits.get(RLIMIT.SIGPENDING).soft}`,
    `SigPnd:\t${mask(thread?.pending.set ?? 0n)}`,
    `ShdPnd:\t${mask(process.pending.set)}`,
    `SigBlk:\t${mask(thread?.blocked ?? 0n)}`,
    `SigIgn:\t${mask(ignored)}`,
    `SigCgt:\t${mask(caught)}`,
  ];
}

function credentialLines(thread: Thread): string[] {
  const { inheritable, permitted, effective, bounding, ambient } = thread.credentials.capabilities;
  return [
    `CapInh:\t${hex(inheritable, 16)}`,
    `CapPrm:\t${hex(permitted, 16)}`,
    `CapEff:\t${hex(effective, 16)}`,
    `CapBnd:\t${hex(bounding, 16)}`,
    `CapAmb:\t${hex(ambient, 16)}`,
  ];
}

/** /proc/PID/status. */
export function processStatus(state: KernelState, process: Process, thread: Thread | undefined): string {
  const some = thread ?? process.leader;
  const tid = thread?.tid ?? process.pid;
  const ids = (kind: 'user' | 'group') => {
    const { real = 0, effective = 0, saved = 0, fs = 0 } = some?.credentials[kind] ?? {};
    return [real, effective, saved, fs].map((id) => id >>> 0).join('\t');
  };
  const lines = [
    `Name:\t${thread?.comm ?? process.name}`,
    `Umask:\t${process.fs.umask.toString(8).padStart(4, '0')}`,
    `State:\t${stateOf(process, thread)}`,
    `Tgid:\t${process.pid}`,
    'Ngid:\t0',
    `Pid:\t${tid}`,
    `PPid:\t${process.parent?.pid ?? 0}`,
    `TracerPid:\t${some?.tracing?.tracer.process.pid ?? 0}`,
    `Uid:\t${ids('user')}`,
    `Gid:\t${ids('group')}`,
    `FDSize:\t${Math.max(64, process.files.size)}`,
    `Groups:\t${(some?.credentials.groups ?? []).join(' ')} `,
    `NStgid:\t${process.pid}`,
    `NSpid:\t${tid}`,
    `NSpgid:\t${process.pgid}`,
    `NSsid:\t${process.sid}`,
    'Kthread:\t0',
  ];
  if (process.end === undefined) lines.push(...memoryLines(state, process));
  lines.push(...signalLines(process, thread));
  if (some !== undefined) lines.push(...credentialLines(some));
  lines.push(
    `NoNewPrivs:\t${process.noNewPrivileges ? 1 : 0}`,
    `Seccomp:\t${some?.seccompMode ?? 0}`,
    `Seccomp_filters:\t${some?.seccompFilters.length ?? 0}`,
    'Speculation_Store_Bypass:\tnot vulnerable',
    'SpeculationIndirectBranch:\tunknown',
    ...cpuLines(state),
  );
  return `${lines.join('\n')}\n`;
}

/** /proc/PID/stat: 52 fields. Addresses inside the initial stack are not kept and read as 0. */
export function processStat(
  state: KernelState,
  process: Process,
  thread: Thread | undefined,
  wholeProcess: boolean,
): string {
  const { mm, clock } = state;
  const alive = process.end === undefined;
  const vmas = alive ? mm.vmas(process.mm) : [];
  const code = vmas.find(isCode);
  const data = vmas.find((vma) => isData(vma) && vma.name !== '[heap]');
  const ticks = (steps: number) => clock.nanoseconds(steps) / TICK;
  const { policy = SCHED.NORMAL, priority = 0, nice = 0 } = (thread ?? process.leader)?.scheduling ?? {};
  const { ignored, caught } = dispositions(process);
  const terminal = state.ttys.ofSession(process.sid);
  const low = (set: bigint) => set & 0x7fffffffn;
  const fields: readonly (number | bigint | string)[] = [
    thread?.tid ?? process.pid,
    `(${thread?.comm ?? process.name})`,
    stateOf(process, thread)[0]!,
    process.parent?.pid ?? 0,
    process.pgid,
    process.sid,
    terminal?.device ?? 0,
    terminal?.foreground ?? -1,
    0,
    process.minorFaults,
    process.childUsage.minorFaults,
    process.majorFaults,
    process.childUsage.majorFaults,
    ticks((wholeProcess ? process : (thread ?? process)).cpu.steps),
    0,
    ticks(process.childUsage.steps),
    0,
    priority > 0 ? -1 - priority : 20 + nice,
    nice,
    process.threads.size,
    0,
    process.startTime / TICK,
    alive ? process.mm.totalPages * mm.pageSize : 0,
    alive ? process.mm.residentPages : 0,
    process.limits.get(RLIMIT.RSS).soft,
    code?.start ?? 0,
    code?.end ?? 0,
    0,
    0,
    0,
    low(thread?.pending.set ?? 0n),
    low(thread?.blocked ?? 0n),
    low(ignored),
    low(caught),
    0,
    0,
    0,
    process.exitSignal,
    thread?.task.cpu ?? 0,
    priority,
    policy,
    0,
    0,
    0,
    data?.start ?? 0,
    data?.end ?? 0,
    alive ? process.mm.startBrk : 0,
    0,
    0,
    0,
    0,
    0,
  ];
  return `${fields.join(' ')}\n`;
}

/** /proc/PID/statm, in pages. */
export function processStatm({ mm }: KernelState, process: Process): string {
  if (process.end !== undefined) return '0 0 0 0 0 0 0\n';
  const vmas = mm.vmas(process.mm);
  const pages = (of: (vma: VmaInfo) => boolean) => bytesOf(vmas, of) / mm.pageSize;
  const { totalPages, residentPages, filePages } = process.mm;
  return `${totalPages} ${residentPages} ${filePages} ${pages(isCode)} 0 ${pages((vma) => isData(vma) || isStack(vma))} 0\n`;
}

/** /proc/PID/io. */
export function processIo({ io }: Process): string {
  const { rchar, wchar, syscr, syscw } = io;
  return `rchar: ${rchar}\nwchar: ${wchar}\nsyscr: ${syscr}\nsyscw: ${syscw}\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n`;
}

/** /proc/PID/fdinfo/N; undefined where nothing is open there. */
export function descriptorInfo(files: FileTable, fd: number): string | undefined {
  const file = files.get(fd);
  if (file === undefined) return undefined;
  const flags = (file.flags & ~O_CLOEXEC) | (files.closeOnExec(fd) === true ? O_CLOEXEC : 0);
  const locks = (file.inode.locks?.held ?? [])
    .filter(({ owner }) => owner === file || owner === files)
    .map((lock, i) => `lock:\t${i + 1}: ${describeLock(lock, file.inode)}\n`);
  return `pos:\t${file.offset}\nflags:\t0${flags.toString(8)}\nmnt_id:\t1\nino:\t${file.inode.ino}\n${locks.join('')}${file.info}`;
}

interface MountLine {
  readonly source: string;
  readonly at: string;
  readonly type: string;
  readonly options?: string;
}

function mounts({ files }: KernelState): MountLine[] {
  const list: MountLine[] = [
    { source: 'rootfs', at: '/', type: 'tmpfs' },
    { source: 'proc', at: '/proc', type: 'proc' },
    { source: 'sysfs', at: '/sys', type: 'sysfs' },
  ];
  if (files.disk !== undefined) list.push({ source: '/dev/vda', at: '/mnt', type: 'ext4' });
  for (const { source, root, shownOptions } of files.mounts.mounts) {
    list.push({ source, at: files.pathOf(root), type: 'tmpfs', options: shownOptions });
  }
  return list;
}

/** /proc/PID/mounts. */
export const mountsText = (state: KernelState): string =>
  mounts(state)
    .map(({ source, at, type, options }) => `${source} ${at} ${type} ${options ?? 'rw,relatime'} 0 0\n`)
    .join('');

/** /proc/PID/mountinfo. */
export const mountinfoText = (state: KernelState): string =>
  mounts(state)
    .map(({ source, at, type, options = 'rw,relatime' }, i) => {
      const ofSuper = options.replace(',relatime', '');
      return `${i + 1} 1 ${type === 'ext4' ? '8:0' : `0:${i + 1}`} / ${at} rw,relatime - ${type} ${source} ${ofSuper}\n`;
    })
    .join('');

/** /proc/PID/{uid,gid}_map: the one user namespace. */
export const ID_MAP = '         0          0 4294967295\n';
