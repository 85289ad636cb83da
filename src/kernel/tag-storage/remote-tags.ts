/**
 * Tags of another process, for a debugger and for core dumps (arch/arm64/kernel/mte.c:
 * __access_remote_tags(), and elfcore.c; v3/30).
 *
 * A page without its block must get it first: what would be read as tags is somebody's data, and what
 * would be written as tags destroys it. How it gets it is the policy's.
 */
import type { VA } from '../../base/index.js';
import { PA, untagged } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { EFAULT, EIO } from '../contexts/index.js';
import type { MmStruct, Page } from '../mm/index.js';
import { FOLL_FORCE, FOLL_WRITE, getUserPage, PG_dirty, putPage, VM_MTE } from '../mm/index.js';
import type { PolicyHost, TagStoragePolicy } from './policy.js';

const GRANULE = 16;

/** The page whose tags can be accessed now, with a reference; or -EIO, -EFAULT, or what the policy said. */
function* remotePage(
  host: PolicyHost,
  policy: TagStoragePolicy,
  as: MmStruct,
  addr: number,
  write: boolean,
): MaySleep<Page | number> {
  const { mm, mte } = host;
  const page = addr - (addr % mm.pageSize);
  for (let round = 0; ; round++) {
    yield* as.mmapLock.downRead();
    const vma = as.vmas.lookup(page);
    as.mmapLock.upRead();
    if (!vma) return -EFAULT;
    if ((vma.flags & VM_MTE) === 0) return -EIO;
    const found = yield* getUserPage(mm, as, page, FOLL_FORCE | (write ? FOLL_WRITE : 0));
    if (found < 0) return found === -EFAULT ? -EIO : found;
    if (found === mm.zeroPage || mte.pageTagStorageReserved(found as Page)) return found;
    const error = yield* policy.prepareRemoteAccess(found as Page, { as, addr: page, write, round });
    if (error === 'as-it-is') return found;
    if (error !== 0) return error;
  }
}

/**
 * PTRACE_PEEKMTETAGS and PTRACE_POKEMTETAGS: one tag a byte, from the granule of `va` on.
 *
 * @returns tags transferred; where there were none, -EIO (no tags there), -EFAULT or -EBUSY.
 */
export function* accessRemoteTags(
  host: PolicyHost,
  policy: TagStoragePolicy,
  as: MmStruct,
  va: VA,
  tags: Uint8Array,
  write: boolean,
): MaySleep<number> {
  const { mm, mte } = host;
  const start = Math.floor(Number(untagged(va)) / GRANULE) * GRANULE;
  let done = 0;
  while (done < tags.length) {
    const addr = start + done * GRANULE;
    const page = yield* remotePage(host, policy, as, addr, write);
    if (page < 0) return done > 0 ? done : page;
    const at = page as Page;
    if (at !== mm.zeroPage && mte.pageTagStorageReserved(at)) yield* mte.initialiseTags(at);
    const count = Math.min(tags.length - done, (mm.pageSize - (addr % mm.pageSize)) / GRANULE);
    for (let i = 0; i < count; i++) {
      const granule = PA(mm.pageToPa(at) + (addr % mm.pageSize) + i * GRANULE);
      if (write) mm.port.writeTag(granule, tags[done + i]! & 15);
      else tags[done + i] = mm.port.readTag(granule);
    }
    if (at !== mm.zeroPage) {
      if (write) mm.memmap.set(at, PG_dirty);
      yield* putPage(mm, at);
    }
    done += count;
  }
  return done;
}

/** One page of a PT_AARCH64_MEMTAG_MTE segment, two tags a byte; undefined for a hole (all zeros). */
export function* dumpTags(host: PolicyHost, as: MmStruct, va: VA): MaySleep<Uint8Array | undefined> {
  const { mm, stash } = host;
  const page = yield* getUserPage(mm, as, Number(untagged(va)), FOLL_FORCE);
  if (page < 0 || page === mm.zeroPage) return undefined;
  const tags = stash.tagsOf(page as Page);
  yield* putPage(mm, page as Page);
  return tags;
}
