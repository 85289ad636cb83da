/**
 * /proc and the few files of /sys that programs read.
 *
 * Everything is made at the moment it is opened.
 *
 * Ref. fs/proc/{base,task_mmu,array,stat}.c; Documentation/filesystems/proc.rst.
 */
import { bytesOfText, VA } from '../../base/index.js';
import { MOST_CPUS } from '../../machine/index.js';
import { EACCES, EINVAL, type MaySleep } from '../contexts/index.js';
import {
  Directory,
  type DirectorySource,
  GeneratedFile,
  type Inode,
  MemoryFile,
  O_ACCMODE,
  O_WRONLY,
  type OpenFile,
  S_IFREG,
  SpecialFile,
  type Store,
  Symlink,
} from '../fs/index.js';
import { NET_FILES } from '../net/index.js';
import { CAP, capable, ROOT_CREDENTIALS } from './credentials.js';
import type { KernelState } from './kernel-state.js';
import { mostThreads, oomScore, setOomScoreAdjustment } from './oom.js';
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
import {
  descriptorInfo,
  ID_MAP,
  mountinfoText,
  mountsText,
  processIo,
  processStat,
  processStatm,
  processStatus,
} from './procfs-process.js';
import {
  cpuinfo,
  DEVICES,
  FILESYSTEMS,
  interruptsText,
  loadavg,
  SYSCTLS,
  systemStat,
  uptime,
} from './procfs-system.js';
import { transparentHugepageFiles } from './procfs-thp.js';
import { vmSysctlFiles } from './sysctl-vm.js';
import { cmaFiles } from './sysfs-cma.js';
import { hugepagesFiles, nrHugepages } from './sysfs-hugepages.js';
import { ksmFiles, ksmStatText } from './sysfs-ksm.js';
import { nodeEntries, numaMapsText } from './sysfs-node.js';
import { powerFiles } from './sysfs-power.js';
import { TCF0, type Tcf0 } from './tagged-address-control.js';
import type { Thread } from './thread.js';
import type { UserCpu } from './user-context.js';

/** Of the one that there is. */
const FIRST_MOUNT_NAMESPACE = 4026531841;

/** Who looks: /proc/self is theirs. */
export type CurrentThread = () => Thread | undefined;

type Content = string | Uint8Array;

/** tgid_pidfd_to_pid(): a folder of /proc stands for its process as a pidfd does. */
export const PROCESS_OF = new WeakMap<Inode, Process>();

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
        // Who may do anything else may not read what says nothing.
        if ((mode & 0o444) === 0 && (flags & O_ACCMODE) !== O_WRONLY) return -EACCES;
        const made = content();
        const bytes = typeof made === 'string' ? bytesOfText(made) : made;
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
        uptime: () => this.#file(() => uptime(state)),
        loadavg: () => this.#file(() => loadavg(state)),
        interrupts: () => this.#file(() => interruptsText(state)),
        cmdline: () => this.#file(() => '\n'),
        devices: () => this.#file(() => DEVICES),
        partitions: () => this.#file(() => ''),
        swaps: () => this.#file(() => 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n'),
        version: () => this.#file(() => 'Linux version 6.8.0 (mtemu) #1 SMP PREEMPT mtemu\n'),
        locks: () => this.#file(() => state.files.locks.text()),
        filesystems: () => this.#file(() => FILESYSTEMS),
        mounts: () => new Symlink(this.#ino(), 'self/mounts'),
        sysvipc: () =>
          this.#directory({
            shm: () => this.#file(() => state.ipc.shm.text()),
            sem: () => this.#file(() => state.ipc.sem.text()),
            msg: () => this.#file(() => state.ipc.msg.text()),
          }),
        sys: () => this.#sysctls(),
        net: () => this.#net(),
      },
      pids,
    );
  }

  /** A folder of /proc/sys: the sysctls below `path`. */
  #sysctls(path = ''): Directory {
    const names = new Map<string, () => Inode>();
    for (const [name, value] of Object.entries(SYSCTLS)) {
      if (!name.startsWith(path)) continue;
      const [first = '', ...rest] = name.slice(path.length).split('/');
      const folder = () => this.#sysctls(`${path}${first}/`);
      names.set(first, rest.length > 0 ? folder : () => this.#file(() => `${value}\n`));
    }
    if (path === 'kernel/') {
      const uts = () => this.#current()?.process.uts;
      names.set('hostname', () => this.#file(() => `${uts()?.nodename ?? ''}\n`));
      names.set('domainname', () => this.#file(() => `${uts()?.domainname ?? ''}\n`));
      names.set('threads-max', () => this.#file(() => `${mostThreads(this.#state.mm)}\n`));
    }
    if (path === 'fs/inotify/') {
      const { limits } = this.#state.files.notifier;
      for (const name of keysOf(limits)) names.set(name, () => this.#number(limits, name));
    }
    if (path === 'fs/mqueue/') {
      const { limits } = this.#state.files.mqueues;
      for (const name of keysOf(limits)) names.set(name, () => this.#number(limits, name));
    }
    if (path === 'fs/')
      names.set('pipe-max-size', () => this.#number(this.#state.files.pipeLimits, 'most', 4096));
    if (path === 'kernel/') names.set('msgmni', () => this.#number(this.#state.ipc.msg.ids, 'most'));
    if (path === 'vm/' || path === 'kernel/') {
      const folder = path === 'vm/' ? 'vm' : 'kernel';
      const own = vmSysctlFiles(this.#state.mm, folder, (text, store, mode) => this.#file(text, store, mode));
      for (const [name, make] of Object.entries(own)) names.set(name, make);
    }
    if (path === 'vm/') {
      names.set('nr_hugepages', () =>
        nrHugepages(this.#state.mm, (text, store) => this.#file(text, store, 0o644)),
      );
    }
    return this.#directory(Object.fromEntries(names));
  }

  /** proc_dointvec_minmax(): a number that can be written and counts at once. */
  #number<K extends string>(object: Record<K, number>, name: K, least = 0): SpecialFile {
    const store = (text: string) => {
      const value = /^[0-9]{1,9}$/.test(text.trim()) ? Number(text) : -1;
      if (value < least) return -EINVAL;
      object[name] = value;
      return 0;
    };
    return this.#file(() => `${object[name]}\n`, store, 0o644);
  }

  #net(): Directory {
    const { network } = this.#state;
    return this.#directory(
      Object.fromEntries(
        Object.entries(NET_FILES).map(([name, text]) => [name, () => this.#file(() => text(network))]),
      ),
    );
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
              node: () =>
                this.#directory(
                  nodeEntries(this.#state.mm, {
                    file: (content, store) => this.#file(content, store, store === undefined ? 0o444 : 0o200),
                    folder: (entries) => this.#directory(entries),
                  }),
                ),
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
              hugepages: () =>
                this.#directory({
                  [`hugepages-${this.#state.mm.hugePageSize / 1024}kB`]: () =>
                    this.#directory(
                      hugepagesFiles(this.#state.mm, (text, store) => this.#file(text, store, 0o644)),
                    ),
                }),
              cma: () => this.#cmaAreas(),
              ksm: () =>
                this.#directory(ksmFiles(this.#state.mm, (text, store) => this.#file(text, store, 0o644))),
            }),
        }),
    });
  }

  #cmaAreas(): Directory {
    const areas = Object.entries(cmaFiles(this.#state.mm, (text) => this.#file(text)));
    return this.#directory(
      Object.fromEntries(areas.map(([name, files]) => [name, () => this.#directory(files)])),
    );
  }

  #transparentHugepage(): Directory {
    const { files, khugepaged } = transparentHugepageFiles(this.#state.mm, (content, store) =>
      this.#file(content, store, store === undefined ? 0o444 : 0o644),
    );
    return this.#directory({ ...files, khugepaged: () => this.#directory(khugepaged) });
  }

  #processDirectory(process: Process): Directory {
    const common = this.#threadFiles(process, () => process.leader, true);
    const directory = this.#owned(process, () => process.leader, {
      ...common,
      task: () =>
        this.#directory(
          {},
          {
            list: () => [...process.threads].map((thread) => String(thread.tid)),
            lookup: (name) => {
              const thread = [...process.threads].find((each) => String(each.tid) === name);
              return (
                thread &&
                this.#owned(
                  process,
                  () => thread,
                  this.#threadFiles(process, () => thread, false),
                )
              );
            },
          },
        ),
    });
    PROCESS_OF.set(directory, process);
    return directory;
  }

  /** task_dump_owner(): a folder whose files are the effective user's, but for what may not be looked into. */
  #owned(
    process: Process,
    thread: () => Thread | undefined,
    entries: Readonly<Record<string, () => Inode | undefined>>,
  ): Directory {
    const own = <T extends Inode | undefined>(inode: T, always: boolean): T => {
      const credentials = thread()?.credentials;
      if (inode !== undefined && credentials !== undefined && (always || process.dumpable === 1)) {
        inode.uid = credentials.user.effective;
        inode.gid = credentials.group.effective;
      }
      return inode;
    };
    const owned = Object.entries(entries).map(([name, make]) => [name, () => own(make(), false)] as const);
    return own(this.#directory(Object.fromEntries(owned)), true);
  }

  #threadFiles(
    process: Process,
    thread: () => Thread | undefined,
    isProcess: boolean,
  ): Record<string, () => Inode | undefined> {
    const state = this.#state;
    const alive = () => process.end === undefined;
    return {
      maps: () => this.#file(() => (alive() ? mapsText(state.mm, process.mm) : '')),
      smaps: () => this.#file(() => (alive() ? smapsText(state.mm, process.mm) : '')),
      smaps_rollup: () => this.#file(() => (alive() ? smapsRollupText(state.mm, process.mm) : '')),
      numa_maps: () => this.#file(() => (alive() ? numaMapsText(state.mm, process.mm) : '')),
      status: () => this.#file(() => processStatus(state, process, thread())),
      stat: () => this.#file(() => processStat(state, process, thread(), isProcess)),
      statm: () => this.#file(() => processStatm(state, process)),
      cmdline: () => this.#file(() => process.program.args.map((arg) => `${arg}\0`).join('')),
      comm: () => this.#file(() => `${thread()?.comm ?? ''}\n`),
      auxv: () => this.#file(() => process.program.auxv, undefined, 0o400),
      environ: () =>
        this.#file(() => process.program.env.map((entry) => `${entry}\0`).join(''), undefined, 0o400),
      limits: () => this.#file(() => process.limits.text()),
      ksm_merging_pages: () => this.#file(() => `${process.mm.ksmMergingPages}\n`, undefined, 0o400),
      ksm_stat: () => this.#file(() => ksmStatText(state.mm, process.mm), undefined, 0o400),
      mem: () => this.#memory(process),
      pagemap: () => this.#pagemap(process),
      exe: () => new Symlink(this.#ino(), process.program.path),
      cwd: () => new Symlink(this.#ino(), () => state.files.pathOf(process.fs.cwd)),
      root: () => new Symlink(this.#ino(), '/'),
      fd: () => this.#descriptors(process),
      ...(isProcess ? { map_files: () => this.#mappedFiles(process) } : {}),
      fdinfo: () =>
        this.#directory(
          {},
          {
            list: () => process.files.numbers.map(String),
            lookup: (name) => {
              if (!isDescriptor(name) || process.files.get(Number(name)) === undefined) return undefined;
              // Told when it is opened: a descriptor of this very folder says where in its list it is.
              const text = () => descriptorInfo(process.files, Number(name)) ?? '';
              return this.#file(text, undefined, 0o400);
            },
          },
        ),
      io: () => this.#file(() => processIo(process), undefined, 0o400),
      wchan: () => this.#file(() => '0'),
      oom_score: () => this.#file(() => `${oomScore(state.mm, process)}\n`),
      oom_score_adj: () => this.#adjustment(process),
      cgroup: () => this.#file(() => '0::/\n'),
      mounts: () => this.#file(() => mountsText(state)),
      mountinfo: () => this.#file(() => mountinfoText(state)),
      net: () => this.#net(),
      ns: () => this.#namespaces(process),
      personality: () =>
        this.#file(() => `${process.personality.toString(16).padStart(8, '0')}\n`, undefined, 0o400),
      timers: () => this.#file(() => ''),
      setgroups: () => this.#file(() => 'allow\n'),
      uid_map: () => this.#file(() => ID_MAP),
      gid_map: () => this.#file(() => ID_MAP),
      loginuid: () => this.#file(() => '4294967295'),
      sessionid: () => this.#file(() => '4294967295'),
      coredump_filter: () => this.#file(() => '00000033\n'),
    };
  }

  /** Those that can be more than one; the number of the first is Linux's. */
  #namespaces({ uts }: Process): Directory {
    const link = (name: string, id: number) => new Symlink(this.#ino(), `${name}:[${id}]`);
    return this.#directory({ mnt: () => link('mnt', FIRST_MOUNT_NAMESPACE), uts: () => link('uts', uts.id) });
  }

  #adjustment(process: Process): SpecialFile {
    return this.#file(
      () => `${process.oomScoreAdjustment}\n`,
      (text) => {
        const value = /^[-+]?[0-9]+$/.test(text.trim()) ? Number(text.trim()) : Number.NaN;
        return setOomScoreAdjustment(this.#state, process, value);
      },
      0o644,
    );
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

  /** pagemap_read(): whole entries of 8 bytes, by the number of the page. */
  #pagemap(process: Process): SpecialFile {
    const { mm } = this.#state;
    return new SpecialFile(this.#ino(), S_IFREG | 0o400, (flags, inode) => {
      const showsFrames = capable(this.#current()?.credentials ?? ROOT_CREDENTIALS, CAP.SYS_ADMIN);
      const read = (offset: number, count: number): Uint8Array | number => {
        if (process.end !== undefined) return new Uint8Array();
        if (offset % 8 !== 0 || count % 8 !== 0) return -EINVAL;
        return new Uint8Array(mm.pagemap(process.mm, offset / 8, count / 8, showsFrames).buffer);
      };
      return new MemoryFile(inode, flags, '/proc/pagemap', read, () => -EINVAL, 0);
    });
  }

  /** proc_map_files_lookup(): each mapping of a file by its addresses, written in one way only. */
  #mappedFiles(process: Process): Directory {
    const mapped = () =>
      process.end === undefined
        ? this.#state.mm
            .vmas(process.mm)
            .filter(({ backing, name }) => backing !== undefined || name.startsWith('/'))
            .map(({ start, end, name }) => [`${start.toString(16)}-${end.toString(16)}`, name] as const)
        : [];
    return this.#directory(
      {},
      {
        list: () => mapped().map(([addresses]) => addresses),
        lookup: (addresses) => {
          const found = mapped().find(([each]) => each === addresses);
          return found && new Symlink(this.#ino(), found[1]);
        },
      },
    );
  }

  #descriptors(process: Process): Directory {
    return this.#directory(
      {},
      {
        list: () => process.files.numbers.map(String),
        lookup: (name) => {
          const file = isDescriptor(name) ? process.files.get(Number(name)) : undefined;
          if (file === undefined) return undefined;
          return new DescriptorLink(this.#ino(), file);
        },
      },
    );
  }
}

const keysOf = <K extends string>(object: Record<K, number>): readonly K[] => Object.keys(object) as K[];

/** name_to_int(): a number as it is written by the kernel, and no other way. */
const isDescriptor = (name: string): boolean => /^(0|[1-9][0-9]{0,9})$/.test(name);

/** /proc/PID/fd/N: reads as a link, opens as the file itself even where it has no path. */
export class DescriptorLink extends Symlink {
  readonly file: OpenFile;

  constructor(ino: number, file: OpenFile) {
    super(ino, file.path);
    this.file = file;
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
