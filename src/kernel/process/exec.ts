/**
 * Loading a static program: mappings of its segments, heap, stack and auxiliary vector.
 *
 * A program that is a file of the guest is mapped from it, privately, and zeros beyond the end of a
 * segment's bytes are anonymous. One that comes from outside (the first) is copied into anonymous memory.
 *
 * Ref. fs/binfmt_elf.c (load_elf_binary, elf_map, set_brk, create_elf_tables) of Linux 6.x.
 */
import { VA } from '../../base/index.js';
import type { ElfFile, ElfSegment } from '../../elf/index.js';
import { E2BIG, ENOEXEC, ENOMEM, type MaySleep } from '../contexts/index.js';
import {
  type AddressSpace,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  MAP_STACK,
  type MappableFile,
  type MemoryManager,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../mm/index.js';
import { AT } from './abi.js';
import { TRAMPOLINE, trampolineAddress } from './deliver-signals.js';
import type { ResourceLimits } from './limits.js';
import { RSEQ_BYTES, RSEQ_FEATURE_BYTES } from './rseq.js';
import { buildInitialStack } from './stack.js';

/** What a stack has beyond its first contents, before it grows (setup_arg_pages). */
const STACK_EXPAND = 128 * 1024;
/** Where programs without a limit of stack size end with arguments: a quarter of _STK_LIM at least. */
const LEAST_ARGUMENTS = 128 * 1024;
const MOST_ARGUMENTS = 6 * 2 ** 20;

export interface ExecRequest {
  readonly elf: ElfFile;
  readonly args: readonly string[];
  /** `NAME=VALUE`. */
  readonly env: readonly string[];
  /** AT_EXECFN. */
  readonly execfn: string;
  readonly hwcap: bigint;
  readonly hwcap2: bigint;
  /** The guest's file that `elf` was read from. */
  readonly file?: MappableFile;
  /** Of the process that will run it. */
  readonly limits: ResourceLimits;
  /** 16 bytes for AT_RANDOM. */
  readonly random: Uint8Array;
}

export interface LoadedProgram {
  readonly mm: AddressSpace;
  readonly entry: VA;
  readonly sp: VA;
  /** Added to the file's addresses (static-PIE). */
  readonly bias: bigint;
  /** The auxiliary vector as /proc/PID/auxv shows it. */
  readonly auxv: Uint8Array;
}

/** The program's segments once placed; undefined where they do not fit user space or share a page. */
function placeSegments(elf: ElfFile, mm: MemoryManager, taskSize: bigint) {
  const page = BigInt(mm.pageSize);
  // ELF_ET_DYN_BASE: two thirds up, where Linux puts programs that do not say.
  const bias = elf.type === 'static-pie' ? ((taskSize * 2n) / 3n) & ~(page - 1n) : 0n;
  const segments = elf.segments.map((segment) => ({
    segment,
    start: (segment.address + bias) & ~(page - 1n),
    end: (segment.address + bias + segment.memorySize + page - 1n) & ~(page - 1n),
  }));
  const fits = segments.every((s, i) => {
    const before = segments[i - 1];
    return s.start >= page && s.end <= taskSize && (before === undefined || before.end <= s.start);
  });
  return fits && segments.length > 0 ? { bias, segments } : undefined;
}

/**
 * Builds the program's address space.
 *
 * @returns the loaded program, or -ENOEXEC (segments outside user space, or two in one page) or -ENOMEM.
 */
export function* exec(mm: MemoryManager, request: ExecRequest): MaySleep<LoadedProgram | number> {
  const as = yield* mm.createAddressSpace();
  if (as === undefined) return -ENOMEM;
  as.limits = request.limits;
  const loaded = yield* load(mm, as, request);
  if (typeof loaded === 'number') yield* mm.exitMmap(as);
  return loaded;
}

function* load(mm: MemoryManager, as: AddressSpace, request: ExecRequest): MaySleep<LoadedProgram | number> {
  const { elf } = request;
  const placed = placeSegments(elf, mm, as.taskSize);
  if (placed === undefined) return -ENOEXEC;
  const { bias, segments } = placed;
  let end = 0n;
  for (const { segment, start, end: segmentEnd } of segments) {
    const error = yield* mapSegment(mm, as, request, segment, { start, end: segmentEnd, bias });
    if (error < 0) return error;
    if (segmentEnd > end) end = segmentEnd;
  }
  as.setBrk(VA(end));

  const stackTop = as.taskSize - BigInt(mm.pageSize);
  const image = buildInitialStack({
    top: stackTop,
    args: request.args,
    env: request.env,
    auxv: auxiliaryVector(mm, request, bias),
    random: request.random,
    execfn: request.execfn,
  });
  const argumentRoom = Math.max(LEAST_ARGUMENTS, Math.min(MOST_ARGUMENTS, request.limits.stack / 4));
  if (image.bytes.length > argumentRoom) return -E2BIG;
  const used = Math.ceil(image.bytes.length / mm.pageSize) * mm.pageSize;
  const expanded = Math.min(used + STACK_EXPAND, request.limits.stack);
  const stackSize = Math.max(used, expanded - (expanded % mm.pageSize));
  const stack = yield* mm.mmap(as, {
    addr: VA(stackTop - BigInt(stackSize)),
    length: stackSize,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_STACK | MAP_GROWSDOWN,
    name: '[stack]',
  });
  if (stack < 0) return stack;
  const written = yield* mm.copyToUser(as, VA(image.sp), image.bytes);
  if (written < image.bytes.length) return -ENOMEM;
  const error = yield* mapTrampoline(mm, as);
  if (error < 0) return error;
  return { mm: as, entry: VA(elf.entry + bias), sp: VA(image.sp), bias, auxv: image.auxv };
}

/** elf_map() of one segment: 0 or a negative errno. */
function* mapSegment(
  mm: MemoryManager,
  as: AddressSpace,
  { file, execfn }: ExecRequest,
  segment: ElfSegment,
  { start, end, bias }: { readonly start: bigint; readonly end: bigint; readonly bias: bigint },
): MaySleep<number> {
  const prot =
    (segment.read ? PROT_READ : 0) | (segment.write ? PROT_WRITE : 0) | (segment.execute ? PROT_EXEC : 0);
  const page = BigInt(mm.pageSize);
  const address = segment.address + bias;
  const bytesEnd = address + BigInt(segment.bytes.length);
  const offset = segment.fileOffset - (address - start);
  const mapped = file !== undefined && segment.bytes.length > 0 && offset >= 0n && offset % page === 0n;
  const fileEnd = mapped ? (bytesEnd + page - 1n) & ~(page - 1n) : start;
  if (mapped) {
    const at = yield* mm.mmap(as, {
      addr: VA(start),
      length: Number(fileEnd - start),
      prot,
      flags: MAP_PRIVATE | MAP_FIXED,
      file,
      offset: Number(offset),
      readOnlyFile: true,
      name: file.name,
    });
    if (at < 0) return at;
    // padzero(): the file goes on in the last page, the segment does not.
    const rest = Number(fileEnd - bytesEnd);
    if (segment.write && rest > 0) {
      const zeroed = yield* mm.accessRemoteWrite(as, VA(bytesEnd), new Uint8Array(rest));
      if (zeroed < rest) return -ENOMEM;
    }
  }
  if (fileEnd < end) {
    const at = yield* mm.mmap(as, {
      addr: VA(fileEnd),
      length: Number(end - fileEnd),
      prot,
      flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
      name: file === undefined ? execfn : '',
    });
    if (at < 0) return at;
  }
  if (mapped) return 0;
  const written = yield* mm.accessRemoteWrite(as, VA(address), segment.bytes);
  return written < segment.bytes.length ? -ENOMEM : 0;
}

/** The page handlers return to: what Linux has in its vDSO. */
function* mapTrampoline(mm: MemoryManager, as: AddressSpace): MaySleep<number> {
  const address = VA(trampolineAddress(as.taskSize, mm.pageSize));
  const at = yield* mm.mmap(as, {
    addr: address,
    length: mm.pageSize,
    prot: PROT_READ | PROT_EXEC,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    name: '[vdso]',
  });
  if (at < 0) return at;
  const code = new Uint8Array(4 * TRAMPOLINE.length);
  const view = new DataView(code.buffer);
  TRAMPOLINE.forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  return (yield* mm.accessRemoteWrite(as, address, code)) === code.length ? 0 : -ENOMEM;
}

function auxiliaryVector(
  mm: MemoryManager,
  { elf, hwcap, hwcap2 }: ExecRequest,
  bias: bigint,
): (readonly [number, bigint])[] {
  const { address: headers, count, size } = elf.programHeaders;
  return [
    [AT.HWCAP, hwcap],
    [AT.PAGESZ, BigInt(mm.pageSize)],
    [AT.CLKTCK, 100n],
    ...(headers === undefined ? [] : [[AT.PHDR, headers + bias] as const]),
    [AT.PHENT, BigInt(size)],
    [AT.PHNUM, BigInt(count)],
    [AT.BASE, 0n],
    [AT.FLAGS, 0n],
    [AT.ENTRY, elf.entry + bias],
    [AT.UID, 0n],
    [AT.EUID, 0n],
    [AT.GID, 0n],
    [AT.EGID, 0n],
    [AT.SECURE, 0n],
    [AT.HWCAP2, hwcap2],
    [AT.RSEQ_FEATURE_SIZE, BigInt(RSEQ_FEATURE_BYTES)],
    [AT.RSEQ_ALIGN, BigInt(RSEQ_BYTES)],
    // sizeof(struct sigframe) with the records this CPU has: fpsimd, esr, extra.
    [AT.MINSIGSTKSZ, 4720n],
  ];
}
