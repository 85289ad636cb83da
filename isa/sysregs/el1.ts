/**
 * System registers of EL0 and EL1 that the machine implements.
 *
 * Ref. DDI 0487, D19.2 (general), D19.3 (debug), D19.12 (timer); GIC CPU interface: IHI 0069.
 */
import { SCTLR, TCR } from './fields.js';
import { bitMask, type HypervisorTrap, register as r, type SystemRegister } from './row.js';

const TVM: HypervisorTrap = { write: 26, read: 30 };
const TID3: HypervisorTrap = { read: 18 };
const TID2: HypervisorTrap = { read: 17, write: 17 };
const ATA: HypervisorTrap = { read: 56, write: 56, zero: true };
const TLOR: HypervisorTrap = { read: 35, write: 35 };
const APK: HypervisorTrap = { read: 40, write: 40, zero: true };

const id = (name: string, encoding: string, summary: string): SystemRegister =>
  r(name, encoding, summary, { kind: 'identification', trap: TID3 });
/** AArch32 views: no AArch32 here, so the fields are UNKNOWN; zero is what most cores read. */
const raz = (name: string, crm: number, op2: number): SystemRegister =>
  r(name, `3:0:0:${crm}:${op2}`, 'AArch32 identification (reads as zero)', { kind: 'constant', trap: TID3 });

const AARCH32_ID: readonly SystemRegister[] = [
  ...['id_pfr0', 'id_pfr1', 'id_dfr0', 'id_afr0', 'id_mmfr0', 'id_mmfr1', 'id_mmfr2', 'id_mmfr3'].map(
    (n, i) => raz(`${n}_el1`, 1, i),
  ),
  ...['id_isar0', 'id_isar1', 'id_isar2', 'id_isar3', 'id_isar4', 'id_isar5', 'id_mmfr4', 'id_isar6'].map(
    (n, i) => raz(`${n}_el1`, 2, i),
  ),
  raz('mvfr0_el1', 3, 0),
  raz('mvfr1_el1', 3, 1),
  raz('mvfr2_el1', 3, 2),
  raz('id_pfr2_el1', 3, 4),
  raz('id_dfr1_el1', 3, 5),
  raz('id_mmfr5_el1', 3, 6),
];

/** LORID says that there are no regions, so that the others are RES0 and LDLAR orders as LDAR. */
const ORDERING_REGIONS: readonly SystemRegister[] = [
  ...(['lorsa', 'lorea', 'lorn', 'lorc'] as const).map((name, op2) =>
    r(`${name}_el1`, `3:0:10:4:${op2}`, 'Limited ordering region (none: RES0)', {
      res0: -1n,
      feature: 'FEAT_LOR',
      trap: TLOR,
    }),
  ),
  r('lorid_el1', '3:0:10:4:7', 'Limited ordering regions: none', {
    kind: 'constant',
    feature: 'FEAT_LOR',
    trap: TLOR,
  }),
];

const IDENTIFICATION: readonly SystemRegister[] = [
  r('midr_el1', '3:0:0:0:0', 'Main ID', { kind: 'computed', access: 'ro', reset: 0x000f_4d50n }),
  r('mpidr_el1', '3:0:0:0:5', 'Multiprocessor affinity', { kind: 'computed', access: 'ro' }),
  r('revidr_el1', '3:0:0:0:6', 'Revision ID', { kind: 'constant', trap: { read: 16 } }),
  ...AARCH32_ID,
  id('id_aa64pfr0_el1', '3:0:0:4:0', 'Processor features 0'),
  id('id_aa64pfr1_el1', '3:0:0:4:1', 'Processor features 1'),
  id('id_aa64dfr0_el1', '3:0:0:5:0', 'Debug features 0'),
  r('id_aa64dfr1_el1', '3:0:0:5:1', 'Debug features 1', { kind: 'constant', trap: TID3 }),
  r('id_aa64afr0_el1', '3:0:0:5:4', 'Auxiliary features 0', { kind: 'constant', trap: TID3 }),
  r('id_aa64afr1_el1', '3:0:0:5:5', 'Auxiliary features 1', { kind: 'constant', trap: TID3 }),
  id('id_aa64isar0_el1', '3:0:0:6:0', 'Instruction set attributes 0'),
  id('id_aa64isar1_el1', '3:0:0:6:1', 'Instruction set attributes 1'),
  id('id_aa64isar2_el1', '3:0:0:6:2', 'Instruction set attributes 2'),
  id('id_aa64mmfr0_el1', '3:0:0:7:0', 'Memory model features 0'),
  id('id_aa64mmfr1_el1', '3:0:0:7:1', 'Memory model features 1'),
  id('id_aa64mmfr2_el1', '3:0:0:7:2', 'Memory model features 2'),
  r('id_aa64zfr0_el1', '3:0:0:4:4', 'SVE features', { kind: 'constant', trap: TID3 }),
  r('id_aa64smfr0_el1', '3:0:0:4:5', 'SME features', { kind: 'constant', trap: TID3 }),
  r('ccsidr_el1', '3:1:0:0:0', 'Current cache size', { kind: 'computed', access: 'ro', trap: TID2 }),
  // One level: instructions and data apart, tags in a cache of their own (Ttype1 = 1); LoC = LoUIS = LoUU = 1.
  r('clidr_el1', '3:1:0:0:1', 'Cache levels', { kind: 'constant', reset: 0x2_0920_0003n, trap: TID2 }),
  // BS = 6: LDGM and STGM move 256 bytes.
  r('gmid_el1', '3:1:0:0:4', 'Multiple tag transfer block size', {
    kind: 'constant',
    reset: 6n,
    feature: 'FEAT_MTE2',
    trap: { read: 58 },
  }),
  r('aidr_el1', '3:1:0:0:7', 'Auxiliary ID', { kind: 'constant', trap: { read: 16 } }),
  r('csselr_el1', '3:2:0:0:0', 'Cache size selection', { res0: ~0x1fn, trap: TID2 }),
  // IminLine = DminLine = CWG = ERG = 64 bytes, TminLine = 9 (the tags of 2 KiB), PIPT; DIC = IDC = 0.
  r('ctr_el0', '3:3:0:0:1', 'Cache type', {
    kind: 'constant',
    reset: 0x0000_0009_8444_c004n,
    el0Read: { register: 'sctlr_el1', bits: [15] },
    trap: { read: 17 },
  }),
  // BS = 4: DC ZVA works on 64 bytes; DZP follows SCTLR_EL1.DZE at EL0.
  r('dczid_el0', '3:3:0:0:7', 'Data cache zero ID', { kind: 'computed', access: 'ro', reset: 4n }),
];

const CONTROL: readonly SystemRegister[] = [
  r('sctlr_el1', '3:0:1:0:0', 'System control', {
    reset: 0x30d0_0800n,
    // EE and E0E: no big-endian support.
    res0: 0xffff_e004_0302_0000n,
    res1: 0x3050_0800n,
    featureBits: [
      ['FEAT_LSE2', bitMask(SCTLR.nAA)],
      ['FEAT_SPECRES', bitMask(SCTLR.EnRCTX)],
      ['FEAT_PAuth', bitMask(SCTLR.EnDB, SCTLR.EnDA, SCTLR.EnIB, SCTLR.EnIA)],
      ['FEAT_IESB', bitMask(SCTLR.IESB)],
      ['FEAT_PAN', bitMask(SCTLR.SPAN)],
      ['FEAT_BTI', bitMask(SCTLR.BT0, SCTLR.BT1)],
      ['FEAT_MTE2', bitMask(SCTLR.ITFSB, 38, 39, 40, 41, SCTLR.ATA0, SCTLR.ATA)],
      ['FEAT_SSBS', bitMask(SCTLR.DSSBS)],
    ],
    trap: TVM,
  }),
  r('actlr_el1', '3:0:1:0:1', 'Auxiliary control', { res0: ~0n, trap: { read: 21, write: 21 } }),
  r('cpacr_el1', '3:0:1:0:2', 'Access to SVE, FP and SIMD', { res0: ~0x1033_0000n }),
  r('rgsr_el1', '3:0:1:0:5', 'Random allocation tag seed', {
    res0: ~0xff_ff0fn,
    feature: 'FEAT_MTE2',
    trap: ATA,
  }),
  r('gcr_el1', '3:0:1:0:6', 'Tag control', { res0: ~0x1_ffffn, feature: 'FEAT_MTE2', trap: ATA }),
  r('ttbr0_el1', '3:0:2:0:0', 'Translation table base 0', { trap: TVM }),
  r('ttbr1_el1', '3:0:2:0:1', 'Translation table base 1', { trap: TVM }),
  // Bits 63:59 and 54:53: FEAT_LPA2, FEAT_MTE4 and SVE, which no machine here has; 35 is reserved.
  r('tcr_el1', '3:0:2:0:2', 'Translation control', {
    trap: TVM,
    res0: 0xf860_0008_0000_0040n,
    featureBits: [
      ['FEAT_HAFDBS', bitMask(TCR.HA, TCR.HD)],
      ['FEAT_HPDS', bitMask(TCR.HPD0, TCR.HPD1)],
      ['FEAT_HPDS2', 0xffn << 43n],
      ['FEAT_E0PD', bitMask(TCR.E0PD0, TCR.E0PD1)],
      ['FEAT_MTE2', bitMask(TCR.TCMA0, TCR.TCMA1)],
    ],
  }),
  ...(
    [
      ['ia', 1, 0],
      ['ib', 1, 2],
      ['da', 2, 0],
      ['db', 2, 2],
      ['ga', 3, 0],
    ] as const
  ).flatMap(([key, crm, op2]) =>
    (['lo', 'hi'] as const).map((half, i) =>
      r(`ap${key}key${half}_el1`, `3:0:2:${crm}:${op2 + i}`, 'Pointer authentication key', {
        feature: 'FEAT_PAuth',
        trap: APK,
      }),
    ),
  ),
  r('spsr_el1', '3:0:4:0:0', 'Saved program status'),
  r('elr_el1', '3:0:4:0:1', 'Exception link'),
  r('sp_el0', '3:0:4:1:0', 'Stack pointer of EL0', { kind: 'computed' }),
  r('spsel', '3:0:4:2:0', 'Stack pointer select', { kind: 'pstate' }),
  r('currentel', '3:0:4:2:2', 'Current exception level', { kind: 'pstate', access: 'ro' }),
  r('pan', '3:0:4:2:3', 'Privileged access never', { kind: 'pstate', feature: 'FEAT_PAN' }),
  r('uao', '3:0:4:2:4', 'User access override', { kind: 'pstate', feature: 'FEAT_UAO' }),
  r('afsr0_el1', '3:0:5:1:0', 'Auxiliary fault status 0', { trap: TVM }),
  r('afsr1_el1', '3:0:5:1:1', 'Auxiliary fault status 1', { trap: TVM }),
  r('esr_el1', '3:0:5:2:0', 'Exception syndrome', { res0: 0xff00_0000_0000_0000n, trap: TVM }),
  r('tfsr_el1', '3:0:5:6:0', 'Tag fault status', { res0: ~3n, feature: 'FEAT_MTE2', trap: ATA }),
  r('tfsre0_el1', '3:0:5:6:1', 'Tag fault status of EL0', { res0: ~3n, feature: 'FEAT_MTE2', trap: ATA }),
  r('far_el1', '3:0:6:0:0', 'Fault address', { trap: TVM }),
  r('par_el1', '3:0:7:4:0', 'Physical address of AT'),
  r('mair_el1', '3:0:10:2:0', 'Memory attributes', { trap: TVM }),
  r('amair_el1', '3:0:10:3:0', 'Auxiliary memory attributes', { trap: TVM }),
  r('vbar_el1', '3:0:12:0:0', 'Vector base', { res0: 0x7ffn }),
  r('isr_el1', '3:0:12:1:0', 'Pending interrupts', { kind: 'computed', access: 'ro' }),
  r('contextidr_el1', '3:0:13:0:1', 'Context ID', { res0: 0xffff_ffff_0000_0000n, trap: TVM }),
  r('tpidr_el1', '3:0:13:0:4', 'Software thread ID of EL1'),
  r('tpidr_el0', '3:3:13:0:2', 'Software thread ID of EL0'),
  r('tpidrro_el0', '3:3:13:0:3', 'Software thread ID of EL0, read-only there', { el0Write: 'never' }),
];

const PROCESS_STATE: readonly SystemRegister[] = [
  r('nzcv', '3:3:4:2:0', 'Condition flags', { kind: 'pstate', res0: ~0xf000_0000n }),
  r('daif', '3:3:4:2:1', 'Interrupt masks', { kind: 'pstate', el0: { register: 'sctlr_el1', bits: [9] } }),
  r('dit', '3:3:4:2:5', 'Data-independent timing', { kind: 'pstate', feature: 'FEAT_DIT' }),
  r('ssbs', '3:3:4:2:6', 'Speculative store bypass safe', { kind: 'pstate', feature: 'FEAT_SSBS2' }),
  r('tco', '3:3:4:2:7', 'Tag check override', { kind: 'pstate', feature: 'FEAT_MTE' }),
  r('fpcr', '3:3:4:4:0', 'Floating-point control', { res0: ~0x07c8_0000n, feature: 'FEAT_FP' }),
  r('fpsr', '3:3:4:4:1', 'Floating-point status', { res0: ~0x0800_009fn, feature: 'FEAT_FP' }),
  r('rndr', '3:3:2:4:0', 'Random number', { kind: 'computed', access: 'ro', feature: 'FEAT_RNG' }),
  r('rndrrs', '3:3:2:4:1', 'Random number, reseeded', {
    kind: 'computed',
    access: 'ro',
    feature: 'FEAT_RNG',
  }),
];

/** EL0 timer access follows CNTKCTL_EL1 EL0PCTEN(0), EL0VCTEN(1), EL0VTEN(8), EL0PTEN(9). */
const kctl = (...bits: number[]) => ({ register: 'cntkctl_el1', bits }) as const;

const TIMER: readonly SystemRegister[] = [
  r('cntkctl_el1', '3:0:14:1:0', 'Counter-timer kernel control', { res0: ~0x3ffffn }),
  r('cntfrq_el0', '3:3:14:0:0', 'Counter frequency', {
    el0Read: kctl(0, 1),
    el0Write: 'never',
    highestWrites: true,
  }),
  r('cntpct_el0', '3:3:14:0:1', 'Physical count', { kind: 'computed', access: 'ro', el0: kctl(0) }),
  r('cntvct_el0', '3:3:14:0:2', 'Virtual count', { kind: 'computed', access: 'ro', el0: kctl(1) }),
  r('cntpctss_el0', '3:3:14:0:5', 'Physical count, self-synchronised', {
    kind: 'computed',
    access: 'ro',
    el0: kctl(0),
    feature: 'FEAT_ECV',
  }),
  r('cntvctss_el0', '3:3:14:0:6', 'Virtual count, self-synchronised', {
    kind: 'computed',
    access: 'ro',
    el0: kctl(1),
    feature: 'FEAT_ECV',
  }),
  r('cntp_tval_el0', '3:3:14:2:0', 'Physical timer value', { kind: 'computed', el0: kctl(9) }),
  r('cntp_ctl_el0', '3:3:14:2:1', 'Physical timer control', { kind: 'computed', el0: kctl(9) }),
  r('cntp_cval_el0', '3:3:14:2:2', 'Physical timer compare value', { el0: kctl(9) }),
  r('cntv_tval_el0', '3:3:14:3:0', 'Virtual timer value', { kind: 'computed', el0: kctl(8) }),
  r('cntv_ctl_el0', '3:3:14:3:1', 'Virtual timer control', { kind: 'computed', el0: kctl(8) }),
  r('cntv_cval_el0', '3:3:14:3:2', 'Virtual timer compare value', { el0: kctl(8) }),
];

const DEBUG: readonly SystemRegister[] = [
  r('mdccint_el1', '2:0:0:2:0', 'Debug comms channel interrupts', { res0: ~0x6000_0000n }),
  r('mdscr_el1', '2:0:0:2:2', 'Monitor debug control', { res0: ~0xffff_ffffn }),
  r('mdrar_el1', '2:0:1:0:0', 'Debug ROM address', { kind: 'constant' }),
  r('oslar_el1', '2:0:1:0:4', 'OS lock access', { kind: 'computed', access: 'wo' }),
  r('oslsr_el1', '2:0:1:1:4', 'OS lock status', { kind: 'computed', access: 'ro' }),
  r('osdlr_el1', '2:0:1:3:4', 'OS double lock', { res0: ~1n }),
  r('dbgprcr_el1', '2:0:1:4:4', 'Debug power control', { res0: ~1n }),
  r('dbgclaimset_el1', '2:0:7:8:6', 'Debug claim tags, set', { kind: 'computed' }),
  r('dbgclaimclr_el1', '2:0:7:9:6', 'Debug claim tags, clear', { kind: 'computed' }),
  r('dbgauthstatus_el1', '2:0:7:14:6', 'Debug authentication status', { kind: 'constant' }),
  r('mdccsr_el0', '2:3:0:1:0', 'Debug comms channel status', { kind: 'constant' }),
  r('osdtrrx_el1', '2:0:0:0:2', 'OS lock data transfer, receive', { res0: ~0xffff_ffffn }),
  r('osdtrtx_el1', '2:0:0:3:2', 'OS lock data transfer, transmit', { res0: ~0xffff_ffffn }),
  r('oseccr_el1', '2:0:0:6:2', 'OS lock exception catch', { res0: ~0xffff_ffffn }),
  ...Array.from({ length: 6 }, (_, n) => [
    r(`dbgbvr${n}_el1`, `2:0:0:${n}:4`, 'Breakpoint value'),
    r(`dbgbcr${n}_el1`, `2:0:0:${n}:5`, 'Breakpoint control', { res0: ~0x00ff_e1e7n }),
  ]).flat(),
  ...Array.from({ length: 4 }, (_, n) => [
    r(`dbgwvr${n}_el1`, `2:0:0:${n}:6`, 'Watchpoint value', { res0: 3n }),
    r(`dbgwcr${n}_el1`, `2:0:0:${n}:7`, 'Watchpoint control', { res0: ~0x1fff_ffffn }),
  ]).flat(),
];

/** GICv3 CPU interface; the machine answers them where the board has a GIC, else access is UNDEFINED. */
const icc = (name: string, encoding: string, summary: string, access: 'rw' | 'ro' | 'wo' = 'rw') =>
  r(name, encoding, summary, { kind: 'computed', access });
const GIC: readonly SystemRegister[] = [
  icc('icc_pmr_el1', '3:0:4:6:0', 'Interrupt priority mask'),
  icc('icc_iar0_el1', '3:0:12:8:0', 'Interrupt acknowledge, group 0', 'ro'),
  icc('icc_eoir0_el1', '3:0:12:8:1', 'End of interrupt, group 0', 'wo'),
  icc('icc_hppir0_el1', '3:0:12:8:2', 'Highest priority pending, group 0', 'ro'),
  icc('icc_bpr0_el1', '3:0:12:8:3', 'Binary point, group 0'),
  ...[0, 1, 2, 3].map((n) => icc(`icc_ap0r${n}_el1`, `3:0:12:8:${4 + n}`, 'Active priorities, group 0')),
  ...[0, 1, 2, 3].map((n) => icc(`icc_ap1r${n}_el1`, `3:0:12:9:${n}`, 'Active priorities, group 1')),
  icc('icc_dir_el1', '3:0:12:11:1', 'Deactivate interrupt', 'wo'),
  icc('icc_rpr_el1', '3:0:12:11:3', 'Running priority', 'ro'),
  icc('icc_sgi1r_el1', '3:0:12:11:5', 'Generate SGI, group 1', 'wo'),
  icc('icc_asgi1r_el1', '3:0:12:11:6', 'Generate SGI, alias group 1', 'wo'),
  icc('icc_sgi0r_el1', '3:0:12:11:7', 'Generate SGI, group 0', 'wo'),
  icc('icc_iar1_el1', '3:0:12:12:0', 'Interrupt acknowledge, group 1', 'ro'),
  icc('icc_eoir1_el1', '3:0:12:12:1', 'End of interrupt, group 1', 'wo'),
  icc('icc_hppir1_el1', '3:0:12:12:2', 'Highest priority pending, group 1', 'ro'),
  icc('icc_bpr1_el1', '3:0:12:12:3', 'Binary point, group 1'),
  icc('icc_ctlr_el1', '3:0:12:12:4', 'CPU interface control'),
  icc('icc_sre_el1', '3:0:12:12:5', 'System register enable'),
  icc('icc_igrpen0_el1', '3:0:12:12:6', 'Group 0 enable'),
  icc('icc_igrpen1_el1', '3:0:12:12:7', 'Group 1 enable'),
];

export const EL1_REGISTERS: readonly SystemRegister[] = [
  ...IDENTIFICATION,
  ...CONTROL,
  ...ORDERING_REGIONS,
  ...PROCESS_STATE,
  ...TIMER,
  ...DEBUG,
  ...GIC,
];
