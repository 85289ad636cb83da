/** VMSAv8-64 page-table formats as arm64 Linux uses them. */
export * from './mair.js';
