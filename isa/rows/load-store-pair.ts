/**
 * Loads and stores of two registers: LDP, STP, LDPSW, and the non-temporal LDNP, STNP.
 *
 * The two elements are one access to the builder, so that both are checked before either is written.
 * STGP, which shares this encoding space, is with the tag stores (mte-store.ts).
 *
 * Ref. DDI 0487, C4.1.94 "Load/store register pair", "Load/store no-allocate pair (offset)".
 */
import type { Access, Builder, Width, Words } from '../builder.js';
import { type IndexMode, memImm, R } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { indexed, MODE_TITLE, MODES } from './load-store-semantics.js';

interface PairTransfer {
  readonly opc: '00' | '01' | '10';
  readonly load: boolean;
  readonly bytes: 4 | 8;
  readonly width: Width;
  /** LDPSW. */
  readonly signed: boolean;
}

const STP_W: PairTransfer = { opc: '00', load: false, bytes: 4, width: 32, signed: false };
const LDP_W: PairTransfer = { opc: '00', load: true, bytes: 4, width: 32, signed: false };
const LDPSW: PairTransfer = { opc: '01', load: true, bytes: 4, width: 64, signed: true };
const STP_X: PairTransfer = { opc: '10', load: false, bytes: 8, width: 64, signed: false };
const LDP_X: PairTransfer = { opc: '10', load: true, bytes: 8, width: 64, signed: false };

/** Bits 24:23 of the class. */
const MODE_BITS = { offset: '10', pre: '11', post: '01', nonTemporal: '00' } as const;

function transferPair<T extends Words>(
  b: Builder<T>,
  t: PairTransfer,
  rt: T['reg'],
  rt2: T['reg'],
  address: T['x'],
  access: Access,
): void {
  if (!t.load) {
    b.storePair(t.bytes, address, b.readX(t.width, rt), b.readX(t.width, rt2), access);
    return;
  }
  const [first, second] = b.loadPair(t.bytes, address, access);
  b.writeX(t.width, rt, t.signed ? b.sext(64, 32, first) : first);
  b.writeX(t.width, rt2, t.signed ? b.sext(64, 32, second) : second);
}

function pairRow(t: PairTransfer, mode: IndexMode, nonTemporal: boolean): Row {
  const stem = nonTemporal ? 'np' : 'p';
  const name = t.load ? `ld${stem}${t.signed ? 'sw' : ''}` : `st${stem}`;
  const mark = t.signed ? '' : t.width === 64 ? '_x' : '_w';
  const signed = t.signed ? ' Signed Word' : '';
  const hint = nonTemporal ? ', with non-temporal hint' : `, ${MODE_TITLE[mode]}`;
  const bits = MODE_BITS[nonTemporal ? 'nonTemporal' : mode];
  return defineRow({
    id: `${name.toUpperCase()}${mark}${nonTemporal ? '' : `_${mode}`}`,
    name,
    pattern: `${t.opc} 101 0 0 ${bits} ${t.load ? '1' : '0'} imm7:7 Rt2:5 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `${t.load ? 'Load' : 'Store'} Pair of Registers${signed}${hint}`,
    arm: `C6.2 ${name.toUpperCase()}`,
    operands: {
      rt: R('Rt', t.width),
      rt2: R('Rt2', t.width),
      mem: memImm('Rn', mode, { field: 'imm7', bits: 7, signed: true, scale: t.bytes }),
    },
    execute: (b, { rt, rt2, mem }) => {
      const { address, access, writeBack } = indexed(b, mode, mem);
      transferPair(b, t, rt, rt2, address, access);
      writeBack();
    },
  });
}

export const rows: readonly Row[] = [
  ...[STP_W, LDP_W, LDPSW, STP_X, LDP_X].flatMap((t) => MODES.map((mode) => pairRow(t, mode, false))),
  ...[STP_W, LDP_W, STP_X, LDP_X].map((t) => pairRow(t, 'offset', true)),
];
