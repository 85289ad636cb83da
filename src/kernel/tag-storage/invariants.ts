/**
 * The invariants of tag-storage.md section 12 that can be checked from the kernel's own state: 1 to 7.
 *
 * Number 8 (every data byte and tag against an independent shadow) is the tests'; 9 is enforced while
 * running (contexts); 10 is what fault injection compares.
 */
import type { Mte } from '../arch/index.js';
import type { Mm, Page, SeenEntry, Violation } from '../mm/index.js';
import {
  forEachEntry,
  PG_buddy,
  PG_lru,
  PG_mte_tagged,
  PG_pcp,
  PG_reserved,
  PG_tag_storage_reserved,
} from '../mm/index.js';
import { findBlock, regionOfTagPage } from './blocks.js';
import type { TagStoragePolicy } from './policy.js';
import type { TagStash } from './stash.js';

export function checkTagStorageInvariants(
  mm: Mm,
  mte: Mte,
  stash: TagStash,
  policy: TagStoragePolicy,
): Violation[] {
  if (!mte.tagStorageEnabled) return [];
  const out: Violation[] = [];
  const { memmap: map } = mm;
  const text = (page: Page) => `pfn 0x${map.pageToPfn(page).toString(16)}`;
  const reservedIn = new Map<Page, number>();

  for (let page = 0 as Page; page < map.pages; page = (page + 1) as Page) {
    const flags = map.flags[page]!;
    const reserved = (flags & PG_tag_storage_reserved) !== 0;
    if ((flags & PG_mte_tagged) !== 0 && !reserved) {
      out.push({ invariant: '2', detail: `${text(page)} is tagged without its tag storage` });
    }
    if (!reserved) continue;
    const block = findBlock(policy.regions, map.pageToPfn(page));
    const held = block && policy.tagsHeldIn(map.pfnToPage(block.pfn)!);
    if (!held) {
      out.push({ invariant: '4', detail: `${text(page)} is reserved, but its block is not held` });
      continue;
    }
    reservedIn.set(held.block, (reservedIn.get(held.block) ?? 0) + 1);
  }

  let sum = 0;
  for (const region of policy.regions) {
    for (let pfn = region.tagStartPfn; pfn <= region.tagEndPfn; pfn++) {
      const page = map.pfnToPage(pfn)!;
      const held = policy.tagsHeldIn(page);
      if (!held) continue;
      const flags = map.flags[page]!;
      if ((flags & (PG_buddy | PG_pcp | PG_reserved)) !== 0 || map.refcount[page]! < 1) {
        out.push({ invariant: '3', detail: `${text(page)} belongs to a block held for tags and is free` });
      }
      if (map.mapcount[page] !== 0 || (flags & PG_lru) !== 0 || map.mapping[page] !== 0) {
        out.push({ invariant: '5', detail: `${text(page)} holds tags and is in use as data` });
      }
      if (held.block !== page) continue;
      const found = reservedIn.get(page) ?? 0;
      sum += held.taggedPages;
      if (held.taggedPages !== found || (found === 0 && held.pinned === 0)) {
        out.push({
          invariant: '3',
          detail: `block ${text(page)} counts ${held.taggedPages} pages, found ${found}`,
        });
      }
    }
  }
  const total = [...reservedIn.values()].reduce((a, b) => a + b, 0);
  if (sum !== total) out.push({ invariant: '7', detail: `blocks count ${sum} pages, ${total} are reserved` });

  for (const page of stash.pages()) {
    if (map.refcount[map.head(page)]! < 1 || map.test(page, PG_buddy | PG_pcp)) {
      out.push({ invariant: '6', detail: `${text(page)} is free and has stashed tags` });
    }
    if (map.test(page, PG_tag_storage_reserved)) {
      out.push({ invariant: '6', detail: `${text(page)} has its block and stashed tags` });
    }
  }

  for (const as of mm.addressSpaces) {
    const visit = ({ special, page }: SeenEntry, addr: number) => {
      if (page === undefined || (special && page === mm.zeroPage)) return;
      if (!map.test(page, PG_tag_storage_reserved)) {
        out.push({
          invariant: '1',
          detail: `mm ${as.id} maps ${text(page)} tagged at 0x${addr.toString(16)} without its block`,
        });
      }
      if (regionOfTagPage(policy.regions, map.pageToPfn(page))) {
        out.push({
          invariant: '1',
          detail: `mm ${as.id} maps tag storage ${text(page)} tagged at 0x${addr.toString(16)}`,
        });
      }
    };
    forEachEntry(mm, as, visit, 'taggedForUser');
  }
  return [...out, ...policy.checkInvariants()];
}
