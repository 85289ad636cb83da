/**
 * Who owns a page of tag storage, in words for a report.
 */
import { hex } from '../../base/index.js';
import type { TagPageOwner } from '../mm/index.js';

export function describeTagPageOwner(owner: TagPageOwner): string {
  switch (owner.kind) {
    case 'not-tag-storage':
      return 'not tag storage';
    case 'free':
      return 'lent and free';
    case 'reserved':
      return 'static carve-out, never lent';
    case 'tags':
      return `tags: block of PFN ${hex(owner.blockPfn)}, ${owner.taggedPages} tagged page${owner.taggedPages === 1 ? '' : 's'}`;
    case 'data': {
      const users = owner.mappings.map((m) => `${hex(m.va)} of address space ${m.addressSpace}`);
      return `holds data${users.length > 0 ? `, mapped at ${users.join(', ')}` : ''}: its tags are not valid`;
    }
  }
}
