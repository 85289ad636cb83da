/**
 * Pointer authentication: codes in registers, and the branches that check them.
 *
 * The forms that are hints (PACIASP, AUTIASP, ...) stand with the hints.
 *
 * Ref. DDI 0487, C4.1 "Data-processing (1 source)" and "Unconditional branch (register)"; D8.8
 * "Pointer authentication".
 */
import type { Builder, PacKey, Words } from '../builder.js';
import { R, X, XSP } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { writeLink } from './branches.js';

const shared = { class: 'pauth', feature: 'FEAT_PAuth' } as const;
const KEYS = ['ia', 'ib', 'da', 'db'] as const satisfies readonly PacKey[];
const SP = 32;

type Operation = 'addPac' | 'authenticate';

/** PACIA..PACDB or AUTIA..AUTDB: the two-bit `key` chooses, as the mnemonic's last letters say. */
const withModifier = (mnemonic: 'pac' | 'aut', operation: Operation): Row =>
  defineRow({
    ...shared,
    id: mnemonic === 'pac' ? 'PAC_dp_1src' : 'AUT_dp_1src',
    name: Object.fromEntries(KEYS.map((key, number) => [`${mnemonic}${key}`, { key: number }])),
    pattern:
      mnemonic === 'pac'
        ? '1 1 0 11010110 00001 0000 key:2 Rn:5 Rd:5'
        : '1 1 0 11010110 00001 0001 key:2 Rn:5 Rd:5',
    summary: mnemonic === 'pac' ? 'Add a pointer authentication code' : 'Authenticate a pointer',
    arm: mnemonic === 'pac' ? 'C6.2 PACIA, PACIB, PACDA, PACDB' : 'C6.2 AUTIA, AUTIB, AUTDA, AUTDB',
    statics: ['key'],
    operands: { rd: X('Rd'), rn: XSP('Rn') },
    execute: (b, { rd, rn }, { key }) =>
      b.writeX(64, rd, b[operation](b.readX(64, rd), b.readX(64, rn), KEYS[key as 0]!)),
  });

/** The same with a modifier of zero. */
const withoutModifier = (mnemonic: 'pac' | 'aut', operation: Operation): Row =>
  defineRow({
    ...shared,
    id: mnemonic === 'pac' ? 'PACZ_dp_1src' : 'AUTZ_dp_1src',
    name: Object.fromEntries(KEYS.map((key, number) => [`${mnemonic}${key[0]}z${key[1]}`, { key: number }])),
    pattern:
      mnemonic === 'pac'
        ? '1 1 0 11010110 00001 0010 key:2 11111 Rd:5'
        : '1 1 0 11010110 00001 0011 key:2 11111 Rd:5',
    summary:
      mnemonic === 'pac'
        ? 'Add a pointer authentication code, modifier zero'
        : 'Authenticate a pointer, modifier zero',
    arm: mnemonic === 'pac' ? 'C6.2 PACIA, PACIB, PACDA, PACDB' : 'C6.2 AUTIA, AUTIB, AUTDA, AUTDB',
    statics: ['key'],
    operands: { rd: X('Rd') },
    execute: (b, { rd }, { key }) =>
      b.writeX(64, rd, b[operation](b.readX(64, rd), b.imm(0), KEYS[key as 0]!)),
  });

/** The instruction key of a branch: the static `M`. */
const branchKey = (M: number) => (M ? 'ib' : 'ia');

type Branch = 'jump' | 'call';

function branchAuthenticated<T extends Words>(
  b: Builder<T>,
  kind: Branch,
  rn: T['reg'],
  modifier: T['x'],
  M: number,
): void {
  const target = b.authenticate(b.readX(64, rn), modifier, branchKey(M));
  if (kind === 'jump') {
    b.branchTo(target, 'jump', rn);
  } else {
    const named = b.let(target);
    writeLink(b);
    b.branchTo(named, 'call');
  }
}

const branchWithModifier = (kind: Branch): Row =>
  defineRow({
    ...shared,
    id: kind === 'jump' ? 'BRA_branch_reg' : 'BLRA_branch_reg',
    name: kind === 'jump' ? { braa: { M: 0 }, brab: { M: 1 } } : { blraa: { M: 0 }, blrab: { M: 1 } },
    pattern:
      kind === 'jump' ? '1101011 1 0 00 11111 00001 M Rn:5 Rm:5' : '1101011 1 0 01 11111 00001 M Rn:5 Rm:5',
    summary:
      kind === 'jump' ? 'Branch to authenticated register' : 'Branch with link to authenticated register',
    arm: kind === 'jump' ? 'C6.2 BRAA, BRAAZ, BRAB, BRABZ' : 'C6.2 BLRAA, BLRAAZ, BLRAB, BLRABZ',
    statics: ['M'],
    operands: { rn: X('Rn'), rm: XSP('Rm') },
    execute: (b, { rn, rm }, { M }) => branchAuthenticated(b, kind, rn, b.readX(64, rm), M),
  });

const branchWithoutModifier = (kind: Branch): Row =>
  defineRow({
    ...shared,
    id: kind === 'jump' ? 'BRAZ_branch_reg' : 'BLRAZ_branch_reg',
    name: kind === 'jump' ? { braaz: { M: 0 }, brabz: { M: 1 } } : { blraaz: { M: 0 }, blrabz: { M: 1 } },
    pattern:
      kind === 'jump' ? '1101011 0 0 00 11111 00001 M Rn:5 11111' : '1101011 0 0 01 11111 00001 M Rn:5 11111',
    summary:
      kind === 'jump'
        ? 'Branch to authenticated register, modifier zero'
        : 'Branch with link to authenticated register, modifier zero',
    arm: kind === 'jump' ? 'C6.2 BRAA, BRAAZ, BRAB, BRABZ' : 'C6.2 BLRAA, BLRAAZ, BLRAB, BLRABZ',
    statics: ['M'],
    operands: { rn: X('Rn') },
    execute: (b, { rn }, { M }) => branchAuthenticated(b, kind, rn, b.imm(0), M),
  });

export const rows: readonly Row[] = [
  withModifier('pac', 'addPac'),
  withModifier('aut', 'authenticate'),
  withoutModifier('pac', 'addPac'),
  withoutModifier('aut', 'authenticate'),
  defineRow({
    ...shared,
    id: 'XPAC_dp_1src',
    name: { xpaci: { D: 0 }, xpacd: { D: 1 } },
    pattern: '1 1 0 11010110 00001 01000 D 11111 Rd:5',
    summary: 'Strip a pointer authentication code',
    arm: 'C6.2 XPACD, XPACI, XPACLRI',
    statics: ['D'],
    operands: { rd: X('Rd') },
    execute: (b, { rd }, { D }) => b.writeX(64, rd, b.stripPac(b.readX(64, rd), D === 1)),
  }),
  defineRow({
    ...shared,
    id: 'PACGA_dp_2src',
    name: 'pacga',
    pattern: '1 0 0 11010110 Rm:5 001100 Rn:5 Rd:5',
    summary: 'Pointer authentication code of a value, generic key',
    arm: 'C6.2 PACGA',
    operands: { rd: X('Rd'), rn: R('Rn', 64), rm: XSP('Rm') },
    execute: (b, { rd, rn, rm }) => b.writeX(64, rd, b.genericPac(b.readX(64, rn), b.readX(64, rm))),
  }),
  branchWithModifier('jump'),
  branchWithModifier('call'),
  branchWithoutModifier('jump'),
  branchWithoutModifier('call'),
  defineRow({
    ...shared,
    id: 'RETA_branch_reg',
    name: { retaa: { M: 0 }, retab: { M: 1 } },
    pattern: '1101011 0 0 10 11111 00001 M 11111 11111',
    summary: 'Return from subroutine, authenticating X30 against SP',
    arm: 'C6.2 RETAA, RETAB',
    statics: ['M'],
    operands: {},
    execute: (b, _, { M }) => {
      const modifier = b.readX(64, b.fixedRegister(SP));
      b.branchTo(b.authenticate(b.readX(64, b.linkRegister()), modifier, branchKey(M)), 'return');
    },
  }),
  defineRow({
    ...shared,
    id: 'ERETA_branch_reg',
    name: { eretaa: { M: 0 }, eretab: { M: 1 } },
    pattern: '1101011 0 1 00 11111 00001 M 11111 11111',
    summary: 'Exception return, authenticating ELR against SP',
    arm: 'C6.2 ERETAA, ERETAB',
    statics: ['M'],
    operands: {},
    execute: (b, _, { M }) => {
      b.requireEL(1);
      b.exceptionReturn(branchKey(M));
    },
  }),
];
