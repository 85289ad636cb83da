/**
 * Data processing with one, two and three source registers, CRC32 included.
 *
 * Ref. DDI 0487, C4.1 "Data-processing (1 source)", "(2 source)" and "(3 source)".
 */
import type { Builder, Words } from '../builder.js';
import { R, W, X } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { width } from './common.js';

const rd = R('Rd', 'sf');
const rn = R('Rn', 'sf');
const rm = R('Rm', 'sf');
const ra = R('Ra', 'sf');

const shared = { class: 'data-processing-register' } as const;
const oneSource = { ...shared, statics: ['sf'], operands: { rd, rn } } as const;
const twoSource = { ...shared, statics: ['sf'], operands: { rd, rn, rm } } as const;

const unary =
  (operation: 'clz' | 'cls' | 'rbit') =>
  <T extends Words>(
    b: Builder<T>,
    operands: Readonly<Record<'rd' | 'rn', T['reg']>>,
    { sf }: Readonly<Record<'sf', number>>,
  ) =>
    b.writeX(width(sf), operands.rd, b[operation](width(sf), b.readX(width(sf), operands.rn)));

const binary =
  (operation: 'udiv' | 'sdiv' | 'shl' | 'shr' | 'sar' | 'ror') =>
  <T extends Words>(
    b: Builder<T>,
    operands: Readonly<Record<'rd' | 'rn' | 'rm', T['reg']>>,
    { sf }: Readonly<Record<'sf', number>>,
  ) => {
    const w = width(sf);
    b.writeX(w, operands.rd, b[operation](w, b.readX(w, operands.rn), b.readX(w, operands.rm)));
  };

/** The long multiplications: 32-bit factors extended to 64 bits, then added to or subtracted from Ra. */
const long =
  (operation: 'add' | 'sub', signed: boolean) =>
  <T extends Words>(b: Builder<T>, operands: Readonly<Record<'rd' | 'rn' | 'rm' | 'ra', T['reg']>>) => {
    const factor = (reg: T['reg']) => (signed ? b.sext(64, 32, b.readX(32, reg)) : b.readX(32, reg));
    const product = b.mul(64, factor(operands.rn), factor(operands.rm));
    b.writeX(64, operands.rd, b[operation](64, b.readX(64, operands.ra), product));
  };
const longRow = { ...shared, operands: { rd: X('Rd'), rn: W('Rn'), rm: W('Rm'), ra: X('Ra') } } as const;
const longProduct = { rd: X('Rd'), rn: W('Rn'), rm: W('Rm') };

const highRow = {
  ...shared,
  operands: { rd: X('Rd'), rn: X('Rn'), rm: X('Rm') },
  shouldBe: { Ra: 31 },
} as const;

const crcRow = (id: string, names: readonly [string, string, string], castagnoli: 0 | 1): Row =>
  defineRow({
    ...shared,
    id,
    name: { [names[0]]: { sz: 0 }, [names[1]]: { sz: 1 }, [names[2]]: { sz: 2 } },
    pattern: castagnoli
      ? '0 0 0 11010110 Rm:5 0101 sz:2 Rn:5 Rd:5'
      : '0 0 0 11010110 Rm:5 0100 sz:2 Rn:5 Rd:5',
    summary: castagnoli ? 'CRC32C checksum of 8, 16 or 32 bits' : 'CRC32 checksum of 8, 16 or 32 bits',
    arm: castagnoli ? 'C6.2 CRC32CB, CRC32CH, CRC32CW, CRC32CX' : 'C6.2 CRC32B, CRC32H, CRC32W, CRC32X',
    feature: 'FEAT_CRC32',
    statics: ['sz'],
    where: (f) => f.sz !== 3,
    operands: { rd: W('Rd'), rn: W('Rn'), rm: W('Rm') },
    execute: (b, operands, { sz }) => {
      const size = ([1, 2, 4] as const)[sz as 0 | 1 | 2];
      const crc = b.crc32(castagnoli === 1, size, b.readX(32, operands.rn), b.readX(32, operands.rm));
      b.writeX(32, operands.rd, crc);
    },
  });

const crc64Row = (id: string, name: string, castagnoli: 0 | 1): Row =>
  defineRow({
    ...shared,
    id,
    name,
    pattern: castagnoli ? '1 0 0 11010110 Rm:5 010111 Rn:5 Rd:5' : '1 0 0 11010110 Rm:5 010011 Rn:5 Rd:5',
    summary: castagnoli ? 'CRC32C checksum of 64 bits' : 'CRC32 checksum of 64 bits',
    arm: castagnoli ? 'C6.2 CRC32CB, CRC32CH, CRC32CW, CRC32CX' : 'C6.2 CRC32B, CRC32H, CRC32W, CRC32X',
    feature: 'FEAT_CRC32',
    operands: { rd: W('Rd'), rn: W('Rn'), rm: X('Rm') },
    execute: (b, operands) =>
      b.writeX(
        32,
        operands.rd,
        b.crc32(castagnoli === 1, 8, b.readX(32, operands.rn), b.readX(64, operands.rm)),
      ),
  });

export const rows: readonly Row[] = [
  // ---- one source ----------------------------------------------------------------------------------
  defineRow({
    ...oneSource,
    id: 'RBIT_dp_1src',
    name: 'rbit',
    pattern: 'sf 1 0 11010110 00000 000000 Rn:5 Rd:5',
    summary: 'Reverse bits',
    arm: 'C6.2 RBIT',
    execute: unary('rbit'),
  }),
  defineRow({
    ...oneSource,
    id: 'REV16_dp_1src',
    name: 'rev16',
    pattern: 'sf 1 0 11010110 00000 000001 Rn:5 Rd:5',
    summary: 'Reverse bytes in 16-bit halfwords',
    arm: 'C6.2 REV16',
    execute: (b, operands, { sf }) =>
      b.writeX(width(sf), operands.rd, b.rev(width(sf), 16, b.readX(width(sf), operands.rn))),
  }),
  defineRow({
    ...shared,
    id: 'REV_32_dp_1src',
    name: 'rev',
    pattern: '0 1 0 11010110 00000 000010 Rn:5 Rd:5',
    summary: 'Reverse bytes (32-bit register)',
    arm: 'C6.2 REV',
    operands: { rd: W('Rd'), rn: W('Rn') },
    execute: (b, operands) => b.writeX(32, operands.rd, b.rev(32, 32, b.readX(32, operands.rn))),
  }),
  defineRow({
    ...shared,
    id: 'REV32_64_dp_1src',
    name: 'rev32',
    pattern: '1 1 0 11010110 00000 000010 Rn:5 Rd:5',
    summary: 'Reverse bytes in 32-bit words',
    arm: 'C6.2 REV32',
    operands: { rd: X('Rd'), rn: X('Rn') },
    execute: (b, operands) => b.writeX(64, operands.rd, b.rev(64, 32, b.readX(64, operands.rn))),
  }),
  defineRow({
    ...shared,
    id: 'REV_64_dp_1src',
    name: 'rev',
    pattern: '1 1 0 11010110 00000 000011 Rn:5 Rd:5',
    summary: 'Reverse bytes (64-bit register)',
    arm: 'C6.2 REV',
    operands: { rd: X('Rd'), rn: X('Rn') },
    aliases: [{ name: 'rev64', operands: { rd: X('Rd'), rn: X('Rn') }, when: 'never' }],
    execute: (b, operands) => b.writeX(64, operands.rd, b.rev(64, 64, b.readX(64, operands.rn))),
  }),
  defineRow({
    ...oneSource,
    id: 'CLZ_dp_1src',
    name: 'clz',
    pattern: 'sf 1 0 11010110 00000 000100 Rn:5 Rd:5',
    summary: 'Count leading zeros',
    arm: 'C6.2 CLZ',
    execute: unary('clz'),
  }),
  defineRow({
    ...oneSource,
    id: 'CLS_dp_1src',
    name: 'cls',
    pattern: 'sf 1 0 11010110 00000 000101 Rn:5 Rd:5',
    summary: 'Count leading sign bits',
    arm: 'C6.2 CLS',
    execute: unary('cls'),
  }),

  // ---- two sources ---------------------------------------------------------------------------------
  defineRow({
    ...twoSource,
    id: 'UDIV_dp_2src',
    name: 'udiv',
    pattern: 'sf 0 0 11010110 Rm:5 000010 Rn:5 Rd:5',
    summary: 'Unsigned divide',
    arm: 'C6.2 UDIV',
    execute: binary('udiv'),
  }),
  defineRow({
    ...twoSource,
    id: 'SDIV_dp_2src',
    name: 'sdiv',
    pattern: 'sf 0 0 11010110 Rm:5 000011 Rn:5 Rd:5',
    summary: 'Signed divide',
    arm: 'C6.2 SDIV',
    execute: binary('sdiv'),
  }),
  defineRow({
    ...twoSource,
    id: 'LSLV_dp_2src',
    name: 'lslv',
    pattern: 'sf 0 0 11010110 Rm:5 001000 Rn:5 Rd:5',
    summary: 'Logical shift left, variable',
    arm: 'C6.2 LSLV',
    aliases: [{ name: 'lsl', operands: { rd, rn, rm } }],
    execute: binary('shl'),
  }),
  defineRow({
    ...twoSource,
    id: 'LSRV_dp_2src',
    name: 'lsrv',
    pattern: 'sf 0 0 11010110 Rm:5 001001 Rn:5 Rd:5',
    summary: 'Logical shift right, variable',
    arm: 'C6.2 LSRV',
    aliases: [{ name: 'lsr', operands: { rd, rn, rm } }],
    execute: binary('shr'),
  }),
  defineRow({
    ...twoSource,
    id: 'ASRV_dp_2src',
    name: 'asrv',
    pattern: 'sf 0 0 11010110 Rm:5 001010 Rn:5 Rd:5',
    summary: 'Arithmetic shift right, variable',
    arm: 'C6.2 ASRV',
    aliases: [{ name: 'asr', operands: { rd, rn, rm } }],
    execute: binary('sar'),
  }),
  defineRow({
    ...twoSource,
    id: 'RORV_dp_2src',
    name: 'rorv',
    pattern: 'sf 0 0 11010110 Rm:5 001011 Rn:5 Rd:5',
    summary: 'Rotate right, variable',
    arm: 'C6.2 RORV',
    aliases: [{ name: 'ror', operands: { rd, rn, rm } }],
    execute: binary('ror'),
  }),
  crcRow('CRC32_dp_2src', ['crc32b', 'crc32h', 'crc32w'], 0),
  crc64Row('CRC32X_dp_2src', 'crc32x', 0),
  crcRow('CRC32C_dp_2src', ['crc32cb', 'crc32ch', 'crc32cw'], 1),
  crc64Row('CRC32CX_dp_2src', 'crc32cx', 1),

  // ---- three sources -------------------------------------------------------------------------------
  defineRow({
    ...shared,
    id: 'MADD_dp_3src',
    name: 'madd',
    pattern: 'sf 00 11011 000 Rm:5 0 Ra:5 Rn:5 Rd:5',
    summary: 'Multiply-add',
    arm: 'C6.2 MADD',
    statics: ['sf'],
    operands: { rd, rn, rm, ra },
    aliases: [{ name: 'mul', operands: { rd, rn, rm }, fixed: { Ra: 31 } }],
    execute: (b, operands, { sf }) => {
      const w = width(sf);
      const product = b.mul(w, b.readX(w, operands.rn), b.readX(w, operands.rm));
      b.writeX(w, operands.rd, b.add(w, b.readX(w, operands.ra), product));
    },
  }),
  defineRow({
    ...shared,
    id: 'MSUB_dp_3src',
    name: 'msub',
    pattern: 'sf 00 11011 000 Rm:5 1 Ra:5 Rn:5 Rd:5',
    summary: 'Multiply-subtract',
    arm: 'C6.2 MSUB',
    statics: ['sf'],
    operands: { rd, rn, rm, ra },
    aliases: [{ name: 'mneg', operands: { rd, rn, rm }, fixed: { Ra: 31 } }],
    execute: (b, operands, { sf }) => {
      const w = width(sf);
      const product = b.mul(w, b.readX(w, operands.rn), b.readX(w, operands.rm));
      b.writeX(w, operands.rd, b.sub(w, b.readX(w, operands.ra), product));
    },
  }),
  defineRow({
    ...longRow,
    id: 'SMADDL_dp_3src',
    name: 'smaddl',
    pattern: '1 00 11011 001 Rm:5 0 Ra:5 Rn:5 Rd:5',
    summary: 'Signed multiply-add long',
    arm: 'C6.2 SMADDL',
    aliases: [{ name: 'smull', operands: longProduct, fixed: { Ra: 31 } }],
    execute: long('add', true),
  }),
  defineRow({
    ...longRow,
    id: 'SMSUBL_dp_3src',
    name: 'smsubl',
    pattern: '1 00 11011 001 Rm:5 1 Ra:5 Rn:5 Rd:5',
    summary: 'Signed multiply-subtract long',
    arm: 'C6.2 SMSUBL',
    aliases: [{ name: 'smnegl', operands: longProduct, fixed: { Ra: 31 } }],
    execute: long('sub', true),
  }),
  defineRow({
    ...longRow,
    id: 'UMADDL_dp_3src',
    name: 'umaddl',
    pattern: '1 00 11011 101 Rm:5 0 Ra:5 Rn:5 Rd:5',
    summary: 'Unsigned multiply-add long',
    arm: 'C6.2 UMADDL',
    aliases: [{ name: 'umull', operands: longProduct, fixed: { Ra: 31 } }],
    execute: long('add', false),
  }),
  defineRow({
    ...longRow,
    id: 'UMSUBL_dp_3src',
    name: 'umsubl',
    pattern: '1 00 11011 101 Rm:5 1 Ra:5 Rn:5 Rd:5',
    summary: 'Unsigned multiply-subtract long',
    arm: 'C6.2 UMSUBL',
    aliases: [{ name: 'umnegl', operands: longProduct, fixed: { Ra: 31 } }],
    execute: long('sub', false),
  }),
  defineRow({
    ...highRow,
    id: 'SMULH_dp_3src',
    name: 'smulh',
    pattern: '1 00 11011 010 Rm:5 0 Ra:5 Rn:5 Rd:5',
    summary: 'Signed multiply high',
    arm: 'C6.2 SMULH',
    execute: (b, operands) =>
      b.writeX(64, operands.rd, b.smulh(b.readX(64, operands.rn), b.readX(64, operands.rm))),
  }),
  defineRow({
    ...highRow,
    id: 'UMULH_dp_3src',
    name: 'umulh',
    pattern: '1 00 11011 110 Rm:5 0 Ra:5 Rn:5 Rd:5',
    summary: 'Unsigned multiply high',
    arm: 'C6.2 UMULH',
    execute: (b, operands) =>
      b.writeX(64, operands.rd, b.umulh(b.readX(64, operands.rn), b.readX(64, operands.rm))),
  }),
];
