/**
 * Ordered loads and stores: LDAR, STLR, LDLAR, STLLR; LDAPR (RCpc); LDAPUR, STLUR (RCpc with an offset).
 *
 * Their order is what every access has here; what sets them apart is alignment: inside 16 bytes under
 * FEAT_LSE2, else always.
 *
 * Ref. DDI 0487, C4.1.94 "Load/store ordered", "LDAPR/STLR (unscaled immediate)", "Atomic memory
 * operations" (LDAPR); B2.5.2.
 */
import { memImm, R } from '../operands/index.js';
import { memBase } from '../operands/memory-register.js';
import { defineRow, type Row } from '../row.js';
import {
  plainAccess,
  TRANSFERS,
  type Transfer,
  titleOf,
  transferData,
  widthMark,
} from './load-store-semantics.js';

/** Transfers without sign extension: the only ones that the forms without an offset have. */
const UNSIGNED = TRANSFERS.filter((t) => !t.signed);

/** `limited`: LDLAR and STLLR, ordered within a limited ordering region (FEAT_LOR). */
function orderedRow(t: Transfer, limited: boolean): Row {
  const l = limited ? 'l' : '';
  const name = t.load ? `ld${l}ar${t.suffix}` : `st${l}lr${t.suffix}`;
  const verbs = limited
    ? { load: 'Load LOAcquire Register', store: 'Store LORelease Register' }
    : { load: 'Load-Acquire Register', store: 'Store-Release Register' };
  return defineRow({
    id: name.toUpperCase() + widthMark(t),
    name,
    pattern: `${t.size} 001000 1 ${t.load ? '1' : '0'} 0 Rs:5 ${limited ? '0' : '1'} Rt2:5 Rn:5 Rt:5`,
    class: 'load-store',
    summary: titleOf(t, verbs),
    arm: `C6.2 ${name.toUpperCase()}`,
    ...(limited ? { feature: 'FEAT_LOR' } : {}),
    shouldBe: { Rs: 31, Rt2: 31 },
    operands: { rt: R('Rt', t.width), base: memBase('Rn') },
    execute: (b, { rt, base }) => transferData(b, t, rt, b.readBase(base), plainAccess(b, 'ordered', base)),
  });
}

function rcpcRow(t: Transfer): Row {
  const name = `ldapr${t.suffix}`;
  return defineRow({
    id: name.toUpperCase() + widthMark(t),
    name,
    pattern: `${t.size} 111 0 00 1 0 1 11111 1 100 00 Rn:5 Rt:5`,
    class: 'load-store',
    summary: titleOf(t, { load: 'Load-Acquire RCpc Register', store: '' }),
    arm: `C6.2 ${name.toUpperCase()}`,
    feature: 'FEAT_LRCPC',
    operands: { rt: R('Rt', t.width), base: memBase('Rn') },
    execute: (b, { rt, base }) => transferData(b, t, rt, b.readBase(base), plainAccess(b, 'ordered', base)),
  });
}

function rcpcOffsetRow(t: Transfer): Row {
  const name = `${t.load ? 'ldapur' : 'stlur'}${t.suffix}`;
  return defineRow({
    id: name.toUpperCase() + widthMark(t),
    name,
    pattern: `${t.size} 011001 ${t.opc} 0 imm9:9 00 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `${titleOf(t, { load: 'Load-Acquire RCpc Register', store: 'Store-Release Register' })} (unscaled)`,
    arm: `C6.2 ${name.toUpperCase()}`,
    feature: 'FEAT_LRCPC2',
    operands: {
      rt: R('Rt', t.width),
      mem: memImm('Rn', 'offset', { field: 'imm9', bits: 9, signed: true, scale: 1 }),
    },
    execute: (b, { rt, mem }) => {
      const address = b.add(64, b.readBase(mem.base), mem.offset);
      transferData(b, t, rt, address, plainAccess(b, 'ordered', mem.base));
    },
  });
}

export const rows: readonly Row[] = [
  ...UNSIGNED.flatMap((t) => [orderedRow(t, false), orderedRow(t, true)]),
  ...UNSIGNED.filter((t) => t.load).map(rcpcRow),
  ...TRANSFERS.map(rcpcOffsetRow),
];
