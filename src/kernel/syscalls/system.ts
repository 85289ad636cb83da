/**
 * System calls about the system: its names, sysinfo, its end, randomness, giving way.
 */
import { bytesOfText, textOfBytes } from '../../base/index.js';
import { EFAULT, EINVAL, EPERM, type MaySleep, sleepPoint } from '../contexts/index.js';
import { CAP, capable, endGroup, readUser, type Thread, type UtsNames, writeUser } from '../process/index.js';
import { int, type Syscall, type SyscallArguments, type SyscallServices, uint } from './row.js';

/** struct new_utsname: sysname, nodename, release, version, machine, domainname. */
const utsname = ({ nodename, domainname }: UtsNames): readonly string[] => [
  'Linux',
  nodename,
  '6.8.0',
  '#1 SMP PREEMPT mtemu',
  'aarch64',
  domainname,
];
const UTS_FIELD = 65;
const UTS_MOST = 64;

/** sethostname(2) and setdomainname(2). */
function* setName(
  { mm }: SyscallServices,
  thread: Thread,
  which: 'nodename' | 'domainname',
  address: bigint,
  length: number,
): MaySleep<number> {
  if (!capable(thread.credentials, CAP.SYS_ADMIN)) return -EPERM;
  if (length < 0 || length > UTS_MOST) return -EINVAL;
  const bytes = yield* readUser(mm, thread, address, length);
  if (bytes === undefined) return -EFAULT;
  const end = bytes.indexOf(0);
  thread.process.uts[which] = textOfBytes(end < 0 ? bytes : bytes.subarray(0, end));
  return 0;
}

/** reboot(2): the two numbers that say it is meant, and what may be asked for. */
const REBOOT_MAGIC = 0xfee1dead;
const REBOOT_MAGIC2: ReadonlySet<number> = new Set([672274793, 85072278, 369367448, 537993216]);
const REBOOT_ENDS: ReadonlySet<number> = new Set([0x4321fedc, 0xcdef0123, 0x01234567]);
const REBOOT_CTRL_ALT_DEL: ReadonlySet<number> = new Set([0x89abcdef, 0]);

/** The machine is switched off, halted or started anew: to a program under the emulator all are its end. */
function reboot(
  { table }: SyscallServices,
  thread: Thread,
  [magic, magic2, command]: SyscallArguments,
): number {
  if (!capable(thread.credentials, CAP.SYS_BOOT)) return -EPERM;
  if (uint(magic) !== REBOOT_MAGIC || !REBOOT_MAGIC2.has(uint(magic2))) return -EINVAL;
  if (REBOOT_CTRL_ALT_DEL.has(uint(command))) return 0;
  if (!REBOOT_ENDS.has(uint(command))) return -EINVAL;
  const first = table.get(1);
  if (first !== undefined) endGroup(first, { kind: 'exited', status: 0 });
  return 0;
}

/** struct sysinfo of 112 bytes. */
function sysinfoBytes({ mm, clock, table }: SyscallServices): Uint8Array {
  const bytes = new Uint8Array(112);
  const view = new DataView(bytes.buffer);
  const { MemTotal = 0, MemFree = 0 } = mm.meminfo();
  view.setBigUint64(0, clock.monotonic / 1_000_000_000n, true);
  view.setBigUint64(32, BigInt(Math.floor(MemTotal * 1024)), true);
  view.setBigUint64(40, BigInt(Math.floor(MemFree * 1024)), true);
  view.setUint16(80, Math.min(table.threadCount, 0xffff), true);
  view.setUint32(104, 1, true);
  return bytes;
}

/** One getrandom call gives at most this; more is asked for again, as after a signal. */
const MOST_RANDOM = 1 << 20;

const YIELD = sleepPoint('sched_yield');

/** personality(2): what changes nothing. */
const ASKS_ONLY = 0xffffffff;
const PER_LINUX32 = 8;

export const systemSyscalls: readonly Syscall[] = [
  {
    number: 58,
    name: 'vhangup',
    args: [],
    // No session has a terminal to lose.
    run: (_services, thread) => (capable(thread.credentials, CAP.SYS_TTY_CONFIG) ? 0 : -EPERM),
  },
  {
    number: 92,
    name: 'personality',
    args: ['hex'],
    run(_services, { process }, [persona]) {
      const before = process.personality;
      const next = uint(persona);
      if (next === ASKS_ONLY) return before;
      // There is no AArch32.
      if ((next & 0xff) === PER_LINUX32) return -EINVAL;
      process.personality = next;
      return before;
    },
  },
  {
    number: 124,
    name: 'sched_yield',
    args: [],
    *run() {
      yield YIELD;
      return 0;
    },
  },
  {
    number: 142,
    name: 'reboot',
    args: ['hex', 'hex', 'hex', 'pointer'],
    run: reboot,
  },
  ...(['nodename', 'domainname'] as const).map(
    (which, i): Syscall => ({
      number: 161 + i,
      name: which === 'nodename' ? 'sethostname' : 'setdomainname',
      args: ['buffer', 'int'],
      run: (services, thread, [address, length]) => setName(services, thread, which, address, int(length)),
    }),
  ),
  {
    number: 160,
    name: 'uname',
    args: ['pointer'],
    *run({ mm }, thread, [address]) {
      const names = utsname(thread.process.uts);
      const bytes = new Uint8Array(UTS_FIELD * names.length);
      names.forEach((text, i) => {
        bytes.set(bytesOfText(text), UTS_FIELD * i);
      });
      return yield* writeUser(mm, thread, address, bytes);
    },
  },
  {
    number: 179,
    name: 'sysinfo',
    args: ['pointer'],
    *run(services, thread, [address]) {
      return yield* writeUser(services.mm, thread, address, sysinfoBytes(services));
    },
  },
  {
    number: 278,
    name: 'getrandom',
    args: ['pointer', 'unsigned', 'hex'],
    *run({ mm, random }, thread, [address, size, flags]) {
      if ((uint(flags) & ~7) !== 0 || (uint(flags) & 6) === 6) return -EINVAL;
      const length = Number(size > BigInt(MOST_RANDOM) ? BigInt(MOST_RANDOM) : size);
      const bytes = Uint8Array.from({ length }, () => random.u32() & 0xff);
      const error = yield* writeUser(mm, thread, address, bytes);
      return error === 0 ? length : error;
    },
  },
];
