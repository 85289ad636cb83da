/**
 * Guest exceptions: the classes, and the object that carries one from where it arises to where the CPU
 * takes it.
 *
 * Faults are thrown, since they may arise deep in a translation or in the middle of semantics; they are
 * not Errors, so that no stack trace is collected and nothing else catches them by mistake.
 *
 * Ref. DDI 0487, D19.2.39 (ESR_EL1), D1.3; J1 ExceptionRecord.
 */

/** ESR_ELx.EC. Classes that tell "from a lower level" from "from this level" are given by the lower one. */
export const ExceptionClass = {
  Uncategorized: 0x00,
  WFxTrap: 0x01,
  AdvSIMDFPAccessTrap: 0x07,
  PACTrap: 0x09,
  BranchTarget: 0x0d,
  IllegalState: 0x0e,
  SVC: 0x15,
  HVC: 0x16,
  SMC: 0x17,
  SystemRegisterTrap: 0x18,
  PACFail: 0x1c,
  InstructionAbort: 0x20,
  PCAlignment: 0x22,
  DataAbort: 0x24,
  SPAlignment: 0x26,
  FPTrappedException: 0x2c,
  SError: 0x2f,
  Breakpoint: 0x30,
  SoftwareStep: 0x32,
  Watchpoint: 0x34,
  SoftwareBreakpoint: 0x3c,
} as const;

/** Classes whose number is one higher when the exception is taken to the level it came from. */
export const LOWER_CLASSES: ReadonlySet<number> = new Set([
  ExceptionClass.InstructionAbort,
  ExceptionClass.DataAbort,
  ExceptionClass.Breakpoint,
  ExceptionClass.SoftwareStep,
  ExceptionClass.Watchpoint,
]);

/** Fault status codes (DFSC, IFSC); level codes are these plus the level. Ref. D19.2.39. */
export const FaultStatus = {
  AddressSize: 0x00,
  Translation: 0x04,
  AccessFlag: 0x08,
  Permission: 0x0c,
  SynchronousExternal: 0x10,
  SynchronousTagCheck: 0x11,
  ExternalOnWalk: 0x14,
  Alignment: 0x21,
} as const;

/** ISS bits of data aborts. */
export const ISS_WNR = 1 << 6;
export const ISS_S1PTW = 1 << 7;
export const ISS_CM = 1 << 8;

export interface ExceptionOptions {
  /** Goes to FAR_ELx. */
  readonly vaddress?: bigint;
  /** Goes to HPFAR_EL2; the exception is a stage 2 abort. */
  readonly ipaddress?: number;
  /** Return to the next instruction (SVC, HVC, SMC). */
  readonly returnsToNext?: boolean;
  /** The lowest level it may be taken to, beyond the usual routing. */
  readonly target?: 1 | 2 | 3;
}

export class GuestException {
  readonly exceptionClass: number;
  readonly iss: number;
  readonly vaddress: bigint | undefined;
  readonly ipaddress: number | undefined;
  readonly returnsToNext: boolean;
  readonly target: 1 | 2 | 3 | undefined;

  constructor(exceptionClass: number, iss: number, options: ExceptionOptions = {}) {
    this.exceptionClass = exceptionClass;
    this.iss = iss;
    this.vaddress = options.vaddress;
    this.ipaddress = options.ipaddress;
    this.returnsToNext = options.returnsToNext ?? false;
    this.target = options.target;
  }
}

/** UNDEFINED: no row decodes it, a feature is absent, or the state forbids it. */
export function undefinedInstruction(): GuestException {
  return new GuestException(ExceptionClass.Uncategorized, 0);
}

export function dataAbort(status: number, isWrite: boolean, vaddress: bigint, flags = 0): GuestException {
  return new GuestException(ExceptionClass.DataAbort, status | (isWrite ? ISS_WNR : 0) | flags, { vaddress });
}

export function alignmentFault(isWrite: boolean, vaddress: bigint): GuestException {
  return dataAbort(FaultStatus.Alignment, isWrite, vaddress);
}
