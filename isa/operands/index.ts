/** Operand kinds: how each operand reads, prints and parses. */

export * from './bitfield.js';
export * from './conditions.js';
export * from './immediates.js';
export * from './labels.js';
export * from './logical-immediate.js';
export * from './memory.js';
export * from './registers.js';
export * from './shifted-immediate.js';
export * from './shifted-register.js';
export * from './wide-immediate.js';
