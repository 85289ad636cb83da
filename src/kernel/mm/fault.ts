/**
 * do_page_fault(): from a faulting access to a result the process floor can act on
 * (arch/arm64/mm/fault.c).
 *
 * Takes mmap_lock, finds the VMA (growing a stack where that is what the fault asks for), checks the
 * access against it, and repeats while the handler says VM_FAULT_RETRY.
 */
import type { VA } from '../../base/index.js';
import { untagged } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { sleepPoint } from '../contexts/index.js';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_INSTRUCTION,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from './fault-flags.js';
import { mayExpandVm } from './limits.js';
import { handleMmFault } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { STACK_GUARD_GAP } from './mmap.js';
import { vmEnoughMemory } from './overcommit.js';
import type { FaultAccess, FaultResult } from './types.js';
import type { Vma } from './vma.js';
import { VM_ACCOUNT, VM_EXEC, VM_GROWSDOWN, VM_READ, VM_WRITE } from './vma.js';

const RETRY = sleepPoint('fault retry');

const MAPERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: 'MAPERR' };
const ACCERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: 'ACCERR' };
const ADRERR: FaultResult = { kind: 'signal', signal: 'SIGBUS', code: 'ADRERR' };
const HANDLED: FaultResult = { kind: 'handled', major: false };
const HANDLED_MAJOR: FaultResult = { kind: 'handled', major: true };
const OOM: FaultResult = { kind: 'oom' };
const KILLED: FaultResult = { kind: 'killed' };

/** A user address as a plain number, or undefined for the kernel's half and beyond TASK_SIZE. */
export function userAddress(as: MmStruct, va: VA): number | undefined {
  const addr = untagged(va);
  if (addr >= BigInt(as.layout.taskSize)) return undefined;
  return Number(addr);
}

/** Rights of which the VMA must have one: without FEAT_EPAN execute implies read. */
function neededFlags(access: FaultAccess): number {
  if (access.exec) return VM_EXEC;
  if (access.write) return VM_WRITE;
  return VM_READ | VM_WRITE | VM_EXEC;
}

/** lock_mm_and_find_vma(): mmap_lock is held for reading on return. */
function* lockMmAndFindVma(mm: Mm, as: MmStruct, addr: number): MaySleep<Vma | undefined> {
  yield* as.mmapLock.downRead();
  const vma = as.vmas.at(as.vmas.indexAbove(addr));
  if (!vma || vma.start <= addr || (vma.flags & VM_GROWSDOWN) === 0) {
    return vma && vma.start <= addr ? vma : undefined;
  }
  as.mmapLock.upRead();
  yield* as.mmapLock.downWrite();
  expandStack(mm, as, addr);
  as.mmapLock.upWrite();
  yield* as.mmapLock.downRead();
  return as.vmas.lookup(addr);
}

/** expand_downwards(): unless the stack would grow past its limit or too near what lies below. */
function expandStack(mm: Mm, as: MmStruct, addr: number): void {
  const index = as.vmas.indexAbove(addr);
  const vma = as.vmas.at(index);
  if (!vma || vma.start <= addr || (vma.flags & VM_GROWSDOWN) === 0) return;
  const start = addr - (addr % mm.pageSize);
  const below = as.vmas.at(index - 1);
  if (vma.end - start > as.limits.stack) return;
  if (below && start - below.end < STACK_GUARD_GAP * mm.pageSize) return;
  const pages = (vma.start - start) / mm.pageSize;
  if (vma.pgoff < pages || !mayExpandVm(mm, as, vma.flags, pages)) return;
  if ((vma.flags & VM_ACCOUNT) !== 0) {
    // acct_stack_growth().
    if (!vmEnoughMemory(mm, pages, as.totalVm)) return;
    mm.committedPages += pages;
  }
  vma.pgoff -= pages;
  vma.start = start;
  as.totalVm += pages;
}

/** One fault, to its end. */
export function* doPageFault(mm: Mm, as: MmStruct, va: VA, access: FaultAccess): MaySleep<FaultResult> {
  const task = mm.contexts.current;
  const addr = userAddress(as, va);
  if (addr === undefined || as.dead) return MAPERR;
  const page = addr - (addr % mm.pageSize);
  let flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
  if (access.user) flags |= FAULT_FLAG_USER;
  if (access.write) flags |= FAULT_FLAG_WRITE;
  if (access.exec) flags |= FAULT_FLAG_INSTRUCTION;
  noteRetryChain(mm, as, page);
  for (;;) {
    const vma = yield* lockMmAndFindVma(mm, as, addr);
    if (!vma || (vma.flags & neededFlags(access)) === 0) {
      as.mmapLock.upRead();
      return vma ? ACCERR : MAPERR;
    }
    const fault = yield* handleMmFault(mm, {
      vma,
      addr: page,
      flags,
      releaseFaultLock: () => as.mmapLock.upRead(),
    });
    if ((fault & VM_FAULT_RETRY) !== 0) {
      if (task.fatalSignalPending) return KILLED;
      flags |= FAULT_FLAG_TRIED;
      yield RETRY;
      continue;
    }
    as.mmapLock.upRead();
    if (task.fatalSignalPending) return KILLED;
    if ((fault & VM_FAULT_OOM) !== 0) return OOM;
    if ((fault & VM_FAULT_SIGBUS) !== 0) return ADRERR;
    return (fault & VM_FAULT_MAJOR) !== 0 ? HANDLED_MAJOR : HANDLED;
  }
}

/** Faults at one page that follow each other without another in between: the longest is a metric. */
function noteRetryChain(mm: Mm, as: MmStruct, page: number): void {
  if (as.retryAddr === page) {
    as.retryChain++;
    mm.metrics.longestRetryChain = Math.max(mm.metrics.longestRetryChain, as.retryChain);
  } else {
    as.retryAddr = page;
    as.retryChain = 0;
  }
}
