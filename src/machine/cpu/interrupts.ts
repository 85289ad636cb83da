/**
 * Asynchronous exceptions: which of the pending ones a CPU takes now, and to which level.
 *
 * Routing follows SCR_EL3 and HCR_EL2, masking PSTATE: a level above the current one that EL2 or EL3
 * claims cannot be masked from below; interrupts for a level below the current one wait.
 *
 * Ref. DDI 0487, D1.3.6 (asynchronous exception routing and masking), J1 AArch64.PhysicalIRQ,
 * D1.3.7 (virtual interrupts).
 */
import { HCR, SCR } from '../../../isa/index.js';
import type { Cpu } from './cpu.js';
import { cellOf } from './system-cells.js';

export const InterruptLine = { irq: 1, fiq: 2, serror: 4 } as const;

/** What is to be taken. */
export interface PendingInterrupt {
  readonly kind: 'irq' | 'fiq' | 'serror';
  readonly isVirtual: boolean;
  readonly target: 1 | 2 | 3;
  /** Vector offset. */
  readonly offset: number;
}

interface Kind {
  readonly kind: PendingInterrupt['kind'];
  readonly line: number;
  /** Bit of PSTATE.DAIF (D in bit 3). */
  readonly mask: number;
  readonly scr: number;
  /** HCR_EL2: routing to EL2, and the virtual interrupt's pending bit. */
  readonly route: number;
  readonly virtual: number;
  readonly offset: number;
}

/** In the order they are looked at; the architecture leaves it open. */
const KINDS: readonly Kind[] = [
  { kind: 'serror', line: 4, mask: 4, scr: SCR.EA, route: HCR.AMO, virtual: HCR.VSE, offset: 0x180 },
  { kind: 'fiq', line: 2, mask: 1, scr: SCR.FIQ, route: HCR.FMO, virtual: HCR.VF, offset: 0x100 },
  { kind: 'irq', line: 1, mask: 2, scr: SCR.IRQ, route: HCR.IMO, virtual: HCR.VI, offset: 0x80 },
];

const SCR_EL3 = cellOf('scr_el3');
const HCR_EL2 = cellOf('hcr_el2');
/** True if anything is pending, masked or not. */
export function anythingPending(cpu: Cpu): boolean {
  // VF, VI and VSE are neighbours.
  return cpu.interruptLines !== 0 || (cpu.el2Enabled && cpu.cells.field(HCR_EL2, HCR.VSE, HCR.VF) !== 0);
}

/** The level a physical interrupt goes to. */
function routeOf(cpu: Cpu, kind: Kind): 1 | 2 | 3 {
  if (cpu.environment.hasEl3 && cpu.cells.bit(SCR_EL3, kind.scr)) return 3;
  if (cpu.pstate.el < 3 && (cpu.hcrBit(kind.route) || cpu.hcrBit(HCR.TGE))) return 2;
  return 1;
}

function isTaken(cpu: Cpu, kind: Kind, target: 1 | 2 | 3): boolean {
  const { el, daif } = cpu.pstate;
  const masked = (daif & kind.mask) !== 0;
  if (target < el) return false;
  if (target === el || target === 1) return !masked;
  // EL2 as the host of EL0 (TGE) is masked like EL1 would be; else PSTATE of a lower level counts for nothing.
  if (target === 2 && cpu.hcrBit(HCR.TGE)) return !masked;
  return true;
}

/** The interrupt that is pending and not masked, or undefined. */
export function pendingInterrupt(cpu: Cpu): PendingInterrupt | undefined {
  for (const kind of KINDS) {
    if ((cpu.interruptLines & kind.line) !== 0) {
      const target = routeOf(cpu, kind);
      if (isTaken(cpu, kind, target)) {
        return { kind: kind.kind, isVirtual: false, target, offset: kind.offset };
      }
    }
    const virtual = cpu.pstate.el < 2 && cpu.hcrBit(kind.route) && !cpu.hcrBit(HCR.TGE);
    if (virtual && cpu.hcrBit(kind.virtual) && (cpu.pstate.daif & kind.mask) === 0) {
      return { kind: kind.kind, isVirtual: true, target: 1, offset: kind.offset };
    }
  }
  return undefined;
}

/** ISR_EL1: A, I, F in bits 8, 7, 6; at EL1 under a hypervisor the virtual ones. */
export function interruptStatus(cpu: Cpu): bigint {
  let status = 0n;
  for (const kind of KINDS) {
    const isGuest = cpu.pstate.el === 1 && cpu.hcrBit(kind.route);
    const pending = isGuest ? cpu.hcrBit(kind.virtual) : (cpu.interruptLines & kind.line) !== 0;
    if (pending) status |= BigInt(kind.mask) << 6n;
  }
  return status;
}
