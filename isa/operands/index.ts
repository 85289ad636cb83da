/** Operand kinds: how each operand reads, prints and parses. */
export * from './immediates.js';
export * from './labels.js';
export * from './memory.js';
export * from './registers.js';
