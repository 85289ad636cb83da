/** arm64: MTE pages; page-table formats are below, in `pgtable/`. */
export { Mte } from './mte.js';
