/**
 * Loading a static program: mappings of its segments, heap, stack and auxiliary vector.
 *
 * Each PT_LOAD becomes an anonymous private mapping that is filled from the file, page by page as the
 * file's mapping would show it (the bytes of the file that share the first page come along, the rest
 * of the last page is zero). Demand zero serves what the file does not fill.
 *
 * Ref. fs/binfmt_elf.c (load_elf_binary, elf_map, set_brk, create_elf_tables) of Linux 6.x.
 */
import { Random, VA } from '../../base/index.js';
import type { ElfFile } from '../../elf/index.js';
import { ENOEXEC, ENOMEM, type MaySleep } from '../contexts/index.js';
import {
  type AddressSpace,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_STACK,
  type MemoryManager,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../mm/index.js';
import { AT } from './abi.js';
import { buildInitialStack } from './stack.js';

const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
const PT_LOAD = 1;
const PT_PHDR = 6;
const ET_DYN = 3;

/** RLIMIT_STACK's default. */
const STACK_SIZE = 8 * 2 ** 20;

export interface ExecRequest {
  readonly elf: ElfFile;
  readonly args: readonly string[];
  /** `NAME=VALUE`. */
  readonly env: readonly string[];
  /** AT_EXECFN. */
  readonly execfn: string;
  readonly hwcap: bigint;
  readonly hwcap2: bigint;
  readonly seed: number;
}

export interface LoadedProgram {
  readonly mm: AddressSpace;
  readonly entry: VA;
  readonly sp: VA;
  /** Added to the file's addresses (static-PIE). */
  readonly bias: bigint;
}

/** What the program's segments look like once placed; undefined where they do not fit user space. */
function placeSegments(elf: ElfFile, mm: MemoryManager, taskSize: bigint) {
  const page = BigInt(mm.pageSize);
  const loads = elf.programHeaders.filter((p) => p.type === PT_LOAD && p.memorySize > 0n);
  if (loads.length === 0) return undefined;
  // ELF_ET_DYN_BASE: two thirds up, where Linux puts programs that do not say.
  const bias = elf.type === ET_DYN ? ((taskSize * 2n) / 3n) & ~(page - 1n) : 0n;
  const segments = loads.map((p) => {
    const start = (p.virtualAddress + bias) & ~(page - 1n);
    const end = (p.virtualAddress + bias + p.memorySize + page - 1n) & ~(page - 1n);
    return { header: p, start, end };
  });
  if (segments.some((s) => s.start < page || s.end <= s.start || s.end > taskSize)) return undefined;
  return { bias, segments };
}

/**
 * Builds the program's address space.
 *
 * @returns the loaded program, or -ENOEXEC (segments outside user space) or -ENOMEM.
 */
export function* exec(mm: MemoryManager, request: ExecRequest): MaySleep<LoadedProgram | number> {
  const as = yield* mm.createAddressSpace();
  if (as === undefined) return -ENOMEM;
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
  for (const { header, start, end: segmentEnd } of segments) {
    const prot =
      (header.flags & PF_R ? PROT_READ : 0) |
      (header.flags & PF_W ? PROT_WRITE : 0) |
      (header.flags & PF_X ? PROT_EXEC : 0);
    const at = yield* mm.mmap(as, {
      addr: VA(start),
      length: Number(segmentEnd - start),
      prot,
      flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
      name: request.execfn,
    });
    if (at < 0) return at;
    // The file's page holds what lies before the segment in it, too.
    const lead = header.virtualAddress + bias - start;
    const before = header.offset < lead ? header.offset : lead;
    const bytes = elf.bytes.subarray(Number(header.offset - before), Number(header.offset + header.fileSize));
    if (header.fileSize > 0n) {
      const written = yield* mm.accessRemoteWrite(as, VA(header.virtualAddress + bias - before), bytes);
      if (written < bytes.length) return -ENOMEM;
    }
    if (segmentEnd > end) end = segmentEnd;
  }
  as.setBrk(VA(end));

  const stackTop = as.taskSize - BigInt(mm.pageSize);
  const stack = yield* mm.mmap(as, {
    addr: VA(stackTop - BigInt(STACK_SIZE)),
    length: STACK_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_STACK,
    name: '[stack]',
  });
  if (stack < 0) return stack;
  const image = buildInitialStack({
    top: stackTop,
    args: request.args,
    env: request.env,
    auxv: auxiliaryVector(mm, request, bias),
    random: randomBytes(request.seed),
    execfn: request.execfn,
  });
  if (image.bytes.length > STACK_SIZE / 4) return -ENOMEM;
  const written = yield* mm.copyToUser(as, VA(image.sp), image.bytes);
  if (written < image.bytes.length) return -ENOMEM;
  return { mm: as, entry: VA(elf.entry + bias), sp: VA(image.sp), bias };
}

function auxiliaryVector(
  mm: MemoryManager,
  { elf, hwcap, hwcap2 }: ExecRequest,
  bias: bigint,
): (readonly [number, bigint])[] {
  const headers = headersAddress(elf);
  return [
    [AT.HWCAP, hwcap],
    [AT.PAGESZ, BigInt(mm.pageSize)],
    [AT.CLKTCK, 100n],
    ...(headers === undefined ? [] : [[AT.PHDR, headers + bias] as const]),
    [AT.PHENT, 56n],
    [AT.PHNUM, BigInt(elf.programHeaders.length)],
    [AT.BASE, 0n],
    [AT.FLAGS, 0n],
    [AT.ENTRY, elf.entry + bias],
    [AT.UID, 0n],
    [AT.EUID, 0n],
    [AT.GID, 0n],
    [AT.EGID, 0n],
    [AT.SECURE, 0n],
    [AT.HWCAP2, hwcap2],
    // sizeof(struct sigframe) with the records this CPU has: fpsimd, esr, extra.
    [AT.MINSIGSTKSZ, 4720n],
  ];
}

/** Where the program headers lie in memory: PT_PHDR, else the segment that holds them. */
function headersAddress(elf: ElfFile): bigint | undefined {
  const phdr = elf.programHeaders.find((p) => p.type === PT_PHDR);
  if (phdr !== undefined) return phdr.virtualAddress;
  const offset = elf.programHeaderOffset;
  const holder = elf.programHeaders.find(
    (p) => p.type === PT_LOAD && p.offset <= offset && offset < p.offset + p.fileSize,
  );
  return holder === undefined ? undefined : holder.virtualAddress + (offset - holder.offset);
}

function randomBytes(seed: number): Uint8Array {
  const random = new Random(seed, 'AT_RANDOM');
  return Uint8Array.from({ length: 16 }, () => random.u32() & 0xff);
}
