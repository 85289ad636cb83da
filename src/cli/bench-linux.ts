/**
 * The rival that has tags and translation tables of its own: qemu-system-aarch64 with mte=on, running the
 * benchmark's loops under Linux.
 *
 * One boot of a kernel with an initial RAM disk: a shell in it runs each loop with a small and a large amount
 * and prints /proc/uptime before and after. Needs qemu-system-aarch64 (MTEMU_QEMU_SYSTEM names another),
 * MTEMU_LINUX_KERNEL and MTEMU_ARM64_BUSYBOX.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LoopWorkload } from './bench-loops.js';
import { makeRamDisk } from './ram-disk.js';

export interface LinuxRival {
  readonly name: string;
  /** Seconds a round, by the workload's name. */
  readonly seconds: ReadonlyMap<string, number>;
}

/** What the rival's run may take at most, in milliseconds. */
const MOST_TIME = 900_000;
/** Uptime has hundredths: the large amount is so many times that of qemu-user, which takes a fraction of a second. */
const LONGER = 4;

const SCRIPT_HEAD = `#!/bin/sh
busybox mount -t proc proc /proc
up() { read now idle < /proc/uptime; }
time_loop() { up; from=$now; /loops $1 $2 $3 > /dev/null; up; echo "time $2 $3 $1 $from $now"; }
`;

/** What one line of the shell's output says: workload, amount, seconds. */
export function readTimes(serial: string): Map<string, readonly { amount: number; seconds: number }[]> {
  const out = new Map<string, { amount: number; seconds: number }[]>();
  for (const [, name, mode, amount, from, to] of serial.matchAll(
    /^time (\w+) (\w+) (\d+) ([\d.]+) ([\d.]+)\r?$/gm,
  )) {
    const list = out.get(`${name} ${mode}`) ?? [];
    list.push({ amount: Number(amount), seconds: Number(to) - Number(from) });
    out.set(`${name} ${mode}`, list);
  }
  return out;
}

/** Boots and measures; undefined where something that it needs is missing or does not work. */
export function measureOnLinux(
  program: Uint8Array,
  workloads: readonly LoopWorkload[],
  folder: string,
): LinuxRival | undefined {
  const command = process.env['MTEMU_QEMU_SYSTEM'] ?? 'qemu-system-aarch64';
  const kernel = process.env['MTEMU_LINUX_KERNEL'];
  const busybox = process.env['MTEMU_ARM64_BUSYBOX'];
  const probe = spawnSync(command, ['--version'], { encoding: 'utf8' });
  const version = /version (\S+)/.exec(probe.stdout ?? '')?.[1];
  if (version === undefined || kernel === undefined || busybox === undefined) return undefined;
  const lines = workloads.flatMap(({ rivalAmounts, args }) =>
    rivalAmounts.map((amount) => `time_loop ${amount * LONGER} ${args.join(' ')}`),
  );
  const disk = join(folder, 'disk');
  writeFileSync(
    disk,
    makeRamDisk([
      { name: 'dev', mode: 0o40755 },
      { name: 'dev/console', mode: 0o20600, device: [5, 1] },
      { name: 'proc', mode: 0o40755 },
      { name: 'bin', mode: 0o40755 },
      { name: 'bin/busybox', mode: 0o100755, data: readFileSync(busybox) },
      { name: 'bin/sh', mode: 0o120777, data: 'busybox' },
      { name: 'loops', mode: 0o100755, data: program },
      { name: 'init', mode: 0o100755, data: `${SCRIPT_HEAD}${lines.join('\n')}\nbusybox poweroff -f\n` },
    ]),
  );
  const { stdout } = spawnSync(
    command,
    [
      ...['-M', 'virt,mte=on', '-cpu', 'max', '-m', '512', '-nographic', '-no-reboot', '-net', 'none'],
      ...['-kernel', kernel, '-initrd', disk, '-append', 'console=ttyAMA0 quiet'],
    ],
    { encoding: 'latin1', timeout: MOST_TIME, input: '', maxBuffer: 2 ** 24 },
  );
  const seconds = new Map<string, number>();
  for (const [name, [small, large]] of readTimes(stdout ?? '')) {
    if (small === undefined || large === undefined) continue;
    seconds.set(name, (large.seconds - small.seconds) / (large.amount - small.amount));
  }
  return seconds.size === 0 ? undefined : { name: `qemu-system ${version} mte=on`, seconds };
}
