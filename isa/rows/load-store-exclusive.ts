/**
 * Exclusive loads and stores: LDXR, LDAXR, STXR, STLXR, and of pairs.
 *
 * Acquire and release say nothing to semantics: memory is sequentially consistent here. Where the
 * status register of a store is its data or base register (CONSTRAINED UNPREDICTABLE), the store uses
 * the values from before, then the status is written.
 *
 * Ref. DDI 0487, C4.1.94 "Load/store exclusive register", "Load/store exclusive pair"; B2.12.
 */
import type { Width } from '../builder.js';
import { R, W } from '../operands/index.js';
import { memBase } from '../operands/memory-register.js';
import { defineRow, type Row } from '../row.js';
import { type Bytes, plainAccess, type TwoBits } from './load-store-semantics.js';

interface Size {
  readonly bits: TwoBits;
  readonly bytes: Bytes;
  readonly width: Width;
  readonly suffix: 'b' | 'h' | '';
  readonly title: string;
}

const SIZES: readonly Size[] = [
  { bits: '00', bytes: 1, width: 32, suffix: 'b', title: ' Byte' },
  { bits: '01', bytes: 2, width: 32, suffix: 'h', title: ' Halfword' },
  { bits: '10', bytes: 4, width: 32, suffix: '', title: '' },
  { bits: '11', bytes: 8, width: 64, suffix: '', title: '' },
];

const mark = (width: Width, suffix: string) => (suffix === '' ? (width === 64 ? '_x' : '_w') : '');

function loadRow({ bits, bytes, width, suffix, title }: Size, acquire: boolean): Row {
  const name = `ld${acquire ? 'a' : ''}xr${suffix}`;
  return defineRow({
    id: name.toUpperCase() + mark(width, suffix),
    name,
    pattern: `${bits} 001000 0 1 0 Rs:5 ${acquire ? '1' : '0'} Rt2:5 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `Load${acquire ? '-Acquire' : ''} Exclusive Register${title}`,
    arm: `C6.2 ${name.toUpperCase()}`,
    shouldBe: { Rs: 31, Rt2: 31 },
    operands: { rt: R('Rt', width), base: memBase('Rn') },
    execute: (b, { rt, base }) => {
      const address = b.readBase(base);
      b.writeX(width, rt, b.loadExclusive(bytes, address, plainAccess(b, 'exclusive', base)));
    },
  });
}

function storeRow({ bits, bytes, width, suffix, title }: Size, release: boolean): Row {
  const name = `st${release ? 'l' : ''}xr${suffix}`;
  return defineRow({
    id: name.toUpperCase() + mark(width, suffix),
    name,
    pattern: `${bits} 001000 0 0 0 Rs:5 ${release ? '1' : '0'} Rt2:5 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `Store${release ? '-Release' : ''} Exclusive Register${title}`,
    arm: `C6.2 ${name.toUpperCase()}`,
    shouldBe: { Rt2: 31 },
    operands: { status: W('Rs'), rt: R('Rt', width), base: memBase('Rn') },
    execute: (b, { status, rt, base }) => {
      const address = b.readBase(base);
      const access = plainAccess(b, 'exclusive', base);
      b.writeX(32, status, b.storeExclusive(bytes, address, b.readX(width, rt), access));
    },
  });
}

/** Of the two loaded registers the second is written last, as for LDP. */
function loadPairRow(bytes: 4 | 8, acquire: boolean): Row {
  const width: Width = bytes === 8 ? 64 : 32;
  const name = `ld${acquire ? 'a' : ''}xp`;
  return defineRow({
    id: name.toUpperCase() + mark(width, ''),
    name,
    pattern: `1 ${bytes === 8 ? '1' : '0'} 001000 0 1 1 Rs:5 ${acquire ? '1' : '0'} Rt2:5 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `Load${acquire ? '-Acquire' : ''} Exclusive Pair of Registers`,
    arm: `C6.2 ${name.toUpperCase()}`,
    shouldBe: { Rs: 31 },
    operands: { rt: R('Rt', width), rt2: R('Rt2', width), base: memBase('Rn') },
    execute: (b, { rt, rt2, base }) => {
      const address = b.readBase(base);
      const [first, second] = b.loadExclusivePair(bytes, address, plainAccess(b, 'exclusive', base));
      b.writeX(width, rt, first);
      b.writeX(width, rt2, second);
    },
  });
}

function storePairRow(bytes: 4 | 8, release: boolean): Row {
  const width: Width = bytes === 8 ? 64 : 32;
  const name = `st${release ? 'l' : ''}xp`;
  return defineRow({
    id: name.toUpperCase() + mark(width, ''),
    name,
    pattern: `1 ${bytes === 8 ? '1' : '0'} 001000 0 0 1 Rs:5 ${release ? '1' : '0'} Rt2:5 Rn:5 Rt:5`,
    class: 'load-store',
    summary: `Store${release ? '-Release' : ''} Exclusive Pair of Registers`,
    arm: `C6.2 ${name.toUpperCase()}`,
    operands: { status: W('Rs'), rt: R('Rt', width), rt2: R('Rt2', width), base: memBase('Rn') },
    execute: (b, { status, rt, rt2, base }) => {
      const address = b.readBase(base);
      const access = plainAccess(b, 'exclusive', base);
      const first = b.readX(width, rt);
      b.writeX(32, status, b.storeExclusivePair(bytes, address, first, b.readX(width, rt2), access));
    },
  });
}

export const rows: readonly Row[] = [false, true].flatMap((ordered) => [
  ...SIZES.flatMap((size) => [loadRow(size, ordered), storeRow(size, ordered)]),
  ...([4, 8] as const).flatMap((bytes) => [loadPairRow(bytes, ordered), storePairRow(bytes, ordered)]),
]);
