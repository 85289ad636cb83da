/**
 * The per-task MTE control: prctl(PR_SET_TAGGED_ADDR_CTRL) and what it means for the CPU.
 *
 * Ref. arch/arm64/kernel/{process,mte}.c (set_tagged_addr_ctrl, set_mte_ctrl, get_mte_ctrl,
 * mte_update_sctlr_user) and Documentation/arch/arm64/memory-tagging-extension.rst of Linux 6.x.
 */
import { EINVAL } from '../contexts/index.js';
import { TAGGED_ADDR } from './abi.js';

/** SCTLR_EL1.TCF0 values. */
export const TCF0 = { NONE: 0, SYNC: 1, ASYNC: 2, ASYMM: 3 } as const;
export type Tcf0 = (typeof TCF0)[keyof typeof TCF0];

export interface TaggedAddressControl {
  /** TIF_TAGGED_ADDR: tagged pointers are accepted in system call arguments. */
  readonly enabled: boolean;
  readonly sync: boolean;
  readonly async: boolean;
  /** The 16-bit set of tags that IRG may give; GCR_EL1.Exclude is its complement. */
  readonly include: number;
}

/** After execve: off, nothing included. */
export const DEFAULT_CONTROL: TaggedAddressControl = {
  enabled: false,
  sync: false,
  async: false,
  include: 0,
};

/**
 * PR_SET_TAGGED_ADDR_CTRL.
 *
 * @param mte the CPU has MTE; without it only ENABLE is a valid bit.
 * @returns the new control, or -EINVAL for bits that mean nothing.
 */
export function setTaggedAddrCtrl(arg: bigint, mte: boolean): TaggedAddressControl | number {
  const valid =
    TAGGED_ADDR.ENABLE | (mte ? TAGGED_ADDR.TCF_SYNC | TAGGED_ADDR.TCF_ASYNC | TAGGED_ADDR.TAG_MASK : 0);
  if ((arg & ~BigInt(valid)) !== 0n) return -EINVAL;
  const bits = Number(arg);
  return {
    enabled: (bits & TAGGED_ADDR.ENABLE) !== 0,
    sync: (bits & TAGGED_ADDR.TCF_SYNC) !== 0,
    async: (bits & TAGGED_ADDR.TCF_ASYNC) !== 0,
    include: (bits & TAGGED_ADDR.TAG_MASK) >> TAGGED_ADDR.TAG_SHIFT,
  };
}

/** PR_GET_TAGGED_ADDR_CTRL. */
export function getTaggedAddrCtrl(control: TaggedAddressControl): number {
  return (
    (control.enabled ? TAGGED_ADDR.ENABLE : 0) |
    (control.sync ? TAGGED_ADDR.TCF_SYNC : 0) |
    (control.async ? TAGGED_ADDR.TCF_ASYNC : 0) |
    (control.include << TAGGED_ADDR.TAG_SHIFT)
  );
}

/**
 * SCTLR_EL1.TCF0 for this control on a CPU whose mte_tcf_preferred is `preferred`.
 *
 * The preferred mode if it was asked for, else async, asymmetric (both asked for), sync, in this order.
 */
export function resolveTcf0(control: TaggedAddressControl, preferred: Tcf0 = TCF0.ASYNC): Tcf0 {
  const { sync, async } = control;
  const asymm = sync && async;
  if (preferred === TCF0.ASYNC && async) return TCF0.ASYNC;
  if (preferred === TCF0.SYNC && sync) return TCF0.SYNC;
  if (preferred === TCF0.ASYMM && asymm) return TCF0.ASYMM;
  if (async) return TCF0.ASYNC;
  if (sync) return TCF0.SYNC;
  return TCF0.NONE;
}
