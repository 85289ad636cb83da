/**
 * System registers of EL2 and EL3 that the machine implements.
 *
 * FEAT_VHE's registers are rows with that feature, so that a machine without it finds them UNDEFINED.
 *
 * Ref. DDI 0487, D19.2.
 */
import { HCR, SCR, SCTLR, TCR_HIGH } from './fields.js';
import { bitMask, register as r, type SystemRegister } from './row.js';

/** SCTLR_EL2 and SCTLR_EL3: bits that come with features. */
const SCTLR_FEATURES: SystemRegister['featureBits'] = [
  ['FEAT_LSE2', bitMask(SCTLR.nAA)],
  ['FEAT_PAuth', bitMask(SCTLR.EnDB, SCTLR.EnDA, SCTLR.EnIB, SCTLR.EnIA)],
  ['FEAT_IESB', bitMask(SCTLR.IESB)],
  ['FEAT_BTI', bitMask(SCTLR.BT1)],
  ['FEAT_MTE2', bitMask(SCTLR.ITFSB, 40, 41, SCTLR.ATA)],
  ['FEAT_SSBS', bitMask(SCTLR.DSSBS)],
];
/** TCR_EL2 and TCR_EL3. */
const TCR_FEATURES: SystemRegister['featureBits'] = [
  ['FEAT_HAFDBS', bitMask(TCR_HIGH.HA, TCR_HIGH.HD)],
  ['FEAT_HPDS', bitMask(TCR_HIGH.HPD)],
  ['FEAT_HPDS2', 0xfn << 25n],
  ['FEAT_MTE2', bitMask(TCR_HIGH.TCMA)],
];

const EL2: readonly SystemRegister[] = [
  r('vpidr_el2', '3:4:0:0:0', 'Virtualised main ID', { res0: ~0xffff_ffffn }),
  r('vmpidr_el2', '3:4:0:0:5', 'Virtualised multiprocessor affinity'),
  r('sctlr_el2', '3:4:1:0:0', 'System control of EL2', {
    reset: 0x30c5_0830n,
    res0: 0xffff_e006_0302_0000n,
    res1: 0x3080_0800n,
    featureBits: SCTLR_FEATURES,
  }),
  r('actlr_el2', '3:4:1:0:1', 'Auxiliary control of EL2', { res0: ~0n }),
  // RW: EL1 is AArch64 always. RES0: bits of features that no machine here has (FEAT_RAS, FEAT_NV, FEAT_EVT, ...).
  r('hcr_el2', '3:4:1:1:0', 'Hypervisor configuration', {
    res0: bitMask(36, 37, 38, 39, 42, 43, 44, 45, 47, 48, 49, 50, 51, 52, 53, 54, 55, 59, 60, 61, 62, 63),
    res1: 1n << 31n,
    reset: 1n << 31n,
    featureBits: [
      ['FEAT_VHE', bitMask(HCR.E2H)],
      ['FEAT_LOR', bitMask(35)],
      ['FEAT_PAuth', bitMask(HCR.APK, HCR.API)],
      ['FEAT_S2FWB', bitMask(HCR.FWB)],
      ['FEAT_MTE2', bitMask(HCR.ATA, HCR.DCT, HCR.TID5)],
    ],
  }),
  r('mdcr_el2', '3:4:1:1:1', 'Monitor debug configuration of EL2'),
  r('cptr_el2', '3:4:1:1:2', 'Architectural feature traps of EL2', { res0: ~0xffff_ffffn, reset: 0x33ffn }),
  r('hstr_el2', '3:4:1:1:3', 'Hypervisor system traps', { res0: ~0n }),
  r('hacr_el2', '3:4:1:1:7', 'Hypervisor auxiliary control', { res0: ~0n }),
  r('ttbr0_el2', '3:4:2:0:0', 'Translation table base 0 of EL2'),
  r('ttbr1_el2', '3:4:2:0:1', 'Translation table base 1 of EL2', { feature: 'FEAT_VHE' }),
  r('tcr_el2', '3:4:2:0:2', 'Translation control of EL2', {
    res1: bitMask(23, 31),
    featureBits: TCR_FEATURES,
  }),
  r('vttbr_el2', '3:4:2:1:0', 'Virtualisation translation table base'),
  r('vtcr_el2', '3:4:2:1:2', 'Virtualisation translation control'),
  r('spsr_el2', '3:4:4:0:0', 'Saved program status of EL2'),
  r('elr_el2', '3:4:4:0:1', 'Exception link of EL2'),
  r('sp_el1', '3:4:4:1:0', 'Stack pointer of EL1', { kind: 'computed' }),
  r('afsr0_el2', '3:4:5:1:0', 'Auxiliary fault status 0 of EL2'),
  r('afsr1_el2', '3:4:5:1:1', 'Auxiliary fault status 1 of EL2'),
  r('esr_el2', '3:4:5:2:0', 'Exception syndrome of EL2'),
  r('tfsr_el2', '3:4:5:6:0', 'Tag fault status of EL2', { res0: ~3n, feature: 'FEAT_MTE2' }),
  r('far_el2', '3:4:6:0:0', 'Fault address of EL2'),
  r('hpfar_el2', '3:4:6:0:4', 'Hypervisor IPA fault address'),
  r('mair_el2', '3:4:10:2:0', 'Memory attributes of EL2'),
  r('amair_el2', '3:4:10:3:0', 'Auxiliary memory attributes of EL2'),
  r('vbar_el2', '3:4:12:0:0', 'Vector base of EL2', { res0: 0x7ffn }),
  r('contextidr_el2', '3:4:13:0:1', 'Context ID of EL2', { feature: 'FEAT_VHE' }),
  r('tpidr_el2', '3:4:13:0:2', 'Software thread ID of EL2'),
  r('cntvoff_el2', '3:4:14:0:3', 'Virtual counter offset'),
  r('cnthctl_el2', '3:4:14:1:0', 'Counter-timer hypervisor control', { res0: ~0xfffffn, reset: 3n }),
  r('cnthp_tval_el2', '3:4:14:2:0', 'EL2 physical timer value', { kind: 'computed' }),
  r('cnthp_ctl_el2', '3:4:14:2:1', 'EL2 physical timer control', { kind: 'computed' }),
  r('cnthp_cval_el2', '3:4:14:2:2', 'EL2 physical timer compare value'),
  r('icc_sre_el2', '3:4:12:9:5', 'System register enable of EL2', { kind: 'computed' }),
  r('ich_hcr_el2', '3:4:12:11:0', 'Virtual interface control', { kind: 'computed' }),
  r('ich_vtr_el2', '3:4:12:11:1', 'Virtual interface type', { kind: 'computed', access: 'ro' }),
  r('ich_vmcr_el2', '3:4:12:11:7', 'Virtual machine control', { kind: 'computed' }),
];

const EL3: readonly SystemRegister[] = [
  r('sctlr_el3', '3:6:1:0:0', 'System control of EL3', {
    reset: 0x30c5_0830n,
    res0: 0xffff_e006_0302_0000n,
    res1: 0x3080_0800n,
    featureBits: SCTLR_FEATURES,
  }),
  r('actlr_el3', '3:6:1:0:1', 'Auxiliary control of EL3', { res0: ~0n }),
  // RW: the levels below are AArch64 always.
  r('scr_el3', '3:6:1:1:0', 'Secure configuration', {
    // What lies above ATA, and TERR, EEL2, EASE, NMEA, FIEN and EnSCXT: features that no machine here has.
    res0: ~bitMask(0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 26),
    res1: 0x430n,
    reset: 0x430n,
    featureBits: [
      ['FEAT_LOR', bitMask(14)],
      ['FEAT_PAuth', bitMask(SCR.APK, SCR.API)],
      ['FEAT_MTE2', bitMask(SCR.ATA)],
    ],
  }),
  r('cptr_el3', '3:6:1:1:2', 'Architectural feature traps of EL3', { res0: ~0xc010_0500n }),
  r('mdcr_el3', '3:6:1:3:1', 'Monitor debug configuration of EL3'),
  r('ttbr0_el3', '3:6:2:0:0', 'Translation table base of EL3'),
  r('tcr_el3', '3:6:2:0:2', 'Translation control of EL3', {
    res1: bitMask(23, 31),
    featureBits: TCR_FEATURES,
  }),
  r('spsr_el3', '3:6:4:0:0', 'Saved program status of EL3'),
  r('elr_el3', '3:6:4:0:1', 'Exception link of EL3'),
  r('sp_el2', '3:6:4:1:0', 'Stack pointer of EL2', { kind: 'computed' }),
  r('afsr0_el3', '3:6:5:1:0', 'Auxiliary fault status 0 of EL3'),
  r('afsr1_el3', '3:6:5:1:1', 'Auxiliary fault status 1 of EL3'),
  r('esr_el3', '3:6:5:2:0', 'Exception syndrome of EL3'),
  r('tfsr_el3', '3:6:5:6:0', 'Tag fault status of EL3', { res0: ~3n, feature: 'FEAT_MTE2' }),
  r('far_el3', '3:6:6:0:0', 'Fault address of EL3'),
  r('mair_el3', '3:6:10:2:0', 'Memory attributes of EL3'),
  r('amair_el3', '3:6:10:3:0', 'Auxiliary memory attributes of EL3'),
  r('vbar_el3', '3:6:12:0:0', 'Vector base of EL3', { res0: 0x7ffn }),
  r('rvbar_el3', '3:6:12:0:1', 'Reset vector base', { kind: 'computed', access: 'ro' }),
  r('rmr_el3', '3:6:12:0:2', 'Reset management', { res0: ~1n, reset: 1n }),
  r('tpidr_el3', '3:6:13:0:2', 'Software thread ID of EL3'),
  r('icc_ctlr_el3', '3:6:12:12:4', 'CPU interface control of EL3', { kind: 'computed' }),
  r('icc_sre_el3', '3:6:12:12:5', 'System register enable of EL3', { kind: 'computed' }),
  r('icc_igrpen1_el3', '3:6:12:12:7', 'Group 1 enable of EL3', { kind: 'computed' }),
  // The secure physical timer belongs to EL3 and, where SCR_EL3.ST says so, secure EL1.
  r('cntps_tval_el1', '3:7:14:2:0', 'Secure physical timer value', { kind: 'computed' }),
  r('cntps_ctl_el1', '3:7:14:2:1', 'Secure physical timer control', { kind: 'computed' }),
  r('cntps_cval_el1', '3:7:14:2:2', 'Secure physical timer compare value'),
];

export const EL2_EL3_REGISTERS: readonly SystemRegister[] = [...EL2, ...EL3];
