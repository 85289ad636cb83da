/**
 * The abstract builder: what an instruction's semantics may say.
 *
 * Semantics are written once, in tagless-final style: a function over this interface that never knows
 * whether a value is a bigint (evaluator), an operand read from a predecoded record (generated
 * interpreter) or a WASM local (translator). The rules that make one text serve all three:
 *
 * 1. Register and flag writes come after the memory accesses of the instruction, so that a fault
 *    leaves the state as it was before the instruction.
 * 2. A value used more than once is named: `const t = b.let(...)`. A builder may otherwise emit its
 *    computation where it is used, so an unnamed value is used at most once, not after a later write of
 *    what it read, and the result of an effect not after a later effect. The two results of a pair
 *    operation come named. (The test suite's linearity builder proves all this for every row.)
 * 3. NZCV is set by `setFlags`/`setFlagsIf`/`writeFlags` only and read by `holds`/`flags`/`carry` only.
 * 4. Ordinary JavaScript branching is allowed only on statics: fields and operand parts declared
 *    static, and `isSP`. Each combination is a form of its own in generated code.
 * 5. Memory, tags, branches, system registers and exceptions are the only effects, and they happen
 *    in program order of the calls.
 *
 * All values are 64 bits. 32-bit operations take the low half of their inputs and give a
 * zero-extended result.
 *
 * Names follow the Arm ARM's shared pseudocode (DDI 0487, J1) where it has one.
 */

/** Operation width in bits. */
export type Width = 32 | 64;

/** The address keys of pointer authentication (APIAKey_EL1, ...); PACGA's generic key is used by nothing else. */
export type PacKey = 'ia' | 'ib' | 'da' | 'db';

/** The types a builder chooses for itself; rows see them only as opaque. */
export interface Words {
  /** A 64-bit value. */
  readonly x: unknown;
  /** A truth value. */
  readonly bool: unknown;
  /** A general-purpose register operand: slot 0..30 = X0..X30, 31 = zero register, 32 = SP. */
  readonly reg: unknown;
  /** A condition code operand (0..15). */
  readonly cond: unknown;
  /** A PC-relative target. */
  readonly label: unknown;
  /** A system register or system operation operand: op0:op1:CRn:CRm:op2 as 16 bits. */
  readonly sysreg: unknown;
}

/** Where flags come from; operand b of the subtractions is the subtrahend. */
export type FlagOperation = 'add' | 'sub' | 'adc' | 'sbc' | 'logic';

export type AtomicOperation = 'add' | 'clr' | 'eor' | 'set' | 'smax' | 'smin' | 'umax' | 'umin' | 'swp';

/**
 * What kind of access this is; every field is static.
 *
 * Alignment rules by kind: `normal` faults on a misaligned address only under SCTLR_ELx.A;
 * `ordered` (LDAR, LDAPUR, STLUR, ...), `atomic` (LSE) and loads of kind `exclusive` follow FEAT_LSE2: no
 * fault where all bytes (of a pair: of both elements) lie inside one aligned 16-byte block. Stores of
 * kind `exclusive` must always be aligned, to the whole pair for pairs. Ref. DDI 0487, B2.5.2.
 */
export interface Access {
  readonly kind: 'normal' | 'ordered' | 'exclusive' | 'atomic';
  /** LDTR/STTR: checked with EL0's permissions, TCF0 and ATA0 (unless UAO or at EL0 already). */
  readonly unprivileged?: boolean;
  /** False for accesses that are never tag-checked: SP plus immediate without write-back, literals. */
  readonly tagChecked: boolean;
}

export interface Builder<T extends Words> {
  // ---- values ------------------------------------------------------------------------------------
  /** A constant written in the semantics themselves. */
  imm(value: bigint | number): T['x'];
  /** Names a value so that it can be used more than once. */
  let(value: T['x']): T['x'];
  letBool(value: T['bool']): T['bool'];

  add(w: Width, a: T['x'], b: T['x']): T['x'];
  sub(w: Width, a: T['x'], b: T['x']): T['x'];
  mul(w: Width, a: T['x'], b: T['x']): T['x'];
  /** High 64 bits of the 128-bit product. */
  umulh(a: T['x'], b: T['x']): T['x'];
  smulh(a: T['x'], b: T['x']): T['x'];
  /** Division rounding to zero; by zero gives zero (UDIV/SDIV). */
  udiv(w: Width, a: T['x'], b: T['x']): T['x'];
  sdiv(w: Width, a: T['x'], b: T['x']): T['x'];
  and(w: Width, a: T['x'], b: T['x']): T['x'];
  or(w: Width, a: T['x'], b: T['x']): T['x'];
  xor(w: Width, a: T['x'], b: T['x']): T['x'];
  not(w: Width, a: T['x']): T['x'];
  /** Shifts take the amount modulo the width. */
  shl(w: Width, a: T['x'], amount: T['x']): T['x'];
  shr(w: Width, a: T['x'], amount: T['x']): T['x'];
  sar(w: Width, a: T['x'], amount: T['x']): T['x'];
  ror(w: Width, a: T['x'], amount: T['x']): T['x'];
  clz(w: Width, a: T['x']): T['x'];
  /** Count leading sign bits, not counting the sign bit itself (CLS). */
  cls(w: Width, a: T['x']): T['x'];
  rbit(w: Width, a: T['x']): T['x'];
  /** Reverses bytes inside each container of `container` bits. */
  rev(w: Width, container: 16 | 32 | 64, a: T['x']): T['x'];
  /** Bits `from`-1..0 of `a`, extended to `w` bits. */
  zext(from: number, a: T['x']): T['x'];
  sext(w: Width, from: number, a: T['x']): T['x'];
  /** CRC32 (`castagnoli` false) or CRC32C of the low `size` bytes of `value` over `accumulator`. */
  crc32(castagnoli: boolean, size: 1 | 2 | 4 | 8, accumulator: T['x'], value: T['x']): T['x'];

  // ---- truth values ------------------------------------------------------------------------------
  eq(w: Width, a: T['x'], b: T['x']): T['bool'];
  /** Unsigned and signed less-than. */
  ltu(w: Width, a: T['x'], b: T['x']): T['bool'];
  lts(w: Width, a: T['x'], b: T['x']): T['bool'];
  /** True if bit `index` (an operand or constant) of `a` is one. */
  testBit(a: T['x'], index: T['x']): T['bool'];
  notBool(a: T['bool']): T['bool'];
  andBool(a: T['bool'], b: T['bool']): T['bool'];
  orBool(a: T['bool'], b: T['bool']): T['bool'];
  /** 1 or 0. */
  fromBool(a: T['bool']): T['x'];
  select(condition: T['bool'], whenTrue: T['x'], whenFalse: T['x']): T['x'];

  // ---- registers and flags -----------------------------------------------------------------------
  readX(w: Width, reg: T['reg']): T['x'];
  /** Writes of 32 bits clear the upper half; writes to the zero register vanish. */
  writeX(w: Width, reg: T['reg'], value: T['x']): void;
  /** The base of a memory operand: as readX(64), after CheckSPAlignment if it is SP. */
  readBase(reg: T['reg']): T['x'];
  /** Static: is this operand SP? Decides the tag-check exemption of SP-relative addresses. */
  isSP(reg: T['reg']): boolean;
  /** The register after `reg` of a CASP pair (Rs+1, Rt+1). */
  nextReg(reg: T['reg']): T['reg'];
  /** X30. */
  linkRegister(): T['reg'];
  /** A register that the instruction names itself, by slot: 32 for the SP of RETAA, 17 for AUTIA1716. */
  fixedRegister(slot: number): T['reg'];

  /** NZCV of the operation on `a` and `b` (`logic`: of value `a`; `b` is ignored). `adc`/`sbc` use PSTATE.C. */
  setFlags(operation: FlagOperation, w: Width, a: T['x'], b: T['x']): void;
  /** As setFlags where the condition holds, else NZCV becomes `otherwise` (N is bit 3): CCMP, CCMN. */
  setFlagsIf(
    condition: T['bool'],
    operation: FlagOperation,
    w: Width,
    a: T['x'],
    b: T['x'],
    otherwise: T['x'],
  ): void;
  /** NZCV as a nibble, N in bit 3. */
  flags(): T['x'];
  writeFlags(nzcv: T['x']): void;
  /** PSTATE.C as 0 or 1. */
  carry(): T['x'];
  /** ConditionHolds. */
  holds(condition: T['cond']): T['bool'];

  // ---- control flow ------------------------------------------------------------------------------
  /** The address of this instruction. */
  pc(): T['x'];
  /** The address a PC-relative operand names (ADR: byte; ADRP: page; literal). */
  addressOf(label: T['label']): T['x'];
  /** BranchTo a PC-relative target. BL has written X30 before. */
  branch(label: T['label']): void;
  branchIf(condition: T['bool'], label: T['label']): void;
  /**
   * BranchTo an address in a register; `kind` sets PSTATE.BTYPE (FEAT_BTI) and helps return prediction.
   * `via` is the register of a jump: X16 and X17 give BTYPE 01 in a guarded page, the others 11.
   */
  branchTo(target: T['x'], kind: 'call' | 'return'): void;
  branchTo(target: T['x'], kind: 'jump', via: T['reg']): void;

  // ---- memory ------------------------------------------------------------------------------------
  /** `bytes` 1, 2, 4 or 8; the result is zero-extended. */
  load(bytes: 1 | 2 | 4 | 8, address: T['x'], access: Access): T['x'];
  store(bytes: 1 | 2 | 4 | 8, address: T['x'], value: T['x'], access: Access): void;
  /** Two consecutive elements, both checked before either is written. */
  loadPair(bytes: 4 | 8, address: T['x'], access: Access): readonly [T['x'], T['x']];
  storePair(bytes: 4 | 8, address: T['x'], first: T['x'], second: T['x'], access: Access): void;
  /** MemAtomic; gives the old value, zero-extended. */
  atomic(
    operation: AtomicOperation,
    bytes: 1 | 2 | 4 | 8,
    address: T['x'],
    operand: T['x'],
    access: Access,
  ): T['x'];
  /** MemAtomicCompareAndSwap; gives the old value. */
  compareAndSwap(
    bytes: 1 | 2 | 4 | 8,
    address: T['x'],
    expected: T['x'],
    replacement: T['x'],
    access: Access,
  ): T['x'];
  compareAndSwapPair(
    bytes: 4 | 8,
    address: T['x'],
    expected: readonly [T['x'], T['x']],
    replacement: readonly [T['x'], T['x']],
    access: Access,
  ): readonly [T['x'], T['x']];
  loadExclusive(bytes: 1 | 2 | 4 | 8, address: T['x'], access: Access): T['x'];
  loadExclusivePair(bytes: 4 | 8, address: T['x'], access: Access): readonly [T['x'], T['x']];
  /** Gives the status: 0 stored, 1 not. Alignment is checked first; without the monitor, nothing more is. */
  storeExclusive(bytes: 1 | 2 | 4 | 8, address: T['x'], value: T['x'], access: Access): T['x'];
  storeExclusivePair(bytes: 4 | 8, address: T['x'], first: T['x'], second: T['x'], access: Access): T['x'];
  clearExclusive(): void;
  barrier(kind: 'dmb' | 'dsb' | 'isb' | 'sb'): void;

  // ---- allocation tags (DDI 0487, D10) -----------------------------------------------------------
  /** AArch64.AllocationTagAccessIsEnabled for the current EL. */
  tagAccessEnabled(): T['bool'];
  /** AArch64.AllocationTagFromAddress: bits 59:56. */
  tagOf(address: T['x']): T['x'];
  /** AArch64.AddressWithAllocationTag: `address` with bits 59:56 replaced by the low 4 bits of `tag`. */
  withTag(address: T['x'], tag: T['x']): T['x'];
  /**
   * IRG's tag: AArch64.RandomTag / ChooseRandomNonExcludedTag with GCR_EL1.Exclude | exclude; advances
   * RGSR_EL1. Where tag access is not enabled it is 0 and RGSR_EL1 stays.
   */
  randomTag(exclude: T['x']): T['x'];
  /** AArch64.ChooseNonExcludedTag from `tag` by `offset` steps, with GCR_EL1.Exclude (ADDG, SUBG). */
  nextTag(tag: T['x'], offset: T['x']): T['x'];
  /** The tag of the granule that holds `address` (LDG); 0 where access is not enabled or memory is untagged. */
  loadTag(address: T['x']): T['x'];
  /** Tags `granules` granules from `address` (must be granule-aligned, else an alignment fault), zeroing their data if asked. */
  storeTag(address: T['x'], tag: T['x'], granules: 1 | 2, zeroData: boolean): void;
  /** STGP: one granule's data and tag. */
  storeTagPair(address: T['x'], tag: T['x'], first: T['x'], second: T['x']): void;
  /** LDGM: GMID_EL1.BS block, tags placed by address bits 7:4. */
  loadTagBlock(address: T['x']): T['x'];
  storeTagBlock(address: T['x'], tags: T['x']): void;
  /** STZGM: DCZID_EL0.BS block, one tag, data zeroed. */
  storeTagZeroBlock(address: T['x'], tag: T['x']): void;

  // ---- pointer authentication (DDI 0487, D8.8 and J1 "pac"; only reached where FEAT_PAuth is there) ---
  /**
   * AddPACIA and its kin: `pointer` with an authentication code for `modifier` in its unused top bits.
   * The pointer itself where SCTLR_ELx.EnIA (EnIB, EnDA, EnDB) is 0.
   */
  addPac(pointer: T['x'], modifier: T['x'], key: PacKey): T['x'];
  /** AuthIA and its kin: the pointer without its code; a wrong code gives a non-canonical address. */
  authenticate(pointer: T['x'], modifier: T['x'], key: PacKey): T['x'];
  /** Strip: the pointer without its code, unchecked. `data`: XPACD, as a data address (TBI). */
  stripPac(pointer: T['x'], data: boolean): T['x'];
  /** PACGA: the 32-bit code of `value` under the generic key in bits 63:32, zeros below. */
  genericPac(value: T['x'], modifier: T['x']): T['x'];

  // ---- system ------------------------------------------------------------------------------------
  readSystemRegister(reg: T['sysreg']): T['x'];
  writeSystemRegister(reg: T['sysreg'], value: T['x']): void;
  /** MSR (immediate): op1:op2 select the PSTATE field. */
  writePstate(field: PstateField, value: T['x']): void;
  /** SYS: DC, IC, AT, TLBI and others by encoding. */
  systemOperation(operation: T['sysreg'], value: T['x']): void;
  supervisorCall(imm: T['x']): void;
  hypervisorCall(imm: T['x']): void;
  secureMonitorCall(imm: T['x']): void;
  breakpoint(imm: T['x']): void;
  halt(imm: T['x']): void;
  /** UDF and everything that is UNDEFINED by state rather than by encoding (LDGM at EL0). */
  undefined(): void;
  /** UNDEFINED unless PSTATE.EL >= `el`. */
  requireEL(el: 1 | 2 | 3): void;
  /** ERET; with a key, ERETAA or ERETAB: ELR_ELx is authenticated against SP first. */
  exceptionReturn(key?: 'ia' | 'ib'): void;
  /** HINT #n, other than those with semantics of their own: NOP, YIELD, WFE, WFI, SEV, SEVL, BTI, ESB, ... */
  hint(number: T['x']): void;
}

/** The PSTATE fields that MSR (immediate) reaches, by name. */
export type PstateField = 'SPSel' | 'DAIFSet' | 'DAIFClr' | 'UAO' | 'PAN' | 'DIT' | 'SSBS' | 'TCO';
