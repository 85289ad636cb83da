/** VMSAv8-64 page-table formats as arm64 Linux uses them. */
export * from './layout.js';
export * from './mair.js';
export * from './pte.js';
export * from './swap-entry.js';
