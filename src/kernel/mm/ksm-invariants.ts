/**
 * What must hold of KSM whenever no operation is under way: counters, lists and trees agree, and a KSM page can
 * be written through no entry and found through every one.
 */

import { isKsmPage, type KsmMmSlot, type RmapItem, stableNodeOf } from './ksm.js';
import { isKsmZeroPte } from './ksm-merge.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { PG_anon_exclusive } from './page-flags.js';
import type { Pte } from './pgtable.js';
import { ptePa, ptePresent, pteSpecial, pteWrite } from './pgtable.js';
import type { Violation } from './types.js';
import { VM_MERGEABLE } from './vma.js';

/** Calls back for every entry of an address space. */
type EachPte = (mm: Mm, as: MmStruct, visit: (pte: Pte, addr: number) => void) => void;

export function checkKsm(mm: Mm, forEachPte: EachPte, out: Violation[]): void {
  const broken = (detail: string) => out.push({ invariant: 'ksm', detail });
  const { ksm } = mm;
  if (ksm.slots.size === 0 && ksm.nodes.size === 0 && ksm.zeroPages === 0) return;
  checkItems(mm, broken);
  let zeroPages = 0;
  for (const as of mm.addressSpaces) {
    forEachPte(mm, as, (pte, addr) => {
      if (!ptePresent(pte)) return;
      if (pteSpecial(pte)) {
        if (isKsmZeroPte(mm, pte)) zeroPages++;
        return;
      }
      const page = mm.paToPage(ptePa(pte));
      if (page === undefined || !isKsmPage(mm, page)) return;
      const where = `pfn 0x${mm.memmap.pageToPfn(page).toString(16)} at 0x${addr.toString(16)} of mm ${as.id}`;
      if (pteWrite(pte) || mm.memmap.test(page, PG_anon_exclusive)) broken(`${where} is merged and writable`);
      if (!isFindable(mm, as, addr, page)) broken(`${where} is merged, and cannot be found by its page`);
    });
  }
  if (zeroPages !== ksm.zeroPages) broken(`${ksm.zeroPages} merged zero pages counted, ${zeroPages} found`);
}

/** Through its own item, or one whose fork this is; or ksmd will come by and make one. */
function isFindable(mm: Mm, as: MmStruct, addr: number, page: Page): boolean {
  const vma = as.vmas.lookup(addr);
  if (vma === undefined) return false;
  if ((vma.flags & VM_MERGEABLE) !== 0 && mm.ksm.slots.has(as)) return true;
  for (const item of stableNodeOf(mm, page)?.items ?? []) {
    if (item.addr === addr && item.anonVma?.members.has(vma) === true) return true;
  }
  return false;
}

function checkItems(mm: Mm, broken: (detail: string) => void): void {
  const { ksm } = mm;
  const listed = new Set<RmapItem>();
  let unshared = 0;
  for (let slot: KsmMmSlot = ksm.head.after; slot !== ksm.head; slot = slot.after) {
    if (ksm.slots.get(slot.mm!) !== slot) broken(`the slot of mm ${slot.mm?.id} is not known`);
    let last = -1;
    for (let item = slot.next; item !== undefined; item = item.next) {
      listed.add(item);
      if (item.addr <= last || item.mm !== slot.mm) broken(`items of mm ${slot.mm?.id} are out of order`);
      last = item.addr;
      if (item.state === 'unstable') unshared++;
      if ((item.state === 'stable') !== (item.anonVma !== undefined)) {
        broken(`an item at 0x${item.addr.toString(16)} is ${item.state}, and its anon_vma says otherwise`);
      }
      if (item.state === 'stable' && item.node?.items.has(item) !== true) {
        broken(`an item at 0x${item.addr.toString(16)} is in no node`);
      }
    }
  }
  let shared = 0;
  let sharing = 0;
  for (const node of ksm.nodes.values()) {
    if (node.items.size > 0) shared++;
    sharing += Math.max(0, node.items.size - 1);
    if (!node.chain.dups.includes(node) || node.chain.entry === undefined)
      broken(`node ${node.id} is in no tree`);
    for (const item of node.items)
      if (!listed.has(item)) broken(`node ${node.id} has an item of no address space`);
  }
  const counted = `${ksm.pagesShared}/${ksm.pagesSharing}/${ksm.pagesUnshared}/${ksm.rmapItems}`;
  const found = `${shared}/${sharing}/${unshared}/${listed.size}`;
  if (counted !== found) broken(`shared/sharing/unshared/items are ${counted}, found ${found}`);
  const dups = [...ksm.nodes.values()].filter(({ chain }) => chain.object !== undefined).length;
  if (dups !== ksm.dups) broken(`${ksm.dups} nodes of chains counted, ${dups} found`);
  const objects = ksm.stableNodeCache.inUse - ksm.nodes.size - ksm.chains;
  if (
    objects !== 0 ||
    ksm.rmapItemCache.inUse !== ksm.rmapItems ||
    ksm.mmSlotCache.inUse !== ksm.slots.size
  ) {
    broken('slab objects do not match what there is');
  }
}
