/**
 * SYS instructions with names: cache and TLB maintenance, address translation, prediction restriction.
 *
 * TLBI rows are generated from the shape of the encoding space: op1 gives the regime, CRm the
 * shareability (or the range form), op2 the scope.
 *
 * Ref. DDI 0487, C5.3 (cache and AT), C5.5 (TLBI), C5.6 (prediction restriction).
 */
import type { FeatureName } from '../features.js';
import { type El0Rule, levelOf, type OperationGroup, parseEncoding, type SystemOperation } from './row.js';

interface Options {
  readonly hasOperand?: boolean;
  readonly el0?: El0Rule;
  readonly feature?: FeatureName;
  readonly nameOnly?: boolean;
}

function op(
  group: OperationGroup,
  name: string,
  encoding: string,
  summary: string,
  options: Options = {},
): SystemOperation {
  const code = parseEncoding(encoding);
  const el = levelOf(code);
  return {
    group,
    name,
    encoding: code,
    hasOperand: options.hasOperand ?? true,
    el,
    el0: options.el0 ?? (el === 0 ? 'always' : 'never'),
    feature: options.feature,
    summary,
    nameOnly: options.nameOnly ?? false,
  };
}

const UCI: El0Rule = { register: 'sctlr_el1', bits: [26] };
const DZE: El0Rule = { register: 'sctlr_el1', bits: [14] };
const EN_RCTX: El0Rule = { register: 'sctlr_el1', bits: [10] };
const MTE: Options = { feature: 'FEAT_MTE2' };
const user = (feature?: FeatureName): Options => (feature ? { el0: UCI, feature } : { el0: UCI });

const CACHE: readonly SystemOperation[] = [
  op('ic', 'ialluis', '1:0:7:1:0', 'Invalidate all instruction caches, inner shareable', {
    hasOperand: false,
  }),
  op('ic', 'iallu', '1:0:7:5:0', 'Invalidate all instruction caches', { hasOperand: false }),
  op('ic', 'ivau', '1:3:7:5:1', 'Invalidate instruction cache by address', { el0: UCI }),
  op('dc', 'ivac', '1:0:7:6:1', 'Invalidate data by address to PoC'),
  op('dc', 'isw', '1:0:7:6:2', 'Invalidate data by set/way'),
  op('dc', 'igvac', '1:0:7:6:3', 'Invalidate tags by address to PoC', MTE),
  op('dc', 'igsw', '1:0:7:6:4', 'Invalidate tags by set/way', MTE),
  op('dc', 'igdvac', '1:0:7:6:5', 'Invalidate data and tags by address to PoC', MTE),
  op('dc', 'igdsw', '1:0:7:6:6', 'Invalidate data and tags by set/way', MTE),
  op('dc', 'csw', '1:0:7:10:2', 'Clean data by set/way'),
  op('dc', 'cgsw', '1:0:7:10:4', 'Clean tags by set/way', MTE),
  op('dc', 'cgdsw', '1:0:7:10:6', 'Clean data and tags by set/way', MTE),
  op('dc', 'cisw', '1:0:7:14:2', 'Clean and invalidate data by set/way'),
  op('dc', 'cigsw', '1:0:7:14:4', 'Clean and invalidate tags by set/way', MTE),
  op('dc', 'cigdsw', '1:0:7:14:6', 'Clean and invalidate data and tags by set/way', MTE),
  op('dc', 'zva', '1:3:7:4:1', 'Zero a block of data', { el0: DZE }),
  op('dc', 'gva', '1:3:7:4:3', 'Set the tags of a block', { el0: DZE, feature: 'FEAT_MTE' }),
  op('dc', 'gzva', '1:3:7:4:4', 'Zero a block and set its tags', { el0: DZE, feature: 'FEAT_MTE' }),
  op('dc', 'cvac', '1:3:7:10:1', 'Clean data by address to PoC', user()),
  op('dc', 'cgvac', '1:3:7:10:3', 'Clean tags by address to PoC', user('FEAT_MTE')),
  op('dc', 'cgdvac', '1:3:7:10:5', 'Clean data and tags by address to PoC', user('FEAT_MTE')),
  op('dc', 'cvau', '1:3:7:11:1', 'Clean data by address to PoU', user()),
  op('dc', 'cvap', '1:3:7:12:1', 'Clean data by address to persistence', user('FEAT_DPB')),
  op('dc', 'cgvap', '1:3:7:12:3', 'Clean tags by address to persistence', user('FEAT_MTE')),
  op('dc', 'cgdvap', '1:3:7:12:5', 'Clean data and tags by address to persistence', user('FEAT_MTE')),
  op('dc', 'cvadp', '1:3:7:13:1', 'Clean data by address to deep persistence', user('FEAT_DPB2')),
  op('dc', 'cgvadp', '1:3:7:13:3', 'Clean tags by address to deep persistence', user('FEAT_MTE')),
  op('dc', 'cgdvadp', '1:3:7:13:5', 'Clean data and tags by address to deep persistence', user('FEAT_MTE')),
  op('dc', 'civac', '1:3:7:14:1', 'Clean and invalidate data by address to PoC', user()),
  op('dc', 'cigvac', '1:3:7:14:3', 'Clean and invalidate tags by address to PoC', user('FEAT_MTE')),
  op('dc', 'cigdvac', '1:3:7:14:5', 'Clean and invalidate data and tags by address to PoC', user('FEAT_MTE')),
  op('dc', 'cipapa', '1:6:7:14:1', 'Clean and invalidate to the point of physical aliasing', {
    nameOnly: true,
  }),
  op('dc', 'cigdpapa', '1:6:7:14:5', 'Clean and invalidate data and tags to the point of physical aliasing', {
    nameOnly: true,
  }),
];

const TRANSLATION: readonly SystemOperation[] = [
  op('at', 's1e1r', '1:0:7:8:0', 'Translate stage 1, EL1 read'),
  op('at', 's1e1w', '1:0:7:8:1', 'Translate stage 1, EL1 write'),
  op('at', 's1e0r', '1:0:7:8:2', 'Translate stage 1, EL0 read'),
  op('at', 's1e0w', '1:0:7:8:3', 'Translate stage 1, EL0 write'),
  op('at', 's1e1rp', '1:0:7:9:0', 'Translate stage 1, EL1 read with PAN', { feature: 'FEAT_PAN2' }),
  op('at', 's1e1wp', '1:0:7:9:1', 'Translate stage 1, EL1 write with PAN', { feature: 'FEAT_PAN2' }),
  op('at', 's1e2r', '1:4:7:8:0', 'Translate stage 1, EL2 read'),
  op('at', 's1e2w', '1:4:7:8:1', 'Translate stage 1, EL2 write'),
  op('at', 's12e1r', '1:4:7:8:4', 'Translate both stages, EL1 read'),
  op('at', 's12e1w', '1:4:7:8:5', 'Translate both stages, EL1 write'),
  op('at', 's12e0r', '1:4:7:8:6', 'Translate both stages, EL0 read'),
  op('at', 's12e0w', '1:4:7:8:7', 'Translate both stages, EL0 write'),
  op('at', 's1e3r', '1:6:7:8:0', 'Translate stage 1, EL3 read'),
  op('at', 's1e3w', '1:6:7:8:1', 'Translate stage 1, EL3 write'),
];

const PREDICTION: readonly SystemOperation[] = [
  op('cfp', 'rctx', '1:3:7:3:4', 'Control flow prediction restriction', {
    el0: EN_RCTX,
    feature: 'FEAT_SPECRES',
  }),
  op('dvp', 'rctx', '1:3:7:3:5', 'Data value prediction restriction', {
    el0: EN_RCTX,
    feature: 'FEAT_SPECRES',
  }),
  op('cpp', 'rctx', '1:3:7:3:7', 'Cache prefetch prediction restriction', {
    el0: EN_RCTX,
    feature: 'FEAT_SPECRES',
  }),
];

/** By-entry scopes: [name, op2, has operand] of CRm 1 (OS), 3 (IS), 7. */
const EL1_SCOPES = [
  ['vmalle1', 0, false],
  ['vae1', 1, true],
  ['aside1', 2, true],
  ['vaae1', 3, true],
  ['vale1', 5, true],
  ['vaale1', 7, true],
] as const;
const EL2_SCOPES = [
  ['alle2', 0, false],
  ['vae2', 1, true],
  ['alle1', 4, false],
  ['vale2', 5, true],
  ['vmalls12e1', 6, false],
] as const;
const EL3_SCOPES = [
  ['alle3', 0, false],
  ['vae3', 1, true],
  ['vale3', 5, true],
] as const;
const RANGES: readonly (readonly [op1: number, scopes: readonly (readonly [string, number])[]])[] = [
  [
    0,
    [
      ['rvae1', 1],
      ['rvaae1', 3],
      ['rvale1', 5],
      ['rvaale1', 7],
    ],
  ],
  [
    4,
    [
      ['rvae2', 1],
      ['rvale2', 5],
    ],
  ],
  [
    6,
    [
      ['rvae3', 1],
      ['rvale3', 5],
    ],
  ],
];

function tlbi(name: string, encoding: string, hasOperand: boolean, feature?: FeatureName): SystemOperation {
  return op('tlbi', name, encoding, 'Invalidate TLB entries', {
    hasOperand,
    ...(feature === undefined ? {} : { feature }),
  });
}

const TLB: readonly SystemOperation[] = [
  ...(
    [
      [0, EL1_SCOPES],
      [4, EL2_SCOPES],
      [6, EL3_SCOPES],
    ] as const
  ).flatMap(([op1, scopes]) =>
    scopes.flatMap(([name, op2, operand]) => [
      tlbi(`${name}os`, `1:${op1}:8:1:${op2}`, operand, 'FEAT_TLBIOS'),
      tlbi(`${name}is`, `1:${op1}:8:3:${op2}`, operand),
      tlbi(name, `1:${op1}:8:7:${op2}`, operand),
    ]),
  ),
  ...RANGES.flatMap(([op1, scopes]) =>
    scopes.flatMap(([name, op2]) => [
      tlbi(`${name}is`, `1:${op1}:8:2:${op2}`, true, 'FEAT_TLBIRANGE'),
      tlbi(`${name}os`, `1:${op1}:8:5:${op2}`, true, 'FEAT_TLBIRANGE'),
      tlbi(name, `1:${op1}:8:6:${op2}`, true, 'FEAT_TLBIRANGE'),
    ]),
  ),
  tlbi('ipas2e1is', '1:4:8:0:1', true),
  tlbi('ripas2e1is', '1:4:8:0:2', true, 'FEAT_TLBIRANGE'),
  tlbi('ipas2le1is', '1:4:8:0:5', true),
  tlbi('ripas2le1is', '1:4:8:0:6', true, 'FEAT_TLBIRANGE'),
  tlbi('ipas2e1os', '1:4:8:4:0', true, 'FEAT_TLBIOS'),
  tlbi('ipas2e1', '1:4:8:4:1', true),
  tlbi('ripas2e1', '1:4:8:4:2', true, 'FEAT_TLBIRANGE'),
  tlbi('ripas2e1os', '1:4:8:4:3', true, 'FEAT_TLBIRANGE'),
  tlbi('ipas2le1os', '1:4:8:4:4', true, 'FEAT_TLBIOS'),
  tlbi('ipas2le1', '1:4:8:4:5', true),
  tlbi('ripas2le1', '1:4:8:4:6', true, 'FEAT_TLBIRANGE'),
  tlbi('ripas2le1os', '1:4:8:4:7', true, 'FEAT_TLBIRANGE'),
  op('tlbi', 'paallos', '1:6:8:1:4', 'Invalidate granule protection entries', {
    hasOperand: false,
    nameOnly: true,
  }),
  op('tlbi', 'paall', '1:6:8:7:4', 'Invalidate granule protection entries', {
    hasOperand: false,
    nameOnly: true,
  }),
  op('tlbi', 'rpaos', '1:6:8:4:3', 'Invalidate granule protection entries by range', { nameOnly: true }),
  op('tlbi', 'rpalos', '1:6:8:4:7', 'Invalidate granule protection entries by range', { nameOnly: true }),
];

export const SYSTEM_OPERATIONS: readonly SystemOperation[] = [
  ...CACHE,
  ...TRANSLATION,
  ...PREDICTION,
  ...TLB,
];
