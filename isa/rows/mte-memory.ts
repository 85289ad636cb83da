/**
 * Allocation tags in memory: STG, STZG, ST2G, STZ2G, STGP, LDG, and the privileged block forms LDGM,
 * STGM, STZGM.
 *
 * None of them is tag-checked. Without access to tags (SCTLR_ELx.ATA, or memory that is not Normal
 * Tagged) stores of tags are ignored, loads of tags give 0 and data is still written: the builder's tag
 * operations do that, because they know the memory.
 *
 * Ref. DDI 0487, C4.1.94 "Load/store memory tags", "Load/store register pair"; D10.
 */
import { type IndexMode, memImm, X, XSP } from '../operands/index.js';
import { memBase } from '../operands/memory-register.js';
import { defineRow, type Row } from '../row.js';
import { indexed, MODE_TITLE, MODES } from './load-store-semantics.js';

const signed9 = { field: 'imm9', bits: 9, signed: true, scale: 16 } as const;

interface TagStore {
  readonly name: 'stg' | 'stzg' | 'st2g' | 'stz2g';
  readonly opc: '00' | '01' | '10' | '11';
  readonly granules: 1 | 2;
  readonly zero: boolean;
  readonly title: string;
}

const TAG_STORES: readonly TagStore[] = [
  { name: 'stg', opc: '00', granules: 1, zero: false, title: 'Store Allocation Tag' },
  { name: 'stzg', opc: '01', granules: 1, zero: true, title: 'Store Allocation Tag, Zeroing' },
  { name: 'st2g', opc: '10', granules: 2, zero: false, title: 'Store Allocation Tags' },
  { name: 'stz2g', opc: '11', granules: 2, zero: true, title: 'Store Allocation Tags, Zeroing' },
];

/** Bits 11:10 of the class. */
const OP2 = { offset: '10', pre: '11', post: '01' } as const;

/** The tag comes from the data register, which may be SP. */
const tagStoreRow = ({ name, opc, granules, zero, title }: TagStore, mode: IndexMode): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${mode}`,
    name,
    pattern: `11011001 ${opc} 1 imm9:9 ${OP2[mode]} Rn:5 Rt:5`,
    class: 'mte',
    summary: `${title}, ${MODE_TITLE[mode]}`,
    arm: `C6.2 ${name.toUpperCase()}`,
    feature: 'FEAT_MTE',
    operands: { rt: XSP('Rt'), mem: memImm('Rn', mode, signed9) },
    execute: (b, { rt, mem }) => {
      const { address, writeBack } = indexed(b, mode, mem);
      b.storeTag(address, b.tagOf(b.readX(64, rt)), granules, zero);
      writeBack();
    },
  });

/** Bits 24:23 of the class. */
const STGP_MODE = { offset: '10', pre: '11', post: '01' } as const;

/** STGP tags its granule with the address's own tag. */
const stgpRow = (mode: IndexMode): Row =>
  defineRow({
    id: `STGP_${mode}`,
    name: 'stgp',
    pattern: `01 101 0 0 ${STGP_MODE[mode]} 0 imm7:7 Rt2:5 Rn:5 Rt:5`,
    class: 'mte',
    summary: `Store Allocation Tag and Pair of Registers, ${MODE_TITLE[mode]}`,
    arm: 'C6.2 STGP',
    feature: 'FEAT_MTE',
    operands: {
      rt: X('Rt'),
      rt2: X('Rt2'),
      mem: memImm('Rn', mode, { field: 'imm7', bits: 7, signed: true, scale: 16 }),
    },
    execute: (b, { rt, rt2, mem }) => {
      const { address, writeBack } = indexed(b, mode, mem);
      const at = b.let(address);
      b.storeTagPair(at, b.tagOf(at), b.readX(64, rt), b.readX(64, rt2));
      writeBack();
    },
  });

export const rows: readonly Row[] = [
  ...TAG_STORES.flatMap((store) => MODES.map((mode) => tagStoreRow(store, mode))),
  ...MODES.map(stgpRow),
  defineRow({
    id: 'LDG',
    name: 'ldg',
    pattern: '11011001 01 1 imm9:9 00 Rn:5 Rt:5',
    class: 'mte',
    summary: 'Load Allocation Tag into the top byte of the register',
    arm: 'C6.2 LDG',
    feature: 'FEAT_MTE',
    operands: { rt: X('Rt'), mem: memImm('Rn', 'offset', signed9) },
    execute: (b, { rt, mem }) => {
      const tag = b.loadTag(indexed(b, 'offset', mem).address);
      b.writeX(64, rt, b.withTag(b.readX(64, rt), tag));
    },
  }),
  defineRow({
    id: 'LDGM',
    name: 'ldgm',
    pattern: '11011001 11 1 000000000 00 Rn:5 Rt:5',
    class: 'mte',
    summary: 'Load Tag Multiple',
    arm: 'C6.2 LDGM',
    feature: 'FEAT_MTE2',
    operands: { rt: X('Rt'), base: memBase('Rn') },
    execute: (b, { rt, base }) => {
      b.requireEL(1);
      b.writeX(64, rt, b.loadTagBlock(b.readBase(base)));
    },
  }),
  defineRow({
    id: 'STGM',
    name: 'stgm',
    pattern: '11011001 10 1 000000000 00 Rn:5 Rt:5',
    class: 'mte',
    summary: 'Store Tag Multiple',
    arm: 'C6.2 STGM',
    feature: 'FEAT_MTE2',
    operands: { rt: X('Rt'), base: memBase('Rn') },
    execute: (b, { rt, base }) => {
      b.requireEL(1);
      b.storeTagBlock(b.readBase(base), b.readX(64, rt));
    },
  }),
  defineRow({
    id: 'STZGM',
    name: 'stzgm',
    pattern: '11011001 00 1 000000000 00 Rn:5 Rt:5',
    class: 'mte',
    summary: 'Store Tag and Zero Multiple',
    arm: 'C6.2 STZGM',
    feature: 'FEAT_MTE2',
    operands: { rt: X('Rt'), base: memBase('Rn') },
    execute: (b, { rt, base }) => {
      b.requireEL(1);
      b.storeTagZeroBlock(b.readBase(base), b.and(64, b.readX(64, rt), b.imm(15)));
    },
  }),
];
