/** Tag storage: policies that lend it, and the boot sequence that brings memory up with one. */
export type { BootMemoryOptions } from './options.js';
