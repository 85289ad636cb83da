/** Writing WebAssembly modules. */
export * from './code.js';
export * from './module.js';
