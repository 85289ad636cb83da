/**
 * What the fuzzer does not ask, by name, and why: instructions whose result the architecture leaves
 * open, those that would leave the sandbox, and what qemu-aarch64 is known to do otherwise.
 */
import { encodingParts, type Fields, type Row, systemRegisterByEncoding } from '../../../isa/index.js';
import type { FuzzOutcome } from './case.js';
import { FUZZ_FEATURES, HARNESS, HARNESS_END, PAGE } from './layout.js';

interface Exclusion {
  readonly reason: string;
  readonly is: (row: Row, fields: Fields) => boolean;
}

/** System registers that both sides know alike at EL0, op0:op1:CRn:CRm:op2. */
const SHARED_REGISTERS: ReadonlySet<number> = new Set(
  [
    [3, 3, 4, 2, 0], // NZCV
    [3, 3, 4, 2, 5], // DIT
    [3, 3, 4, 2, 6], // SSBS
    [3, 3, 4, 2, 7], // TCO
    [3, 3, 4, 4, 0], // FPCR
    [3, 3, 4, 4, 1], // FPSR
    [3, 3, 13, 0, 2], // TPIDR_EL0
    [3, 3, 13, 0, 3], // TPIDRRO_EL0
  ].map(([op0, op1, crn, crm, op2]) => (op0! << 14) | (op1! << 11) | (crn! << 7) | (crm! << 3) | op2!),
);

/** Of those FPCR and FPSR, where qemu keeps Len, Stride and the flags of AArch32, which our machine has not. */
const hasBitsOfAArch32 = (encoding: number): boolean =>
  ['fpcr', 'fpsr'].includes(systemRegisterByEncoding(encoding)?.name ?? '');

/** op0:op1:CRn:CRm:op2 of MRS, MSR (register), SYS and SYSL. */
export function systemEncoding(row: Row, fields: Fields): number {
  const op0 = row.id === 'SYS' || row.id === 'SYSL' ? 1 : 2 + fields['o0']!;
  return (
    (op0 << 14) | (fields['op1']! << 11) | (fields['CRn']! << 7) | (fields['CRm']! << 3) | fields['op2']!
  );
}

const writesBack = (row: Row) => /_(pre|post)$/.test(row.id);
const isExclusiveStore = (row: Row) => /^STL?X[RP]/.test(row.id);

const INSTRUCTIONS: readonly Exclusion[] = [
  { reason: 'it would ask the host for a system call', is: (row) => row.id === 'SVC_exception' },
  {
    reason: 'semihosting, which qemu serves to user programs',
    is: (row, f) => row.id === 'HLT_exception' && f['imm16'] === 0xf000,
  },
  { reason: 'it waits for an interrupt that never comes', is: (row) => row.id === 'WFI' },
  {
    reason: 'a system register whose value is each implementation’s own',
    is: (row, f) => {
      if (row.id !== 'MRS' && row.id !== 'MSR_register') return false;
      const encoding = systemEncoding(row, f);
      // Of the others those of EL1 and above are UNDEFINED, but for the ID space, which Linux emulates.
      const { op1, crn } = encodingParts(encoding);
      return !SHARED_REGISTERS.has(encoding) && (op1 === 3 || crn === 0);
    },
  },
  {
    reason: 'it reads bits of AArch32 that qemu keeps; at the end of a case they are left out',
    is: (row, f) => row.id === 'MRS' && hasBitsOfAArch32(systemEncoding(row, f)),
  },
  {
    reason: 'a system register of a feature that our machine has not, and qemu has',
    is: (row, f) => {
      if (row.id !== 'MRS' && row.id !== 'MSR_register') return false;
      const feature = systemRegisterByEncoding(systemEncoding(row, f))?.feature;
      return feature !== undefined && !FUZZ_FEATURES.includes(feature);
    },
  },
  {
    reason: 'cache maintenance, which qemu-user leaves out, and DC ZVA, whose block it makes larger',
    is: (row, f) => (row.id === 'SYS' || row.id === 'SYSL') && f['op1'] === 3,
  },
  {
    reason: 'qemu 7.2 leaves the sign of a signed half-precision fixed-point result in bits 31:16',
    is: (row) => row.id === 'FCVTZS_asisdshf_h',
  },
  {
    reason: 'CONSTRAINED UNPREDICTABLE: a load of two registers into one',
    is: (row, f) => /^LD(P|NP|XP|AXP)/.test(row.id) && f['Rt'] === f['Rt2'],
  },
  {
    reason: 'CONSTRAINED UNPREDICTABLE: write-back to a register that is transferred',
    is: (row, f) =>
      writesBack(row) &&
      row.class === 'load-store' &&
      f['Rn'] !== 31 &&
      (f['Rn'] === f['Rt'] || f['Rn'] === f['Rt2']),
  },
  {
    reason: 'CONSTRAINED UNPREDICTABLE: the status register of a Store-Exclusive is its data or base',
    is: (row, f) =>
      isExclusiveStore(row) &&
      (f['Rs'] === f['Rt'] ||
        (f['Rs'] === f['Rn'] && f['Rn'] !== 31) ||
        (row.id.includes('XP') && f['Rs'] === f['Rt2'])),
  },
];

/** QEMU 7.2 says that FJCVTZS of a subnormal that FPCR.FZ flushes was exact; FPToFixedJS says it was not. */
export const hasFlushedInexactWrongInQemu = (row: Row): boolean => row.id === 'FJCVTZS';

/** Why this instruction is not asked about; undefined where it is. */
export function whyNotAsked(row: Row, fields: Fields): string | undefined {
  return INSTRUCTIONS.find((exclusion) => exclusion.is(row, fields))?.reason;
}

/** QEMU never checks tags on these. */
export const isUncheckedByQemu = (row: Row): boolean => /^(LDAPUR|STLUR)/.test(row.id);

/** Rows of the instructions at which the two sides ended. */
export interface EndRows {
  readonly ours: Row | undefined;
  readonly theirs: Row | undefined;
}

interface Mask {
  readonly reason: string;
  /** Nothing is compared; or all but how the sequence ended; or all but memory and vectors. */
  readonly hides: 'all' | 'end' | 'data';
  readonly is: (ours: FuzzOutcome, theirs: FuzzOutcome, at: EndRows) => boolean;
}

const SEGV_ACCERR = 2;
const SEGV_MTESERR = 9;

const startsPage = (address: bigint) => address % BigInt(PAGE) === 0n;

/** Addresses that a host with 47-bit user space faults on without saying where. */
const beyondHost = (address: bigint) => address >= 1n << 47n;

/** Pairs, 16-byte vectors and structures. */
const IN_PIECES = /^(STN?P_|LDN?P_[sdq]|STU?R_q|(LD|ST)[1-4])/;

const OUTCOMES: readonly Mask[] = [
  {
    reason: 'the address is one of the harness’s own',
    hides: 'all',
    is: (ours) =>
      ours.signal !== undefined && ours.signal.address >= HARNESS && ours.signal.address < HARNESS_END,
  },
  {
    reason: 'qemu gives status 1 for a Store-Exclusive without a monitor before it looks at the address',
    hides: 'all',
    is: (_ours, _theirs, at) =>
      [at.ours, at.theirs].some((row) => row !== undefined && isExclusiveStore(row)),
  },
  {
    reason: 'qemu 7.2 does not check the alignment of LDAPR, LDAPUR and STLUR',
    hides: 'all',
    is: (ours, _theirs, at) => ours.signal?.name === 'SIGBUS' && /^(LDAPU?R|STLUR)/.test(at.ours?.id ?? ''),
  },
  {
    reason: 'qemu looks at translation and tags before alignment',
    hides: 'end',
    is: (ours, theirs) =>
      ours.signal?.name === 'SIGBUS' && theirs.signal?.name === 'SIGSEGV' && ours.pc === theirs.pc,
  },
  {
    reason: 'qemu looks at the tags of a read-only page before it finds that an atomic cannot write it',
    hides: 'end',
    is: (ours, theirs, at) =>
      at.ours?.class === 'atomic' &&
      ours.signal?.code === SEGV_ACCERR &&
      theirs.signal?.code === SEGV_MTESERR &&
      ours.pc === theirs.pc,
  },
  {
    reason: 'qemu translates both pages of an access before it looks at the tags of the first',
    hides: 'end',
    is: (ours, theirs) =>
      ours.signal?.code === SEGV_MTESERR &&
      theirs.signal?.name === 'SIGSEGV' &&
      theirs.signal.code !== SEGV_MTESERR &&
      startsPage(theirs.signal.address) &&
      ours.pc === theirs.pc,
  },
  {
    reason: 'qemu has stored, or loaded into vectors, what comes before the piece of an access that faults',
    hides: 'data',
    is: (ours, theirs, at) =>
      IN_PIECES.test(at.ours?.id ?? '') && ours.signal?.name === 'SIGSEGV' && ours.pc === theirs.pc,
  },
  {
    reason: 'the host of qemu faults without an address on one that is not canonical',
    hides: 'end',
    is: (ours, theirs) =>
      ours.signal?.name === 'SIGSEGV' &&
      theirs.signal?.name === 'SIGSEGV' &&
      theirs.signal.address === 0n &&
      beyondHost(ours.signal.address),
  },
];

export interface Hidden {
  readonly reason: string;
  readonly hides: Mask['hides'];
}

/** What is not compared of these outcomes, and why. */
export function whatIsHidden(ours: FuzzOutcome, theirs: FuzzOutcome, at: EndRows): readonly Hidden[] {
  return OUTCOMES.filter((mask) => mask.is(ours, theirs, at));
}
