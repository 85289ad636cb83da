/**
 * Loads, stores and prefetches with a register offset: `[<Xn|SP>, <Xm>, lsl #3]`, `[x1, w2, uxtw]`.
 *
 * These are tag-checked whatever the base: the exemption of SP is for immediates (DDI 0487, D10.8).
 *
 * Ref. DDI 0487, C4.1.94 "Load/store register (register offset)".
 */
import type { Builder, Words } from '../builder.js';
import { R } from '../operands/index.js';
import { isIndexOption, memRegister } from '../operands/memory-register.js';
import { prefetch } from '../operands/prefetch.js';
import { defineRow, type Row } from '../row.js';
import { logOf, TRANSFERS, type Transfer, titleOf, transferData, widthMark } from './load-store-semantics.js';

interface RegisterOffset<T extends Words> {
  readonly base: T['reg'];
  readonly index: T['reg'];
  readonly option: number;
  readonly amount: T['x'];
}

/** Base plus ExtendReg(index, option, amount). */
export function registerOffset<T extends Words>(b: Builder<T>, mem: RegisterOffset<T>): T['x'] {
  const index = b.readX(64, mem.index);
  const extended = mem.option === 2 ? b.zext(32, index) : mem.option === 6 ? b.sext(64, 32, index) : index;
  return b.add(64, b.readBase(mem.base), b.shl(64, extended, mem.amount));
}

function registerRow(t: Transfer): Row {
  const name = `${t.load ? 'ldr' : 'str'}${t.suffix}`;
  return defineRow({
    id: `${name.toUpperCase()}${widthMark(t)}_register`,
    name,
    pattern: `${t.size} 111 0 00 ${t.opc} 1 Rm:5 option:3 S 10 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `${titleOf(t, { load: 'Load Register', store: 'Store Register' })} (register)`,
    arm: `C6.2 ${name.toUpperCase()} (register)`,
    where: (f) => isIndexOption(f.option),
    operands: { rt: R('Rt', t.width), mem: memRegister(logOf(t.bytes)) },
    execute: (b, { rt, mem }) =>
      transferData(b, t, rt, registerOffset(b, mem), { kind: 'normal', tagChecked: true }),
  });
}

export const rows: readonly Row[] = [
  ...TRANSFERS.map(registerRow),
  defineRow({
    id: 'PRFM_register',
    name: 'prfm',
    pattern: '11 111 0 00 10 1 Rm:5 option:3 S 10 Rn:5 Rt:5',
    class: 'load-store',
    summary: 'Prefetch Memory (register)',
    arm: 'C6.2 PRFM (register)',
    where: (f) => isIndexOption(f.option),
    operands: { operation: prefetch('Rt'), mem: memRegister(3) },
    execute: () => {},
  }),
];
