/**
 * The signal frame: what a handler finds on its stack and sigreturn takes back.
 *
 *     sp -> siginfo                 128 bytes
 *           ucontext                flags, link, stack, mask, then at 176 the machine context:
 *             fault_address, x0..x30, sp, pc, pstate, and 4096 bytes of records, each with
 *             a magic number and its size: fpsimd_context, esr_context, a terminator
 *           (up to 16 bytes to align)
 *     x29 -> frame record           fp and lr of the interrupted code
 *
 * Ref. arch/arm64/kernel/signal.c, arch/arm64/include/uapi/asm/sigcontext.h.
 */

import type { UserRegisters } from './user-context.js';

const SIGINFO = 0;
const UCONTEXT = 128;
export const UCONTEXT_OFFSET = UCONTEXT;
const UC_STACK = UCONTEXT + 16;
const UC_SIGMASK = UCONTEXT + 40;
const MCONTEXT = UCONTEXT + 176;
const REGS = MCONTEXT + 8;
const SP = REGS + 31 * 8;
const PC = SP + 8;
const PSTATE = PC + 8;
/** 16-byte aligned. */
const RECORDS = MCONTEXT + 288;
const RECORDS_SIZE = 4096;
/** sizeof(struct rt_sigframe). */
export const SIGFRAME_BYTES = RECORDS + RECORDS_SIZE;
/** Where the PC of the interrupted code is in it. */
export const SIGFRAME_PC = PC;
export const FRAME_RECORD_BYTES = 16;

const FPSIMD_MAGIC = 0x46508001;
const FPSIMD_SIZE = 528;
const VECTOR_BYTES = 512;
const ESR_MAGIC = 0x45535201;
const ESR_SIZE = 16;
const EXTRA_MAGIC = 0x45585401;
const EXTRA_SIZE = 32;

/** PSTATE bits a frame may set: NZCV, TCO, DIT, SSBS, BTYPE; the rest is zero at EL0. */
const VALID_PSTATE = (0xfn << 28n) | (1n << 25n) | (1n << 24n) | (1n << 12n) | (3n << 10n);

export interface FrameContents {
  readonly siginfo: Uint8Array;
  readonly stack: { readonly sp: bigint; readonly flags: number; readonly size: bigint };
  readonly mask: bigint;
  readonly registers: UserRegisters;
  readonly faultAddress: bigint;
  /** 0: no esr_context. */
  readonly esr: bigint;
  readonly fp: boolean;
}

/** Registers as bytes: the guest is little-endian, and so is every host. */
const bytesOf = (words: BigUint64Array) => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** The frame's bytes, records included; what follows the terminator is left as it is. */
export function buildSignalFrame(contents: FrameContents): Uint8Array {
  const { registers } = contents;
  const bytes = new Uint8Array(
    RECORDS + (contents.fp ? FPSIMD_SIZE : 0) + (contents.esr === 0n ? 0 : ESR_SIZE) + 8,
  );
  const view = new DataView(bytes.buffer);
  bytes.set(contents.siginfo, SIGINFO);
  view.setBigUint64(UC_STACK, contents.stack.sp, true);
  view.setInt32(UC_STACK + 8, contents.stack.flags, true);
  view.setBigUint64(UC_STACK + 16, contents.stack.size, true);
  view.setBigUint64(UC_SIGMASK, contents.mask, true);
  view.setBigUint64(MCONTEXT, contents.faultAddress, true);
  bytes.set(bytesOf(registers.x), REGS);
  view.setBigUint64(SP, registers.sp, true);
  view.setBigUint64(PC, registers.pc, true);
  view.setBigUint64(PSTATE, registers.pstate, true);
  let at = RECORDS;
  if (contents.fp) {
    view.setUint32(at, FPSIMD_MAGIC, true);
    view.setUint32(at + 4, FPSIMD_SIZE, true);
    view.setUint32(at + 8, Number(registers.fpsr), true);
    view.setUint32(at + 12, Number(registers.fpcr), true);
    bytes.set(bytesOf(registers.v), at + 16);
    at += FPSIMD_SIZE;
  }
  if (contents.esr !== 0n) {
    view.setUint32(at, ESR_MAGIC, true);
    view.setUint32(at + 4, ESR_SIZE, true);
    view.setBigUint64(at + 8, contents.esr, true);
  }
  return bytes;
}

export interface RestoredFrame {
  readonly mask: bigint;
  readonly stack: { readonly sp: bigint; readonly flags: number; readonly size: bigint };
}

/** A record's place among the frame's records. */
interface FpsimdRecord {
  readonly at: number;
  readonly view: DataView;
}

/**
 * Takes registers from a frame.
 *
 * @param readExtra reads the stretch an extra_context names.
 * @returns undefined where the frame is not one the kernel could have made: the thread gets SIGSEGV.
 */
export function* restoreSignalFrame<Point>(
  bytes: Uint8Array,
  frameAddress: bigint,
  fp: boolean,
  into: UserRegisters,
  readExtra: (address: bigint, size: number) => Generator<Point, Uint8Array | undefined, void>,
): Generator<Point, RestoredFrame | undefined, void> {
  if (bytes.length < SIGFRAME_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records = yield* findRecords(view, frameAddress, readExtra);
  if (records === undefined || (records.fpsimd !== undefined) !== fp) return undefined;
  const pstate = view.getBigUint64(PSTATE, true);
  // valid_user_regs(): EL0t and no interrupt masked, or the frame is refused.
  if ((pstate & 0x1fn) !== 0n || (pstate & 0x3c0n) !== 0n) return undefined;
  bytesOf(into.x).set(bytes.subarray(REGS, SP));
  into.sp = view.getBigUint64(SP, true);
  into.pc = view.getBigUint64(PC, true);
  into.pstate = pstate & VALID_PSTATE;
  if (records.fpsimd !== undefined) {
    const { at, view: from } = records.fpsimd;
    into.fpsr = BigInt(from.getUint32(at + 8, true));
    into.fpcr = BigInt(from.getUint32(at + 12, true));
    bytesOf(into.v).set(new Uint8Array(from.buffer, from.byteOffset + at + 16, VECTOR_BYTES));
  }
  return {
    mask: view.getBigUint64(UC_SIGMASK, true),
    stack: {
      sp: view.getBigUint64(UC_STACK, true),
      flags: view.getInt32(UC_STACK + 8, true),
      size: view.getBigUint64(UC_STACK + 16, true),
    },
  };
}

/** parse_user_sigframe(). */
function* findRecords<Point>(
  frame: DataView,
  frameAddress: bigint,
  readExtra: (address: bigint, size: number) => Generator<Point, Uint8Array | undefined, void>,
): Generator<Point, { readonly fpsimd: FpsimdRecord | undefined } | undefined, void> {
  let view = frame;
  let at = RECORDS;
  let end = RECORDS + RECORDS_SIZE;
  let fpsimd: FpsimdRecord | undefined;
  let extra = false;
  for (;;) {
    if (end - at < 8 || at % 16 !== 0) return undefined;
    const magic = view.getUint32(at, true);
    const size = view.getUint32(at + 4, true);
    if (magic === 0) return size === 0 ? { fpsimd } : undefined;
    if (size < 8 || end - at < size) return undefined;
    if (magic === FPSIMD_MAGIC) {
      if (fpsimd !== undefined || size !== FPSIMD_SIZE) return undefined;
      fpsimd = { at, view };
    } else if (magic === EXTRA_MAGIC) {
      if (extra || size !== EXTRA_SIZE) return undefined;
      extra = true;
      const data = view.getBigUint64(at + 8, true);
      const bytes = view.getUint32(at + 16, true);
      // A terminator of 16 bytes must follow, and after it the stretch.
      if (end - at - size < 16 || view.getBigUint64(at + size, true) !== 0n) return undefined;
      const expected = frameAddress + BigInt(at + size + 16);
      if (data !== expected || bytes % 16 !== 0 || bytes > 65536) return undefined;
      const stretch = yield* readExtra(data, bytes);
      if (stretch === undefined) return undefined;
      view = new DataView(stretch.buffer, stretch.byteOffset, stretch.byteLength);
      at = 0;
      end = bytes;
      continue;
    } else if (magic !== ESR_MAGIC) {
      return undefined;
    }
    at += size;
    // Sizes are multiples of 16; one that is not shows at the next round.
  }
}
