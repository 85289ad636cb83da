/**
 * Loads through an authenticated pointer: LDRAA and LDRAB.
 *
 * The base is checked with data key A or B and modifier zero; a wrong code leaves a non-canonical
 * address, on which the load faults. Write-back keeps the authenticated address.
 *
 * Ref. DDI 0487, C4.1.94 "Load/store register (pac)".
 */
import type { Access, Builder, Words } from '../builder.js';
import { memImm, X } from '../operands/index.js';
import { defineRow, type Fields, type OperandKind, type Row } from '../row.js';
import { Mismatch } from '../syntax.js';

/** The ten-bit offset is split: S, then imm9 below bit 21. */
function splitOffset(mode: 'offset' | 'pre'): OperandKind<{ base: 'reg'; offset: 'imm' }> {
  const whole = memImm('Rn', mode, {
    field: 'imm10',
    bits: 10,
    signed: true,
    scale: 8,
    zeroMayBeLeftOut: true,
  });
  const join = (f: Fields): Fields => ({ Rn: f['Rn']!, imm10: f['S']! * 512 + f['imm9']! });
  return {
    ...whole,
    fields: ['Rn', 'S', 'imm9'],
    decode: (f) => whole.decode(join(f)),
    // binutils leaves a zero offset out even before '!'.
    print: (f, context) => whole.print(join(f), context).replace(', #0]!', ']!'),
    parse(cursor, before) {
      const parsed = whole.parse(cursor, before);
      if (parsed instanceof Mismatch) return parsed;
      const { Rn, imm10 } = parsed as { readonly Rn: number; readonly imm10: number };
      return { Rn, S: imm10 >> 9, imm9: imm10 & 511 };
    },
  };
}

function authenticatedBase<T extends Words>(b: Builder<T>, M: number, base: T['reg']): T['x'] {
  return b.authenticate(b.readBase(base), b.imm(0), M ? 'db' : 'da');
}

const shared = {
  name: { ldraa: { M: 0 }, ldrab: { M: 1 } },
  class: 'pauth',
  arm: 'C6.2 LDRAA, LDRAB',
  feature: 'FEAT_PAuth',
  statics: ['M'],
} as const;

export const rows: readonly Row[] = [
  defineRow({
    ...shared,
    id: 'LDRA_offset',
    pattern: '11 111 0 00 M S 1 imm9:9 0 1 Rn:5 Rt:5',
    summary: 'Load Register, with pointer authentication, offset',
    operands: { rt: X('Rt'), mem: splitOffset('offset') },
    execute: (b, { rt, mem }, { M }) => {
      const address = b.add(64, authenticatedBase(b, M, mem.base), mem.offset);
      const access: Access = { kind: 'normal', tagChecked: !b.isSP(mem.base) };
      b.writeX(64, rt, b.load(8, address, access));
    },
  }),
  defineRow({
    ...shared,
    id: 'LDRA_pre',
    pattern: '11 111 0 00 M S 1 imm9:9 1 1 Rn:5 Rt:5',
    summary: 'Load Register, with pointer authentication, pre-index',
    operands: { rt: X('Rt'), mem: splitOffset('pre') },
    execute: (b, { rt, mem }, { M }) => {
      const address = b.let(b.add(64, authenticatedBase(b, M, mem.base), mem.offset));
      b.writeX(64, rt, b.load(8, address, { kind: 'normal', tagChecked: true }));
      b.writeX(64, mem.base, address);
    },
  }),
];
