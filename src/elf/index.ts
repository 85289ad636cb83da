/** ELF files: the executables that are run, and those the assembler writes. */

export type { ImageLine } from './debug-lines.js';
export { SHF, SHT } from './format.js';
export {
  type ElfFile,
  type ElfSection,
  type ElfSegment,
  type ElfThreadLocal,
  isCode,
  isElf,
  type ReadElfOptions,
  readElf,
} from './read.js';
export { type ElfSymbol, SymbolIndex } from './symbols.js';
export { type ImageSection, type ImageSymbol, type LinkedImage, toElf } from './write.js';
