/**
 * Core dumps: a dying process as an ELF core file, with the tags of its memory.
 *
 * Notes first (registers of every thread, the dying one's first), then a PT_LOAD for each mapping and, for
 * each that bears tags, a PT_AARCH64_MEMTAG_MTE with two tags a byte. Pages and tags are read as a debugger
 * reads them: from swap and from tag stashes too.
 *
 * Ref. fs/binfmt_elf.c (elf_core_dump, fill_note_info), arch/arm64/kernel/elfcore.c,
 * include/linux/elfcore.h; Documentation/arch/arm64/memory-tagging-extension.rst.
 */
import { bytesOfText, VA as toVA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { VM_DONTDUMP, type VmaInfo } from '../mm/index.js';
import type { KernelState } from './kernel-state.js';
import { NT } from './ptrace-abi.js';
import { REGISTER_SETS } from './ptrace-registers.js';
import { type SignalInfo, siginfoBytes } from './siginfo.js';
import type { Thread } from './thread.js';

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const ET_CORE = 4;
const EM_AARCH64 = 183;
const PT_LOAD = 1;
const PT_NOTE = 4;
const PT_AARCH64_MEMTAG_MTE = 0x70000002;
/** Bytes of memory and of tags that a dump holds at most; mappings beyond it are named without contents. */
const MOST_BYTES = 512 * 2 ** 20;
/** A byte holds the tags of two granules. */
const BYTES_PER_TAG_BYTE = 32;

const aligned = (bytes: number, to: number) => Math.ceil(bytes / to) * to;

/** One note: name, type, contents, each padded to four bytes. */
function note(name: 'CORE' | 'LINUX', type: number, contents: Uint8Array): Uint8Array {
  const title = bytesOfText(`${name}\0`);
  const at = 12 + aligned(title.length, 4);
  const bytes = new Uint8Array(at + aligned(contents.length, 4));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, title.length, true);
  view.setUint32(4, contents.length, true);
  view.setUint32(8, type, true);
  bytes.set(title, 12);
  bytes.set(contents, at);
  return bytes;
}

/** struct elf_prstatus: 392 bytes, the general registers at 112. */
function statusNote(state: KernelState, thread: Thread, signo: number): Uint8Array {
  const bytes = new Uint8Array(392);
  const view = new DataView(bytes.buffer);
  const { process } = thread;
  view.setInt32(0, signo, true);
  view.setInt16(12, signo, true);
  view.setBigUint64(16, thread.pending.set, true);
  view.setBigUint64(24, thread.blocked, true);
  [thread.tid, process.parent?.pid ?? 0, process.pgid, process.sid].forEach((id, i) => {
    view.setInt32(32 + 4 * i, id, true);
  });
  const general = REGISTER_SETS.find((set) => set.note === NT.PRSTATUS)?.get(state, thread);
  if (general !== undefined) bytes.set(general, 112);
  view.setInt32(384, state.fp ? 1 : 0, true);
  return note('CORE', NT.PRSTATUS, bytes);
}

/** struct elf_prpsinfo: 136 bytes. */
function processNote({ process, comm }: Thread): Uint8Array {
  const bytes = new Uint8Array(136);
  const view = new DataView(bytes.buffer);
  bytes[1] = 'R'.charCodeAt(0);
  [process.pid, process.parent?.pid ?? 0, process.pgid, process.sid].forEach((id, i) => {
    view.setInt32(24 + 4 * i, id, true);
  });
  bytes.set(bytesOfText(comm).subarray(0, 15), 40);
  bytes.set(bytesOfText(process.program.args.join(' ')).subarray(0, 79), 56);
  return note('CORE', NT.PRPSINFO, bytes);
}

/** fill_files_note(): which mappings are of files; offsets in pages. */
function filesNote(vmas: readonly VmaInfo[], pageSize: number): Uint8Array {
  const files = vmas.filter((vma) => vma.backing !== undefined && vma.name.startsWith('/'));
  const names = bytesOfText(files.map((vma) => `${vma.name}\0`).join(''));
  const bytes = new Uint8Array(16 + 24 * files.length + names.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(files.length), true);
  view.setBigUint64(8, BigInt(pageSize), true);
  files.forEach((vma, i) => {
    view.setBigUint64(16 + 24 * i, vma.start, true);
    view.setBigUint64(24 + 24 * i, vma.end, true);
    view.setBigUint64(32 + 24 * i, BigInt(Math.floor((vma.backing?.offset ?? 0) / pageSize)), true);
  });
  bytes.set(names, 16 + 24 * files.length);
  return note('CORE', NT.FILE, bytes);
}

/** The register sets beside the general one. */
function registerNotes(state: KernelState, thread: Thread): Uint8Array[] {
  return REGISTER_SETS.flatMap((set) => {
    if (set.note === NT.PRSTATUS) return [];
    const bytes = set.get(state, thread);
    return bytes === undefined ? [] : [note(set.note === NT.FPREGSET ? 'CORE' : 'LINUX', set.note, bytes)];
  });
}

function notes(state: KernelState, thread: Thread, info: SignalInfo, vmas: readonly VmaInfo[]): Uint8Array {
  const { process } = thread;
  const parts = [
    statusNote(state, thread, info.signo),
    processNote(thread),
    note('CORE', NT.SIGINFO, siginfoBytes(info)),
    note('CORE', NT.AUXV, process.program.auxv),
    filesNote(vmas, state.mm.pageSize),
    ...registerNotes(state, thread),
  ];
  for (const other of process.threads) {
    if (other !== thread) parts.push(statusNote(state, other, info.signo), ...registerNotes(state, other));
  }
  return joined(parts);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly start: bigint;
  readonly memory: bigint;
  readonly contents: Uint8Array;
}

/** A mapping's bytes, up to the last that is not zero. */
function* contentsOf(state: KernelState, thread: Thread, vma: VmaInfo): MaySleep<Uint8Array> {
  const { mm } = state;
  const bytes = new Uint8Array(Number(vma.end - vma.start));
  let used = 0;
  for (let at = 0; at < bytes.length; at += mm.pageSize) {
    const page = yield* mm.copyFromUser(
      thread.process.mm,
      toVA((vma.start as bigint) + BigInt(at)),
      mm.pageSize,
    );
    if (!page.some((byte) => byte !== 0)) continue;
    bytes.set(page, at);
    used = at + mm.pageSize;
  }
  return bytes.subarray(0, used);
}

/** A mapping's tags; a page without any has zeros. */
function* tagsOf(state: KernelState, thread: Thread, vma: VmaInfo): MaySleep<Uint8Array> {
  const { mm } = state;
  const bytes = new Uint8Array(Number(vma.end - vma.start) / BYTES_PER_TAG_BYTE);
  for (let at = vma.start as bigint; at < vma.end; at += BigInt(mm.pageSize)) {
    const tags = yield* mm.dumpTags(thread.process.mm, toVA(at));
    if (tags !== undefined) bytes.set(tags, Number(at - vma.start) / BYTES_PER_TAG_BYTE);
  }
  return bytes;
}

/**
 * elf_core_dump(): the file of a process that `info` kills, `thread` being the one that took it.
 *
 * The caller has stopped the other threads.
 */
export function* dumpCore(state: KernelState, thread: Thread, info: SignalInfo): MaySleep<Uint8Array> {
  const vmas = state.mm.vmas(thread.process.mm);
  const loads: Segment[] = [];
  const tags: Segment[] = [];
  let room = MOST_BYTES;
  for (const vma of vmas) {
    const memory = vma.end - vma.start;
    const flags = (vma.exec ? 1 : 0) | (vma.write ? 2 : 0) | (vma.read ? 4 : 0);
    const isTaken = vma.read && (vma.flags & VM_DONTDUMP) === 0 && memory <= BigInt(room);
    const contents = isTaken ? yield* contentsOf(state, thread, vma) : new Uint8Array();
    if (isTaken) room -= Number(memory);
    loads.push({ type: PT_LOAD, flags, start: vma.start, memory, contents });
    if (vma.mte && isTaken) {
      const packed = yield* tagsOf(state, thread, vma);
      tags.push({ type: PT_AARCH64_MEMTAG_MTE, flags: 0, start: vma.start, memory, contents: packed });
    }
  }
  const head: Segment = {
    type: PT_NOTE,
    flags: 0,
    start: 0n,
    memory: 0n,
    contents: notes(state, thread, info, vmas),
  };
  return coreFile([head, ...loads, ...tags], state.mm.pageSize);
}

function coreFile(segments: readonly Segment[], pageSize: number): Uint8Array {
  const headers = new Uint8Array(ELF_HEADER + PROGRAM_HEADER * segments.length);
  const view = new DataView(headers.buffer);
  headers.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, ET_CORE, true);
  view.setUint16(18, EM_AARCH64, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(32, BigInt(ELF_HEADER), true);
  view.setUint16(52, ELF_HEADER, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, segments.length, true);
  const parts: Uint8Array[] = [headers];
  let at = headers.length;
  segments.forEach((segment, i) => {
    const isLoad = segment.type === PT_LOAD;
    const offset = isLoad && segment.contents.length > 0 ? aligned(at, pageSize) : at;
    const header = ELF_HEADER + PROGRAM_HEADER * i;
    view.setUint32(header, segment.type, true);
    view.setUint32(header + 4, segment.flags, true);
    view.setBigUint64(header + 8, BigInt(offset), true);
    view.setBigUint64(header + 16, segment.start, true);
    view.setBigUint64(header + 32, BigInt(segment.contents.length), true);
    view.setBigUint64(header + 40, segment.memory, true);
    view.setBigUint64(header + 48, BigInt(isLoad ? pageSize : segment.type === PT_NOTE ? 4 : 0), true);
    parts.push(new Uint8Array(offset - at), segment.contents);
    at = offset + segment.contents.length;
  });
  return joined(parts);
}
