/**
 * Loads and stores of SIMD and floating-point registers: B, H, S, D and Q, single and in pairs.
 *
 * Addressing, write-back and tag checks are those of the integer forms; the register is loaded whole, its
 * upper part cleared.
 *
 * Ref. DDI 0487, C4.1.94 "Loads and stores" with V = 1; C7.2 LDR, STR, LDUR, STUR, LDP, STP, LDNP, STNP
 * (SIMD&FP).
 */
import type { Access, Builder, Words } from '../builder.js';
import { F } from '../operands/fp-registers.js';
import { type IndexMode, label, memImm } from '../operands/index.js';
import { isIndexOption, memRegister } from '../operands/memory-register.js';
import { defineRow, type Row } from '../row.js';
import { registerOffset } from './load-store-register.js';
import { indexed, MODE_TITLE, MODES, type TwoBits } from './load-store-semantics.js';

interface FpTransfer {
  readonly size: TwoBits;
  readonly load: boolean;
  readonly opc: TwoBits;
  readonly bytes: 1 | 2 | 4 | 8 | 16;
  readonly bits: 8 | 16 | 32 | 64 | 128;
  readonly log2: 0 | 1 | 2 | 3 | 4;
  readonly mark: 'b' | 'h' | 's' | 'd' | 'q';
}

const transfer = (
  size: TwoBits,
  log2: 0 | 1 | 2 | 3 | 4,
  mark: FpTransfer['mark'],
  bytes: FpTransfer['bytes'],
  bits: FpTransfer['bits'],
): readonly FpTransfer[] =>
  [false, true].map((load) => {
    const opc = log2 === 4 ? (load ? '11' : '10') : load ? '01' : '00';
    return { size, load, opc, bytes, bits, log2, mark };
  });

const TRANSFERS: readonly FpTransfer[] = [
  ...transfer('00', 0, 'b', 1, 8),
  ...transfer('01', 1, 'h', 2, 16),
  ...transfer('10', 2, 's', 4, 32),
  ...transfer('11', 3, 'd', 8, 64),
  ...transfer('00', 4, 'q', 16, 128),
];

type Data = Pick<FpTransfer, 'load' | 'bytes' | 'bits'>;

function transferData<T extends Words>(
  b: Builder<T>,
  { load, bytes, bits }: Data,
  rt: T['vreg'],
  address: T['x'],
  access: Access,
): void {
  if (bytes === 16 || bits === 128) {
    if (load) b.writeV(128, rt, b.loadVector(16, 16, address, access)[0]!);
    else b.storeVector(16, 16, address, [b.readV(128, rt)], access);
  } else if (load) {
    b.writeF(bits, rt, b.load(bytes, address, access));
  } else {
    b.store(bytes, address, b.readF(bits, rt), access);
  }
}

const signed9 = { field: 'imm9', bits: 9, signed: true, scale: 1 } as const;
const common = { class: 'load-store', feature: 'FEAT_FP' } as const;
const verb = ({ load }: Data) => (load ? 'Load' : 'Store');
const titleOf = (t: FpTransfer) => `${verb(t)} SIMD and FP Register (${t.bits}-bit)`;
const idOf = (t: FpTransfer, name: string, form: string) => `${name.toUpperCase()}_${t.mark}_${form}`;

function singleRows(t: FpTransfer): Row[] {
  const name = t.load ? 'ldr' : 'str';
  const unscaledName = t.load ? 'ldur' : 'stur';
  const rt = F('Rt', t.bits);
  const arm = `C7.2 ${name.toUpperCase()} (immediate, SIMD&FP)`;
  const unscaled = { rt, mem: memImm('Rn', 'offset', signed9) };
  return [
    defineRow({
      ...common,
      id: idOf(t, name, 'unsigned'),
      name,
      pattern: `${t.size} 111 1 01 ${t.opc} imm12:12 Rn:5 Rt:5`,
      summary: `${titleOf(t)}, unsigned offset`,
      arm,
      operands: {
        rt,
        mem: memImm('Rn', 'offset', { field: 'imm12', bits: 12, signed: false, scale: t.bytes }),
      },
      execute: (b, o) => {
        b.checkFPAdvSIMDEnabled();
        const { address, access } = indexed(b, 'offset', o.mem);
        transferData(b, t, o.rt, address, access);
      },
    }),
    ...(['pre', 'post'] as const).map((mode) =>
      defineRow({
        ...common,
        id: idOf(t, name, mode),
        name,
        pattern: `${t.size} 111 1 00 ${t.opc} 0 imm9:9 ${mode === 'pre' ? '11' : '01'} Rn:5 Rt:5`,
        summary: `${titleOf(t)}, ${mode}-index`,
        arm,
        operands: { rt, mem: memImm('Rn', mode, signed9) },
        execute: (b, o) => {
          b.checkFPAdvSIMDEnabled();
          const { address, access, writeBack } = indexed(b, mode, o.mem);
          transferData(b, t, o.rt, address, access);
          writeBack();
        },
      }),
    ),
    defineRow({
      ...common,
      id: idOf(t, unscaledName, 'unscaled'),
      name: unscaledName,
      pattern: `${t.size} 111 1 00 ${t.opc} 0 imm9:9 00 Rn:5 Rt:5`,
      summary: `${titleOf(t)}, unscaled`,
      arm: `C7.2 ${unscaledName.toUpperCase()} (SIMD&FP)`,
      operands: unscaled,
      aliases: [{ name, operands: unscaled, when: 'never' }],
      execute: (b, o) => {
        b.checkFPAdvSIMDEnabled();
        const { address, access } = indexed(b, 'offset', o.mem);
        transferData(b, t, o.rt, address, access);
      },
    }),
    defineRow({
      ...common,
      id: idOf(t, name, 'register'),
      name,
      pattern: `${t.size} 111 1 00 ${t.opc} 1 Rm:5 option:3 S 10 Rn:5 Rt:5`,
      summary: `${titleOf(t)}, register offset`,
      arm: `C7.2 ${name.toUpperCase()} (register, SIMD&FP)`,
      where: (f) => isIndexOption(f.option),
      operands: { rt, mem: memRegister(t.log2) },
      execute: (b, o) => {
        b.checkFPAdvSIMDEnabled();
        transferData(b, t, o.rt, registerOffset(b, o.mem), { kind: 'normal', tagChecked: true });
      },
    }),
  ];
}

// ---- literals and pairs: S, D and Q ------------------------------------------------------------------

interface Wide extends Data {
  readonly opc: '00' | '01' | '10';
  readonly bytes: 4 | 8 | 16;
  readonly bits: 32 | 64 | 128;
  readonly mark: 's' | 'd' | 'q';
}

const WIDE: readonly Wide[] = [
  { opc: '00', load: true, bytes: 4, bits: 32, mark: 's' },
  { opc: '01', load: true, bytes: 8, bits: 64, mark: 'd' },
  { opc: '10', load: true, bytes: 16, bits: 128, mark: 'q' },
];

const literalRow = (t: Wide): Row =>
  defineRow({
    ...common,
    id: `LDR_${t.mark}_literal`,
    name: 'ldr',
    pattern: `${t.opc} 011 1 00 imm19:19 Rt:5`,
    summary: `Load SIMD and FP Register (${t.bits}-bit, literal)`,
    arm: 'C7.2 LDR (literal, SIMD&FP)',
    operands: { rt: F('Rt', t.bits), target: label('imm19', 19) },
    execute: (b, { rt, target }) => {
      b.checkFPAdvSIMDEnabled();
      transferData(b, t, rt, b.addressOf(target), { kind: 'normal', tagChecked: false });
    },
  });

function transferPair<T extends Words>(
  b: Builder<T>,
  { load, bytes, bits }: Wide,
  rt: T['vreg'],
  rt2: T['vreg'],
  address: T['x'],
  access: Access,
): void {
  if (bytes === 16) {
    if (load) {
      const [first, second] = b.loadVector(16, 32, address, access);
      b.writeV(128, rt, first!);
      b.writeV(128, rt2, second!);
    } else {
      b.storeVector(16, 32, address, [b.readV(128, rt), b.readV(128, rt2)], access);
    }
  } else if (bits !== 128) {
    if (load) {
      const [first, second] = b.loadPair(bytes, address, access);
      b.writeF(bits, rt, first);
      b.writeF(bits, rt2, second);
    } else {
      b.storePair(bytes, address, b.readF(bits, rt), b.readF(bits, rt2), access);
    }
  }
}

/** Bits 24:23 of the class. */
const MODE_BITS = { offset: '10', pre: '11', post: '01', nonTemporal: '00' } as const;

function pairRow(t: Wide, mode: IndexMode, nonTemporal: boolean): Row {
  const stem = nonTemporal ? 'np' : 'p';
  const name = `${t.load ? 'ld' : 'st'}${stem}`;
  const hint = nonTemporal ? 'with non-temporal hint' : MODE_TITLE[mode];
  return defineRow({
    ...common,
    id: `${name.toUpperCase()}_${t.mark}${nonTemporal ? '' : `_${mode}`}`,
    name,
    pattern: `${t.opc} 101 1 0 ${MODE_BITS[nonTemporal ? 'nonTemporal' : mode]} ${t.load ? '1' : '0'} imm7:7 Rt2:5 Rn:5 Rt:5`,
    summary: `${verb(t)} Pair of SIMD and FP Registers (${t.bits}-bit), ${hint}`,
    arm: `C7.2 ${name.toUpperCase()} (SIMD&FP)`,
    operands: {
      rt: F('Rt', t.bits),
      rt2: F('Rt2', t.bits),
      mem: memImm('Rn', mode, { field: 'imm7', bits: 7, signed: true, scale: t.bytes }),
    },
    execute: (b, { rt, rt2, mem }) => {
      b.checkFPAdvSIMDEnabled();
      const { address, access, writeBack } = indexed(b, mode, mem);
      transferPair(b, t, rt, rt2, address, access);
      writeBack();
    },
  });
}

const PAIRS: readonly Wide[] = WIDE.flatMap((t) => [{ ...t, load: false }, t]);

export const rows: readonly Row[] = [
  ...WIDE.map(literalRow),
  ...TRANSFERS.flatMap(singleRows),
  ...PAIRS.flatMap((t) => MODES.map((mode) => pairRow(t, mode, false))),
  ...PAIRS.map((t) => pairRow(t, 'offset', true)),
];
