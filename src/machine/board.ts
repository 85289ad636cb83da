/**
 * From a device tree to a machine: DRAM banks from the memory nodes, devices by `compatible`, CPUs from
 * /cpus; and the loading of programs and of the blob itself.
 *
 * The tree describes hardware. What firmware does with it (which ranges have tags) is firmware's: the
 * board only creates the controller, with nothing in force.
 *
 * Architecture features can be switched for experiments: `mtemu,features` of the cpu nodes is a list of
 * strings, each a feature of the Arm ARM behind a sign, `"+pauth", "-lse2"` (`FEAT_` may be written). What
 * a feature needs comes with it, what needs it goes with it, and the ID registers say what is left. All
 * cpu nodes must agree.
 *
 * Ref. Devicetree Specification v0.4, 3.4 (/memory), 3.8 (/cpus).
 */
import {
  changeFeatures,
  DEFAULT_FEATURES,
  type ExceptionLevel,
  FEATURES,
  type FeatureName,
} from '../../isa/index.js';
import { inputError, suggest } from '../base/index.js';
import {
  allNodes,
  cells,
  type DeviceTree,
  type DtNode,
  findNode,
  isCompatible,
  isOkay,
  regEntries,
  stdoutPath,
  strings,
  translateAddress,
} from '../devicetree/index.js';
import { modelledCaches } from './caches/index.js';
import type { CpuEnvironment } from './cpu/environment.js';
import { Gic, REDISTRIBUTOR_STRIDE } from './devices/gic.js';
import { Pl011 } from './devices/pl011.js';
import {
  type ControllerReport,
  TAG_CONTROLLER_COMPATIBLE,
  TagControllerDevice,
} from './devices/tag-controller.js';
import { Machine, type MachineConfig, MOST_CPUS, NOT_IMPLEMENTED } from './machine.js';
import type { Device } from './memory/bus.js';
import type { DramBank } from './memory/dram.js';

export interface BoardOptions {
  readonly seed?: number | bigint;
  readonly features?: readonly FeatureName[];
  /** A byte written to the console's UART. */
  readonly onSerial?: (byte: number) => void;
  /** Semihosting on, and where it writes. */
  readonly onSemihostingOutput?: (byte: number) => void;
  /** Contradicting programming of the tag controller. */
  readonly onControllerProblem?: (report: ControllerReport) => void;
  readonly recordTagWriters?: boolean;
  /** `model`: write-back data and tag caches, incoherent with each other. Default `off`. */
  readonly caches?: 'off' | 'model';
  readonly hasEl2?: boolean;
  readonly hasEl3?: boolean;
  readonly counterFrequency?: number;
  readonly resetVector?: bigint;
  /** DRAM that the tree does not mention. */
  readonly extraBanks?: readonly DramBank[];
  /** Firmware that answers SMC and HVC; CPUs beside the first are off until it switches them on. */
  readonly firmwareCall?: CpuEnvironment['firmwareCall'];
}

/** A machine with what its tree said about it. */
export interface Board {
  readonly machine: Machine;
  /** In document order. */
  readonly uarts: readonly Pl011[];
  /** The UART that /chosen's stdout-path names; the first one where it names none that we have. */
  readonly console: Pl011 | undefined;
  readonly consoleNode: DtNode | undefined;
  readonly tagControllers: readonly TagControllerDevice[];
  readonly gic: Gic | undefined;
}

/** The `reg` entry `index` of a node in the root's address space, as numbers; undefined where unusable. */
function place(node: DtNode, index: number): DramBank | undefined {
  const entry = regEntries(node)?.[index];
  if (entry === undefined) return undefined;
  const base = translateAddress(node, entry.address);
  if (base === undefined || base + entry.size > 2n ** 48n) return undefined;
  return { base: Number(base), size: Number(entry.size) };
}

/** The interrupt controller of a tree that has a GICv3. Throws InputError where it has no frames for the CPUs. */
function findGic(tree: DeviceTree, cpus: number): Gic | undefined {
  const node = [...allNodes(tree)].find((n) => isCompatible(n, 'arm,gic-v3') && isOkay(n));
  if (node === undefined) return undefined;
  const distributor = place(node, 0);
  const redistributor = place(node, 1);
  if (distributor === undefined || redistributor === undefined) return undefined;
  if (redistributor.size < cpus * REDISTRIBUTOR_STRIDE) {
    throw inputError('BOARD-GIC', `${node.path}: its redistributor region is too small for ${cpus} CPUs`);
  }
  return new Gic(distributor, redistributor);
}

/** The identifier of a node's first shared interrupt (`interrupts = <0 number flags>`), or undefined. */
function sharedInterrupt(node: DtNode): number | undefined {
  const [type, number] = cells(node.properties.get('interrupts'));
  return type === 0 && number !== undefined && number < 256 ? 32 + number : undefined;
}

function isMemory(node: DtNode): boolean {
  return strings(node.properties.get('device_type'))[0] === 'memory';
}

/** All DRAM of the tree, in document order; touching banks stay separate. Throws InputError for impossible ones. */
export function memoryBanks(tree: DeviceTree): DramBank[] {
  const banks: DramBank[] = [];
  for (const node of allNodes(tree)) {
    if (!isMemory(node) || !isOkay(node)) continue;
    const count = regEntries(node)?.length ?? 0;
    for (let i = 0; i < count; i++) {
      const bank = place(node, i);
      if (bank === undefined) {
        throw inputError('BOARD-MEMORY', `${node.path}: 'reg' is beyond the 48-bit physical address space`, {
          help: "does 'reg' have as many cells as the root's #address-cells and #size-cells say?",
        });
      }
      if (bank.size > 0) banks.push(bank);
    }
  }
  if (banks.length === 0) {
    throw inputError('BOARD-MEMORY', 'the tree does not say how much memory there is', {
      notes: ["its memory nodes have size 0 or are missing: the board's bootloader fills them in"],
      help: 'give the size as that bootloader would, with --memory 1G',
    });
  }
  const sorted = [...banks].sort((a, b) => a.base - b.base);
  for (const [i, bank] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before !== undefined && before.base + before.size > bank.base) {
      throw inputError('BOARD-MEMORY', `memory at 0x${bank.base.toString(16)} is described twice`, {
        help: "the ranges of all memory nodes' reg must be apart",
      });
    }
  }
  return banks;
}

/** The CPUs of /cpus that are in use, in document order. */
export function cpuNodes(tree: DeviceTree): readonly DtNode[] {
  return (findNode(tree, '/cpus')?.children ?? []).filter(
    (n) => strings(n.properties.get('device_type'))[0] === 'cpu' && isOkay(n),
  );
}

/** The features of the tree's CPUs: `base` with what `mtemu,features` changes. Throws InputError. */
function cpuFeatures(tree: DeviceTree, base: readonly FeatureName[]): readonly FeatureName[] {
  const lists = cpuNodes(tree).map((node) => strings(node.properties.get('mtemu,features')));
  const [first = [], ...others] = lists;
  if (others.some((list) => list.join('\0') !== first.join('\0'))) {
    throw inputError('BOARD-FEATURES', "'mtemu,features' is not the same in all cpu nodes", {
      help: 'the CPUs of a machine have the same features',
    });
  }
  const features = changeFeatures(base, first);
  if (typeof features === 'string') {
    const near = suggest(
      features.replace(/^[+-]?(feat_)?/i, ''),
      Object.keys(FEATURES).map((name) => name.slice('FEAT_'.length)),
    );
    throw inputError('BOARD-FEATURES', `'mtemu,features' cannot have '${features}'`, {
      help:
        near.length > 0
          ? `did you mean '${features.startsWith('-') ? '-' : '+'}${near[0]!.toLowerCase()}'?`
          : "each is a sign and a feature of the Arm ARM: '+pauth', '-lse2'",
    });
  }
  const missing = NOT_IMPLEMENTED.find((feature) => features.has(feature));
  if (missing !== undefined) throw inputError('BOARD-FEATURES', `${missing} is not implemented`);
  return [...features];
}

/** As many as the tree has, or as a machine can have. */
function cpuCount(tree: DeviceTree): number {
  return Math.min(Math.max(1, cpuNodes(tree).length), MOST_CPUS);
}

/** The PL011 that messages go to: stdout-path's, else the first. */
function consoleOf(tree: DeviceTree): DtNode | undefined {
  const named = stdoutPath(tree)?.node;
  const usable = (node: DtNode) =>
    isCompatible(node, 'arm,pl011') && isOkay(node) && place(node, 0) !== undefined;
  return named !== undefined && usable(named) ? named : [...allNodes(tree)].find(usable);
}

/** Builds the machine a tree describes. Throws InputError where the tree describes none. */
export function buildBoard(tree: DeviceTree, options: BoardOptions = {}): Board {
  const uarts: Pl011[] = [];
  const tagControllers: TagControllerDevice[] = [];
  const banks = [...memoryBanks(tree), ...(options.extraBanks ?? [])];
  const cpus = cpuCount(tree);
  const gic = findGic(tree, cpus);
  const consoleNode = consoleOf(tree);
  let console: Pl011 | undefined;
  let machine: Machine;
  try {
    machine = new Machine({
      ...machineOptions(options),
      banks,
      cpus,
      ...(gic === undefined ? {} : { interrupts: gic }),
      features: cpuFeatures(tree, options.features ?? DEFAULT_FEATURES),
      devices: ({ controller }) => {
        const devices: Device[] = [...(gic?.devices ?? [])];
        for (const node of allNodes(tree)) {
          const where = isOkay(node) ? place(node, 0) : undefined;
          if (where === undefined) continue;
          if (isCompatible(node, 'arm,pl011')) {
            const isConsole = node === consoleNode;
            const uart = new Pl011(where.base, where.size, (byte) => {
              if (isConsole) options.onSerial?.(byte);
            });
            if (isConsole) console = uart;
            const intid = sharedInterrupt(node);
            if (gic !== undefined && intid !== undefined) {
              uart.onInterrupt = (level) => gic.setShared(intid, level);
            }
            uarts.push(uart);
            devices.push(uart);
          } else if (isCompatible(node, TAG_CONTROLLER_COMPATIBLE)) {
            const device = new TagControllerDevice(
              where.base,
              where.size,
              controller,
              options.onControllerProblem,
            );
            tagControllers.push(device);
            devices.push(device);
          }
        }
        return devices;
      },
    });
  } catch (error) {
    // Overlapping devices are the tree's mistake, not ours.
    if (error instanceof RangeError) throw inputError('BOARD-DEVICES', error.message);
    throw error;
  }
  if (options.firmwareCall !== undefined) {
    for (const cpu of machine.cpus) cpu.powered = cpu === machine.cpu;
  }
  return { machine, uarts, console, consoleNode, tagControllers, gic };
}

function machineOptions(options: BoardOptions): Partial<MachineConfig> {
  const { onSerial: _serial, onControllerProblem: _problem, extraBanks: _banks, caches, ...rest } = options;
  return { ...rest, ...(caches === 'model' ? { caches: modelledCaches } : {}) };
}

/** As `buildBoard`, the machine alone. */
export function buildMachine(tree: DeviceTree, options: BoardOptions = {}): Machine {
  return buildBoard(tree, options).machine;
}

export interface Segment {
  /** Physical address, bytes. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Size in memory where it is larger than the bytes: the rest is zero. */
  readonly size?: number;
}

/** Puts bytes into DRAM, as before a reset: caches hold nothing of it. Throws InputError where there is none. */
export function loadSegment(machine: Machine, segment: Segment): void {
  const size = Math.max(segment.size ?? 0, segment.bytes.length);
  if (!machine.dram.contains(segment.address, size)) {
    throw inputError(
      'BOARD-LOAD',
      `0x${segment.address.toString(16)}..0x${(segment.address + size).toString(16)} is not in DRAM`,
    );
  }
  machine.dram.writeBytes(segment.address, segment.bytes);
  const rest = size - segment.bytes.length;
  if (rest > 0) machine.dram.fill(segment.address + segment.bytes.length, rest, 0);
}

/** Lets the boot CPU start at `entry` and `el` with the DTB's address in X0, as the boot protocols want it. */
export function startAt(machine: Machine, entry: bigint, el: 1 | 2 | 3, dtb: number): void {
  const cpu = machine.cpu;
  cpu.setLevel(el as ExceptionLevel, 1);
  cpu.pc = entry;
  cpu.writeX(0, BigInt(dtb));
  for (const n of [1, 2, 3]) cpu.writeX(n, 0n);
}
