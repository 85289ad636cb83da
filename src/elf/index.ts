/** ELF files: the executables that are run, and those the assembler writes. */
export { SHF, SHT } from './format.js';
export {
  type ElfFile,
  type ElfSection,
  type ElfSegment,
  type ElfSymbol,
  type ElfThreadLocal,
  isCode,
  isElf,
  type ReadElfOptions,
  readElf,
} from './read.js';
export { SymbolIndex } from './symbols.js';
export { type ImageLine, type ImageSection, type ImageSymbol, type LinkedImage, toElf } from './write.js';
