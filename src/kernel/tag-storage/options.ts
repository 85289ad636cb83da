/**
 * What bringing memory up needs: plain data from the device tree and the boot CPU, and the machine's
 * memory port.
 */
import { inputError, parseSize } from '../../base/index.js';
import type { Contexts } from '../contexts/index.js';
import type {
  CoreSize,
  FailureInjector,
  MemoryBank,
  MemoryPort,
  Mm,
  MovableCore,
  NumaLayout,
  PageSize,
  PhysRange,
  TagRegion,
  TlbHooks,
} from '../mm/index.js';

export interface BootMemoryOptions {
  readonly port: MemoryPort;
  readonly contexts: Contexts;
  readonly tlb: TlbHooks;
  /** memory nodes, tag storage included (it is a bank, or part of one). */
  readonly banks: readonly MemoryBank[];
  /** CPUs' nodes and the distances between nodes; one node without it. */
  readonly nodes?: NumaLayout;
  /** Firmware, device tree, kernel image; the tag regions need not be listed. */
  readonly reserved: readonly PhysRange[];
  readonly tagRegions: readonly TagRegion[];
  readonly pageSize: PageSize;
  /** 48 (default) or 39. */
  readonly vaBits?: 48 | 39;
  /** Name of a tag storage policy; `policies()` lists them. */
  readonly policy: string;
  /** The CPU has MTE and no `arm64.nomte`; default true. */
  readonly mte?: boolean;
  /** KASAN_HW_TAGS is on: the kernel itself allocates tagged memory; default false. */
  readonly kasanHwTags?: boolean;
  /** For experiments with small machines: a pageblock of 2^n pages; Linux's size by default. */
  readonly pageblockOrder?: number;
  /** Pages of the swap device; none by default. */
  readonly swapPages?: number;
  /** ZONE_MOVABLE; none by default. */
  readonly movable?: MovableCore;
  /** CONFIG_NUMA; default true. */
  readonly numa?: boolean;
  /** Fault injection from the first allocation on. */
  readonly shouldFail?: FailureInjector;
  /** Other initcalls: after CMA areas were activated, before tag storage is enabled. */
  readonly betweenInitcalls?: (mm: Mm) => void;
  /** A kernel log line (dmesg), without time stamp or newline. */
  readonly log: (line: string) => void;
}

/** Largest simulated device, in pages. */
const MOST_DEVICE_PAGES = 2 ** 22;

/**
 * `mtemu.swap=SIZE` on the kernel command line: a swap device of that many bytes, in pages; 0 without it.
 *
 * @throws InputError where SIZE is no size, or too large.
 */
export function swapPagesOf(bootargs: string, pageSize: number): number {
  return devicePagesOf(bootargs, pageSize, 'swap');
}

/**
 * `mtemu.disk=SIZE` on the kernel command line: a disk of that many bytes, whose file system is at /mnt; in
 * pages, 0 without it.
 *
 * @throws InputError where SIZE is no size, or too large.
 */
export function diskPagesOf(bootargs: string, pageSize: number): number {
  return devicePagesOf(bootargs, pageSize, 'disk');
}

function devicePagesOf(bootargs: string, pageSize: number, name: 'swap' | 'disk'): number {
  const words = bootargs.split(/\s+/).filter((word) => word.startsWith(`mtemu.${name}=`));
  const text = words.at(-1)?.slice(`mtemu.${name}=`.length);
  if (text === undefined) return 0;
  const bytes = parseSize(text);
  const pages = Math.floor((bytes ?? -1) / pageSize);
  if (bytes === undefined || pages > MOST_DEVICE_PAGES) {
    throw inputError(
      name === 'swap' ? 'BOOT-SWAP' : 'BOOT-DISK',
      `mtemu.${name}=${text} on the kernel command line is no size of a ${name} device`,
      { help: `for example mtemu.${name}=64M; left out, there is no ${name}` },
    );
  }
  return pages;
}

/**
 * `kernelcore=` and `movablecore=` on the kernel command line, as Linux reads them: bytes with a unit, or a share of
 * memory with `%`. Where one is given several times, the last counts.
 *
 * @throws InputError where a value is neither.
 */
export function movableCoreOf(bootargs: string): MovableCore {
  const kernelcore = coreSizeOf(bootargs, 'kernelcore');
  const movablecore = coreSizeOf(bootargs, 'movablecore');
  return {
    ...(kernelcore === undefined ? {} : { kernelcore }),
    ...(movablecore === undefined ? {} : { movablecore }),
  };
}

function coreSizeOf(bootargs: string, name: string): CoreSize | undefined {
  const words = bootargs.split(/\s+/).filter((word) => word.startsWith(`${name}=`));
  const text = words.at(-1)?.slice(name.length + 1);
  if (text === undefined) return undefined;
  const percent = /^(\d{1,3})%$/.exec(text);
  if (percent !== null && Number(percent[1]) <= 100) return { percent: Number(percent[1]) };
  const bytes = parseSize(text);
  if (bytes !== undefined) return { bytes };
  throw inputError('BOOT-CORE', `${name}=${text} on the kernel command line is no amount of memory`, {
    help: `for example ${name}=64M, or ${name}=25%`,
  });
}
