/**
 * Fault injection, share 1 of 2: allocations, migration, the disk and whatever else can fail; see fault-sweep.ts.
 */
import { sweep } from './fault-sweep.js';

sweep(0, { page_alloc: 900, reserve_tag_storage: 58, xa_store: 65, migrate: 100, slab: 15, thp_alloc: 1 });
