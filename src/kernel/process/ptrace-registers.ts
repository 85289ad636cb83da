/**
 * Register sets: a thread's registers as PTRACE_GETREGSET gives them, SETREGSET takes them, and a core
 * file's notes hold them.
 *
 * A set may be written in part: what the bytes do not reach keeps its value.
 *
 * Ref. arch/arm64/kernel/ptrace.c (aarch64_regsets), arch/arm64/include/uapi/asm/ptrace.h.
 */
import { EINVAL, ENOSPC, EOPNOTSUPP } from '../contexts/index.js';
import type { KernelState } from './kernel-state.js';
import { PSTATE_SS } from './ptrace.js';
import { NT } from './ptrace-abi.js';
import { type HardwarePoint, NO_HARDWARE_DEBUG } from './ptrace-state.js';
import { getTaggedAddrCtrl, setTaggedAddrCtrl } from './tagged-address-control.js';
import type { Thread } from './thread.js';

export interface RegisterSet {
  readonly note: number;
  /** Bytes of the whole set, and of what its length must be a multiple of. */
  readonly bytes: number;
  readonly unit: number;
  /** Undefined where this machine has no such registers. */
  readonly get: (state: KernelState, thread: Thread) => Uint8Array | undefined;
  /** Takes the first bytes of a set: 0, or a negative errno. Left out: read-only. */
  readonly set?: (state: KernelState, thread: Thread, data: Uint8Array) => number;
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The set as it is, with `data` over its beginning. */
function merged(current: Uint8Array, data: Uint8Array): DataView {
  current.set(data.subarray(0, current.length));
  return viewOf(current);
}

// ---- general and floating-point registers --------------------------------------------------------------

const GENERAL_BYTES = 272;
/** What SPSR_EL1 has no meaning for: SPSR_EL1_AARCH64_RES0_BITS. */
const PSTATE_RES0 = (0xffff_ffffn << 32n) | (1n << 27n) | (1n << 26n) | 0x00c0_e020n | (1n << 13n);
const PSTATE_NZCV = 0xfn << 28n;
/** EL0t with nothing masked: what is left of the mode and the DAIF bits. */
const PSTATE_NOT_USER = 0x3dfn;

function generalRegisters(state: KernelState, thread: Thread): Uint8Array {
  const { x, sp, pc, pstate } = state.user.registersOf(thread);
  const bytes = new Uint8Array(GENERAL_BYTES);
  const view = viewOf(bytes);
  [...x, sp, pc, pstate].forEach((value, i) => {
    view.setBigUint64(8 * i, value, true);
  });
  return bytes;
}

function setGeneralRegisters(state: KernelState, thread: Thread, data: Uint8Array): number {
  const view = merged(generalRegisters(state, thread), data);
  // valid_user_regs(): what a thread at EL0 cannot have is refused.
  let pstate = view.getBigUint64(264, true) & ~PSTATE_RES0;
  const isStepping = thread.tracing?.singleStep === true;
  pstate = isStepping ? pstate | PSTATE_SS : pstate & ~PSTATE_SS;
  if ((pstate & PSTATE_NOT_USER) !== 0n) return -EINVAL;
  const registers = state.user.registersOf(thread);
  for (let i = 0; i < 31; i++) registers.x[i] = view.getBigUint64(8 * i, true);
  registers.sp = view.getBigUint64(248, true);
  registers.pc = view.getBigUint64(256, true);
  registers.pstate = pstate & (PSTATE_NZCV | ~PSTATE_RES0);
  return 0;
}

const FP_BYTES = 528;

function fpRegisters(state: KernelState, thread: Thread): Uint8Array | undefined {
  if (!state.fp) return undefined;
  const registers = state.user.registersOf(thread);
  const bytes = new Uint8Array(FP_BYTES);
  const view = viewOf(bytes);
  registers.v.forEach((value, i) => {
    view.setBigUint64(8 * i, value, true);
  });
  view.setUint32(512, Number(registers.fpsr & 0xffff_ffffn), true);
  view.setUint32(516, Number(registers.fpcr & 0xffff_ffffn), true);
  return bytes;
}

function setFpRegisters(state: KernelState, thread: Thread, data: Uint8Array): number {
  const current = fpRegisters(state, thread);
  if (current === undefined) return -EINVAL;
  const view = merged(current, data);
  const registers = state.user.registersOf(thread);
  for (let i = 0; i < 64; i++) registers.v[i] = view.getBigUint64(8 * i, true);
  registers.fpsr = BigInt(view.getUint32(512, true));
  registers.fpcr = BigInt(view.getUint32(516, true));
  return 0;
}

// ---- one word each -------------------------------------------------------------------------------------

function words(...values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(8 * values.length);
  const view = viewOf(bytes);
  values.forEach((value, i) => {
    view.setBigUint64(8 * i, BigInt.asUintN(64, value), true);
  });
  return bytes;
}

/** TPIDR_EL0; TPIDR2_EL0 comes with SME only and reads as 0. */
const tls = (state: KernelState, thread: Thread) => words(state.user.registersOf(thread).tls, 0n);

function setTls(state: KernelState, thread: Thread, data: Uint8Array): number {
  state.user.registersOf(thread).tls = merged(tls(state, thread), data).getBigUint64(0, true);
  return 0;
}

function systemCall(thread: Thread): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setInt32(0, thread.syscallNumber, true);
  return bytes;
}

function setSystemCall(thread: Thread, data: Uint8Array): number {
  thread.syscallNumber = merged(systemCall(thread), data).getInt32(0, true);
  return 0;
}

/** The bits of a pointer that hold its authentication code: between the address and bit 55. */
function pacMask({ mm, pac }: KernelState): Uint8Array | undefined {
  if (!pac) return undefined;
  const mask = ((1n << 55n) - 1n) & ~((1n << BigInt(mm.vaBits)) - 1n);
  return words(mask, mask);
}

function setControl({ mte }: KernelState, thread: Thread, data: Uint8Array): number {
  const view = merged(words(BigInt(getTaggedAddrCtrl(thread.control))), data);
  const control = setTaggedAddrCtrl(view.getBigUint64(0, true), mte);
  if (typeof control === 'number') return control;
  thread.control = control;
  return 0;
}

// ---- debug registers -----------------------------------------------------------------------------------

/** struct user_hwdebug_state: dbg_info, pad, then 16 times address, control, pad. */
const DEBUG_BYTES = 264;
const MOST_POINTS = 16;
/** Privilege: EL0 only. */
const CONTROL_EL0 = 2 << 1;

type PointKind = 'breakpoints' | 'watchpoints';

/** ID_AA64DFR0_EL1: BRPs, WRPs. */
function slots({ user }: KernelState, kind: PointKind): number {
  const shift = kind === 'breakpoints' ? 12n : 20n;
  return Number((user.cpu.readRegister('id_aa64dfr0_el1') >> shift) & 15n) + 1;
}

function debugRegisters(state: KernelState, thread: Thread, kind: PointKind): Uint8Array {
  const bytes = new Uint8Array(DEBUG_BYTES);
  const view = viewOf(bytes);
  const arch = Number(state.user.cpu.readRegister('id_aa64dfr0_el1') & 15n);
  view.setUint32(0, (arch << 8) | slots(state, kind), true);
  (thread.hardwareDebug ?? NO_HARDWARE_DEBUG)[kind].forEach((point, i) => {
    view.setBigUint64(8 + 16 * i, point.address, true);
    view.setUint32(16 + 16 * i, point.control, true);
  });
  return bytes;
}

/** A point as it was asked for, as the hardware takes it; or a negative errno. */
function hardwarePoint(
  thread: Thread,
  kind: PointKind,
  address: bigint,
  control: number,
): HardwarePoint | number {
  if ((control & 1) === 0) return { address, control: control & ~1 };
  // arch_bp_generic_fields(): the bytes selected are a run of 1 to 8.
  const select = (control >> 5) & 0xff;
  const type = (control >> 3) & 3;
  if (select === 0) return -EINVAL;
  const low = 31 - Math.clz32(select & -select);
  const run = select >> low;
  if ((run & (run + 1)) !== 0) return -EINVAL;
  if (kind === 'breakpoints' ? type !== 0 || select !== 15 || (address & 3n) !== 0n : type === 0) {
    return -EINVAL;
  }
  const aligned = kind === 'breakpoints' ? address : address & ~7n;
  const offset = Number(address - aligned) + (kind === 'breakpoints' ? 0 : low);
  if (address >= thread.process.mm.taskSize) return -EINVAL;
  const shifted = kind === 'breakpoints' ? select : (run << offset) & 0xff;
  return { address: aligned, control: (shifted << 5) | (type << 3) | CONTROL_EL0 | 1 };
}

function setDebugRegisters(state: KernelState, thread: Thread, kind: PointKind, data: Uint8Array): number {
  const current = (thread.hardwareDebug ?? NO_HARDWARE_DEBUG)[kind];
  const points: HardwarePoint[] = [...current];
  const view = viewOf(data);
  const room = slots(state, kind);
  for (let i = 0; i < MOST_POINTS && 8 + 16 * i + 8 <= data.length; i++) {
    const at = 8 + 16 * i;
    const address = view.getBigUint64(at, true);
    const control = at + 12 <= data.length ? view.getUint32(at + 8, true) : (points[i]?.control ?? 0);
    const point = hardwarePoint(thread, kind, address, control);
    if (typeof point === 'number') return point;
    if (i >= room) {
      if ((point.control & 1) !== 0 || address !== 0n) return -ENOSPC;
      continue;
    }
    points[i] = point;
  }
  thread.hardwareDebug = { ...(thread.hardwareDebug ?? NO_HARDWARE_DEBUG), [kind]: points };
  return 0;
}

// ---- the table -----------------------------------------------------------------------------------------

export const REGISTER_SETS: readonly RegisterSet[] = [
  {
    note: NT.PRSTATUS,
    bytes: GENERAL_BYTES,
    unit: 8,
    get: generalRegisters,
    set: setGeneralRegisters,
  },
  { note: NT.FPREGSET, bytes: FP_BYTES, unit: 4, get: fpRegisters, set: setFpRegisters },
  { note: NT.ARM_TLS, bytes: 16, unit: 8, get: tls, set: setTls },
  {
    note: NT.ARM_HW_BREAK,
    bytes: DEBUG_BYTES,
    unit: 4,
    get: (state, thread) => debugRegisters(state, thread, 'breakpoints'),
    set: (state, thread, data) => setDebugRegisters(state, thread, 'breakpoints', data),
  },
  {
    note: NT.ARM_HW_WATCH,
    bytes: DEBUG_BYTES,
    unit: 4,
    get: (state, thread) => debugRegisters(state, thread, 'watchpoints'),
    set: (state, thread, data) => setDebugRegisters(state, thread, 'watchpoints', data),
  },
  {
    note: NT.ARM_SYSTEM_CALL,
    bytes: 4,
    unit: 4,
    get: (_state, thread) => systemCall(thread),
    set: (_state, thread, data) => setSystemCall(thread, data),
  },
  { note: NT.ARM_PAC_MASK, bytes: 16, unit: 8, get: pacMask },
  {
    note: NT.ARM_TAGGED_ADDR_CTRL,
    bytes: 8,
    unit: 8,
    get: (_state, thread) => words(BigInt(getTaggedAddrCtrl(thread.control))),
    set: setControl,
  },
];

/** find_regset(), with the check of ptrace_regset() on the length. */
export function registerSet(note: number, length: number): RegisterSet | undefined {
  const found = REGISTER_SETS.find((set) => set.note === note);
  return found !== undefined && length % found.unit === 0 ? found : undefined;
}

/** PTRACE_SETREGSET of a set that is there. */
export function setRegisters(state: KernelState, thread: Thread, set: RegisterSet, data: Uint8Array): number {
  if (set.set === undefined) return -EOPNOTSUPP;
  return set.set(state, thread, data);
}
