/**
 * Fault injection, share 2 of 2: allocations, migration, the disk and whatever else can fail; see fault-sweep.ts.
 */
import { sweep } from './fault-sweep.js';

sweep(1, {
  page_alloc: 1500,
  reserve_tag_storage: 340,
  xa_store: 35,
  migrate: 250,
  slab: 30,
  collapse_isolate: 8,
  thp_collapse_alloc: 1,
  collapse_control: 1,
  swap_slot: 2,
  swap_write: 23,
  swap_read: 2,
});
