/**
 * Numbers of the ELF64 format that reader and writer share.
 *
 * Ref. System V ABI, "Object Files" (gABI 4.1); ELF for the Arm 64-bit Architecture (AAELF64).
 */
export const HEADER_SIZE = 64;
export const PROGRAM_HEADER_SIZE = 56;
export const SECTION_HEADER_SIZE = 64;
export const SYMBOL_SIZE = 24;

export const EM_AARCH64 = 183;
export const ET = { rel: 1, exec: 2, dyn: 3, core: 4 } as const;
export const PT = {
  load: 1,
  dynamic: 2,
  interp: 3,
  note: 4,
  phdr: 6,
  tls: 7,
  gnuStack: 0x6474e551,
  gnuRelro: 0x6474e552,
  gnuProperty: 0x6474e553,
} as const;
export const PF = { execute: 1, write: 2, read: 4 } as const;
export const SHT = {
  null: 0,
  progbits: 1,
  symtab: 2,
  strtab: 3,
  note: 7,
  nobits: 8,
  dynsym: 11,
  init_array: 14,
  fini_array: 15,
  preinit_array: 16,
} as const;
export const SHF = { write: 1, alloc: 2, execute: 4, merge: 0x10, strings: 0x20, tls: 0x400 } as const;
export const SHN_ABS = 0xfff1;
export const BINDINGS = { local: 0, global: 1, weak: 2 } as const;
export const SYMBOL_TYPES = {
  notype: 0,
  object: 1,
  function: 2,
  section: 3,
  file: 4,
  common: 5,
  tls: 6,
  ifunc: 10,
} as const;
export const VISIBILITIES = { default: 0, internal: 1, hidden: 2, protected: 3 } as const;

export const NT_GNU_PROPERTY_TYPE_0 = 5;
export const GNU_PROPERTY_AARCH64_FEATURE_1_AND = 0xc0000000;
export const FEATURE_1 = { bti: 1, pac: 2 } as const;
