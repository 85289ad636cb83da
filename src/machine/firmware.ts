/**
 * Placing firmware, the next stage and the device tree in a board's memory, and what firmware is told.
 *
 * The board description stands for what the makers of a board build into its firmware: where the
 * controller is and which tag storage belongs to which memory. It is read off the tree's
 * `arm,mte-tag-storage` nodes as hardware would have them, so that a tree whose nodes break the binding
 * still has working tags: the kernel then refuses to lend them, it does not lose them.
 *
 * A tree without such nodes still describes a machine with MTE: its tags are in DRAM that the tree does
 * not mention, as on boards whose firmware hides the carve-out.
 *
 * In memory, from the base of the first bank: firmware, at +0x80000 the next stage (the place the arm64
 * boot protocol favours), behind it the device tree. A bare program may be linked anywhere in DRAM, so
 * that for it firmware is in memory of its own, where QEMU's virt board has its secure memory.
 */
import bootSource from '../../firmware/boot.s';
import kernelEntrySource from '../../firmware/kernel-entry.s';
import { assemble, toFlat } from '../assembler/index.js';
import { inputError, VA } from '../base/index.js';
import {
  allNodes,
  type DeviceTree,
  isCompatible,
  isOkay,
  nodeByPhandle,
  regEntries,
  u32,
  writeDtb,
} from '../devicetree/index.js';
import {
  type Board,
  type BoardOptions,
  buildBoard,
  loadSegment,
  memoryBanks,
  type Segment,
  startAt,
} from './board.js';
import { psci } from './devices/psci.js';
import { TAG_CONTROLLER_COMPATIBLE } from './devices/tag-controller.js';
import type { Engine } from './engine.js';
import type { DramBank } from './memory/dram.js';
import type { TagRange } from './memory/tag-controller.js';
import { missingDevices } from './missing.js';

const FIRMWARE_SIZE = 0x10000;
/** Where firmware is for bare programs. */
const FIRMWARE_MEMORY = 0x0e00_0000;
/** Where a flat bare program is loaded, from the first bank's base; QEMU's place for it. */
export const BARE_OFFSET = 0x80000;
const DESCRIPTION_OFFSET = 0x8000;
const NEXT_STAGE_OFFSET = 0x80000;
/** Tagged memory comes in units whose tags fill a page of tag storage. */
const RANGE_UNIT = 128 * 1024;
/** Hidden carve-outs lie above everything, at multiples of this. */
const HIDDEN_ALIGNMENT = 2 ** 30;

export interface MemoryArea {
  readonly base: number;
  readonly size: number;
}

export interface BootedBoard extends Board {
  readonly firmware: MemoryArea;
  readonly nextStage: MemoryArea;
  readonly dtb: MemoryArea;
  /** What firmware was told of tag storage. */
  readonly tagRanges: readonly TagRange[];
  /** What the tree lacks that a machine here wants, in words, with the consequence. */
  readonly missing: readonly string[];
}

export interface NextStage {
  readonly image: Uint8Array;
  readonly entryOffset: number;
  readonly level: 1 | 2 | 3;
}

/** The stub behind which the mini-kernel sits. */
export function kernelEntryStage(): NextStage {
  if (ASSEMBLED.kernelEntry === undefined) {
    const source = { name: 'firmware/kernel-entry.s', text: kernelEntrySource };
    ASSEMBLED.kernelEntry = toFlat(assemble(source, { textBase: VA(0n) }), VA(0n));
  }
  return { image: ASSEMBLED.kernelEntry, entryOffset: 0, level: 1 };
}

/** The tag ranges that hardware with these tag storage nodes has. */
export function tagRangesOf(tree: DeviceTree): TagRange[] {
  const ranges: TagRange[] = [];
  const ways = interleaveOf(tree);
  for (const node of allNodes(tree)) {
    if (!isCompatible(node, 'arm,mte-tag-storage') || !isOkay(node)) continue;
    const tags = regEntries(node)?.[0];
    const phandle = u32(node.properties.get('tagged-memory'));
    const memory = phandle === undefined ? undefined : nodeByPhandle(tree, phandle);
    const data = memory === undefined ? undefined : regEntries(memory)?.[0];
    if (tags === undefined || data === undefined) continue;
    const size = Math.min(Number(data.size), Number(tags.size) * 32);
    const block = u32(node.properties.get('block-size')) ?? 0;
    ranges.push({
      memBase: Number(data.address),
      memSize: size - (size % RANGE_UNIT),
      tagBase: Number(tags.address),
      // What the node says wrongly, the hardware has all the same.
      blockSize: block > 0 && block % 4096 === 0 ? block : 4096,
      interleave: ways,
    });
  }
  return ranges;
}

/** Ways of the interleave inside a block: the controller node's `mtemu,interleave`, else 1. */
function interleaveOf(tree: DeviceTree): number {
  for (const node of allNodes(tree)) {
    if (isCompatible(node, TAG_CONTROLLER_COMPATIBLE))
      return u32(node.properties.get('mtemu,interleave')) ?? 1;
  }
  return 1;
}

/** DRAM for tags that the tree does not mention, and the ranges that use it. */
function hiddenCarveOut(banks: readonly DramBank[]): { banks: DramBank[]; ranges: TagRange[] } {
  let next = Math.max(...banks.map((b) => b.base + b.size));
  const out: { banks: DramBank[]; ranges: TagRange[] } = { banks: [], ranges: [] };
  for (const bank of banks) {
    const memSize = bank.size - (bank.size % RANGE_UNIT);
    if (memSize === 0 || bank.base % RANGE_UNIT !== 0) continue;
    const base = Math.ceil(next / HIDDEN_ALIGNMENT) * HIDDEN_ALIGNMENT;
    out.banks.push({ base, size: memSize / 32 });
    out.ranges.push({ memBase: bank.base, memSize, tagBase: base, blockSize: 4096 });
    next = base + memSize / 32;
  }
  return out;
}

/**
 * Builds the machine of a tree and puts firmware, the next stage and the tree into its memory, ready to
 * run from reset.
 *
 * The tree in memory has one more reservation: firmware's own memory.
 *
 * @throws InputError where the tree describes no machine that can boot.
 */
export function bootBoard(tree: DeviceTree, next: NextStage, options: BoardOptions = {}): BootedBoard {
  const banks = memoryBanks(tree);
  const described = tagRangesOf(tree);
  const hidden = described.length > 0 ? { banks: [], ranges: [] } : hiddenCarveOut(banks);
  const tagRanges = described.length > 0 ? described : hidden.ranges;
  const base = banks[0]!.base;
  const code = assembleFirmware(base);
  const board = buildBoard(tree, {
    ...options,
    extraBanks: hidden.banks,
    firmwareCall: psci({ level: next.level === 2 ? 2 : 1, secondaryEntry: code.secondaryEntry }),
  });
  const { machine } = board;

  const firmware = { base, size: FIRMWARE_SIZE };
  const nextStage = { base: base + NEXT_STAGE_OFFSET, size: next.image.length };
  const blob = writeDtb(
    {
      ...tree,
      memreserve: [...tree.memreserve, { address: BigInt(firmware.base), size: BigInt(firmware.size) }],
    },
    {},
  );
  const dtb = {
    base: Math.ceil((nextStage.base + next.image.length) / 0x10000) * 0x10000,
    size: blob.length,
  };
  if (dtb.base + dtb.size > base + banks[0]!.size) {
    throw inputError('BOARD-MEMORY', 'the first memory bank is too small to boot from', {
      help: 'firmware, the next stage and the device tree need about 1 MiB',
    });
  }

  installFirmware(board, base, code, tagRanges, nextStage.base + next.entryOffset, next.level);
  loadSegment(machine, { address: nextStage.base, bytes: next.image });
  loadSegment(machine, { address: dtb.base, bytes: blob });
  start(board, base, code, dtb.base);
  return { ...board, firmware, nextStage, dtb, tagRanges, missing: missingDevices(tree, board) };
}

interface FirmwareCode {
  readonly image: Uint8Array;
  readonly entry: bigint;
  readonly secondaryEntry: bigint;
}

/** The texts never change. */
const ASSEMBLED: { kernelEntry: Uint8Array | undefined; readonly firmware: Map<number, FirmwareCode> } = {
  kernelEntry: undefined,
  /** By base. */
  firmware: new Map(),
};

function assembleFirmware(base: number): FirmwareCode {
  const known = ASSEMBLED.firmware.get(base);
  if (known !== undefined) return known;
  const program = assemble({ name: 'firmware/boot.s', text: bootSource }, { textBase: VA(BigInt(base)) });
  const image = toFlat(program, VA(BigInt(base)));
  if (image.length > DESCRIPTION_OFFSET) throw new Error('firmware has outgrown its place');
  const secondary = program.symbols.find((s) => s.name === 'secondary_start');
  if (secondary === undefined) throw new Error('firmware has no entry for further CPUs');
  const code = { image, entry: program.entry, secondaryEntry: secondary.value };
  ASSEMBLED.firmware.set(base, code);
  return code;
}

/** What has been assembled so far, as text, for programs of the same build to start from. */
export function assembledFirmware(): string {
  return JSON.stringify({
    kernelEntry: ASSEMBLED.kernelEntry === undefined ? null : [...ASSEMBLED.kernelEntry],
    firmware: [...ASSEMBLED.firmware].map(([base, { image, entry, secondaryEntry }]) => ({
      base,
      image: [...image],
      entry: Number(entry),
      secondaryEntry: Number(secondaryEntry),
    })),
  });
}

/** Takes what `assembledFirmware` gave in a program of the same build, so that it is not assembled again. */
export function useAssembledFirmware(text: string): void {
  const { kernelEntry, firmware } = JSON.parse(text) as {
    kernelEntry: number[] | null;
    firmware: { base: number; image: number[]; entry: number; secondaryEntry: number }[];
  };
  if (kernelEntry !== null) ASSEMBLED.kernelEntry = Uint8Array.from(kernelEntry);
  for (const { base, image, entry, secondaryEntry } of firmware) {
    ASSEMBLED.firmware.set(base, {
      image: Uint8Array.from(image),
      entry: BigInt(entry),
      secondaryEntry: BigInt(secondaryEntry),
    });
  }
}

function installFirmware(
  board: Board,
  base: number,
  code: FirmwareCode,
  ranges: readonly TagRange[],
  entry: number,
  level: 1 | 2 | 3,
): void {
  loadSegment(board.machine, { address: base, bytes: code.image });
  loadSegment(board.machine, {
    address: base + DESCRIPTION_OFFSET,
    bytes: description(board, ranges, entry, level),
  });
}

function start({ machine }: Board, base: number, code: FirmwareCode, dtb: number): void {
  startAt(machine, code.entry, 3, dtb);
  machine.cpu.writeX(1, BigInt(base + DESCRIPTION_OFFSET));
}

/** A program that has the machine to itself. */
export interface BareProgram {
  /** In physical memory. */
  readonly segments: readonly Segment[];
  readonly entry: number;
  readonly level: 1 | 2 | 3;
}

/**
 * Builds the machine of a tree with a bare program in its memory, ready to run from reset: firmware
 * programs the tag ranges, then enters the program with the tree's address in x0.
 *
 * PSCI is answered unless the program has EL3 for itself.
 *
 * @throws InputError where the tree describes no machine or the program does not fit it.
 */
export function bootBare(tree: DeviceTree, program: BareProgram, options: BoardOptions = {}): BootedBoard {
  const banks = memoryBanks(tree);
  const described = tagRangesOf(tree);
  const hidden = described.length > 0 ? { banks: [], ranges: [] } : hiddenCarveOut(banks);
  const tagRanges = described.length > 0 ? described : hidden.ranges;
  const taken = [...banks, ...hidden.banks];
  const base = freePlace(FIRMWARE_MEMORY, taken);
  const code = assembleFirmware(base);
  const { level } = program;
  const board = buildBoard(tree, {
    ...options,
    extraBanks: [...hidden.banks, { base, size: FIRMWARE_SIZE }],
    ...(level === 3 ? {} : { firmwareCall: psci({ level, secondaryEntry: code.secondaryEntry }) }),
  });
  for (const segment of program.segments) loadSegment(board.machine, segment);
  installFirmware(board, base, code, tagRanges, program.entry, level);
  const blob = writeDtb(tree, {});
  const dtb = { base: placeTree(banks[0]!, blob.length, program.segments), size: blob.length };
  loadSegment(board.machine, { address: dtb.base, bytes: blob });
  start(board, base, code, dtb.base);
  const [first] = program.segments;
  return {
    ...board,
    firmware: { base, size: FIRMWARE_SIZE },
    nextStage: { base: first?.address ?? program.entry, size: first?.bytes.length ?? 0 },
    dtb,
    tagRanges,
    missing: missingDevices(tree, board),
  };
}

/** More instructions than firmware executes. */
const MOST_FIRMWARE_STEPS = 1_000_000;

/**
 * Runs firmware until it has entered the next stage, whose first instruction is the next.
 *
 * @throws InputError where it does not get there.
 */
export function runFirmware(board: BootedBoard, engine: Engine): void {
  const { cpu } = board.machine;
  const { base, size } = board.firmware;
  for (let i = 0; i < MOST_FIRMWARE_STEPS; i++) {
    if (cpu.pc < BigInt(base) || cpu.pc >= BigInt(base + size)) return;
    const stop = engine.run(cpu, 1);
    if (stop.kind !== 'limit') break;
  }
  throw inputError('BOARD-FIRMWARE', 'firmware did not enter the program', {
    help: `it was at 0x${cpu.pc.toString(16)}, EL${cpu.pstate.el}`,
  });
}

/** `wanted`, or the first place above all banks where one of them is there. */
function freePlace(wanted: number, banks: readonly DramBank[]): number {
  const isFree = banks.every((b) => b.base >= wanted + FIRMWARE_SIZE || b.base + b.size <= wanted);
  if (isFree) return wanted;
  const end = Math.max(...banks.map((b) => b.base + b.size));
  return Math.ceil(end / HIDDEN_ALIGNMENT) * HIDDEN_ALIGNMENT;
}

/** A place for the device tree in the first bank that the program does not use. */
function placeTree(bank: DramBank, size: number, segments: readonly Segment[]): number {
  const end = bank.base + bank.size;
  const places = [bank.base + 0x800_0000, bank.base, end - 0x20_0000, end - 0x2_0000];
  const found = places.find(
    (at) =>
      at >= bank.base &&
      at + size <= end &&
      segments.every((s) => {
        const length = Math.max(s.size ?? 0, s.bytes.length);
        return s.address >= at + size || s.address + length <= at;
      }),
  );
  if (found === undefined) {
    throw inputError(
      'BOARD-MEMORY',
      'the first memory bank has no room for the device tree beside the program',
    );
  }
  return found;
}

/** The board description of firmware/boot.s. */
function description(board: Board, ranges: readonly TagRange[], entry: number, level: number): Uint8Array {
  const words = [board.tagControllers[0]?.base ?? 0, board.console?.base ?? 0, entry, level, ranges.length];
  for (const r of ranges) {
    words.push(r.memBase, r.memSize, r.tagBase, r.blockSize, Math.log2(r.interleave ?? 1));
  }
  const bytes = new Uint8Array(words.length * 8);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setBigUint64(i * 8, BigInt(word), true);
  });
  return bytes;
}
