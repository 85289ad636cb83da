/**
 * Bit numbers of the control register fields that the machine and the kernel use, by register.
 *
 * Single bits are numbers; wider fields are [high, low].
 *
 * Ref. DDI 0487, D19.2.
 */

export const SCTLR = {
  M: 0,
  A: 1,
  C: 2,
  SA: 3,
  SA0: 4,
  nAA: 6,
  UMA: 9,
  EnRCTX: 10,
  I: 12,
  EnDB: 13,
  DZE: 14,
  UCT: 15,
  nTWI: 16,
  nTWE: 18,
  WXN: 19,
  IESB: 21,
  SPAN: 23,
  UCI: 26,
  EnDA: 27,
  EnIB: 30,
  EnIA: 31,
  /** BT of EL2 and EL3 is BT1's place. */
  BT0: 35,
  BT1: 36,
  ITFSB: 37,
  TCF0: [39, 38],
  TCF: [41, 40],
  ATA0: 42,
  ATA: 43,
  DSSBS: 44,
} as const;

export const TCR = {
  T0SZ: [5, 0],
  EPD0: 7,
  IRGN0: [9, 8],
  ORGN0: [11, 10],
  SH0: [13, 12],
  TG0: [15, 14],
  T1SZ: [21, 16],
  A1: 22,
  EPD1: 23,
  TG1: [31, 30],
  IPS: [34, 32],
  AS: 36,
  TBI0: 37,
  TBI1: 38,
  HA: 39,
  HD: 40,
  HPD0: 41,
  HPD1: 42,
  TBID0: 51,
  TBID1: 52,
  E0PD0: 55,
  E0PD1: 56,
  TCMA0: 57,
  TCMA1: 58,
} as const;

/** TCR_EL2 (HCR_EL2.E2H = 0) and TCR_EL3: one range. */
export const TCR_HIGH = {
  T0SZ: [5, 0],
  TG0: [15, 14],
  PS: [18, 16],
  TBI: 20,
  HA: 21,
  HD: 22,
  HPD: 24,
  TBID: 29,
  TCMA: 30,
} as const;

export const HCR = {
  VM: 0,
  SWIO: 1,
  PTW: 2,
  FMO: 3,
  IMO: 4,
  AMO: 5,
  VF: 6,
  VI: 7,
  VSE: 8,
  DC: 12,
  TWI: 13,
  TWE: 14,
  TSC: 19,
  TSW: 22,
  TPCP: 23,
  TPU: 24,
  TTLB: 25,
  TVM: 26,
  TGE: 27,
  TDZ: 28,
  HCD: 29,
  TRVM: 30,
  RW: 31,
  CD: 32,
  ID: 33,
  E2H: 34,
  APK: 40,
  API: 41,
  FWB: 46,
  ATA: 56,
  DCT: 57,
  TID5: 58,
} as const;

export const SCR = {
  NS: 0,
  IRQ: 1,
  FIQ: 2,
  EA: 3,
  SMD: 7,
  HCE: 8,
  SIF: 9,
  RW: 10,
  ST: 11,
  TWI: 12,
  TWE: 13,
  APK: 16,
  API: 17,
  EEL2: 18,
  ATA: 26,
} as const;

/** SPSR_ELx and the PSTATE layout it saves. */
export const SPSR = {
  M: [3, 0],
  M4: 4,
  F: 6,
  I: 7,
  A: 8,
  D: 9,
  BTYPE: [11, 10],
  SSBS: 12,
  IL: 20,
  SS: 21,
  PAN: 22,
  UAO: 23,
  DIT: 24,
  TCO: 25,
  V: 28,
  C: 29,
  Z: 30,
  N: 31,
} as const;

export const GCR = { Exclude: [15, 0], RRND: 16 } as const;
export const RGSR = { TAG: [3, 0], SEED: [23, 8] } as const;
export const TFSR = { TF0: 0, TF1: 1 } as const;
