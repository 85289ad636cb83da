/**
 * What the load and store rows share: the table of register transfers, addresses, write-back.
 *
 * Overlaps that the architecture leaves CONSTRAINED UNPREDICTABLE behave in one way everywhere:
 * a store with write-back whose data register is its base stores the value from before the write-back; a
 * load with write-back into its own base keeps the written-back address; of two loaded registers that
 * are the same, the second one's value stays. Each is among the permitted behaviours (DDI 0487, K1.1).
 *
 * Ref. DDI 0487, C4.1.94 "Loads and stores"; C6.2 for each instruction.
 */
import type { Access, Builder, Width, Words } from '../builder.js';
import type { IndexMode } from '../operands/index.js';

export type Bytes = 1 | 2 | 4 | 8;
export type TwoBits = '00' | '01' | '10' | '11';

/** One transfer between a general-purpose register and memory, as `size` and `opc` encode it. */
export interface Transfer {
  readonly size: TwoBits;
  readonly opc: TwoBits;
  readonly load: boolean;
  readonly bytes: Bytes;
  /** Of the register; the value is extended to it. */
  readonly width: Width;
  readonly signed: boolean;
  /** What follows `ldr`, `str`, `ldur`, ...: `b`, `sh`, `sw` or nothing. */
  readonly suffix: string;
}

const transfer = (
  size: TwoBits,
  opc: TwoBits,
  bytes: Bytes,
  width: Width,
  suffix: string,
  kind: 'store' | 'load' | 'signed',
): Transfer => ({ size, opc, load: kind !== 'store', bytes, width, signed: kind === 'signed', suffix });

/** The 64-bit form first where a mnemonic has both: its diagnostics are the ones to show. */
export const TRANSFERS: readonly Transfer[] = [
  transfer('00', '00', 1, 32, 'b', 'store'),
  transfer('00', '01', 1, 32, 'b', 'load'),
  transfer('00', '10', 1, 64, 'sb', 'signed'),
  transfer('00', '11', 1, 32, 'sb', 'signed'),
  transfer('01', '00', 2, 32, 'h', 'store'),
  transfer('01', '01', 2, 32, 'h', 'load'),
  transfer('01', '10', 2, 64, 'sh', 'signed'),
  transfer('01', '11', 2, 32, 'sh', 'signed'),
  transfer('11', '00', 8, 64, '', 'store'),
  transfer('11', '01', 8, 64, '', 'load'),
  transfer('10', '00', 4, 32, '', 'store'),
  transfer('10', '01', 4, 32, '', 'load'),
  transfer('10', '10', 4, 64, 'sw', 'signed'),
];

/** Log2 of the access size. */
export const logOf = (bytes: Bytes): 0 | 1 | 2 | 3 =>
  bytes === 1 ? 0 : bytes === 2 ? 1 : bytes === 4 ? 2 : 3;

/**
 * The part of a row's id after its mnemonic that tells apart encodings of one mnemonic by register
 * width: `_w` or `_x`, or nothing where the mnemonic says it.
 */
export function widthMark({ suffix, width }: Transfer): string {
  return suffix === '' || suffix === 'sb' || suffix === 'sh' ? (width === 64 ? '_x' : '_w') : '';
}

/** The Arm ARM's own words for a transfer: `Load Register Signed Byte`. */
export function titleOf(t: Transfer, verb: { readonly load: string; readonly store: string }): string {
  const what = t.bytes === 1 ? ' Byte' : t.bytes === 2 ? ' Halfword' : t.signed ? ' Word' : '';
  return `${t.load ? verb.load : verb.store}${t.signed ? ' Signed' : ''}${what}`;
}

/** A loaded value as the register gets it. */
export function extended<T extends Words>(b: Builder<T>, t: Transfer, value: T['x']): T['x'] {
  return t.signed ? b.sext(t.width, t.bytes * 8, value) : value;
}

/** Moves the data between register and memory. */
export function transferData<T extends Words>(
  b: Builder<T>,
  t: Transfer,
  rt: T['reg'],
  address: T['x'],
  access: Access,
): void {
  if (t.load) b.writeX(t.width, rt, extended(b, t, b.load(t.bytes, address, access)));
  else b.store(t.bytes, address, b.readX(t.width, rt), access);
}

/** The access of `[base]` and `[base, #imm]`: SP-relative addresses are not tag-checked. */
export function plainAccess<T extends Words>(b: Builder<T>, kind: Access['kind'], base: T['reg']): Access {
  return { kind, tagChecked: !b.isSP(base) };
}

/** The address and access of an immediate-offset form, and its write-back, to be called last. */
export function indexed<T extends Words>(
  b: Builder<T>,
  mode: IndexMode,
  { base, offset }: { readonly base: T['reg']; readonly offset: T['x'] },
): { readonly address: T['x']; readonly access: Access; readonly writeBack: () => void } {
  if (mode === 'offset') {
    const address = b.add(64, b.readBase(base), offset);
    return { address, access: plainAccess(b, 'normal', base), writeBack: () => {} };
  }
  const access: Access = { kind: 'normal', tagChecked: true };
  if (mode === 'pre') {
    const address = b.let(b.add(64, b.readBase(base), offset));
    return { address, access, writeBack: () => b.writeX(64, base, address) };
  }
  const address = b.let(b.readBase(base));
  return { address, access, writeBack: () => b.writeX(64, base, b.add(64, address, offset)) };
}

/** The three immediate-offset forms: what selects each in the encoding differs by family. */
export const MODES: readonly IndexMode[] = ['offset', 'pre', 'post'];

/** Title words of each. */
export const MODE_TITLE: Readonly<Record<IndexMode, string>> = {
  offset: 'offset',
  pre: 'pre-index',
  post: 'post-index',
};
