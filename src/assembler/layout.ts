/**
 * Addresses of sections.
 *
 * `static` lays out as GNU ld's default script does for an executable: code and read-only data from
 * 0x400000 behind the ELF headers, writable data on the next 64 KiB page at the same offset in it (so
 * that the file stays compact and every translation granule can protect the two apart), contents
 * before zeroed storage. `flat` puts one section behind the other.
 */
import type { Assembly } from './assembly.js';
import type { Section } from './section.js';

/** GNU ld's default maximum page size for AArch64. */
export const PAGE = 0x10000n;
const STATIC_BASE = 0x400000n;
/** ELF header and up to five program headers. */
const HEADERS = 64n + 5n * 56n;
/** The thread pointer points at a 16-byte control block before the thread's data (AAELF64, 6.2 "TLS"). */
const THREAD_CONTROL_BLOCK = 16n;

export interface Placed {
  /** Sections with content, allocated ones first, in address order. */
  readonly sections: readonly Section[];
  /** Where the thread pointer would point: tprel(x) = x - threadBase. */
  readonly threadBase: bigint | undefined;
}

export function layOut(a: Assembly): Placed {
  const all = [...a.sections.values()].filter((s) => s.size > 0 || s.name === '.text');
  const allocated = all.filter((s) => s.flags.alloc).sort((x, y) => rank(x) - rank(y));
  const isFlat = a.options.layout === 'flat';
  let at = a.options.textBase ?? (isFlat ? 0n : STATIC_BASE + HEADERS);
  let writable = false;
  for (const section of allocated) {
    if (section.flags.write && !writable && !isFlat) at += PAGE;
    writable ||= section.flags.write;
    at = alignUp(at, BigInt(section.alignment));
    section.address = a.options.sectionAddresses?.get(section.name) ?? at;
    const end = section.address + BigInt(section.size);
    // Zeroed thread-local storage exists in each thread's block only; it takes no addresses here.
    if (!(section.flags.tls && section.type === 'nobits')) at = end;
  }
  const tls = allocated.filter((s) => s.flags.tls);
  const alignment = tls.reduce((most, s) => (s.alignment > most ? s.alignment : most), 1);
  const block = alignUp(THREAD_CONTROL_BLOCK, BigInt(alignment));
  return {
    sections: [...allocated, ...all.filter((s) => !s.flags.alloc)],
    threadBase: tls.length === 0 ? undefined : tls[0]!.address - block,
  };
}

/** Code, read-only data, thread-local data, initialiser arrays, data, zeroed data. */
function rank(s: Section): number {
  if (!s.flags.write) return s.flags.execute ? (s.name === '.init' ? 0 : 1) : 2;
  if (s.flags.tls) return s.type === 'nobits' ? 4 : 3;
  if (s.type === 'nobits') return 7;
  return s.type === 'progbits' ? 6 : 5;
}

function alignUp(value: bigint, alignment: bigint): bigint {
  return ((value + alignment - 1n) / alignment) * alignment;
}
