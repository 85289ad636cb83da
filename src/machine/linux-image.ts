/**
 * Starting a Linux kernel as its boot protocol says: the header of an arm64 `Image`, where it and an
 * initial RAM disk go in memory, and what /chosen tells the kernel of it.
 *
 * The header's text_offset counts from a 2 MiB boundary; image_size is what the kernel needs from there,
 * its BSS included. A kernel is entered with the MMU off, interrupts masked and the device tree's address
 * in x0, at EL2 or EL1: that is what firmware does for every next stage (firmware.ts).
 *
 * Ref. Linux Documentation/arch/arm64/booting.rst; Devicetree Specification v0.4, 3.6 (/chosen).
 */
import { inputError, MiB } from '../base/index.js';
import { type DeviceTree, DtNode } from '../devicetree/index.js';
import { memoryBanks, type Segment } from './board.js';

const HEADER_BYTES = 64;
/** "ARM\x64", little-endian. */
const MAGIC = 0x644d_5241;
const MAGIC_AT = 0x38;
const TEXT_OFFSET_AT = 0x08;
const IMAGE_SIZE_AT = 0x10;
const FLAGS_AT = 0x18;
const BIG_ENDIAN = 1n;
/** Kernels before 3.17 have no image_size; they lie at this offset. */
const OLD_TEXT_OFFSET = 0x8_0000;
const ALIGNMENT = 2 * MiB;
/** Where a kernel's early page tables reach its initial RAM disk: a window of this size around it. */
const INITRD_WINDOW = 2 ** 35;

/** What the header of an `Image` says. Sizes and offsets in bytes. */
export interface LinuxImageHeader {
  /** From a 2 MiB boundary to the image. */
  readonly textOffset: number;
  /** Memory the kernel uses from its first byte on. */
  readonly imageSize: number;
}

/** Where a kernel and its RAM disk are put, and what is entered. */
export interface LinuxPlacement {
  readonly segments: readonly Segment[];
  readonly entry: number;
  readonly initrd: { readonly base: number; readonly size: number } | undefined;
}

/**
 * The header of an arm64 `Image`, or undefined where `bytes` are none.
 *
 * @throws InputError (LINUX-IMAGE) for an image that no machine here can run.
 */
export function linuxImageHeader(bytes: Uint8Array, file: string): LinuxImageHeader | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint32(MAGIC_AT, true) !== MAGIC) return undefined;
  if ((view.getBigUint64(FLAGS_AT, true) & BIG_ENDIAN) !== 0n) {
    throw inputError('LINUX-IMAGE', 'this kernel is big-endian', {
      file,
      help: 'the CPUs here have no big-endian support (ID_AA64MMFR0_EL1.BigEnd is 0)',
    });
  }
  const size = view.getBigUint64(IMAGE_SIZE_AT, true);
  const offset = view.getBigUint64(TEXT_OFFSET_AT, true);
  if (size === 0n) return { textOffset: OLD_TEXT_OFFSET, imageSize: bytes.length };
  if (size > 2n ** 40n || offset >= BigInt(ALIGNMENT)) {
    throw inputError(
      'LINUX-IMAGE',
      `its header cannot be: text_offset 0x${offset.toString(16)}, image_size 0x${size.toString(16)}`,
      { file },
    );
  }
  return { textOffset: Number(offset), imageSize: Math.max(Number(size), bytes.length) };
}

/** Puts a kernel at the first 2 MiB boundary of the first memory, and leaves it the memory it says it uses. */
export function placeLinux(tree: DeviceTree, bytes: Uint8Array, header: LinuxImageHeader): Segment {
  const [bank] = memoryBanks(tree);
  const address = Math.ceil(bank!.base / ALIGNMENT) * ALIGNMENT + header.textOffset;
  return { address, bytes, size: header.imageSize };
}

/**
 * Puts an initial RAM disk into the first memory, above the kernel.
 *
 * @throws InputError (LINUX-INITRD) where there is no room.
 */
export function placeInitrd(tree: DeviceTree, kernel: readonly Segment[], bytes: Uint8Array): Segment {
  const [bank] = memoryBanks(tree);
  const end = bank!.base + bank!.size;
  const used = kernel
    .map((s) => s.address + Math.max(s.size ?? 0, s.bytes.length))
    .filter((e) => e > bank!.base && e <= end);
  const address = Math.ceil(Math.max(bank!.base, ...used) / ALIGNMENT) * ALIGNMENT;
  // Behind it the device tree needs a place.
  if (address + bytes.length + ALIGNMENT > end || bytes.length >= INITRD_WINDOW) {
    throw inputError('LINUX-INITRD', 'the first memory has no room for the initial RAM disk', {
      help: `it has ${bytes.length} bytes, and ${Math.max(0, end - address)} are left above the kernel`,
    });
  }
  return { address, bytes };
}

/** What a boot loader writes into /chosen. */
export interface ChosenWords {
  /** Replaces the tree's own; left out, that stays. */
  readonly bootargs?: string;
  readonly initrd?: Segment;
}

/** Changes the tree's /chosen, which is made where there is none. */
export function fillChosen(tree: DeviceTree, { bootargs, initrd }: ChosenWords): void {
  let chosen = tree.root.child('chosen');
  if (chosen === undefined) {
    chosen = new DtNode('chosen', tree.root);
    tree.root.children.push(chosen);
  }
  if (bootargs !== undefined) {
    chosen.properties.set('bootargs', new TextEncoder().encode(`${bootargs}\0`));
  }
  if (initrd !== undefined) {
    chosen.properties.set('linux,initrd-start', doubleCell(initrd.address));
    chosen.properties.set('linux,initrd-end', doubleCell(initrd.address + initrd.bytes.length));
  }
}

function doubleCell(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}
