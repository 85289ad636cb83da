/** Processes: loading programs, user registers, MTE control, the ABI's numbers. */
export * from './abi.js';
export * from './exceptions.js';
export * from './exec.js';
export * from './process.js';
export * from './stack.js';
export * from './tagged-address-control.js';
export * from './user-context.js';
