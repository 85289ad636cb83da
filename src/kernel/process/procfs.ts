/**
 * /proc and the few files of /sys that programs read.
 *
 * Everything is made at the moment it is opened.
 *
 * Ref. fs/proc/{base,task_mmu,array,stat}.c; Documentation/filesystems/proc.rst.
 */
import { VA } from '../../base/index.js';
import { MOST_CPUS } from '../../machine/index.js';
import { EINVAL, ENOENT, type MaySleep } from '../contexts/index.js';
import {
  Directory,
  type DirectorySource,
  GeneratedFile,
  type Inode,
  MemoryFile,
  O_ACCMODE,
  O_RDONLY,
  S_IFREG,
  SpecialFile,
  type Store,
  Symlink,
} from '../fs/index.js';
import type { KernelState } from './kernel-state.js';
import type { Process } from './process.js';
import {
  buddyinfoText,
  mapsText,
  meminfoText,
  pagetypeinfoText,
  smapsRollupText,
  smapsText,
  vmstatText,
  zoneinfoText,
} from './procfs-memory.js';
import { transparentHugepageFiles } from './procfs-thp.js';
import { trapped } from './ptrace.js';
import { ksmFiles, ksmStatText } from './sysfs-ksm.js';
import { powerFiles } from './sysfs-power.js';
import { TCF0, type Tcf0 } from './tagged-address-control.js';
import type { Thread } from './thread.js';
import { BOOT_EPOCH } from './timers.js';
import type { UserCpu } from './user-context.js';

/** Who looks: /proc/self is theirs. */
export type CurrentThread = () => Thread | undefined;

const encoder = new TextEncoder();
const hex = (value: bigint, digits = 0) => value.toString(16).padStart(digits, '0');

type Content = string | Uint8Array;

export class ProcFs {
  readonly #state: KernelState;
  readonly #current: CurrentThread;

  constructor(state: KernelState, current: CurrentThread) {
    this.#state = state;
    this.#current = current;
    const { files } = state;
    files.makeDirectoryAt('proc', this.#root());
    files.makeDirectoryAt('sys', this.#sys());
  }

  #ino(): number {
    return this.#state.files.nextInode();
  }

  #file(content: () => Content, store?: Store, mode = 0o444): SpecialFile {
    return new SpecialFile(
      this.#ino(),
      S_IFREG | (store === undefined ? mode : mode | 0o200),
      (flags, inode) => {
        const made = content();
        const bytes = typeof made === 'string' ? encoder.encode(made) : made;
        return new GeneratedFile(inode, flags, '/proc', bytes, store);
      },
    );
  }

  #directory(entries: Readonly<Record<string, () => Inode | undefined>>, more?: DirectorySource): Directory {
    return new Directory(this.#ino(), 0o555, undefined, source(entries, more), true);
  }

  #root(): DirectorySource {
    const state = this.#state;
    const pids: DirectorySource = {
      list: () => [...state.table.processes].map((process) => String(process.pid)),
      lookup: (name) => {
        if (!/^[1-9][0-9]{0,8}$/.test(name)) return undefined;
        const process = state.table.get(Number(name)) ?? state.table.thread(Number(name))?.process;
        return process && this.#processDirectory(process);
      },
    };
    return source(
      {
        self: () => new Symlink(this.#ino(), () => String(this.#current()?.process.pid ?? 0)),
        'thread-self': () =>
          new Symlink(this.#ino(), () => {
            const thread = this.#current();
            return `${thread?.process.pid ?? 0}/task/${thread?.tid ?? 0}`;
          }),
        cpuinfo: () => this.#file(() => cpuinfo(state)),
        meminfo: () => this.#file(() => meminfoText(state.mm)),
        vmstat: () => this.#file(() => vmstatText(state.mm)),
        zoneinfo: () => this.#file(() => zoneinfoText(state.mm)),
        buddyinfo: () => this.#file(() => buddyinfoText(state.mm)),
        pagetypeinfo: () => this.#file(() => pagetypeinfoText(state.mm), undefined, 0o400),
        stat: () => this.#file(() => systemStat(state)),
        uptime: () =>
          this.#file(() => `${(Number(state.clock.monotonic / 10_000_000n) / 100).toFixed(2)} 0.00\n`),
        loadavg: () => this.#file(() => `0.00 0.00 0.00 1/${state.table.threadCount} 1\n`),
        version: () => this.#file(() => 'Linux version 6.8.0 (mtemu) #1 SMP PREEMPT mtemu\n'),
        locks: () => this.#file(() => state.files.locks.text()),
        filesystems: () => this.#file(() => 'nodev\tproc\nnodev\ttmpfs\nnodev\tsysfs\n'),
        mounts: () =>
          this.#file(() => 'rootfs / tmpfs rw 0 0\nproc /proc proc rw 0 0\nsysfs /sys sysfs rw 0 0\n'),
        sysvipc: () =>
          this.#directory({
            shm: () => this.#file(() => state.ipc.shm.text()),
            sem: () => this.#file(() => state.ipc.sem.text()),
            msg: () => this.#file(() => state.ipc.msg.text()),
          }),
        sys: () => this.#proc_sys(),
      },
      pids,
    );
  }

  #proc_sys(): Directory {
    const fixed = (text: string) => () => this.#file(() => `${text}\n`);
    return this.#directory({
      kernel: () =>
        this.#directory({
          ostype: fixed('Linux'),
          osrelease: fixed('6.8.0'),
          hostname: fixed('mtemu'),
          pid_max: fixed('32768'),
          randomize_va_space: fixed('0'),
          cap_last_cap: fixed('40'),
        }),
      vm: () =>
        this.#directory({
          max_map_count: fixed('65530'),
          mmap_min_addr: fixed('65536'),
          overcommit_memory: fixed('0'),
        }),
    });
  }

  #sys(): DirectorySource {
    const { user } = this.#state;
    const names: readonly (readonly [string, Tcf0])[] = [
      ['async', TCF0.ASYNC],
      ['sync', TCF0.SYNC],
      ['asymm', TCF0.ASYMM],
    ];
    const preferred = (user: UserCpu) =>
      this.#file(
        () => `${names.find(([, mode]) => mode === user.preferred)![0]}\n`,
        (text) => {
          const found = names.find(([name]) => name === text.trim());
          if (found === undefined) return -EINVAL;
          user.preferred = found[1];
          return 0;
        },
        0o644,
      );
    const cpus: Record<string, () => Inode> = {};
    for (const [n, each] of user.all.entries()) {
      cpus[`cpu${n}`] = () =>
        this.#directory(this.#state.mte ? { mte_tcf_preferred: () => preferred(each) } : {});
    }
    const last = user.all.length - 1;
    const all = () => this.#file(() => (last === 0 ? '0\n' : `0-${last}\n`));
    return source({
      devices: () =>
        this.#directory({
          system: () =>
            this.#directory({
              cpu: () =>
                this.#directory({
                  ...cpus,
                  online: all,
                  possible: all,
                  present: all,
                  kernel_max: () => this.#file(() => `${MOST_CPUS - 1}\n`),
                }),
            }),
        }),
      power: () =>
        this.#directory(
          powerFiles(this.#state.mm, this.#state.power, (text, store) => this.#file(text, store, 0o644)),
        ),
      kernel: () =>
        this.#directory({
          mm: () =>
            this.#directory({
              transparent_hugepage: () => this.#transparentHugepage(),
              ksm: () =>
                this.#directory(ksmFiles(this.#state.mm, (text, store) => this.#file(text, store, 0o644))),
            }),
        }),
    });
  }

  #transparentHugepage(): Directory {
    const { files, khugepaged } = transparentHugepageFiles(this.#state.mm, (content, store) =>
      this.#file(content, store, store === undefined ? 0o444 : 0o644),
    );
    return this.#directory({ ...files, khugepaged: () => this.#directory(khugepaged) });
  }

  #processDirectory(process: Process): Directory {
    const common = this.#threadFiles(process, () => process.leader);
    return this.#directory({
      ...common,
      task: () =>
        this.#directory(
          {},
          {
            list: () => [...process.threads].map((thread) => String(thread.tid)),
            lookup: (name) => {
              const thread = [...process.threads].find((each) => String(each.tid) === name);
              return thread && this.#directory(this.#threadFiles(process, () => thread));
            },
          },
        ),
    });
  }

  #threadFiles(process: Process, thread: () => Thread | undefined): Record<string, () => Inode | undefined> {
    const state = this.#state;
    const alive = () => process.end === undefined;
    return {
      maps: () => this.#file(() => (alive() ? mapsText(state.mm, process.mm) : '')),
      smaps: () => this.#file(() => (alive() ? smapsText(state.mm, process.mm) : '')),
      smaps_rollup: () => this.#file(() => (alive() ? smapsRollupText(state.mm, process.mm) : '')),
      status: () => this.#file(() => processStatus(state, process, thread())),
      stat: () => this.#file(() => processStat(state, process, thread())),
      statm: () =>
        this.#file(() =>
          alive() ? `${process.mm.totalPages} ${process.mm.residentPages} 0 0 0 0 0\n` : '0\n',
        ),
      cmdline: () => this.#file(() => process.program.args.map((arg) => `${arg}\0`).join('')),
      comm: () => this.#file(() => `${thread()?.comm ?? ''}\n`),
      auxv: () => this.#file(() => process.program.auxv, undefined, 0o400),
      environ: () =>
        this.#file(() => process.program.env.map((entry) => `${entry}\0`).join(''), undefined, 0o400),
      limits: () => this.#file(() => process.limits.text()),
      ksm_merging_pages: () => this.#file(() => `${process.mm.ksmMergingPages}\n`, undefined, 0o400),
      ksm_stat: () => this.#file(() => ksmStatText(state.mm, process.mm), undefined, 0o400),
      mem: () => this.#memory(process),
      exe: () => new Symlink(this.#ino(), process.program.path),
      cwd: () => new Symlink(this.#ino(), () => state.files.pathOf(process.fs.cwd)),
      root: () => new Symlink(this.#ino(), '/'),
      fd: () => this.#descriptors(process),
    };
  }

  #memory(process: Process): SpecialFile {
    const { mm } = this.#state;
    const read = function* (address: number, count: number): MaySleep<Uint8Array> {
      return process.end === undefined
        ? yield* mm.copyFromUser(process.mm, VA(BigInt(address)), count)
        : new Uint8Array();
    };
    const write = function* (address: number, data: Uint8Array): MaySleep<number> {
      return process.end === undefined
        ? yield* mm.accessRemoteWrite(process.mm, VA(BigInt(address)), data)
        : 0;
    };
    return new SpecialFile(
      this.#ino(),
      S_IFREG | 0o600,
      (flags, inode) => new MemoryFile(inode, flags, '/proc/mem', read, write),
    );
  }

  #descriptors(process: Process): Directory {
    return this.#directory(
      {},
      {
        list: () => process.files.numbers.map(String),
        lookup: (name) => {
          const file = process.files.get(Number(name));
          if (file === undefined) return undefined;
          // Opening it opens what the descriptor stands for.
          return new DescriptorLink(this.#ino(), file.path, (flags) =>
            (flags & O_ACCMODE) === O_RDONLY || file.writable ? file : -ENOENT,
          );
        },
      },
    );
  }
}

/** /proc/PID/fd/N: reads as a link, opens as the file itself even where it has no path. */
export class DescriptorLink extends Symlink {
  readonly open: (flags: number) => import('../fs/index.js').OpenFile | number;

  constructor(
    ino: number,
    target: string,
    open: (flags: number) => import('../fs/index.js').OpenFile | number,
  ) {
    super(ino, target);
    this.open = open;
  }
}

function source(
  entries: Readonly<Record<string, () => Inode | undefined>>,
  more?: DirectorySource,
): DirectorySource {
  return {
    list: () => [...Object.keys(entries), ...(more?.list() ?? [])],
    lookup: (name) => (Object.hasOwn(entries, name) ? entries[name]!() : more?.lookup(name)),
  };
}

function stateLetter(process: Process, thread: Thread | undefined): string {
  if (process.end !== undefined) return 'Z (zombie)';
  if (thread !== undefined && trapped(thread) !== undefined) return 't (tracing stop)';
  return process.stopped === 0 ? 'R (running)' : 'T (stopped)';
}

function processStatus({ mm }: KernelState, process: Process, thread: Thread | undefined): string {
  const kib = (pages: number) => `${String((pages * mm.pageSize) / 1024).padStart(8)} kB`;
  const mask = (set: bigint) => hex(set, 16);
  let ignored = 0n;
  let caught = 0n;
  for (let n = 1; n <= 64; n++) {
    const { handler } = process.actions.get(n);
    if (handler === 1n) ignored |= 1n << BigInt(n - 1);
    else if (handler !== 0n) caught |= 1n << BigInt(n - 1);
  }
  const lines = [
    `Name:\t${thread?.comm ?? process.name}`,
    `Umask:\t${process.fs.umask.toString(8).padStart(4, '0')}`,
    `State:\t${stateLetter(process, thread)}`,
    `Tgid:\t${process.pid}`,
    `Pid:\t${thread?.tid ?? process.pid}`,
    `PPid:\t${process.parent?.pid ?? 0}`,
    `TracerPid:\t${(thread ?? process.leader)?.tracing?.tracer.process.pid ?? 0}`,
    'Uid:\t0\t0\t0\t0',
    'Gid:\t0\t0\t0\t0',
    `FDSize:\t${process.files.numbers.length}`,
  ];
  if (process.end === undefined) {
    lines.push(`VmSize:\t${kib(process.mm.totalPages)}`, `VmRSS:\t${kib(process.mm.residentPages)}`);
  }
  lines.push(
    `Threads:\t${process.threads.size}`,
    `SigPnd:\t${mask(thread?.pending.set ?? 0n)}`,
    `ShdPnd:\t${mask(process.pending.set)}`,
    `SigBlk:\t${mask(thread?.blocked ?? 0n)}`,
    `SigIgn:\t${mask(ignored)}`,
    `SigCgt:\t${mask(caught)}`,
  );
  return `${lines.join('\n')}\n`;
}

/** Index of /proc/PID/stat's `processor`. */
const STAT_PROCESSOR = 38;

function processStat({ mm }: KernelState, process: Process, thread: Thread | undefined): string {
  const alive = process.end === undefined;
  const fields = [
    thread?.tid ?? process.pid,
    `(${thread?.comm ?? process.name})`,
    stateLetter(process, thread)[0],
    process.parent?.pid ?? 0,
    process.pgid,
    process.sid,
    0,
    -1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    20,
    0,
    process.threads.size,
    0,
    0,
    alive ? process.mm.totalPages * mm.pageSize : 0,
    alive ? process.mm.residentPages : 0,
  ];
  const rest = new Array<number>(52 - fields.length).fill(0);
  rest[STAT_PROCESSOR - fields.length] = thread?.task.cpu ?? 0;
  return `${[...fields, ...rest].join(' ')}\n`;
}

/** show_stat(): in hundredths of a second; what a CPU did not execute it was idle, for the kernel takes no time. */
function systemStat({ clock, runQueue, table, user }: KernelState): string {
  const ticks = (steps: number) => clock.nanoseconds(steps) / 10_000_000n;
  const now = clock.monotonic / 10_000_000n;
  const times = user.all.map(({ cpu }) => {
    const used = ticks(cpu.steps);
    return { used, idle: now > used ? now - used : 0n };
  });
  const line = (name: string, used: bigint, idle: bigint) => `${name} ${used} 0 0 ${idle} 0 0 0 0 0 0`;
  const sum = times.reduce((a, b) => ({ used: a.used + b.used, idle: a.idle + b.idle }));
  return [
    line('cpu ', sum.used, sum.idle),
    ...times.map(({ used, idle }, n) => line(`cpu${n}`, used, idle)),
    `ctxt ${runQueue.activity.reduce((total, { switches }) => total + switches, 0)}`,
    `btime ${BOOT_EPOCH}`,
    `processes ${table.threadCount}`,
    `procs_running ${runQueue.ready}`,
    'procs_blocked 0',
    '',
  ].join('\n');
}

/** Hwcap names in the order of their bits. */
const HWCAP_NAMES =
  'fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg'.split(
    ' ',
  );
const HWCAP2_NAMES =
  'dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm svef64mm svebf16 i8mm bf16 dgh rng bti mte ecv afp rpres mte3'.split(
    ' ',
  );

function cpuinfo({ hwcap, hwcap2, user }: KernelState): string {
  const names = [
    ...HWCAP_NAMES.filter((_, bit) => ((hwcap >> BigInt(bit)) & 1n) === 1n),
    ...HWCAP2_NAMES.filter((_, bit) => ((hwcap2 >> BigInt(bit)) & 1n) === 1n),
  ];
  const one = ({ cpu }: UserCpu) => {
    const midr = cpu.readRegister('midr_el1');
    const field = (lsb: bigint, bits: bigint) => (midr >> lsb) & ((1n << bits) - 1n);
    return [
      `processor\t: ${cpu.index}`,
      'BogoMIPS\t: 125.00',
      `Features\t: ${names.join(' ')}`,
      `CPU implementer\t: 0x${hex(field(24n, 8n), 2)}`,
      'CPU architecture: 8',
      `CPU variant\t: 0x${hex(field(20n, 4n))}`,
      `CPU part\t: 0x${hex(field(4n, 12n), 3)}`,
      `CPU revision\t: ${field(0n, 4n)}`,
      '',
      '',
    ].join('\n');
  };
  return user.all.map(one).join('');
}
