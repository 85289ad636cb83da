/** What the semantics of several classes share. */
import type { Builder, Width, Words } from '../builder.js';

/** The width that `sf` (or another one-bit field) stands for. */
export const width = (sf: number): Width => (sf ? 64 : 32);

/** ShiftReg by the static `shift` field: 0 LSL, 1 LSR, 2 ASR, 3 ROR. */
export function shifted<T extends Words>(
  b: Builder<T>,
  w: Width,
  shift: number,
  value: T['x'],
  amount: T['x'],
): T['x'] {
  switch (shift) {
    case 0:
      return b.shl(w, value, amount);
    case 1:
      return b.shr(w, value, amount);
    case 2:
      return b.sar(w, value, amount);
    default:
      return b.ror(w, value, amount);
  }
}

/** The extension of ExtendReg by the static `option` field: UXTB, UXTH, UXTW, UXTX, SXTB, ... SXTX. */
export function extended<T extends Words>(b: Builder<T>, w: Width, option: number, value: T['x']): T['x'] {
  const from = 8 << (option & 3);
  if (from >= w) return value;
  return option & 4 ? b.sext(w, from, value) : b.zext(from, value);
}
