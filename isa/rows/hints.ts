/**
 * Hints: one row per allocated number, and HINT for the rest.
 *
 * A hint whose feature is absent, or that is not allocated, is a NOP (DDI 0487, C6.2 "HINT"): decoding
 * then falls through from the named row to HINT, which does nothing. The pointer authentication hints
 * are among them, so that code which uses them runs on machines without the feature.
 *
 * Ref. DDI 0487, C4.1.93 "Hints".
 */
import type { Builder, PacKey, Words } from '../builder.js';
import { imm } from '../operands/index.js';
import { keyword } from '../operands/system.js';
import { defineRow, type OperandSet, type Row } from '../row.js';

interface Hint {
  readonly number: number;
  readonly name: string;
  /** The word after the mnemonic: `c`, `csync`. */
  readonly argument?: string;
  readonly feature?: string;
  readonly summary: string;
  /** A NOP here: the emulator has nothing to synchronize, to speculate or to profile. */
  readonly quiet?: true;
}

const HINTS: readonly Hint[] = [
  { number: 0, name: 'nop', summary: 'No Operation', quiet: true },
  { number: 1, name: 'yield', summary: 'Yield: another thread may run' },
  { number: 2, name: 'wfe', summary: 'Wait For Event' },
  { number: 3, name: 'wfi', summary: 'Wait For Interrupt' },
  { number: 4, name: 'sev', summary: 'Send Event' },
  { number: 5, name: 'sevl', summary: 'Send Event Local' },
  { number: 16, name: 'esb', feature: 'FEAT_RAS', summary: 'Error Synchronization Barrier' },
  {
    number: 17,
    name: 'psb',
    argument: 'csync',
    feature: 'FEAT_SPE',
    summary: 'Profiling Synchronization Barrier',
    quiet: true,
  },
  {
    number: 18,
    name: 'tsb',
    argument: 'csync',
    feature: 'FEAT_TRF',
    summary: 'Trace Synchronization Barrier',
    quiet: true,
  },
  { number: 20, name: 'csdb', summary: 'Consumption of Speculative Data Barrier', quiet: true },
  { number: 22, name: 'clearbhb', feature: 'FEAT_CLRBHB', summary: 'Clear Branch History', quiet: true },
  { number: 32, name: 'bti', feature: 'FEAT_BTI', summary: 'Branch Target Identification: no target' },
  { number: 34, name: 'bti', argument: 'c', feature: 'FEAT_BTI', summary: 'Branch Target of calls' },
  { number: 36, name: 'bti', argument: 'j', feature: 'FEAT_BTI', summary: 'Branch Target of jumps' },
  {
    number: 38,
    name: 'bti',
    argument: 'jc',
    feature: 'FEAT_BTI',
    summary: 'Branch Target of jumps and calls',
  },
];

const patternOf = (number: number) => `11010101000000110010 ${number.toString(2).padStart(7, '0')} 11111`;

function hintRow({ number, name, argument, feature, summary, quiet }: Hint): Row {
  const operands: OperandSet = argument === undefined ? {} : { argument: keyword(argument) };
  return defineRow({
    id: `${name.toUpperCase()}${argument === undefined || argument === 'csync' ? '' : `_${argument}`}`,
    name,
    pattern: patternOf(number),
    class: 'system',
    summary,
    arm: `C6.2 ${name.toUpperCase()}`,
    ...(feature === undefined ? {} : { feature }),
    refines: ['HINT'],
    operands,
    execute: (b) => {
      if (!quiet) b.hint(b.imm(number));
    },
  });
}

/** A hint that signs, checks or strips the pointer in `pointer` (a slot), with `modifier` (a slot) for salt. */
interface PointerHint {
  readonly number: number;
  readonly name: string;
  readonly operation: 'sign' | 'authenticate' | 'strip';
  readonly key: PacKey;
  readonly pointer: 17 | 30;
  readonly modifier: 16 | 31 | 32;
}

const FORMS = [
  { suffix: '1716', base: 8, step: 2, pointer: 17, modifier: 16 },
  { suffix: 'z', base: 24, step: 2, pointer: 30, modifier: 31 },
  { suffix: 'sp', base: 25, step: 2, pointer: 30, modifier: 32 },
] as const;

/** PACIA, PACIB, AUTIA, AUTIB follow each other in each form. */
const POINTER_HINTS: readonly PointerHint[] = [
  { number: 7, name: 'xpaclri', operation: 'strip', key: 'ia', pointer: 30, modifier: 31 },
  ...FORMS.flatMap(({ suffix, base, step, pointer, modifier }) =>
    (['pacia', 'pacib', 'autia', 'autib'] as const).map((stem, index) => ({
      number: base + index * step,
      name: stem + suffix,
      operation: index < 2 ? ('sign' as const) : ('authenticate' as const),
      key: index % 2 === 0 ? ('ia' as const) : ('ib' as const),
      pointer,
      modifier,
    })),
  ),
];

function pointerValue<T extends Words>(b: Builder<T>, hint: PointerHint): T['x'] {
  const pointer = b.readX(64, b.fixedRegister(hint.pointer));
  // An instruction address is stripped even of a tag that data addresses would keep.
  if (hint.operation === 'strip') return b.stripPac(pointer, false);
  const modifier = hint.modifier === 31 ? b.imm(0) : b.readX(64, b.fixedRegister(hint.modifier));
  return hint.operation === 'sign'
    ? b.addPac(pointer, modifier, hint.key)
    : b.authenticate(pointer, modifier, hint.key);
}

function pointerHintRow(hint: PointerHint): Row {
  const verb = { sign: 'Sign', authenticate: 'Authenticate', strip: 'Strip the code of' }[hint.operation];
  const salt = { 16: ' with X16', 31: '', 32: ' with SP' }[hint.modifier];
  const key = hint.operation === 'strip' ? '' : `, instruction key ${hint.key === 'ia' ? 'A' : 'B'}`;
  return defineRow({
    id: hint.name.toUpperCase(),
    name: hint.name,
    pattern: patternOf(hint.number),
    class: 'pauth',
    summary: `${verb} X${hint.pointer}${salt}${key}`,
    arm: `C6.2 ${hint.operation === 'strip' ? 'XPACLRI' : hint.name.slice(0, 5).toUpperCase()}`,
    feature: 'FEAT_PAuth',
    refines: ['HINT'],
    operands: {},
    execute: (b) => b.writeX(64, b.fixedRegister(hint.pointer), pointerValue(b, hint)),
  });
}

export const rows: readonly Row[] = [
  ...HINTS.map(hintRow),
  ...POINTER_HINTS.map(pointerHintRow),
  defineRow({
    id: 'HINT',
    name: 'hint',
    pattern: '11010101000000110010 imm:7 11111',
    class: 'system',
    summary: 'Hint without effect',
    arm: 'C6.2 HINT',
    operands: { imm: imm('imm', 7) },
    aliases: [{ name: 'dgh', operands: {}, fixed: { imm: 6 }, when: 'never' }],
    execute: () => {},
  }),
];
