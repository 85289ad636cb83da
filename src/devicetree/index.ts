/**
 * Device trees: a compiler equal to dtc 1.6.1, a blob reader that cannot be broken, and discovery of
 * tag storage that gives its reasons. Nothing here touches files: loaders are passed in.
 */

export { type CheckSwitches, checkNames } from './checks/index.js';
export { type Compiled, type CompileOptions, checkBlobTree, compileDts } from './compile.js';
export * from './discovery/index.js';
export { toJson } from './json.js';
export { printDts } from './print.js';
export { readDtb } from './read.js';
export type { IncludeLoader, SourceFile } from './source/lexer.js';
export type { BinaryLoader } from './source/values.js';
export * from './tree.js';
export { type WriteOptions, writeDtb } from './write.js';
