/** Address translation. */
export * from './mmu.js';
export * from './regime.js';
export * from './tlb.js';
export * from './walk.js';
