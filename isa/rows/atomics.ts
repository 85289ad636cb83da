/**
 * Atomic memory operations: LDADD and its kin, their ST forms, SWP.
 *
 * Acquire (A) and release (R) are part of the name and nothing to semantics. A form without a
 * destination (`stadd`) is one whose destination is the zero register and which does not acquire.
 *
 * Ref. DDI 0487, C4.1.94 "Atomic memory operations".
 */
import type { AtomicOperation, Width } from '../builder.js';
import { R } from '../operands/index.js';
import { memBase } from '../operands/memory-register.js';
import { type Alias, defineRow, type Row } from '../row.js';
import { type Bytes, plainAccess, type TwoBits } from './load-store-semantics.js';

interface Operation {
  readonly operation: AtomicOperation;
  readonly o3: '0' | '1';
  readonly opc: '000' | '001' | '010' | '011' | '100' | '101' | '110' | '111';
  readonly title: string;
}

const OPERATIONS: readonly Operation[] = [
  { operation: 'add', o3: '0', opc: '000', title: 'Atomic add' },
  { operation: 'clr', o3: '0', opc: '001', title: 'Atomic bit clear' },
  { operation: 'eor', o3: '0', opc: '010', title: 'Atomic exclusive-OR' },
  { operation: 'set', o3: '0', opc: '011', title: 'Atomic bit set' },
  { operation: 'smax', o3: '0', opc: '100', title: 'Atomic signed maximum' },
  { operation: 'smin', o3: '0', opc: '101', title: 'Atomic signed minimum' },
  { operation: 'umax', o3: '0', opc: '110', title: 'Atomic unsigned maximum' },
  { operation: 'umin', o3: '0', opc: '111', title: 'Atomic unsigned minimum' },
  { operation: 'swp', o3: '1', opc: '000', title: 'Swap' },
];

interface Size {
  readonly bits: TwoBits;
  readonly bytes: Bytes;
  readonly width: Width;
  readonly suffix: 'b' | 'h' | '';
  readonly title: string;
}

const SIZES: readonly Size[] = [
  { bits: '00', bytes: 1, width: 32, suffix: 'b', title: ' of a byte' },
  { bits: '01', bytes: 2, width: 32, suffix: 'h', title: ' of a halfword' },
  { bits: '10', bytes: 4, width: 32, suffix: '', title: ' of a word' },
  { bits: '11', bytes: 8, width: 64, suffix: '', title: ' of a doubleword' },
];

function atomicRow({ operation, o3, opc, title }: Operation, size: Size): Row {
  const { bits, bytes, width, suffix } = size;
  const stem = operation === 'swp' ? 'swp' : `ld${operation}`;
  const rs = R('Rs', width);
  const base = memBase('Rn');
  const stores: readonly Alias<'A' | 'R' | 'Rs' | 'Rn' | 'Rt'>[] = ['', 'l'].map((order, R) => ({
    name: `st${operation}${order}${suffix}`,
    operands: { rs, base },
    fixed: { A: 0, R, Rt: 31 },
  }));
  return defineRow({
    id: `${(stem + suffix).toUpperCase()}${suffix === '' ? (width === 64 ? '_x' : '_w') : ''}`,
    name: {
      [stem + suffix]: { A: 0, R: 0 },
      [`${stem}a${suffix}`]: { A: 1, R: 0 },
      [`${stem}l${suffix}`]: { A: 0, R: 1 },
      [`${stem}al${suffix}`]: { A: 1, R: 1 },
    },
    pattern: `${bits} 111 0 00 A R 1 Rs:5 ${o3} ${opc} 00 Rn:5 Rt:5`,
    class: 'atomic',
    summary: title + size.title,
    arm: `C6.2 ${(stem + suffix).toUpperCase()}`,
    feature: 'FEAT_LSE',
    operands: { rs, rt: R('Rt', width), base },
    aliases: operation === 'swp' ? [] : stores,
    execute: (b, { rs: source, rt, base: at }) => {
      const address = b.readBase(at);
      const access = plainAccess(b, 'atomic', at);
      b.writeX(width, rt, b.atomic(operation, bytes, address, b.readX(width, source), access));
    },
  });
}

export const rows: readonly Row[] = OPERATIONS.flatMap((operation) =>
  SIZES.map((size) => atomicRow(operation, size)),
);
