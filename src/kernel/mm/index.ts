/** The memory manager, modelled on Linux 6.8's mm/. */
export * from './types.js';
