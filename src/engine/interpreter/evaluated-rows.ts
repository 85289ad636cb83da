/**
 * The rows whose instructions the evaluator does, by name: the interpreter has all others. A test compares the list
 * with what is so, `mtemu isa` prints the reason with the row.
 *
 * An instruction of any row is the evaluator's where it raises an exception, accesses a device, crosses a page or
 * misses the TLB; MRS, MSR and SYS are where what they name is more than a cell or maintenance of a cache
 * (`plainRegisterOf`, `blockActionsOf` of system-forms.ts).
 */
const RAISES = "it always raises an exception, which is TypeScript's business";
const WAITS = 'it waits for, or wakes, what is outside of the CPU';
const TRANSLATES = 'it changes which translations apply, or which stack pointer is in use';
const BLOCKS = 'it moves the tags of a block at EL1: kernels do so page by page';

/** Why the evaluator does a row's instructions, by the row's id. */
export const EVALUATED_ROWS: Readonly<Record<string, string>> = {
  UDF_reserved: RAISES,
  HVC_exception: RAISES,
  SMC_exception: RAISES,
  BRK_exception: RAISES,
  HLT_exception: RAISES,
  DCPS1_exception: RAISES,
  DCPS2_exception: RAISES,
  DCPS3_exception: RAISES,
  DRPS_branch_reg: RAISES,
  SYSL: 'no operation that it could name exists here, so that it raises an exception',
  ERETA_branch_reg: 'it authenticates its target, and changes the exception level',
  WFE: WAITS,
  WFI: WAITS,
  SEV: WAITS,
  SEVL: WAITS,
  MSR_UAO: TRANSLATES,
  MSR_PAN: TRANSLATES,
  MSR_SPSel: TRANSLATES,
  LDGM: BLOCKS,
  STGM: BLOCKS,
  STZGM: BLOCKS,
};
