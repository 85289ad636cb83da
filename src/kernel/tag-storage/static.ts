/**
 * `static`: today's kernels. Tag storage stays a carve-out; no page ever needs anything.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { immediately } from '../contexts/index.js';
import type { FaultOnAccessContext, FaultOnAccessOutcome, Page, TagRegion, Violation } from '../mm/index.js';
import { putPage } from '../mm/index.js';
import type { Outcome, PolicyFactory, PolicyHost, Status, TagStoragePolicy } from './policy.js';
import { OK } from './policy.js';

class StaticPolicy implements TagStoragePolicy {
  readonly name = 'static';
  readonly regions: readonly TagRegion[] = [];
  readonly #host: PolicyHost;

  constructor(host: PolicyHost) {
    this.#host = host;
  }

  register(): Status {
    return OK;
  }

  enable(): Status {
    return OK;
  }

  /** Tag storage is not among the allocatable pages; other CMA areas are open to all. */
  mayPlaceData(): boolean {
    return true;
  }

  onTaggedPage(): MaySleep<Outcome> {
    return immediately('reserved');
  }

  onTaggedPageAtomic(): Atomic<Outcome> {
    return immediately('reserved');
  }

  onTaggedFree(): Atomic<void> {
    return immediately(undefined);
  }

  *onTaggedAccessWithoutStorage(folio: Page, _context: FaultOnAccessContext): MaySleep<FaultOnAccessOutcome> {
    // Unreachable while the key is off; the reference must be dropped all the same.
    yield* putPage(this.#host.mm, folio);
    return { fault: 0, mapPte: true };
  }

  /** Unreachable, likewise. */
  *prepareRemoteAccess(page: Page): MaySleep<number> {
    yield* putPage(this.#host.mm, page);
    return 0;
  }

  tagsHeldIn(): undefined {
    return undefined;
  }

  checkInvariants(): readonly Violation[] {
    return [];
  }
}

export const staticPolicy: PolicyFactory = {
  name: 'static',
  summary: 'tag storage is a carve-out and never lent',
  create: (host) => new StaticPolicy(host),
};
