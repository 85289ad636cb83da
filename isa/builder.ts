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
 * 6. Every instruction that touches V registers, FPCR or FPSR calls `checkFPAdvSIMDEnabled` before
 *    anything else that could fault.
 * 7. Floating-point and saturating operations read FPCR and add to FPSR's cumulative bits. Adding is
 *    neither ordered nor counted (the bits only accumulate), but it must happen: the result of such an
 *    operation is used. What must not raise when a condition fails gets harmless operands then (FCCMP).
 *
 * Values are 64 bits (`x`) or 128 (`q`). 32-bit operations take the low half of their inputs and give a
 * zero-extended result. Floating-point numbers are raw bits in an `x`, zero-extended; `v...` operations
 * work on the lanes of a `q`, lane 0 in its lowest bits. A 64-bit vector is a `q` whose upper half is
 * zero: reads give it so and writes make it so, and operations keep zero lanes harmless; those that would
 * not (0/0 raises) say how many lanes they work on.
 *
 * Names follow the Arm ARM's shared pseudocode (DDI 0487, J1) where it has one.
 */

/** Operation width in bits. */
export type Width = 32 | 64;
/** Size of a floating-point number in bits: IEEE binary16, binary32, binary64. */
export type FpSize = 16 | 32 | 64;
/** Size of a vector's lane, and of what a B, H, S or D register holds, in bits. */
export type LaneSize = 8 | 16 | 32 | 64;
/** How much of a V register a read or write takes, in bits. */
export type VectorWidth = LaneSize | 128;

/** The address keys of pointer authentication (APIAKey_EL1, ...); PACGA's generic key is used by nothing else. */
export type PacKey = 'ia' | 'ib' | 'da' | 'db';

/** The types a builder chooses for itself; rows see them only as opaque. */
export interface Words {
  /** A 64-bit value. */
  readonly x: unknown;
  /** A 128-bit value. */
  readonly q: unknown;
  /** A truth value. */
  readonly bool: unknown;
  /** A general-purpose register operand: slot 0..30 = X0..X30, 31 = zero register, 32 = SP. */
  readonly reg: unknown;
  /** A SIMD and floating-point register operand: slot 0..31 = V0..V31. */
  readonly vreg: unknown;
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

/** FPRounding: one of the pseudocode's, or the mode that FPCR.RMode says. */
export type Rounding = 'tieEven' | 'posInf' | 'negInf' | 'zero' | 'tieAway' | 'odd' | 'fpcr';

/** FPSqrt, FPRecipEstimate, FPRSqrtEstimate, FPRecpX. */
export type FpUnary = 'sqrt' | 'recipEstimate' | 'rsqrtEstimate' | 'recpX';
/** FPAdd, ..., FPMaxNum, FPMinNum, FPMulX, FPRecipStepFused, FPRSqrtStepFused. */
export type FpBinary =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'max'
  | 'min'
  | 'maxNum'
  | 'minNum'
  | 'mulX'
  | 'recipStep'
  | 'rsqrtStep';
/** FPMulAdd; FPMulAddH, whose factors are binary16 and whose addend and result are binary32. */
export type FpTernary = 'mulAdd' | 'mulAddH';
/** FPCompareEQ (quiet NaNs compare silently), FPCompareGE, FPCompareGT (any NaN is invalid). */
export type FpTest = 'eq' | 'ge' | 'gt';

/**
 * Lane-wise operations of one vector. `cnt` and `rbit` are of 8-bit lanes, `urecpe` and `ursqrte`
 * (UnsignedRecipEstimate, UnsignedRSqrtEstimate) of 32-bit ones; `sq...` set FPSR.QC.
 */
export type VectorUnary =
  | 'not'
  | 'neg'
  | 'abs'
  | 'clz'
  | 'cls'
  | 'cnt'
  | 'rbit'
  | 'sqabs'
  | 'sqneg'
  | 'urecpe'
  | 'ursqrte';

/**
 * Lane-wise operations of two vectors: bitwise; modular arithmetic; polynomial product (8-bit lanes);
 * minimum and maximum; comparisons, which give all ones or zeros; halving; saturating, which set
 * FPSR.QC; shifts by the signed low byte of `b`'s lane, to the left where positive. Names of A64
 * instructions mean what those do; SUQADD and USQADD add `b` to the accumulator `a`.
 */
export type VectorBinary =
  | 'and'
  | 'or'
  | 'xor'
  | 'andNot'
  | 'add'
  | 'sub'
  | 'mul'
  | 'pmul'
  | 'smax'
  | 'smin'
  | 'umax'
  | 'umin'
  | 'eq'
  | 'gts'
  | 'ges'
  | 'gtu'
  | 'geu'
  | 'shadd'
  | 'uhadd'
  | 'srhadd'
  | 'urhadd'
  | 'shsub'
  | 'uhsub'
  | 'sqadd'
  | 'uqadd'
  | 'sqsub'
  | 'uqsub'
  | 'suqadd'
  | 'usqadd'
  | 'sqdmulh'
  | 'sqrdmulh'
  | 'sshl'
  | 'ushl'
  | 'srshl'
  | 'urshl'
  | 'sqshl'
  | 'uqshl'
  | 'sqrshl'
  | 'uqrshl'
  | 'sqshlu';

/**
 * Bits of `a` where `first` has ones, of `b` elsewhere; SQRDMLAH and SQRDMLSH of the accumulator `first`,
 * which set FPSR.QC.
 */
export type VectorTernary = 'bitSelect' | 'sqrdmlah' | 'sqrdmlsh';

/** AESSubBytes and AESShiftRows, their inverses, AESMixColumns, its inverse; of a state of 16 bytes. */
export type AesOperation = 'subBytesShiftRows' | 'invSubBytesShiftRows' | 'mixColumns' | 'invMixColumns';

/** How a lane is made half as wide: cut; saturated from signed, from unsigned, from signed to unsigned (QC). */
export type Narrowing = 'cut' | 'sqxtn' | 'uqxtn' | 'sqxtun';

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

  /**
   * `total` bytes (at most 64) made of consecutive elements of `element` bytes, every one of them checked
   * (alignment to its size, translation, tags) as an access of its own before any is done. Bytes in
   * address order, 16 to a vector, zeros after the last; the vectors come named. LDR Q is (16, 16), LDP Q
   * (16, 32), LD3 of 8H (2, 48), LD2 of one S (4, 8).
   */
  loadVector(element: 1 | 2 | 4 | 8 | 16, total: number, address: T['x'], access: Access): readonly T['q'][];
  storeVector(
    element: 1 | 2 | 4 | 8 | 16,
    total: number,
    address: T['x'],
    values: readonly T['q'][],
    access: Access,
  ): void;

  // ---- floating point and vector registers ---------------------------------------------------------
  /** CheckFPAdvSIMDEnabled64: the trap of CPACR_EL1.FPEN, CPTR_EL2.TFP, CPTR_EL3.TFP (EC 0x07). */
  checkFPAdvSIMDEnabled(): void;
  /** B, H, S or D: the low bits of a V register, zero-extended. */
  readF(size: LaneSize, reg: T['vreg']): T['x'];
  /** Clears the rest of the V register. */
  writeF(size: LaneSize, reg: T['vreg'], value: T['x']): void;
  /** The low `width` bits of a V register, zeros above. */
  readV(width: VectorWidth, reg: T['vreg']): T['q'];
  /** Writes the low `width` bits and clears the rest. */
  writeV(width: VectorWidth, reg: T['vreg'], value: T['q']): void;
  /** The register `distance` after `reg`, V0 following V31 (register lists). */
  nextV(reg: T['vreg'], distance: number): T['vreg'];

  // ---- floating point: raw bits, FPCR in force, FPSR accumulating (DDI 0487, J1.3 "shared/functions/float") --
  fp1(operation: FpUnary, size: FpSize, a: T['x']): T['x'];
  fp2(operation: FpBinary, size: FpSize, a: T['x'], b: T['x']): T['x'];
  /** `addend` + `a` * `b`, rounded once. `mulAddH`: size is 32. */
  fp3(operation: FpTernary, size: FpSize, addend: T['x'], a: T['x'], b: T['x']): T['x'];
  /** FPCompare: NZCV as a nibble. `signalNaNs`: quiet NaNs are invalid too (FCMPE). */
  fpCompare(size: FpSize, a: T['x'], b: T['x'], signalNaNs: boolean): T['x'];
  fpTest(test: FpTest, size: FpSize, a: T['x'], b: T['x']): T['bool'];
  /** FPConvert. */
  fpConvert(to: FpSize, from: FpSize, a: T['x'], rounding: 'fpcr' | 'odd'): T['x'];
  /** FPRoundInt; `exact`: an inexact result raises (FRINTX). */
  fpRoundInt(size: FpSize, a: T['x'], rounding: Rounding, exact: boolean): T['x'];
  /** FPRoundIntN: what does not fit a signed integer of `bits` bits becomes the most negative one. */
  fpRoundIntN(size: FpSize, a: T['x'], rounding: Rounding, bits: 32 | 64): T['x'];
  /** FPToFixed: a saturated integer of `bits` bits, zero-extended, of `a` * 2^fraction. */
  fpToFixed(
    bits: 16 | 32 | 64,
    size: FpSize,
    a: T['x'],
    fraction: T['x'],
    unsigned: boolean,
    rounding: Rounding,
  ): T['x'];
  /** FPToFixedJS of a binary64: JavaScript's ToInt32, zero-extended. */
  fpToFixedJS(a: T['x']): T['x'];
  /** FixedToFP: the low `bits` bits of `a` as an integer, times 2^-fraction. */
  fixedToFp(
    size: FpSize,
    bits: 16 | 32 | 64,
    a: T['x'],
    fraction: T['x'],
    unsigned: boolean,
    rounding: Rounding,
  ): T['x'];

  // ---- vectors -------------------------------------------------------------------------------------
  /** A constant. */
  immV(value: bigint): T['q'];
  /** Names a vector, as `let` a value. */
  letV(value: T['q']): T['q'];
  /** A vector of two 64-bit halves. */
  fromX(low: T['x'], high: T['x']): T['q'];
  /** Lane `index` (an operand or a constant), zero-extended. */
  getLane(size: LaneSize, a: T['q'], index: T['x']): T['x'];
  /** `a` with lane `index` replaced by the low bits of `value`. */
  setLane(size: LaneSize, a: T['q'], index: T['x'], value: T['x']): T['q'];
  /** The low bits of `value` in every lane of all 128 bits. */
  splat(size: LaneSize, value: T['x']): T['q'];
  /** Byte i of the result is byte `pattern[i]` of `a` (0..15) or of `b` (16..31). The pattern is static. */
  shuffle(a: T['q'], b: T['q'], pattern: readonly number[]): T['q'];
  /** Byte i of the result is byte `indices[i]` of `table`, or 0 where that is above 15. */
  swizzle(table: T['q'], indices: T['q']): T['q'];
  v1(operation: VectorUnary, size: LaneSize, a: T['q']): T['q'];
  v2(operation: VectorBinary, size: LaneSize, a: T['q'], b: T['q']): T['q'];
  v3(operation: VectorTernary, size: LaneSize, first: T['q'], a: T['q'], b: T['q']): T['q'];
  /** Every lane shifted by `amount`, 0 to `size` (at `size` nothing, or the sign, is left). */
  vShift(operation: 'shl' | 'shr' | 'sar', size: LaneSize, a: T['q'], amount: T['x']): T['q'];
  /** The low (or, `high`, the upper) 64 bits' lanes of `size` bits, extended to twice that. */
  vWiden(signed: boolean, size: 8 | 16 | 32, high: boolean, a: T['q']): T['q'];
  /** The lanes of 2 * `size` bits, made `size` bits wide, in the low half; zeros above. */
  vNarrow(how: Narrowing, size: 8 | 16 | 32, a: T['q']): T['q'];
  /** Carry-less product of two 64-bit numbers (PMULL on 64-bit elements). */
  polynomialProduct(a: T['x'], b: T['x']): T['q'];
  aes(operation: AesOperation, state: T['q']): T['q'];
  /** The scalar operations on the lowest `lanes` lanes; zeros above them. `mulAddH` gives 32-bit lanes. */
  vfp1(operation: FpUnary, size: FpSize, lanes: number, a: T['q']): T['q'];
  vfp2(operation: FpBinary, size: FpSize, lanes: number, a: T['q'], b: T['q']): T['q'];
  vfp3(operation: FpTernary, size: FpSize, lanes: number, addend: T['q'], a: T['q'], b: T['q']): T['q'];
  /** All ones where the test holds. */
  vfpTest(test: FpTest, size: FpSize, lanes: number, a: T['q'], b: T['q']): T['q'];

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
