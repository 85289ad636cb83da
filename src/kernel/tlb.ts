/**
 * The memory manager's TLB invalidations, done on the machine's MMUs.
 *
 * What TLBI VAE1IS, RVAE1IS and ASIDE1IS do; dropping more than asked is allowed.
 */
import type { Machine } from '../machine/index.js';
import type { TlbHooks } from './mm/index.js';

export function tlbHooks(machine: Machine, pageSize: number): TlbHooks {
  return {
    flushTlbPage(_asid, va) {
      for (const cpu of machine.cpus) cpu.mmu.flushRange(va, pageSize);
    },
    flushTlbRange(_asid, start, end) {
      for (const cpu of machine.cpus) cpu.mmu.flushRange(start, Number(end - start));
    },
    flushTlbMm() {
      for (const cpu of machine.cpus) cpu.mmu.flushAll();
    },
  };
}
