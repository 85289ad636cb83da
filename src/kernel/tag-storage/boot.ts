/**
 * Memory from boot to running, with tag storage in the order of tag-storage.md 3.1: reserve, zero page,
 * mem_init, register (stage B), activate, enable (stage C).
 *
 * "Disabled" never means half: the tag pages stay reserved, a carve-out as on any MTE machine. Only
 * without MTE do they become ordinary memory.
 */
import { inputError } from '../../base/index.js';
import { Mte } from '../arch/index.js';
import type { Page } from '../mm/index.js';
import {
  cmaInitReservedAreas,
  freeReservedArea,
  initMemory,
  initZeroPage,
  KernelMemoryManager,
  memInit,
  pfnRange,
  setupWatermarks,
  swapon,
} from '../mm/index.js';
import { TagHibernation } from './hibernation.js';
import { TagStorageHooks } from './mm-hooks.js';
import type { BootMemoryOptions } from './options.js';
import { findPolicy, policies } from './policies.js';
import type { PolicyFactory, PolicyHost, Status, TagStoragePolicy } from './policy.js';
import { OK, refuse } from './policy.js';
import { regionsProblem } from './regions.js';
import { TagStash } from './stash.js';
import { staticPolicy } from './static.js';
import { TagStorageReports } from './view.js';

/**
 * Brings memory up.
 *
 * @throws InputError where the policy's name is unknown or there is no memory.
 */
export function bootMemory(options: BootMemoryOptions): KernelMemoryManager {
  const factory = findPolicy(options.policy);
  if (!factory) {
    throw inputError('TAG-STORAGE-POLICY', `no tag storage policy named '${options.policy}'`, {
      help: `one of ${policies()
        .map((policy) => policy.name)
        .join(', ')}`,
    });
  }
  const hasMte = options.mte ?? true;
  const mm = initMemory({
    contexts: options.contexts,
    port: options.port,
    tlb: options.tlb,
    banks: options.banks,
    reserved: options.reserved,
    pageSize: options.pageSize,
    vaBits: options.vaBits ?? 48,
    mte: hasMte,
    log: options.log,
    ...(options.nodes === undefined ? {} : { numa: options.nodes }),
    ...(options.movable === undefined ? {} : { movable: options.movable }),
    ...(options.pageblockOrder === undefined ? {} : { pageblockOrder: options.pageblockOrder }),
  });
  for (const region of options.tagRegions) {
    mm.memblock.reserve(pfnRange(mm, region.tagStartPfn, region.tagEndPfn));
  }
  swapon(mm, options.swapPages ?? 0);
  mm.numa = options.numa ?? true;
  if (options.shouldFail) mm.shouldFail = options.shouldFail;
  const mte = new Mte(mm);
  const stash = factory.createStash?.(mm, mte) ?? new TagStash(mm, mte);
  const host: PolicyHost = { mm, mte, stash };
  const wanted = factory.create(host);
  mm.hooks = factory.createHooks?.(host, wanted) ?? new TagStorageHooks(mm, mte, stash, wanted);
  const clearTags = (page: Page) => {
    mte.clearPageTags(page);
    mte.setPageMteTagged(page);
  };
  if (!initZeroPage(mm, clearTags)) throw inputError('MEMORY', 'no memory for the kernel');
  memInit(mm);

  const managed = startPolicy(options, host, factory, wanted);
  const policy: TagStoragePolicy = managed.ok ? wanted : staticPolicy.create(host);
  if (!managed.ok)
    mm.hooks = factory.createHooks?.(host, policy) ?? new TagStorageHooks(mm, mte, stash, policy);
  mm.hooks.hibernation =
    factory.createHibernation?.(host, policy, options.tagRegions) ??
    new TagHibernation(mm, mte, stash, policy, options.tagRegions);
  return new KernelMemoryManager(
    mm,
    new TagStorageReports({
      policy,
      regions: options.tagRegions,
      host,
      reason: managed.ok ? '' : managed.reason,
    }),
  );
}

/** Stages B and C; says in the log what Linux says. */
function startPolicy(
  options: BootMemoryOptions,
  { mm, mte }: PolicyHost,
  factory: PolicyFactory,
  policy: TagStoragePolicy,
): Status {
  const { tagRegions } = options;
  if (tagRegions.length === 0)
    return policy.name === 'static' ? OK : refuse('no tag storage in the device tree');
  if (!mm.mte) {
    const endOfDram = Math.floor(mm.memblock.endOfDram / mm.pageSize);
    for (const { tagStartPfn, tagEndPfn } of tagRegions) {
      const beyond = tagEndPfn >= endOfDram && factory.skipsBeyondMemory === false;
      mm.bugOn(beyond, `pfn 0x${tagEndPfn.toString(16)} is given to the allocator, and is no memory`);
      if (tagStartPfn < endOfDram) freeReservedArea(mm, tagStartPfn, Math.min(tagEndPfn + 1, endOfDram));
    }
    return disabled(mm.log, 'MTE is off: tag storage is ordinary memory');
  }
  if (policy.name === 'static') return OK;
  if (options.kasanHwTags ?? false)
    return disabled(mm.log, 'KASAN HW tags incompatible with tag storage management');
  const memory = mm.memblock.memory.map(({ start, end }) => ({
    start: Math.ceil(start / mm.pageSize),
    end: Math.floor(end / mm.pageSize),
  }));
  const problem = (factory.regionsProblem ?? regionsProblem)(tagRegions, memory);
  if (problem !== undefined) return disabled(mm.log, problem);
  for (const range of options.reserved) {
    const inUse = tagRegions.some(
      ({ tagStartPfn, tagEndPfn }) =>
        range.base < (tagEndPfn + 1) * mm.pageSize && range.base + range.size > tagStartPfn * mm.pageSize,
    );
    if (inUse) return disabled(mm.log, `tag storage is in use: 0x${range.base.toString(16)} is reserved`);
  }
  const registered = policy.register(tagRegions);
  // core_initcall: CMA knows nothing of tag storage, and activates whatever is registered by now.
  cmaInitReservedAreas(mm);
  setupWatermarks(mm);
  options.betweenInitcalls?.(mm);
  if (!registered.ok) return disabled(mm.log, registered.reason);
  const enabled = policy.enable();
  if (!enabled.ok) return disabled(mm.log, enabled.reason);
  mm.log('MTE tag storage region management enabled');
  mm.bugOn(!mte.tagStorageEnabled, 'policy enabled without the key');
  return OK;
}

function disabled(log: (line: string) => void, reason: string): Status {
  log(`tag storage: ${reason}`);
  log('MTE tag storage region management disabled');
  return refuse(reason);
}
