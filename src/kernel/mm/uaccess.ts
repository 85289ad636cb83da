/**
 * Copies between the kernel and user memory, page by page, faulting in what is missing
 * (arch/arm64/lib/copy_*_user.S; mm/gup.c for the loader's writes).
 *
 * The kernel goes through its linear map, so the hardware does not check tags; where the task's mode
 * is synchronous the copy checks each granule itself, as an LDTR or STTR with the user's TCF would.
 */
import type { VA } from '../../base/index.js';
import { logicalTag, PA, VA as toVA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { sleepPoint } from '../contexts/index.js';
import { doPageFault, userAddress } from './fault.js';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_ERROR,
  VM_FAULT_RETRY,
} from './fault-flags.js';
import { pageAnonExclusive } from './folio.js';
import { handleMmFault } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { entryOf } from './page-table.js';
import type { Pte } from './pgtable.js';
import {
  pteNone,
  ptePa,
  ptePresent,
  pteSpecial,
  pteTagged,
  pteUserExec,
  pteUserReadable,
  pteValid,
  pteWrite,
} from './pgtable.js';
import type { FaultAccess, PhysicalMapping, UserCopyOptions } from './types.js';

/** Bytes of memory that one allocation tag belongs to. */
const GRANULE = 16;
/**
 * Faults at one page without success after which a copy gives up: a page and its tag block may both be
 * pinned, and then only the pins' owner can help.
 */
const MAX_FAULTS_PER_PAGE = 256;

const COND_RESCHED = sleepPoint('cond_resched');

const readAccess: FaultAccess = { write: false, exec: false, user: false, tagAccess: false };
const writeAccess: FaultAccess = { write: true, exec: false, user: false, tagAccess: false };

/** A software walk of the tables, without side effects. */
export function walk(mm: Mm, as: MmStruct, addr: number): Pte | undefined {
  const pte = entryOf(mm, as, addr);
  return pteNone(pte) ? undefined : pte;
}

export function virtToPhys(mm: Mm, as: MmStruct, va: VA): PhysicalMapping | undefined {
  const addr = userAddress(as, va);
  if (addr === undefined || as.dead) return undefined;
  const pte = walk(mm, as, addr);
  if (pte === undefined || !pteValid(pte)) return undefined;
  return {
    pa: PA(ptePa(pte) + (addr % mm.pageSize)),
    write: pteWrite(pte),
    exec: pteUserExec(pte),
    tagged: pteTagged(pte),
  };
}

/** The page frame behind an entry that is present for Linux, PROT_NONE and fault-on-access included. */
export function residentPfn(mm: Mm, as: MmStruct, va: VA): number | undefined {
  const addr = userAddress(as, va);
  const pte = addr === undefined || as.dead ? undefined : walk(mm, as, addr);
  return pte === undefined || !ptePresent(pte) ? undefined : Math.floor(ptePa(pte) / mm.pageSize);
}

/** The entry that allows the access, faulting until there is one; undefined where there cannot be. */
function* userPte(
  mm: Mm,
  as: MmStruct,
  va: VA,
  addr: number,
  access: FaultAccess,
): MaySleep<Pte | undefined> {
  for (let faults = 0; faults < MAX_FAULTS_PER_PAGE; faults++) {
    const pte = walk(mm, as, addr);
    if (isUsable(pte, access)) return pte;
    if (faults > 1) yield COND_RESCHED;
    const result = yield* doPageFault(mm, as, va, access);
    if (result.kind !== 'handled') return undefined;
  }
  return undefined;
}

/** Writable for the hardware: PTE_WRITE with RDONLY clear, so that dirtiness is recorded. */
const writableNow = (pte: Pte): boolean => pteWrite(pte) && (pte & (1n << 7n)) === 0n;

const isUsable = (pte: Pte | undefined, access: FaultAccess): pte is Pte =>
  pte !== undefined && pteUserReadable(pte) && (!access.write || writableNow(pte));

/** How many of `bytes` bytes from `addr` (inside one page) match the pointer's tag. */
function matchingBytes(mm: Mm, pte: Pte, tag: number, addr: number, bytes: number): number {
  const base = ptePa(pte);
  const end = addr + bytes;
  for (let at = addr; at < end; at = (Math.floor(at / GRANULE) + 1) * GRANULE) {
    if (mm.port.readTag(PA(base + (at % mm.pageSize))) !== tag) return at - addr;
  }
  return bytes;
}

/** Visits the pages of a user range; `visit` does the copy. Returns the bytes done. */
function* eachUserPage(
  mm: Mm,
  as: MmStruct,
  va: VA,
  bytes: number,
  access: FaultAccess,
  options: UserCopyOptions,
  visit: (pa: PA, offset: number, length: number) => void,
): MaySleep<number> {
  const tag = logicalTag(va);
  let done = 0;
  while (done < bytes) {
    const at = done === 0 ? va : toVA(va + BigInt(done));
    const addr = userAddress(as, at);
    if (addr === undefined) break;
    const chunk = Math.min(bytes - done, mm.pageSize - (addr % mm.pageSize));
    // What is there already is most of what is copied: no generator for it.
    const there = walk(mm, as, addr);
    const pte = isUsable(there, access) ? there : yield* userPte(mm, as, at, addr, access);
    if (pte === undefined) break;
    const allowed = options.checkTags && pteTagged(pte) ? matchingBytes(mm, pte, tag, addr, chunk) : chunk;
    if (allowed > 0) visit(PA(ptePa(pte) + (addr % mm.pageSize)), done, allowed);
    done += allowed;
    if (allowed < chunk) break;
  }
  return done;
}

export function* copyFromUser(
  mm: Mm,
  as: MmStruct,
  va: VA,
  bytes: number,
  options: UserCopyOptions,
): MaySleep<Uint8Array> {
  // Grown page by page: a length no mapping backs must not cost memory.
  const parts: Uint8Array[] = [];
  const done = yield* eachUserPage(mm, as, va, bytes, readAccess, options, (pa, _offset, length) => {
    parts.push(mm.port.readBytes(pa, length));
  });
  if (parts.length === 1) return parts[0]!;
  const out = new Uint8Array(done);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function* copyToUser(
  mm: Mm,
  as: MmStruct,
  va: VA,
  data: Uint8Array,
  options: UserCopyOptions,
): MaySleep<number> {
  return yield* eachUserPage(mm, as, va, data.length, writeAccess, options, (pa, offset, length) => {
    mm.port.writeBytes(pa, data.subarray(offset, offset + length));
  });
}

/**
 * futex_atomic_op_inuser() and futex_cmpxchg_value_locked(): a 32-bit word of user memory is read and written with
 * nothing in between.
 *
 * @param change the new value for the one found; undefined leaves it.
 * @returns what was found, or undefined where the word cannot be accessed.
 */
export function* updateUserWord(
  mm: Mm,
  as: MmStruct,
  va: VA,
  change: (found: number) => number | undefined,
  options: UserCopyOptions,
): MaySleep<number | undefined> {
  const addr = userAddress(as, va);
  if (addr === undefined || addr % 4 !== 0) return undefined;
  const pte = yield* userPte(mm, as, va, addr, writeAccess);
  if (pte === undefined) return undefined;
  if (options.checkTags && pteTagged(pte) && matchingBytes(mm, pte, logicalTag(va), addr, 4) < 4)
    return undefined;
  const pa = PA(ptePa(pte) + (addr % mm.pageSize));
  const found = new DataView(mm.port.readBytes(pa, 4).slice().buffer).getUint32(0, true);
  const next = change(found);
  if (next !== undefined) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, next >>> 0, true);
    mm.port.writeBytes(pa, bytes);
  }
  return found;
}

/**
 * access_remote_vm() with FOLL_FORCE | FOLL_WRITE: a loader fills pages of read-only private mappings;
 * each becomes this address space's own first, and instructions written are made visible.
 */
export function* accessRemoteWrite(mm: Mm, as: MmStruct, va: VA, data: Uint8Array): MaySleep<number> {
  let done = 0;
  while (done < data.length) {
    const addr = userAddress(as, toVA(va + BigInt(done)));
    if (addr === undefined) break;
    const pte = yield* forceWritablePte(mm, as, addr);
    if (pte === undefined) break;
    const chunk = Math.min(data.length - done, mm.pageSize - (addr % mm.pageSize));
    const pa = PA(ptePa(pte) + (addr % mm.pageSize));
    mm.port.writeBytes(pa, data.subarray(done, done + chunk));
    if (pteUserExec(pte)) mm.port.icacheInval(pa, chunk);
    done += chunk;
  }
  return done;
}

/** can_follow_write_pte(): an entry that may be written by force, faulting for it. */
function* forceWritablePte(mm: Mm, as: MmStruct, addr: number): MaySleep<Pte | undefined> {
  let flags = FAULT_FLAG_WRITE | FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY;
  for (let faults = 0; faults < MAX_FAULTS_PER_PAGE; faults++) {
    const pte = walk(mm, as, addr);
    if (pte !== undefined && pteValid(pte) && !pteSpecial(pte)) {
      const page = mm.paToPage(ptePa(pte));
      if (pteWrite(pte) || (page !== undefined && pageAnonExclusive(mm, page))) return pte;
    }
    yield* as.mmapLock.downRead();
    const vma = as.vmas.lookup(addr);
    if (!vma?.accessible) {
      as.mmapLock.upRead();
      return undefined;
    }
    const page = addr - (addr % mm.pageSize);
    const fault = yield* handleMmFault(mm, {
      vma,
      addr: page,
      flags,
      releaseFaultLock: () => as.mmapLock.upRead(),
    });
    if ((fault & VM_FAULT_RETRY) !== 0) flags |= FAULT_FLAG_TRIED;
    else as.mmapLock.upRead();
    if ((fault & VM_FAULT_ERROR) !== 0) return undefined;
  }
  return undefined;
}
