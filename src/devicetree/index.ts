/**
 * Device trees: a compiler equal to dtc 1.6.1, a blob reader that cannot be broken, and discovery of
 * tag storage that gives its reasons. Nothing here touches files: loaders are passed in.
 *
 * The language and the bytes of the blobs are those of dtc 1.6.1. Deliberate differences:
 *
 * - `'\\'` ends at its second quote, also where another quote follows later (dtc reads on to that).
 * - A byte from 0x80 up, or a NUL, outside strings and comments is a syntax error (dtc takes it for
 *   the end of the file). `\x` needs a hexadecimal digit (dtc also takes a blank or a sign before it).
 * - Deleting the root node is an error (dtc writes a blob without a root).
 * - Nodes nest up to 1024 deep and may have any number of siblings (dtc: no limit of the one, about ten
 *   thousand of the other). Files that include each other without end are stopped by count and size.
 * - After a semantic error the checks that do not depend on the failed one still run, so more errors
 *   are told at once; what dtc repeats for every pair of duplicates is told once; its "Failed
 *   prerequisite" lines are left out. Errors that dtc gives no place have one here.
 * - Blobs: the reservation list ends where address and size are 0, as the specification says (dtc: where
 *   size is 0); NOP before the root is fine; size_dt_struct is respected; last_comp_version above 17,
 *   two nodes or properties of one name, and names with a slash are refused.
 * - With `-f`, of two properties of one name the last is written, in the place of the first (dtc writes both).
 * - Printed source keeps every NUL; the boot CPU, for which there is no syntax, stands in a comment.
 */

export { type CheckSwitches, checkNames, type PhandleFormat } from './checks/index.js';
export { nodeByPathOrAlias, type StdoutPath, stdoutPath } from './chosen.js';
export {
  type Compiled,
  type CompileOptions,
  checkBlobTree,
  compileDts,
  sortTree,
  type TreeOptions,
} from './compile.js';
export * from './discovery/index.js';
export { toJson } from './json.js';
export { printDts } from './print.js';
export { readDtb } from './read.js';
export type { IncludeLoader, SourceFile } from './source/lexer.js';
export type { BinaryLoader } from './source/values.js';
export * from './tree.js';
export { BLOB_VERSIONS, type BlobVersion, type WriteOptions, writeDtb } from './write.js';
