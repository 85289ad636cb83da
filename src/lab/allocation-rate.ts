/**
 * How many order-0 pages a second the page allocator gives out and takes back.
 *
 * Batches of a few dozen pages, so that per-CPU lists and buddy both work; no guest is involved.
 */
import { MiB } from '../base/index.js';
import {
  allocPages,
  bootSystem,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  KernelMemoryManager,
  type Page,
} from '../kernel/index.js';
import { defaultTree } from '../machine/index.js';

const BATCH = 48;

/** Allocate-and-free pairs a second, over at least `pairs` of them. */
export function allocationRate(pairs: number): number {
  const { kernel } = bootSystem({ tree: defaultTree(256 * MiB) });
  const { mm: manager, contexts } = kernel;
  if (!(manager instanceof KernelMemoryManager)) throw new Error('this is not the memory manager we know');
  const { mm } = manager;
  const pages: Page[] = [];
  const rounds = Math.ceil(pairs / BATCH);
  const work = function* () {
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < BATCH; i++) {
        const page = yield* allocPages(mm, GFP_HIGHUSER_MOVABLE, 0);
        if (page === undefined) throw new Error('memory ran out');
        pages.push(page);
      }
      while (pages.length > 0) yield* freePages(mm, pages.pop()!, 0);
    }
  };
  const start = performance.now();
  contexts.runToCompletion(work());
  return (rounds * BATCH) / ((performance.now() - start) / 1000);
}
