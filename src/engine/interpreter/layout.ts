/**
 * What the generated interpreter and the TypeScript around it agree on: records, cells, exits.
 *
 * A record is one decoded instruction, 32 bytes:
 *
 *     u16  handler: one of `Handler`, or FIRST_FORM and up: a form of the module
 *     ...  operands, each where its form wants it (see fields.ts)
 *
 * The records of a 4 KiB page of instructions follow one another, 1024 and a last one that leads into the
 * next page. A register operand is the distance of its cell from CPU 0's state block, so that one load
 * reaches it: an instruction of CPU 1 needs records of its own.
 *
 * Cells are in the part of the CPU's state block that belongs to engines.
 */
import { CPU_STATE_BASE, CPU_STATE_SIZE, CpuLayout, cellOf } from '../../machine/index.js';

export const RECORD_BYTES = 32;
/** From a page's records to the heat of its instructions, an i32 each. */
export const HEAT_OFFSET = 1024 * RECORD_BYTES + 64;
/** Records of a page, the one beyond its end included, and heat; a multiple of 64 bytes. */
export const PAGE_RECORD_BYTES = HEAT_OFFSET + 1024 * 4;
/**
 * An instruction's heat: branches to it until it is hot, 0 once it is. Below zero it begins a translated
 * region, and is the complement of the region's place in the table of functions.
 */
export const Heat = {
  /** Where nobody translates, and of what cannot be. */
  never: 0x7fff_ffff,
} as const;

/** Handlers that are not forms. */
export const Handler = {
  /** Not decoded yet, or what it was decoded from has changed. */
  undecoded: 0,
  /** An instruction the evaluator does. */
  evaluate: 1,
  /** The end of the page. */
  pageEnd: 2,
  /** SVC; its immediate is an i32 at SUPERVISOR_IMMEDIATE. */
  supervisorCall: 3,
  /** No record's: its place in the table is the function that begins a tagging event. */
  tagEvent: 4,
  /** ERET. */
  exceptionReturn: 5,
  /** No record's: the places of the functions for accesses that cross pages. */
  crossing: 6,
  crossed: 7,
} as const;
export const FIRST_FORM = 8;
export const SUPERVISOR_IMMEDIATE = 4;
/** Forms that use V registers are a module of their own, whose functions are in the table from here on. */
export const FIRST_VECTOR_FORM = 2048;
/** From a form that the host's arithmetic does to the one that soft-float does, where the first gives up. */
export const SOFT_DISTANCE = 4096;
/** Forms that only soft-float does; with it in a module that is made when one is met. */
export const FIRST_SOFT_FORM = FIRST_VECTOR_FORM + 2 * SOFT_DISTANCE;
/** The routines of soft-float. */
export const FIRST_SOFT_ROUTINE = FIRST_SOFT_FORM + 1024;
/**
 * Regions have a table of their own for what they call: the function of tagging events at its place, the
 * routines of soft-float, and each other. A module costs as much memory as the tables that it imports.
 */
export const FIRST_SOFT_LINK = 8;
export const FIRST_REGION_LINK = 64;
/** Elements of the table before those of translated regions. */
export const FORM_PLACES = FIRST_SOFT_ROUTINE + 64;

/** Why generated code gives back control; PC and fuel are in their cells. */
export const Exit = {
  /** No fuel is left; the instruction at PC has not begun. */
  limit: 0,
  /** The instruction at PC has not been done; the evaluator does it. */
  evaluate: 1,
  /** The page of PC has no records in this context; BTYPE is in its cell. */
  page: 2,
  /** The record at PC is not decoded. */
  decode: 3,
  /** The instruction at PC is a branch target that is hot, or begins a region made for another context. */
  hot: 4,
  /** The instruction at PC is SVC, has been counted, and raises its exception; the immediate is in its cell. */
  supervisorCall: 5,
  /** The instruction at PC is ERET, and has been counted. */
  exceptionReturn: 6,
} as const;

/** What a region gives; PC and fuel are in their cells. */
export const RegionExit = {
  /** On at PC as by a branch, with BTYPE in its cell. */
  continue: 0,
  /** The interpreter does the instruction at PC. */
  leave: 1,
  /** The region was made for another context or address; nothing has been done. */
  other: 2,
} as const;

/** What a form's own function gives. */
export const Outcome = {
  done: 0,
  evaluate: 1,
  /** Done, and cells that the loop has in locals have changed. */
  changed: 2,
} as const;

const cell = (index: number) => CpuLayout.ENGINE + 8 * index;

/** Offsets in the state block; those of 64 bits first. */
export const Cell = {
  PC: CpuLayout.PC,
  NZCV: CpuLayout.NZCV,
  /** i64: TLB context of data accesses in bits 63:44, as a key has it. */
  DATA_CONTEXT: cell(0),
  /** i64: of fetches. */
  FETCH_CONTEXT: cell(1),
  /** i64: bits of an address that must be as in HALF: the top byte without TBI, bit 55 where the halves differ. */
  TOP_MASK: cell(2),
  /** i64: all ones where code runs in the upper half, else 0. */
  HALF: cell(3),
  /** i32: tag checks that passed. */
  TAG_CHECKS: cell(4),
  /** i32: host offset of the CPU's TLB. */
  TLB: cell(5),
  /** i32: 1 where tags are checked. */
  CHECKS: cell(6),
  /** i32: 1 where misaligned accesses fault, or are better left to the evaluator. */
  ALIGNMENT: cell(7),
  /** i32: 1 where SP alignment is checked. */
  SP_CHECKED: cell(8),
  /** i32: 1 where allocation tags are accessible. */
  ATA: cell(9),
  /** i32: host offset of the table of tag writers; 0 where none are remembered, 1 where TypeScript must see tag stores. */
  TAG_WRITERS: cell(10),
  /** i32: fuel left at an exit. */
  FUEL: cell(11),
  /** i32: at an exit to another page, how it was branched to: 0 directly, else INDIRECT and the new PSTATE.BTYPE. */
  BTYPE: cell(12),
  /** i64: instructions executed when the fuel will be used up. */
  STEPS_AT_END: cell(13),
  /** i32: host offset of what the exclusive monitor marks, 0 for nothing; i32: its bytes. */
  EXCLUSIVE: cell(14),
  EXCLUSIVE_BYTES: cell(14) + 4,
  /** Four i32: the generator of IRG's tags. */
  RANDOM: cell(15),
  /** i32: what regions are made for, see `specialization`. */
  SPECIALIZATION: cell(32),
  /** i32: instructions that regions have done since the entry; i32: times they left one to the interpreter. */
  TRANSLATED: cell(33),
  LEAVES: cell(33) + 4,
  /** i32: 1 where instructions that use V registers trap. */
  FP_TRAPPED: cell(34),
  /** i32: what floating point has to look at, see `FpState`. */
  FP_STATE: cell(34) + 4,
  /** i32: bits of `Permission`. */
  PERMISSIONS: cell(35),
  /** i64: DCZID_EL0. */
  DCZID: cell(44),
  /** i32: at a supervisor call, the immediate. */
  IMMEDIATE: cell(45),
  /** Four i64: PointerAuthentication.fieldOf instruction addresses of the lower and of the upper half, and of data. */
  PAC_FIELDS: cell(46),
  /** i32: whether soft-float is there, see `SoftFloat`. */
  SOFT_FLOAT: cell(50),
  /** i64 each: PSTATE fields at their places in the registers of their names. */
  DAIF: cell(51),
  SSBS: cell(52),
  DIT: cell(53),
  TCO: cell(54),
  /** i64: CTR_EL0. */
  CTR: cell(55),
  /** i64: what a read of CNTVCT_EL0 gives, put there by it; i64: from steps to the system counter. */
  COUNTER: cell(56),
  TIME_OFFSET: cell(57),
  /** i32: 1 where no interrupt is pending and no debug event on, so that unmasking them changes nothing. */
  QUIET: cell(58),
  /** Two i32: bits of `Special`, `exact` aside, with PSTATE.TCO 0 and 1. */
  OF_TCO: cell(59),
  /** Three i32: operations on the data cache, the tag cache, the instruction cache. */
  MAINTAINED: cell(60),
  /** i64: DATA_CONTEXT of unprivileged accesses, and bits of an address that must be 0 there. */
  USER_CONTEXT: cell(62),
  USER_TOP_MASK: cell(63),
  /** i32: CHECKS and ALIGNMENT of unprivileged accesses; both with PSTATE.TCO 0 and 1, two i32 each. */
  USER_CHECKS: cell(64),
  USER_ALIGNMENT: cell(64) + 4,
  USER_CHECKS_OF_TCO: cell(65),
  USER_ALIGNMENT_OF_TCO: cell(66),
  /** i64: MIDR_EL1 as it reads. */
  MIDR: cell(67),
  /** i64: what a read of CNTV_CTL_EL0 gives, put there by it. */
  TIMER_CONTROL: cell(69),
  /** 64 bytes of an access that crosses pages; i32 each: where it begins, where its second page does, its bytes there. */
  CROSSING: cell(70),
  CROSSING_FIRST: cell(78),
  CROSSING_SECOND: cell(78) + 4,
  CROSSING_BYTES: cell(79),
  CROSSING_BYTES_OF_SECOND: cell(79) + 4,
  /** 64 bytes that code may use inside an instruction. */
  SCRATCH: cell(36),
} as const;

/** Cell.SOFT_FLOAT: not there; there; not there, and needed by the instruction at PC. */
export const SoftFloat = { absent: 0, present: 1, wanted: 2 } as const;

/** The cells of FPCR and FPSR. */
export const FPCR = CpuLayout.SYSTEM + 8 * cellOf('fpcr');
export const FPSR = CpuLayout.SYSTEM + 8 * cellOf('fpsr');

/** Bits of Cell.FP_STATE; 0 for what programs nearly always compute in. */
export const FpState = {
  /** FPSR.IXC is not set: an inexact result must be noticed. */
  exact: 1,
  /** FPCR asks for something else than rounding to nearest. */
  unusual: 2,
  /** FPCR.FZ: subnormal operands and results are something else. */
  flushing: 4,
} as const;

/** Memory argument offset of a CPU's state, to which the CPU's distance is added. */
export const STATE = CPU_STATE_BASE;
/** The distance of a CPU's state block from CPU 0's. */
export const cpuDistance = (index: number): number => index * CPU_STATE_SIZE;

/** The fourth word of a fetch TLB entry: no records; else their host offset, bit 0 set in a guarded page. */
export const NO_RECORDS = -1;
export const GUARDED = 1;

/** Added to the BTYPE that a branch to a register gives: the address goes through BranchAddr. */
export const INDIRECT = 4;

/**
 * An entry of the table of tag writers, found by the granule's host offset: i32 the offset / 16 (0: empty), i32 the
 * tag before and, 8 bits up, after; i64 PC; i64 step.
 */
export const TagWriterEntry = { BYTES: 32, GRANULE: 0, TAGS: 4, PC: 8, STEP: 16 } as const;
/** Entries: contiguous 16 MiB never collide. */
export const TAG_WRITER_ENTRIES = 1 << 20;

/** Bits of Cell.SPECIALIZATION: what of the context is constant in a region. */
export const Special = {
  checks: 1,
  alignment: 2,
  spChecked: 4,
  ata: 8,
  /** Bit 55 of addresses must be as in HALF, the whole top byte too. */
  half: 16,
  topByte: 32,
  upper: 64,
  tagWriters: 128,
  noTagWriters: 256,
  fpTrapped: 512,
  /** FPCR.FZ. */
  flushing: 1024,
  /** FPSR.IXC is not set; of no matter to regions without arithmetic that may be inexact. */
  exact: 2048,
  /** FPCR asks for something else than rounding to nearest. */
  unusual: 4096,
} as const;
