/**
 * PC-relative loads and prefetch.
 *
 * The address is a multiple of 4, so that a 64-bit literal may be misaligned; literals are never
 * tag-checked (DDI 0487, D10.8).
 *
 * Ref. DDI 0487, C4.1.94 "Load register (literal)".
 */
import { label, R } from '../operands/index.js';
import { prefetch } from '../operands/prefetch.js';
import { defineRow, type Row } from '../row.js';
import { TRANSFERS, type Transfer, titleOf, transferData, widthMark } from './load-store-semantics.js';

/** `opc` of the class; the other transfers have no literal form. */
const OPC: Readonly<Record<string, '00' | '01' | '10'>> = { LDR_w: '00', LDR_x: '01', LDRSW: '10' };

function literalRow(t: Transfer): readonly Row[] {
  const name = `ldr${t.suffix}`;
  const opc = OPC[name.toUpperCase() + widthMark(t)];
  if (!t.load || opc === undefined) return [];
  return [
    defineRow({
      id: `${name.toUpperCase()}${widthMark(t)}_literal`,
      name,
      pattern: `${opc} 011 0 00 imm19:19 Rt:5`,
      class: 'load-store',
      summary: `${titleOf(t, { load: 'Load Register', store: '' })} (literal)`,
      arm: `C6.2 ${name.toUpperCase()} (literal)`,
      operands: { rt: R('Rt', t.width), target: label('imm19', 19) },
      execute: (b, { rt, target }) =>
        transferData(b, t, rt, b.addressOf(target), { kind: 'normal', tagChecked: false }),
    }),
  ];
}

export const rows: readonly Row[] = [
  ...TRANSFERS.flatMap(literalRow),
  defineRow({
    id: 'PRFM_literal',
    name: 'prfm',
    pattern: '11 011 0 00 imm19:19 Rt:5',
    class: 'load-store',
    summary: 'Prefetch Memory (literal)',
    arm: 'C6.2 PRFM (literal)',
    operands: { operation: prefetch('Rt'), target: label('imm19', 19) },
    execute: () => {},
  }),
];
