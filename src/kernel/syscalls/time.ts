/**
 * System calls of time: clock_gettime.
 *
 * Time is the generic timer's count, which the machine derives from executed instructions, so that two
 * runs see the same clock.
 */
import { VA } from '../../base/index.js';
import { EFAULT, EINVAL } from '../contexts/index.js';
import { int, type Syscall } from './row.js';

/** Where CLOCK_REALTIME stands at boot: 2024-01-25T16:42:00Z, in seconds. */
const BOOT_EPOCH = 1_706_200_920n;
const NS = 1_000_000_000n;

/** Clocks that count from boot: MONOTONIC, the CPU-time ones, RAW, COARSE, BOOTTIME. */
const SINCE_BOOT = new Set([1, 2, 3, 4, 6, 7]);
/** REALTIME, REALTIME_COARSE, TAI (no leap seconds here). */
const SINCE_EPOCH = new Set([0, 5, 11]);

export const timeSyscalls: readonly Syscall[] = [
  {
    number: 113,
    name: 'clock_gettime',
    args: ['clock', 'pointer'],
    *run({ mm, monotonicNs }, process, [clock, address]) {
      const id = int(clock);
      if (!SINCE_BOOT.has(id) && !SINCE_EPOCH.has(id)) return -EINVAL;
      const ns = monotonicNs() + (SINCE_EPOCH.has(id) ? BOOT_EPOCH * NS : 0n);
      const timespec = new Uint8Array(16);
      const view = new DataView(timespec.buffer);
      view.setBigUint64(0, ns / NS, true);
      view.setBigUint64(8, ns % NS, true);
      const written = yield* mm.copyToUser(process.mm, VA(address), timespec);
      return written === timespec.length ? 0 : -EFAULT;
    },
  },
];
