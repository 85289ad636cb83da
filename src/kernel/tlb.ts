/**
 * The memory manager's TLB invalidations, done on the machine's MMUs.
 *
 * What TLBI VAE1IS, RVAE1IS and ASIDE1IS do, and the DSB after them: every CPU of the inner shareable domain has
 * forgotten the translations when the call returns, whatever it was executing. Dropping more than asked is allowed.
 * arm64 broadcasts in hardware where other architectures interrupt every CPU, so what is counted is broadcasts.
 */
import type { Machine } from '../machine/index.js';
import type { Contexts } from './contexts/index.js';
import type { TlbHooks } from './mm/index.js';

export interface BroadcastTlb {
  readonly hooks: TlbHooks;
  /** Invalidations that each CPU sent to others. */
  readonly shootdowns: ArrayLike<number>;
}

export function tlbHooks(machine: Machine, contexts: Contexts, pageSize: number): BroadcastTlb {
  const { cpus } = machine;
  const shootdowns = new Float64Array(cpus.length);
  const sent = () => {
    if (cpus.length > 1) shootdowns[contexts.current.cpu]!++;
  };
  const hooks: TlbHooks = {
    flushTlbPage(_asid, va) {
      sent();
      for (const cpu of cpus) cpu.mmu.flushRange(va, pageSize);
    },
    flushTlbRange(_asid, start, end) {
      sent();
      for (const cpu of cpus) cpu.mmu.flushRange(start, Number(end - start));
    },
    flushTlbMm() {
      sent();
      for (const cpu of cpus) cpu.mmu.flushAll();
    },
  };
  return { hooks, shootdowns };
}
