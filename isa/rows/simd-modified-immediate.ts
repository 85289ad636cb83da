/**
 * Advanced SIMD modified immediate: MOVI, MVNI, ORR, BIC and FMOV of a constant made from eight bits.
 *
 * The operand is 64 bits of the vector in all of them; `cmode` and `op` say what is done.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD modified immediate".
 */
import type { Builder, Words } from '../builder.js';
import { fpImm } from '../operands/fp-immediates.js';
import { F } from '../operands/fp-registers.js';
import { BYTES_Q, HALVES_Q, SINGLES_Q } from '../operands/simd-arrangements.js';
import { modifiedImm } from '../operands/simd-immediates.js';
import { type ArrangementRule, only, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { vectorOf } from './simd-common.js';

type Operation = 'movi' | 'mvni' | 'orr' | 'bic';

const TITLES: Readonly<Record<Operation, string>> = {
  movi: 'Move immediate',
  mvni: 'Move inverted immediate',
  orr: 'Bitwise OR',
  bic: 'Bitwise bit clear',
};

interface Form {
  /** Ends the id: how the eight bits stand in lanes. */
  readonly mark: 'h' | 's' | 'm';
  readonly kind: '16' | '32' | 'ones';
  readonly lanes: ArrangementRule;
  readonly title: string;
}

const HALVES: Form = { mark: 'h', kind: '16', lanes: HALVES_Q, title: '16-bit shifted immediate' };
const SINGLES: Form = { mark: 's', kind: '32', lanes: SINGLES_Q, title: '32-bit shifted immediate' };
const ONES: Form = { mark: 'm', kind: 'ones', lanes: SINGLES_Q, title: '32-bit shifting ones' };

/** `cmode` around the field `shift`: the last bit is one for ORR and BIC. */
const cmode = ({ mark }: Form, logical: boolean) => {
  const last = logical ? '1' : '0';
  return mark === 'h'
    ? (`10 shift ${last}` as const)
    : mark === 's'
      ? (`0 shift:2 ${last}` as const)
      : '110 shift';
};

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD', statics: ['Q'] } as const;

function result<T extends Words>(
  b: Builder<T>,
  operation: Operation,
  w: 64 | 128,
  rd: T['vreg'],
  imm: T['x'],
): T['q'] {
  const constant = b.splat(64, imm);
  switch (operation) {
    case 'movi':
      return constant;
    case 'mvni':
      return b.v1('not', 64, constant);
    case 'orr':
      return b.v2('or', 64, b.readV(w, rd), constant);
    case 'bic':
      return b.v2('andNot', 64, b.readV(w, rd), constant);
  }
}

function immediateRow(operation: Operation, form: Form): Row {
  const { mark, kind, lanes, title } = form;
  const isLogical = operation === 'orr' || operation === 'bic';
  const op = operation === 'movi' || operation === 'orr' ? '0' : '1';
  const id = operation.toUpperCase();
  return defineRow({
    ...shared,
    id: `${id}_asimdimm_${mark}`,
    name: operation,
    pattern: `0 Q ${op} 0111100000 abc:3 ${cmode(form, isLogical)} 01 defgh:5 Rd:5`,
    summary: `${TITLES[operation]} (vector, ${title})`,
    arm: `C7.2 ${id}${isLogical ? ' (vector, immediate)' : ''}`,
    operands: { rd: V('Rd', lanes), imm: modifiedImm(kind) },
    execute: (b, { rd, imm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      b.writeV(w, rd, result(b, operation, w, rd, imm));
    },
  });
}

const IMM8 = [
  ['abc', 3],
  ['defgh', 5],
] as const;

export const rows: readonly Row[] = [
  defineRow({
    ...shared,
    id: 'MOVI_asimdimm_b',
    name: 'movi',
    pattern: '0 Q 0 0111100000 abc:3 1110 01 defgh:5 Rd:5',
    summary: 'Move immediate (vector, bytes)',
    arm: 'C7.2 MOVI',
    operands: { rd: V('Rd', BYTES_Q), imm: modifiedImm('8') },
    execute: (b, { rd, imm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(vectorOf(Q), rd, b.splat(64, imm));
    },
  }),
  ...[HALVES, SINGLES].flatMap((form) =>
    (['movi', 'mvni', 'orr', 'bic'] as const).map((operation) => immediateRow(operation, form)),
  ),
  immediateRow('movi', ONES),
  immediateRow('mvni', ONES),
  defineRow({
    ...shared,
    id: 'MOVI_asimdimm_d',
    name: 'movi',
    pattern: '0 0 1 0111100000 abc:3 1110 01 defgh:5 Rd:5',
    statics: [],
    summary: 'Move immediate (scalar, bytes of zeros or ones)',
    arm: 'C7.2 MOVI',
    operands: { rd: F('Rd', 64), imm: modifiedImm('64') },
    execute: (b, { rd, imm }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeF(64, rd, imm);
    },
  }),
  defineRow({
    ...shared,
    id: 'MOVI_asimdimm_2d',
    name: 'movi',
    pattern: '0 1 1 0111100000 abc:3 1110 01 defgh:5 Rd:5',
    statics: [],
    summary: 'Move immediate (vector, bytes of zeros or ones)',
    arm: 'C7.2 MOVI',
    operands: { rd: V('Rd', only('2d')), imm: modifiedImm('64') },
    execute: (b, { rd, imm }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(128, rd, b.splat(64, imm));
    },
  }),
  defineRow({
    ...shared,
    id: 'FMOV_asimdimm_s',
    name: 'fmov',
    pattern: '0 Q 0 0111100000 abc:3 1111 01 defgh:5 Rd:5',
    summary: 'Floating-point move immediate (vector, single precision)',
    arm: 'C7.2 FMOV (vector, immediate)',
    operands: { rd: V('Rd', SINGLES_Q), imm: fpImm(IMM8, 32) },
    execute: (b, { rd, imm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(vectorOf(Q), rd, b.splat(32, imm));
    },
  }),
  defineRow({
    ...shared,
    id: 'FMOV_asimdimm_d',
    name: 'fmov',
    pattern: '0 1 1 0111100000 abc:3 1111 01 defgh:5 Rd:5',
    statics: [],
    summary: 'Floating-point move immediate (vector, double precision)',
    arm: 'C7.2 FMOV (vector, immediate)',
    operands: { rd: V('Rd', only('2d')), imm: fpImm(IMM8, 64) },
    execute: (b, { rd, imm }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(128, rd, b.splat(64, imm));
    },
  }),
  defineRow({
    ...shared,
    id: 'FMOV_asimdimm_h',
    name: 'fmov',
    pattern: '0 Q 0 0111100000 abc:3 1111 11 defgh:5 Rd:5',
    summary: 'Floating-point move immediate (vector, half precision)',
    arm: 'C7.2 FMOV (vector, immediate)',
    feature: 'FEAT_FP16',
    operands: { rd: V('Rd', HALVES_Q), imm: fpImm(IMM8, 16) },
    execute: (b, { rd, imm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(vectorOf(Q), rd, b.splat(16, imm));
    },
  }),
];
