/** Caches of data and of allocation tags. */
export * from './geometry.js';
export { type CacheCounts, ModelledCaches, modelledCaches } from './modelled-caches.js';
