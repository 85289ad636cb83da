/**
 * The interface every way of lending tag storage fits behind (tag-storage.md 8).
 *
 * A policy decides who may place data in tag storage, what happens when a tagged page needs its block,
 * and what an access to a tagged page without one leads to. The colours tell what it may do there: a
 * policy that must migrate can only refuse an atomic request; one that merely drops cached copies can
 * grant it. A new policy is one new file and a line in policies.ts.
 */
import type { Mte } from '../arch/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import type {
  CleanPages,
  FaultOnAccessContext,
  FaultOnAccessOutcome,
  Gfp,
  HibernationHooks,
  Mm,
  MmHooks,
  MmStruct,
  Page,
  TagRegion,
  Violation,
} from '../mm/index.js';
import type { TagStash } from './stash.js';

/** What a policy is given to work with. */
export interface PolicyHost {
  readonly mm: Mm;
  readonly mte: Mte;
  readonly stash: TagStash;
}

/** Whether something could be set up; the reason goes to the log and to reports. */
export type Status = { readonly ok: true } | { readonly ok: false; readonly reason: string };

export const OK: Status = { ok: true };
export const refuse = (reason: string): Status => ({ ok: false, reason });

/** A request for memory that could be served from tag storage. */
export interface PlacementRequest {
  readonly gfp: Gfp;
  readonly movable: boolean;
  readonly tagged: boolean;
}

/** What became of a tagged page's need for its block. */
export type Outcome =
  /** The block is held. */
  | 'reserved'
  /** Not now; the page is usable, and an access will ask again. */
  | 'later'
  /** The page cannot be used for a tagged allocation (v1, v2): try another. */
  | 'refused';

/** An access of tags through another process's address space. */
export interface RemoteAccess {
  readonly as: MmStruct;
  /** Page-aligned. */
  readonly addr: number;
  readonly write: boolean;
  /** How often the page was found without its block before. */
  readonly round: number;
}

/** A block that holds tags. */
export interface TagsHeld {
  /** Its first page. */
  readonly block: Page;
  /** Pages whose tags it holds. */
  readonly taggedPages: number;
  /** Pages that a reservation under way has counted already and not marked yet. */
  readonly pinned: number;
}

export interface TagStoragePolicy {
  readonly name: string;
  /** The regions as managed: split at zone boundaries. Empty while nothing is managed. */
  readonly regions: readonly TagRegion[];

  /** mem_init(): take charge of the tag pages, all still reserved. */
  register(regions: readonly TagRegion[]): Status;
  /** arch_initcall, after CMA areas were activated: all or nothing; from then on pages may be tagged. */
  enable(): Status;

  /** May data be placed in tag storage for this request? */
  mayPlaceData(request: PlacementRequest): boolean;
  /** A page that will be mapped tagged was allocated. */
  onTaggedPage(page: Page, order: number, gfp: Gfp): MaySleep<Outcome>;
  /** The same from atomic context. */
  onTaggedPageAtomic(page: Page, order: number, gfp: Gfp): Atomic<Outcome>;
  /** A page with PG_tag_storage_reserved is freed; from any context. */
  onTaggedFree(page: Page, order: number): Atomic<void>;
  /** A page without its block is accessed through a tagged mapping. Drops the folio's reference always. */
  onTaggedAccessWithoutStorage(folio: Page, context: FaultOnAccessContext): MaySleep<FaultOnAccessOutcome>;

  /**
   * A debugger is about to access the tags of a page that has no block. Drops the caller's reference, unless the page
   * is to be accessed as it is.
   *
   * @returns 0 to look again, or a negative errno; or 'as-it-is', which no sound policy says.
   */
  prepareRemoteAccess(page: Page, access: RemoteAccess): MaySleep<number | 'as-it-is'>;

  /**
   * Where a policy that lends tag storage to clean pages of files alone keeps them (8.4); left out by those that lend
   * it through the allocator.
   */
  readonly cleanPages?: CleanPages;

  /** Is this tag page held for tags right now, and for how many pages? */
  tagsHeldIn(page: Page): TagsHeld | undefined;
  /** The policy's share of the invariants of tag-storage.md 12. */
  checkInvariants(): readonly Violation[];
}

/** How a policy is made; `summary` is for `--tag-storage list`. */
export interface PolicyFactory {
  readonly name: string;
  readonly summary: string;
  create(host: PolicyHost): TagStoragePolicy;
  /** Which code finds the regions: the strict one, or that of the posted series. Left out: the strict one. */
  readonly discovery?: 'binding' | 'linux-v3';
  /** Why regions cannot be managed; left out: the checks of regions.ts. */
  regionsProblem?(
    regions: readonly TagRegion[],
    memory: readonly { readonly start: number; readonly end: number }[],
  ): string | undefined;
  /** Whether pages beyond the end of memory are skipped when tag storage becomes ordinary memory; left out: they are. */
  readonly skipsBeyondMemory?: boolean;
  /** Where the policy keeps tags without a block, and how it answers mm/; left out: stash.ts, mm-hooks.ts. */
  createStash?(mm: Mm, mte: Mte): TagStash;
  createHooks?(host: PolicyHost, policy: TagStoragePolicy): MmHooks;
  /** What it does about tags over a hibernation; left out: hibernation.ts. */
  createHibernation?(
    host: PolicyHost,
    policy: TagStoragePolicy,
    regions: readonly TagRegion[],
  ): HibernationHooks;
}
