/**
 * /proc files of the system as text: stat, cpuinfo, loadavg, interrupts, and the values of /proc/sys.
 *
 * Ref. fs/proc/stat.c, arch/arm64/kernel/cpuinfo.c, fs/proc/loadavg.c.
 */
import { INOTIFY_LIMITS, LEASE_BREAK_TIME, MQUEUE_LIMITS } from '../fs/index.js';
import { AIO_MAX_NR } from './aio.js';
import type { KernelState } from './kernel-state.js';
import { BOOT_EPOCH } from './timers.js';
import type { UserCpu } from './user-context.js';

const hex = (value: bigint, digits = 0) => value.toString(16).padStart(digits, '0');

/** show_stat(): in hundredths of a second; what a CPU did not execute it was idle, for the kernel takes no time. */
export function systemStat({ clock, runQueue, table, user }: KernelState): string {
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

export function cpuinfo({ hwcap, hwcap2, user }: KernelState): string {
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

/** /proc/loadavg: nobody counts the load; tasks that can run, and all. */
export function loadavg({ runQueue, table }: KernelState): string {
  return `0.00 0.00 0.00 ${runQueue.ready}/${table.threadCount} ${table.lastPid}\n`;
}

/** /proc/interrupts: CPUs have the timer's and, where there are several, those that wake each other. */
export function interruptsText({ user, runQueue }: KernelState): string {
  const cpus = user.all.map((_, n) => `CPU${n}`.padStart(11)).join('');
  const counts = runQueue.activity.map(({ switches }) => String(switches).padStart(11)).join('');
  return `     ${cpus}\n 11: ${counts} GICv3  27 Level     arch_timer\nErr: ${'0'.padStart(11)}\n`;
}

/** /proc/uptime: seconds since boot, and seconds that CPUs were idle. */
export function uptime({ clock, user }: KernelState): string {
  const seconds = (ns: bigint) => (Number(ns / 10_000_000n) / 100).toFixed(2);
  const now = clock.monotonic;
  let idle = 0n;
  for (const { cpu } of user.all) {
    const used = clock.nanoseconds(cpu.steps);
    if (used < now) idle += now - used;
  }
  return `${seconds(now)} ${seconds(idle)}\n`;
}

export const FILESYSTEMS = 'nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tsockfs\nnodev\tpipefs\n\text4\n';

export const DEVICES = 'Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n  8 sd\n';

/** What /proc/sys says, by path; numbers are those of the kernel's own limits. */
export const SYSCTLS: Readonly<Record<string, string>> = {
  'abi/tagged_addr_disabled': '0',
  'fs/aio-max-nr': String(AIO_MAX_NR),
  'fs/file-max': '40961',
  ...Object.fromEntries(
    Object.entries(INOTIFY_LIMITS).map(([name, value]) => [`fs/inotify/${name}`, `${value}`]),
  ),
  'fs/lease-break-time': String(LEASE_BREAK_TIME),
  'fs/leases-enable': '1',
  ...Object.fromEntries(
    Object.entries(MQUEUE_LIMITS).map(([name, value]) => [`fs/mqueue/${name}`, `${value}`]),
  ),
  'fs/nr_open': '1048576',
  'fs/pipe-max-size': '1048576',
  'kernel/cap_last_cap': '40',
  'kernel/core_pattern': 'core',
  'kernel/core_uses_pid': '0',
  'kernel/msgmax': '8192',
  'kernel/msgmnb': '16384',
  'kernel/msgmni': '32000',
  'kernel/ngroups_max': '65536',
  'kernel/osrelease': '6.8.0',
  'kernel/ostype': 'Linux',
  'kernel/overflowgid': '65534',
  'kernel/overflowuid': '65534',
  'kernel/pid_max': '32768',
  'kernel/random/boot_id': '6d74656d-7500-4000-8000-000000000000',
  'kernel/random/entropy_avail': '256',
  'kernel/randomize_va_space': '0',
  'kernel/sem': '32000\t1024000000\t500\t32000',
  'kernel/shmall': '18446744073692774399',
  'kernel/shmmax': '18446744073692774399',
  'kernel/shmmni': '4096',
  'kernel/tainted': '0',
  'kernel/version': '#1 SMP PREEMPT mtemu',
  'kernel/yama/ptrace_scope': '0',
  'net/core/somaxconn': '4096',
  'net/ipv4/ip_local_port_range': '32768\t60999',
  'vm/dirtytime_expire_seconds': '43200',
  'vm/hugetlb_shm_group': '0',
  'vm/laptop_mode': '0',
  'vm/legacy_va_layout': '0',
  'vm/mmap_min_addr': '65536',
  'vm/nr_overcommit_hugepages': '0',
  'vm/numa_stat': '1',
  'vm/numa_zonelist_order': 'Node',
  'vm/oom_dump_tasks': '1',
  'vm/oom_kill_allocating_task': '0',
  'vm/page-cluster': '0',
  'vm/panic_on_oom': '0',
  'vm/stat_interval': '1',
  'vm/vfs_cache_pressure': '100',
  'vm/zone_reclaim_mode': '0',
};
