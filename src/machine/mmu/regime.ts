/**
 * Translation regimes: what SCTLR, TCR, TTBR, MAIR and HCR say, decoded once per change.
 *
 * Ref. DDI 0487, D8.1 (regimes), D8.2 (translation process), D19.2 TCR_ELx, VTCR_EL2.
 */
import { HCR, SCTLR, TCR, TCR_HIGH } from '../../../isa/index.js';
import { cellOf, type SystemCells } from '../cpu/system-cells.js';

export type Regime = 'el10' | 'el2' | 'el3';

/** One of the (up to) two halves of the address space. */
export interface HalfConfig {
  /** Walks are possible: EPD is 0 and the size field is one that is supported. */
  readonly walkable: boolean;
  /** Physical (or intermediate) address of the first table, as the register gives it. */
  readonly base: number;
  /** Bits of address that the tables translate. */
  readonly inputBits: number;
  readonly granuleShift: 12 | 14 | 16;
  readonly startLevel: number;
  /** Top byte ignored for data accesses and for fetches. */
  readonly tbi: boolean;
  readonly tbiFetch: boolean;
  readonly tcma: boolean;
  /** Hierarchical permissions disabled. */
  readonly hpd: boolean;
  /** EL0 accesses fault at once. */
  readonly e0pd: boolean;
  /** Walks go through the data cache. */
  readonly walkCacheable: boolean;
}

export interface Stage2Config {
  readonly half: HalfConfig;
  readonly outputBits: number;
  readonly ha: boolean;
  readonly hd: boolean;
  /** HCR_EL2.PTW: walks of stage 1 through device memory fault. */
  readonly ptw: boolean;
  /** HCR_EL2.FWB and CD. */
  readonly fwb: boolean;
  readonly cd: boolean;
}

export interface RegimeConfig {
  readonly regime: Regime;
  /** Stage 1 is on. */
  readonly enabled: boolean;
  /** SCTLR.C: Normal cacheable memory is cached. */
  readonly cached: boolean;
  readonly lower: HalfConfig;
  /** Undefined where the regime has one range. */
  readonly upper: HalfConfig | undefined;
  /** MAIR bytes. */
  readonly mair: readonly number[];
  readonly wxn: boolean;
  readonly ha: boolean;
  readonly hd: boolean;
  readonly outputBits: number;
  /** Stage 1 off: data is Normal Write-Back (HCR_EL2.DC), and tagged with it (DCT). */
  readonly defaultCacheable: boolean;
  readonly defaultTagged: boolean;
  readonly stage2: Stage2Config | undefined;
  /** Stands for all of the above in TLB keys, with privilege and PAN mixed in by mmu.ts. */
  readonly key: string;
  /** TLB contexts by privilege*2 + PAN, 0 where not given out yet. */
  readonly contexts: Int32Array;
}

const SCTLR_EL1 = cellOf('sctlr_el1');
const TCR_EL1 = cellOf('tcr_el1');
const TTBR0_EL1 = cellOf('ttbr0_el1');
const TTBR1_EL1 = cellOf('ttbr1_el1');
const MAIR_EL1 = cellOf('mair_el1');
const HCR_EL2 = cellOf('hcr_el2');
const VTCR_EL2 = cellOf('vtcr_el2');
const VTTBR_EL2 = cellOf('vttbr_el2');
const SINGLE = {
  el2: [cellOf('sctlr_el2'), cellOf('tcr_el2'), cellOf('ttbr0_el2'), cellOf('mair_el2')],
  el3: [cellOf('sctlr_el3'), cellOf('tcr_el3'), cellOf('ttbr0_el3'), cellOf('mair_el3')],
} as const;

/** Cells whose change makes a decoded configuration stale. */
export const TRANSLATION_CELLS: ReadonlySet<number> = new Set([
  SCTLR_EL1,
  TCR_EL1,
  TTBR0_EL1,
  TTBR1_EL1,
  MAIR_EL1,
  HCR_EL2,
  VTCR_EL2,
  VTTBR_EL2,
  ...SINGLE.el2,
  ...SINGLE.el3,
]);

const SCTLR_BITS = (1n << BigInt(SCTLR.M)) | (1n << BigInt(SCTLR.C)) | (1n << BigInt(SCTLR.WXN));

/** PARange and TCR.IPS/PS encodings. */
const PHYSICAL_BITS = [32, 36, 40, 42, 44, 48, 48, 48];

function granuleOf(tg: number, upper: boolean): 12 | 14 | 16 {
  // TG0: 00 4K, 01 64K, 10 16K. TG1: 10 4K, 01 16K, 11 64K. Reserved values behave as 4K here.
  if (upper) return tg === 1 ? 14 : tg === 3 ? 16 : 12;
  return tg === 1 ? 16 : tg === 2 ? 14 : 12;
}

/** IRGN and ORGN, at bits `low` + 1 down to `low` and above, are not Non-cacheable. */
function bothCacheable(cells: SystemCells, tcr: number, low: number): boolean {
  return cells.field(tcr, low + 1, low) !== 0 && cells.field(tcr, low + 3, low + 2) !== 0;
}

/** First level of a stage 1 walk: as few levels as cover the input. */
function startLevelOf(inputBits: number, granuleShift: number): number {
  return 4 - Math.ceil((inputBits - granuleShift) / (granuleShift - 3));
}

/** Without FEAT_LVA and FEAT_TTST the size field means 25..48 bits; others fault on every access. */
const sizeSupported = (size: number) => size >= 16 && size <= 39;

const baseOf = (ttbr: bigint) => Number(ttbr & 0x0000_ffff_ffff_fffen);

export interface RegimeOptions {
  readonly hasEl2: boolean;
  /** EL2 is in use for the current security state. */
  readonly el2Enabled: boolean;
}

export function decodeRegime(cells: SystemCells, regime: Regime, options: RegimeOptions): RegimeConfig {
  return regime === 'el10' ? decodeEl10(cells, options) : decodeSingle(cells, regime);
}

/** Registers that the EL1&0 configuration is decoded from; the one that changes most comes first. */
const EL10_CELLS = [
  TTBR0_EL1,
  TCR_EL1,
  TTBR1_EL1,
  MAIR_EL1,
  SCTLR_EL1,
  HCR_EL2,
  VTCR_EL2,
  VTTBR_EL2,
] as const;
export const EL10_WORDS = 2 * EL10_CELLS.length;

/**
 * Everything that `decodeRegime` reads for EL1&0, as 32-bit words: where they are the same, so is the
 * configuration.
 */
export function readEl10Words(cells: SystemCells, { el2Enabled }: RegimeOptions, out: Uint32Array): void {
  EL10_CELLS.forEach((cell, i) => {
    const isUsed = i < 5 || el2Enabled;
    out[2 * i] = isUsed ? cells.field(cell, 31, 0) & (cell === SCTLR_EL1 ? Number(SCTLR_BITS) : -1) : 0;
    out[2 * i + 1] = isUsed && cell !== SCTLR_EL1 ? cells.field(cell, 63, 32) : 0;
  });
}

function mairBytes(value: bigint): number[] {
  return Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

function decodeEl10(cells: SystemCells, { el2Enabled }: RegimeOptions): RegimeConfig {
  const hcr = el2Enabled ? cells.get(HCR_EL2) : 0n;
  const hcrBit = (bit: number) => ((hcr >> BigInt(bit)) & 1n) !== 0n;
  const dc = hcrBit(HCR.DC);
  // TGE and DC both turn stage 1 of EL1&0 off.
  const enabled = cells.bit(SCTLR_EL1, SCTLR.M) && !hcrBit(HCR.TGE) && !dc;
  const cached = cells.bit(SCTLR_EL1, SCTLR.C);
  const bit = (index: number) => cells.bit(TCR_EL1, index);
  const half = (upper: boolean): HalfConfig => {
    const size = upper ? cells.field(TCR_EL1, 21, 16) : cells.field(TCR_EL1, 5, 0);
    const granuleShift = upper
      ? granuleOf(cells.field(TCR_EL1, 31, 30), true)
      : granuleOf(cells.field(TCR_EL1, 15, 14), false);
    const inputBits = 64 - size;
    const tbi = bit(upper ? TCR.TBI1 : TCR.TBI0);
    return {
      walkable: !bit(upper ? TCR.EPD1 : TCR.EPD0) && sizeSupported(size),
      base: baseOf(cells.get(upper ? TTBR1_EL1 : TTBR0_EL1)),
      inputBits,
      granuleShift,
      startLevel: startLevelOf(inputBits, granuleShift),
      tbi,
      tbiFetch: tbi && !bit(upper ? TCR.TBID1 : TCR.TBID0),
      tcma: bit(upper ? TCR.TCMA1 : TCR.TCMA0),
      hpd: bit(upper ? TCR.HPD1 : TCR.HPD0),
      e0pd: bit(upper ? TCR.E0PD1 : TCR.E0PD0),
      walkCacheable: cached && bothCacheable(cells, TCR_EL1, upper ? 24 : 8),
    };
  };
  const stage2On = el2Enabled && (hcrBit(HCR.VM) || dc) && !hcrBit(HCR.TGE);
  // Of SCTLR only M, C and WXN matter to translations: TCF may differ from task to task.
  const used = [TCR_EL1, TTBR0_EL1, TTBR1_EL1, MAIR_EL1].map((c) => cells.get(c));
  used.push(cells.get(SCTLR_EL1) & SCTLR_BITS);
  if (el2Enabled) used.push(hcr, cells.get(VTCR_EL2), cells.get(VTTBR_EL2));
  return {
    regime: 'el10',
    enabled,
    cached,
    lower: half(false),
    upper: half(true),
    mair: mairBytes(cells.get(MAIR_EL1)),
    wxn: cells.bit(SCTLR_EL1, SCTLR.WXN),
    ha: bit(TCR.HA),
    hd: bit(TCR.HA) && bit(TCR.HD),
    outputBits: PHYSICAL_BITS[cells.field(TCR_EL1, 34, 32)]!,
    defaultCacheable: dc,
    defaultTagged: dc && hcrBit(HCR.DCT),
    stage2: stage2On ? decodeStage2(cells, hcrBit(HCR.PTW), hcrBit(HCR.FWB), hcrBit(HCR.CD)) : undefined,
    key: `el10 ${used.map((v) => v.toString(36)).join(' ')}`,
    contexts: new Int32Array(4),
  };
}

function decodeStage2(cells: SystemCells, ptw: boolean, fwb: boolean, cd: boolean): Stage2Config {
  const size = cells.field(VTCR_EL2, 5, 0);
  const granuleShift = granuleOf(cells.field(VTCR_EL2, 15, 14), false);
  const sl0 = cells.field(VTCR_EL2, 7, 6);
  // SL0 counts down from level 2 (4 KiB) or level 3 (larger granules). Ref. VTCR_EL2.SL0.
  const startLevel = granuleShift === 12 ? 2 - sl0 : 3 - sl0;
  const inputBits = 64 - size;
  return {
    half: {
      walkable: sizeSupported(size) && startLevel >= 0 && startLevel <= 3,
      base: baseOf(cells.get(VTTBR_EL2)),
      inputBits,
      granuleShift,
      startLevel: Math.max(0, startLevel),
      tbi: false,
      tbiFetch: false,
      tcma: false,
      hpd: true,
      e0pd: false,
      walkCacheable: !cd && bothCacheable(cells, VTCR_EL2, 8),
    },
    outputBits: PHYSICAL_BITS[cells.field(VTCR_EL2, 18, 16)]!,
    ha: cells.bit(VTCR_EL2, 21),
    hd: cells.bit(VTCR_EL2, 21) && cells.bit(VTCR_EL2, 22),
    ptw,
    fwb,
    cd,
  };
}

function decodeSingle(cells: SystemCells, regime: 'el2' | 'el3'): RegimeConfig {
  const [sctlr, tcr, ttbr, mair] = SINGLE[regime];
  const size = cells.field(tcr, 5, 0);
  const granuleShift = granuleOf(cells.field(tcr, 15, 14), false);
  const inputBits = 64 - size;
  const tbi = cells.bit(tcr, TCR_HIGH.TBI);
  return {
    regime,
    enabled: cells.bit(sctlr, SCTLR.M),
    cached: cells.bit(sctlr, SCTLR.C),
    lower: {
      walkable: sizeSupported(size),
      base: baseOf(cells.get(ttbr)),
      inputBits,
      granuleShift,
      startLevel: startLevelOf(inputBits, granuleShift),
      tbi,
      tbiFetch: tbi && !cells.bit(tcr, TCR_HIGH.TBID),
      tcma: cells.bit(tcr, TCR_HIGH.TCMA),
      hpd: cells.bit(tcr, TCR_HIGH.HPD),
      e0pd: false,
      walkCacheable: cells.bit(sctlr, SCTLR.C) && bothCacheable(cells, tcr, 8),
    },
    upper: undefined,
    mair: mairBytes(cells.get(mair)),
    wxn: cells.bit(sctlr, SCTLR.WXN),
    ha: cells.bit(tcr, TCR_HIGH.HA),
    hd: cells.bit(tcr, TCR_HIGH.HA) && cells.bit(tcr, TCR_HIGH.HD),
    outputBits: PHYSICAL_BITS[cells.field(tcr, 18, 16)]!,
    defaultCacheable: false,
    defaultTagged: false,
    stage2: undefined,
    key: `${regime} ${[tcr, ttbr, mair].map((c) => cells.get(c).toString(36)).join(' ')} ${cells.get(sctlr) & SCTLR_BITS}`,
    contexts: new Int32Array(4),
  };
}
