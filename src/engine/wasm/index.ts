/** Writing WebAssembly modules. */
export * from './code.js';
export * from './float.js';
export * from './module.js';
export * from './simd.js';
