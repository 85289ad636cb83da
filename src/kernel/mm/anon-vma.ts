/**
 * Reverse mapping of anonymous pages: which VMAs, in which address spaces, may map a page
 * (mm/rmap.c, include/linux/rmap.h).
 *
 * A page names an anon_vma; the anon_vma knows its VMAs. After fork a child's VMA joins the
 * anon_vmas of its parent (for pages shared until copied) and gets one of its own (for pages it
 * makes itself). One semaphore, of the tree's root, guards membership.
 */
import type { Contexts, MaySleep } from '../contexts/index.js';
import { RwSemaphore } from '../contexts/index.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { Vma } from './vma.js';

export class AnonVma {
  readonly id: number;
  readonly root: AnonVma;
  readonly parent: AnonVma | undefined;
  /** VMAs that may map pages of this anon_vma. */
  readonly members = new Set<Vma>();
  /** Pins beside membership: migration holds one while the page is unmapped. */
  refcount = 0;
  /** Bumped when a member takes over another's range: a walk under way must look again. */
  generation = 0;
  /** Child anon_vmas, and VMAs whose own anon_vma this is: decide whether fork may reuse it. */
  numChildren = 0;
  numActiveVmas = 0;
  readonly #semaphore: RwSemaphore | undefined;

  constructor(contexts: Contexts, id: number, parent: AnonVma | undefined) {
    this.id = id;
    this.parent = parent;
    this.root = parent?.root ?? this;
    this.#semaphore = parent ? undefined : new RwSemaphore(contexts, 'anon_vma');
  }

  /** anon_vma->root->rwsem. */
  get semaphore(): RwSemaphore {
    return this.root.#semaphore!;
  }
}

/** Page.mapping of an anonymous page: the id with PAGE_MAPPING_ANON below it. */
export const anonMapping = (anonVma: AnonVma): number => (anonVma.id << 1) | 1;

/** Ids for the memmap's 32-bit mapping field. */
export class AnonVmaTable {
  readonly #contexts: Contexts;
  readonly #byId: (AnonVma | undefined)[] = [undefined];
  readonly #freeIds: number[] = [];

  constructor(contexts: Contexts) {
    this.#contexts = contexts;
  }

  alloc(parent?: AnonVma): AnonVma {
    const id = this.#freeIds.pop() ?? this.#byId.length;
    const made = new AnonVma(this.#contexts, id, parent);
    this.#byId[id] = made;
    return made;
  }

  /** Of a page's mapping field; undefined where it names none, as those of files and of KSM pages. */
  ofMapping(mapping: number): AnonVma | undefined {
    return mapping > 0 && (mapping & 1) === 1 ? this.#byId[mapping >> 1] : undefined;
  }

  get count(): number {
    return this.#byId.length - 1 - this.#freeIds.length;
  }

  /** Frees the anon_vma once nothing maps through it, nothing pins it and no child names it. */
  release(anonVma: AnonVma): void {
    if (anonVma.members.size > 0 || anonVma.refcount > 0 || anonVma.numChildren > 0) return;
    if (this.#byId[anonVma.id] !== anonVma) return;
    this.#byId[anonVma.id] = undefined;
    this.#freeIds.push(anonVma.id);
    if (anonVma.parent) {
      anonVma.parent.numChildren--;
      this.release(anonVma.parent);
    }
  }
}

function link(vma: Vma, anonVma: AnonVma): void {
  vma.anonVmaChain.add(anonVma);
  anonVma.members.add(vma);
}

/**
 * anon_vma_prepare(): gives a VMA its anon_vma before its first page; a neighbour's where the two
 * might merge later.
 */
export function anonVmaPrepare(mm: Mm, vma: Vma): void {
  if (vma.anonVma) return;
  const set = vma.mm.vmas;
  const index = set.indexAbove(vma.start);
  const neighbour = reusable(set.at(index - 1), vma) ?? reusable(set.at(index + 1), vma);
  const anonVma = neighbour ?? mm.anonVmas.alloc();
  vma.anonVma = anonVma;
  anonVma.numActiveVmas++;
  link(vma, anonVma);
}

/** anon_vma_compatible() and reusable_anon_vma(). */
function reusable(other: Vma | undefined, vma: Vma): AnonVma | undefined {
  if (other?.anonVma === undefined || other.flags !== vma.flags) return undefined;
  if (other.end !== vma.start && vma.end !== other.start) return undefined;
  const [low, high] = other.start < vma.start ? [other, vma] : [vma, other];
  const pages = (low.end - low.start) / vma.mm.pageSize;
  if (high.pgoff !== low.pgoff + pages) return undefined;
  return other.anonVmaChain.size === 1 ? other.anonVma : undefined;
}

/** anon_vma_clone(): `to` joins everything `from` belongs to; on fork it may take over an idle anon_vma. */
export function anonVmaClone(to: Vma, from: Vma): void {
  for (const anonVma of from.anonVmaChain) {
    link(to, anonVma);
    if (
      to.anonVma === undefined &&
      from.anonVma !== undefined &&
      anonVma.numChildren < 2 &&
      anonVma.numActiveVmas === 0
    ) {
      to.anonVma = anonVma;
    }
  }
  if (to.anonVma) to.anonVma.numActiveVmas++;
}

/** anon_vma_fork(): the child's VMA joins its parent's anon_vmas and gets its own below them. */
export function* anonVmaFork(mm: Mm, child: Vma, parent: Vma): MaySleep<void> {
  if (!parent.anonVma) return;
  const { semaphore } = parent.anonVma;
  yield* semaphore.downWrite();
  child.anonVma = undefined;
  anonVmaClone(child, parent);
  if (!child.anonVma) {
    const anonVma = mm.anonVmas.alloc(parent.anonVma);
    parent.anonVma.numChildren++;
    child.anonVma = anonVma;
    anonVma.numActiveVmas++;
    link(child, anonVma);
  }
  semaphore.upWrite();
}

/** unlink_anon_vmas(): the VMA is going away; its pages are unmapped. */
export function unlinkAnonVmas(mm: Mm, vma: Vma): void {
  if (vma.anonVma) {
    vma.anonVma.numActiveVmas--;
    vma.anonVma = undefined;
  }
  const chain = [...vma.anonVmaChain];
  vma.anonVmaChain.clear();
  for (const anonVma of chain) {
    anonVma.members.delete(vma);
    mm.anonVmas.release(anonVma);
  }
}

/** vma_address(): where `vma` would map a page of that index, or undefined. */
export function vmaAddress(mm: Mm, page: Page, vma: Vma): number | undefined {
  const offset = mm.memmap.index[page]! - vma.pgoff;
  const addr = vma.start + offset * mm.pageSize;
  return offset >= 0 && addr < vma.end ? addr : undefined;
}
