/**
 * Loads and stores of one register with an immediate: unsigned offset, unscaled, unprivileged,
 * pre- and post-index; and their prefetches.
 *
 * Ref. DDI 0487, C4.1.94 "Load/store register (unsigned immediate)", "(unscaled immediate)",
 * "(unprivileged)", "(immediate pre-indexed)", "(immediate post-indexed)".
 */
import type { Access } from '../builder.js';
import { memImm, R } from '../operands/index.js';
import { prefetch } from '../operands/prefetch.js';
import { defineRow, type Row } from '../row.js';
import {
  indexed,
  TRANSFERS,
  type Transfer,
  titleOf,
  transferData,
  widthMark,
} from './load-store-semantics.js';

const signed9 = { field: 'imm9', bits: 9, signed: true, scale: 1 } as const;
const unsigned12 = (scale: number) => ({ field: 'imm12', bits: 12, signed: false, scale });

const plainName = (t: Transfer) => `${t.load ? 'ldr' : 'str'}${t.suffix}`;
const verbs = (rest: string) => ({ load: `Load Register${rest}`, store: `Store Register${rest}` });
const idOf = (t: Transfer, name: string, form: string) => `${name.toUpperCase()}${widthMark(t)}_${form}`;

/** `ldr <Xt>, [<Xn|SP>{, #<pimm>}]`. */
function unsignedRow(t: Transfer): Row {
  const name = plainName(t);
  return defineRow({
    id: idOf(t, name, 'unsigned'),
    name,
    pattern: `${t.size} 111 0 01 ${t.opc} imm12:12 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `${titleOf(t, verbs(''))} (immediate), unsigned offset`,
    arm: `C6.2 ${name.toUpperCase()} (immediate)`,
    operands: { rt: R('Rt', t.width), mem: memImm('Rn', 'offset', unsigned12(t.bytes)) },
    execute: (b, { rt, mem }) => {
      const { address, access } = indexed(b, 'offset', mem);
      transferData(b, t, rt, address, access);
    },
  });
}

/** `ldr <Xt>, [<Xn|SP>, #<simm>]!` and `ldr <Xt>, [<Xn|SP>], #<simm>`. */
function indexedRow(t: Transfer, mode: 'pre' | 'post'): Row {
  const name = plainName(t);
  return defineRow({
    id: idOf(t, name, mode),
    name,
    pattern: `${t.size} 111 0 00 ${t.opc} 0 imm9:9 ${mode === 'pre' ? '11' : '01'} Rn:5 Rt:5`,
    class: 'load-store',
    summary: `${titleOf(t, verbs(''))} (immediate), ${mode}-index`,
    arm: `C6.2 ${name.toUpperCase()} (immediate)`,
    operands: { rt: R('Rt', t.width), mem: memImm('Rn', mode, signed9) },
    execute: (b, { rt, mem }) => {
      const { address, access, writeBack } = indexed(b, mode, mem);
      transferData(b, t, rt, address, access);
      writeBack();
    },
  });
}

/** `ldur <Xt>, [<Xn|SP>{, #<simm>}]`; the plain mnemonic is accepted where the scaled form cannot reach. */
function unscaledRow(t: Transfer): Row {
  const name = `${t.load ? 'ldur' : 'stur'}${t.suffix}`;
  const operands = { rt: R('Rt', t.width), mem: memImm('Rn', 'offset', signed9) };
  return defineRow({
    id: idOf(t, name, 'unscaled'),
    name,
    pattern: `${t.size} 111 0 00 ${t.opc} 0 imm9:9 00 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `${titleOf(t, verbs(''))} (unscaled)`,
    arm: `C6.2 ${name.toUpperCase()}`,
    operands,
    aliases: [{ name: plainName(t), operands, when: 'never' }],
    execute: (b, { rt, mem }) => {
      const { address, access } = indexed(b, 'offset', mem);
      transferData(b, t, rt, address, access);
    },
  });
}

/** `ldtr <Xt>, [<Xn|SP>{, #<simm>}]`: with the permissions, TCF and ATA of EL0. */
function unprivilegedRow(t: Transfer): Row {
  const name = `${t.load ? 'ldtr' : 'sttr'}${t.suffix}`;
  return defineRow({
    id: idOf(t, name, 'unprivileged'),
    name,
    pattern: `${t.size} 111 0 00 ${t.opc} 0 imm9:9 10 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `${titleOf(t, verbs(''))} (unprivileged)`,
    arm: `C6.2 ${name.toUpperCase()}`,
    operands: { rt: R('Rt', t.width), mem: memImm('Rn', 'offset', signed9) },
    execute: (b, { rt, mem }) => {
      const { address, access } = indexed(b, 'offset', mem);
      const unprivileged: Access = { ...access, unprivileged: true };
      transferData(b, t, rt, address, unprivileged);
    },
  });
}

/** Prefetches are hints without effect: no translation, no fault, and no SP alignment check (J1, PRFM). */
const prefetches: readonly Row[] = [
  defineRow({
    id: 'PRFM_unsigned',
    name: 'prfm',
    pattern: '11 111 0 01 10 imm12:12 Rn:5 Rt:5',
    class: 'load-store',
    summary: 'Prefetch Memory (immediate)',
    arm: 'C6.2 PRFM (immediate)',
    operands: { operation: prefetch('Rt'), mem: memImm('Rn', 'offset', unsigned12(8)) },
    execute: () => {},
  }),
  defineRow({
    id: 'PRFUM_unscaled',
    name: 'prfum',
    pattern: '11 111 0 00 10 0 imm9:9 00 Rn:5 Rt:5',
    class: 'load-store',
    summary: 'Prefetch Memory (unscaled offset)',
    arm: 'C6.2 PRFUM',
    operands: { operation: prefetch('Rt'), mem: memImm('Rn', 'offset', signed9) },
    aliases: [
      {
        name: 'prfm',
        operands: { operation: prefetch('Rt'), mem: memImm('Rn', 'offset', signed9) },
        when: 'never',
      },
    ],
    execute: () => {},
  }),
];

export const rows: readonly Row[] = [
  ...TRANSFERS.flatMap((t) => [
    unsignedRow(t),
    indexedRow(t, 'pre'),
    indexedRow(t, 'post'),
    unscaledRow(t),
    unprivilegedRow(t),
  ]),
  ...prefetches,
];
