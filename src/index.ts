/**
 * mtemu as a library: everything but the command, for Node and browsers alike.
 *
 * `bootSystem` gives a machine with firmware and the mini-kernel; `createMachine` and `createEngine` a
 * bare one; `assemble`, `disassemble`, `compileDts`, `discoverTagStorage` the tools. Addresses of 64 bits
 * are bigint (`VA`); `Long` values of the `long` package convert with `BigInt(value.toString())`.
 */
export * from '../isa/index.js';
export * from './assembler/index.js';
export * from './base/index.js';
export * from './devicetree/index.js';
export * from './elf/index.js';
export * from './engine/index.js';
export * from './kernel/index.js';
export { blockSizePages, type PageSize } from './kernel/index.js';
export * from './lab/index.js';
export * from './machine/index.js';
