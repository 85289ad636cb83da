/** The memory manager's only way to memory, re-exported from the machine's surface in one place. */
export type { MemoryPort } from '../../machine/index.js';
