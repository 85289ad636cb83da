/**
 * The generic timer's outputs: which of a CPU's timers are met, and when the next one will be.
 *
 * A timer's condition is a comparison with the counter, so nothing has to run in between: whoever makes
 * time pass asks `nextExpiry` how far it may go.
 *
 * Ref. DDI 0487, D12.2.4 (operation of the CompareValue views), D12.2.3 (event streams).
 */
import type { Cpu } from './cpu.js';
import { cellOf } from './system-cells.js';

/** A timer: its registers' cells, its private interrupt on this board, and whether CNTVOFF_EL2 applies. */
interface TimerPlace {
  readonly control: number;
  readonly compare: number;
  readonly intid: number;
  readonly isVirtual: boolean;
}

const place = (stem: string, level: string, intid: number, isVirtual = false): TimerPlace => ({
  control: cellOf(`${stem}_ctl_${level}`),
  compare: cellOf(`${stem}_cval_${level}`),
  intid,
  isVirtual,
});

/** The interrupts are those of QEMU's virt board. */
const TIMERS: readonly TimerPlace[] = [
  place('cntp', 'el0', 30),
  place('cntv', 'el0', 27, true),
  place('cnthp', 'el2', 26),
  place('cntps', 'el1', 29),
];

/** Cells whose change may move a timer. */
export const TIMER_CELLS: ReadonlySet<number> = new Set([
  ...TIMERS.flatMap((t) => [t.control, t.compare]),
  cellOf('cntvoff_el2'),
]);

const CNTVOFF_EL2 = cellOf('cntvoff_el2');
const ENABLE = 1n;
const IMASK = 2n;

/** Ticks of the system counter since reset, as this CPU sees them. */
export const counterTicks = (cpu: Cpu): number => cpu.steps + cpu.timeOffset;

/** Calls `output` with each timer's level; gives the ticks until the next one is met, or Infinity. */
export function pollTimers(cpu: Cpu, output: (intid: number, level: boolean) => void): number {
  const { cells } = cpu;
  const now = BigInt(counterTicks(cpu));
  let next = Number.POSITIVE_INFINITY;
  for (const timer of TIMERS) {
    const control = cells.get(timer.control);
    if ((control & ENABLE) === 0n) {
      output(timer.intid, false);
      continue;
    }
    const count = timer.isVirtual ? BigInt.asUintN(64, now - cells.get(CNTVOFF_EL2)) : now;
    const left = cells.get(timer.compare) - count;
    output(timer.intid, left <= 0n && (control & IMASK) === 0n);
    if (left > 0n && (control & IMASK) === 0n) next = Math.min(next, Number(left));
  }
  return next;
}
