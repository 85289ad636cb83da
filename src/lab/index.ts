/** Experiments: conformance vectors, pictures of tag storage. */
export { allocationRate } from './allocation-rate.js';
export * from './conform.js';
export * from './picture.js';
