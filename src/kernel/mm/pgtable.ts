/** The page-table formats below, re-exported so that mm/ has one place to import them from. */
export * from '../arch/pgtable/index.js';
