/**
 * Tag arithmetic: IRG, GMI, ADDG, SUBG, SUBP, SUBPS.
 *
 * Where the current exception level may not access allocation tags (SCTLR_ELx.ATA), IRG, ADDG and SUBG
 * give tag 0; pointers are otherwise computed as usual.
 *
 * Ref. DDI 0487, C4.1.92 "Add/subtract (immediate, with tags)", C4.1.95 "Data-processing (2 source)";
 * D10.
 */
import type { Builder, Words } from '../builder.js';
import { imm, X, XSP } from '../operands/index.js';
import { optionalX } from '../operands/system.js';
import { defineRow, type Row } from '../row.js';

/** ADDG, SUBG: the address moves by the first immediate, the tag by the second, over tags not excluded. */
function moved<T extends Words>(
  b: Builder<T>,
  subtract: boolean,
  rn: T['reg'],
  offset: T['x'],
  steps: T['x'],
): T['x'] {
  const start = b.let(b.readX(64, rn));
  const tag = b.select(b.tagAccessEnabled(), b.nextTag(b.tagOf(start), steps), b.imm(0));
  return b.withTag(subtract ? b.sub(64, start, offset) : b.add(64, start, offset), tag);
}

const addgRow = (name: 'addg' | 'subg'): Row =>
  defineRow({
    id: name.toUpperCase(),
    name,
    pattern: `1 ${name === 'addg' ? '0' : '1'} 0 100011 0 uimm6:6 00 uimm4:4 Rn:5 Rd:5`,
    class: 'mte',
    summary: `${name === 'addg' ? 'Add' : 'Subtract'} with Tag`,
    arm: `C6.2 ${name.toUpperCase()}`,
    feature: 'FEAT_MTE',
    operands: {
      rd: XSP('Rd'),
      rn: XSP('Rn'),
      offset: imm('uimm6', 6, { scale: 16 }),
      steps: imm('uimm4', 4),
    },
    execute: (b, { rd, rn, offset, steps }) => b.writeX(64, rd, moved(b, name === 'subg', rn, offset, steps)),
  });

/** A pointer as SUBP compares it: bits 55:0, sign-extended. */
const withoutTop = <T extends Words>(b: Builder<T>, reg: T['reg']): T['x'] =>
  b.sext(64, 56, b.readX(64, reg));

export const rows: readonly Row[] = [
  addgRow('addg'),
  addgRow('subg'),
  defineRow({
    id: 'IRG',
    name: 'irg',
    pattern: '1 0 0 11010110 Rm:5 000100 Rn:5 Rd:5',
    class: 'mte',
    summary: 'Insert Random Tag',
    arm: 'C6.2 IRG',
    feature: 'FEAT_MTE',
    operands: { rd: XSP('Rd'), rn: XSP('Rn'), rm: optionalX('Rm') },
    execute: (b, { rd, rn, rm }) =>
      b.writeX(64, rd, b.withTag(b.readX(64, rn), b.randomTag(b.and(64, b.readX(64, rm), b.imm(0xffff))))),
  }),
  defineRow({
    id: 'GMI',
    name: 'gmi',
    pattern: '1 0 0 11010110 Rm:5 000101 Rn:5 Rd:5',
    class: 'mte',
    summary: 'Tag Mask Insert',
    arm: 'C6.2 GMI',
    feature: 'FEAT_MTE',
    operands: { rd: X('Rd'), rn: XSP('Rn'), rm: X('Rm') },
    execute: (b, { rd, rn, rm }) =>
      b.writeX(64, rd, b.or(64, b.readX(64, rm), b.shl(64, b.imm(1), b.tagOf(b.readX(64, rn))))),
  }),
  defineRow({
    id: 'SUBP',
    name: 'subp',
    pattern: '1 0 0 11010110 Rm:5 000000 Rn:5 Rd:5',
    class: 'mte',
    summary: 'Subtract Pointer',
    arm: 'C6.2 SUBP',
    feature: 'FEAT_MTE',
    operands: { rd: X('Rd'), rn: XSP('Rn'), rm: XSP('Rm') },
    execute: (b, { rd, rn, rm }) => b.writeX(64, rd, b.sub(64, withoutTop(b, rn), withoutTop(b, rm))),
  }),
  defineRow({
    id: 'SUBPS',
    name: 'subps',
    pattern: '1 0 1 11010110 Rm:5 000000 Rn:5 Rd:5',
    class: 'mte',
    summary: 'Subtract Pointer, setting flags',
    arm: 'C6.2 SUBPS',
    feature: 'FEAT_MTE',
    operands: { rd: X('Rd'), rn: XSP('Rn'), rm: XSP('Rm') },
    aliases: [{ name: 'cmpp', operands: { rn: XSP('Rn'), rm: XSP('Rm') }, fixed: { Rd: 31 } }],
    execute: (b, { rd, rn, rm }) => {
      const x = b.let(withoutTop(b, rn));
      const y = b.let(withoutTop(b, rm));
      const difference = b.let(b.sub(64, x, y));
      b.setFlags('sub', 64, x, y);
      b.writeX(64, rd, difference);
    },
  }),
];
