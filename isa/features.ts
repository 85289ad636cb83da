/**
 * Architecture features and the identification register fields that announce them.
 *
 * A machine is given a set of feature names; decoding asks the set, and the ID registers are computed
 * from it, so that what software is told and what it gets cannot differ. A field's value is the
 * highest value among the features present; fields without a feature keep their base value.
 *
 * Ref. DDI 0487, A2 (feature names), D19.2 (ID_AA64* registers).
 */

/** The 64-bit ID registers that features set. */
export type IdRegister =
  | 'id_aa64pfr0_el1'
  | 'id_aa64pfr1_el1'
  | 'id_aa64isar0_el1'
  | 'id_aa64isar1_el1'
  | 'id_aa64isar2_el1'
  | 'id_aa64mmfr0_el1'
  | 'id_aa64mmfr1_el1'
  | 'id_aa64mmfr2_el1'
  | 'id_aa64dfr0_el1';

interface FeatureRow {
  readonly id: IdRegister;
  /** Lowest bit of the four-bit field. */
  readonly lsb: number;
  readonly value: number;
  readonly summary: string;
  /** Further fields of the register that take the same value. */
  readonly also: readonly number[];
}

const row = (
  id: IdRegister,
  lsb: number,
  value: number,
  summary: string,
  options: { readonly also?: readonly number[] } = {},
): FeatureRow => ({
  id,
  lsb,
  value,
  summary,
  also: options.also ?? [],
});

export const FEATURES = {
  // ---- processor features --------------------------------------------------------------------
  FEAT_FP: row('id_aa64pfr0_el1', 16, 0, 'Floating point'),
  FEAT_AdvSIMD: row('id_aa64pfr0_el1', 20, 0, 'Advanced SIMD'),
  FEAT_FP16: row('id_aa64pfr0_el1', 16, 1, 'Half-precision data processing', { also: [20] }),
  FEAT_RAS: row('id_aa64pfr0_el1', 28, 1, 'Reliability, availability and serviceability'),
  FEAT_DIT: row('id_aa64pfr0_el1', 48, 1, 'Data-independent timing'),
  FEAT_CSV2: row('id_aa64pfr0_el1', 56, 1, 'Branch targets cannot be trained across contexts'),
  FEAT_CSV3: row('id_aa64pfr0_el1', 60, 1, 'Faulting loads forward no data'),
  FEAT_BTI: row('id_aa64pfr1_el1', 0, 1, 'Branch target identification'),
  FEAT_SSBS: row('id_aa64pfr1_el1', 4, 1, 'Speculative store bypass safe, PSTATE.SSBS'),
  FEAT_SSBS2: row('id_aa64pfr1_el1', 4, 2, 'MRS and MSR of SSBS'),
  FEAT_MTE: row('id_aa64pfr1_el1', 8, 1, 'Memory tagging instructions'),
  FEAT_MTE2: row('id_aa64pfr1_el1', 8, 2, 'Memory tagging with allocation tags in memory'),
  FEAT_MTE3: row('id_aa64pfr1_el1', 8, 3, 'Asymmetric tag checks'),

  // ---- instruction set -----------------------------------------------------------------------
  FEAT_AES: row('id_aa64isar0_el1', 4, 1, 'AES instructions'),
  FEAT_PMULL: row('id_aa64isar0_el1', 4, 2, 'PMULL on 64-bit elements'),
  FEAT_SHA1: row('id_aa64isar0_el1', 8, 1, 'SHA1 instructions'),
  FEAT_SHA256: row('id_aa64isar0_el1', 12, 1, 'SHA256 instructions'),
  FEAT_SHA512: row('id_aa64isar0_el1', 12, 2, 'SHA512 instructions'),
  FEAT_CRC32: row('id_aa64isar0_el1', 16, 1, 'CRC32 instructions'),
  FEAT_LSE: row('id_aa64isar0_el1', 20, 2, 'Atomic memory instructions'),
  FEAT_RDM: row('id_aa64isar0_el1', 28, 1, 'SQRDMLAH and SQRDMLSH'),
  FEAT_SHA3: row('id_aa64isar0_el1', 32, 1, 'SHA3 instructions'),
  FEAT_SM3: row('id_aa64isar0_el1', 36, 1, 'SM3 instructions'),
  FEAT_SM4: row('id_aa64isar0_el1', 40, 1, 'SM4 instructions'),
  FEAT_DotProd: row('id_aa64isar0_el1', 44, 1, 'Dot product instructions'),
  FEAT_FHM: row('id_aa64isar0_el1', 48, 1, 'FMLAL and FMLSL'),
  FEAT_FlagM: row('id_aa64isar0_el1', 52, 1, 'CFINV, RMIF, SETF'),
  FEAT_FlagM2: row('id_aa64isar0_el1', 52, 2, 'AXFLAG, XAFLAG'),
  FEAT_TLBIOS: row('id_aa64isar0_el1', 56, 1, 'Outer shareable TLB maintenance'),
  FEAT_TLBIRANGE: row('id_aa64isar0_el1', 56, 2, 'TLB maintenance by range'),
  FEAT_RNG: row('id_aa64isar0_el1', 60, 1, 'RNDR and RNDRRS'),
  FEAT_DPB: row('id_aa64isar1_el1', 0, 1, 'DC CVAP'),
  FEAT_DPB2: row('id_aa64isar1_el1', 0, 2, 'DC CVADP'),
  // APA and GPA: QARMA5, without FEAT_EPAC and what builds on it.
  FEAT_PAuth: row('id_aa64isar1_el1', 4, 1, 'Pointer authentication with QARMA5', { also: [24] }),
  FEAT_JSCVT: row('id_aa64isar1_el1', 12, 1, 'FJCVTZS'),
  FEAT_FCMA: row('id_aa64isar1_el1', 16, 1, 'Complex number instructions'),
  FEAT_LRCPC: row('id_aa64isar1_el1', 20, 1, 'LDAPR'),
  FEAT_LRCPC2: row('id_aa64isar1_el1', 20, 2, 'LDAPUR and STLUR'),
  FEAT_FRINTTS: row('id_aa64isar1_el1', 32, 1, 'FRINT32 and FRINT64'),
  FEAT_SB: row('id_aa64isar1_el1', 36, 1, 'Speculation barrier'),
  FEAT_SPECRES: row('id_aa64isar1_el1', 40, 1, 'CFP, DVP and CPP RCTX'),
  FEAT_BF16: row('id_aa64isar1_el1', 44, 1, 'BFloat16 instructions'),
  FEAT_I8MM: row('id_aa64isar1_el1', 52, 1, 'Int8 matrix multiplication'),
  FEAT_WFxT: row('id_aa64isar2_el1', 0, 2, 'WFET and WFIT'),
  FEAT_MOPS: row('id_aa64isar2_el1', 16, 1, 'Memory copy and set instructions'),
  FEAT_HBC: row('id_aa64isar2_el1', 20, 1, 'Hinted conditional branches'),
  FEAT_CLRBHB: row('id_aa64isar2_el1', 28, 1, 'CLEARBHB'),
  FEAT_CSSC: row('id_aa64isar2_el1', 52, 1, 'Common short sequence compression'),

  // ---- memory model --------------------------------------------------------------------------
  FEAT_ECV: row('id_aa64mmfr0_el1', 60, 1, 'Self-synchronised counter views'),
  FEAT_FGT: row('id_aa64mmfr0_el1', 56, 1, 'Fine-grained traps'),
  FEAT_HAFDBS: row('id_aa64mmfr1_el1', 0, 2, 'Hardware access flag and dirty state'),
  FEAT_VMID16: row('id_aa64mmfr1_el1', 4, 2, '16-bit VMIDs'),
  FEAT_VHE: row('id_aa64mmfr1_el1', 8, 1, 'Virtualization host extensions'),
  FEAT_HPDS: row('id_aa64mmfr1_el1', 12, 1, 'Hierarchical permission disables'),
  FEAT_HPDS2: row('id_aa64mmfr1_el1', 12, 2, 'Page-based hardware attributes'),
  FEAT_LOR: row('id_aa64mmfr1_el1', 16, 1, 'Limited ordering regions'),
  FEAT_PAN: row('id_aa64mmfr1_el1', 20, 1, 'Privileged access never'),
  FEAT_PAN2: row('id_aa64mmfr1_el1', 20, 2, 'AT S1E1RP and S1E1WP'),
  FEAT_XNX: row('id_aa64mmfr1_el1', 28, 1, 'Stage 2 execute-never by exception level'),
  FEAT_TTCNP: row('id_aa64mmfr2_el1', 0, 1, 'Common not private translations'),
  FEAT_UAO: row('id_aa64mmfr2_el1', 4, 1, 'Unprivileged access override'),
  FEAT_IESB: row('id_aa64mmfr2_el1', 12, 1, 'Implicit error synchronization events'),
  FEAT_LVA: row('id_aa64mmfr2_el1', 16, 1, '52-bit virtual addresses with 64 KiB granules'),
  FEAT_TTST: row('id_aa64mmfr2_el1', 28, 1, 'Small translation tables'),
  FEAT_LSE2: row('id_aa64mmfr2_el1', 32, 1, 'Unaligned single-copy atomicity inside 16 bytes'),
  FEAT_IDST: row('id_aa64mmfr2_el1', 36, 1, 'ID register traps report EC 0x18'),
  FEAT_S2FWB: row('id_aa64mmfr2_el1', 40, 1, 'Stage 2 forced write-back'),
  FEAT_BBM: row('id_aa64mmfr2_el1', 52, 2, 'Block size changes without break-before-make'),
  FEAT_E0PD: row('id_aa64mmfr2_el1', 60, 1, 'EL0 access to half the address space faults at once'),

  // ---- debug ---------------------------------------------------------------------------------
  FEAT_Debugv8: row('id_aa64dfr0_el1', 0, 6, 'Armv8.0 debug'),
  FEAT_Debugv8p2: row('id_aa64dfr0_el1', 0, 8, 'Armv8.2 debug'),
  FEAT_PMUv3: row('id_aa64dfr0_el1', 8, 1, 'Performance monitors'),
  FEAT_SPE: row('id_aa64dfr0_el1', 32, 1, 'Statistical profiling'),
  FEAT_TRF: row('id_aa64dfr0_el1', 40, 1, 'Self-hosted trace extensions'),
  FEAT_TRBE: row('id_aa64dfr0_el1', 44, 1, 'Trace buffer'),
  FEAT_BRBE: row('id_aa64dfr0_el1', 52, 1, 'Branch record buffer'),
} as const satisfies Readonly<Record<string, FeatureRow>>;

export type FeatureName = keyof typeof FEATURES;

/** Features of the FP and SIMD instructions. */
export const FP_FEATURES: readonly FeatureName[] = [
  'FEAT_FP',
  'FEAT_AdvSIMD',
  'FEAT_FP16',
  'FEAT_AES',
  'FEAT_PMULL',
  'FEAT_SHA1',
  'FEAT_SHA256',
  'FEAT_SHA512',
  'FEAT_RDM',
  'FEAT_SHA3',
  'FEAT_DotProd',
  'FEAT_FHM',
  'FEAT_JSCVT',
  'FEAT_FCMA',
  'FEAT_FRINTTS',
];

/** What a machine has unless told otherwise: Armv8.5 with MTE3, as far as it is implemented. */
export const DEFAULT_FEATURES: readonly FeatureName[] = [
  'FEAT_DIT',
  'FEAT_CSV2',
  'FEAT_CSV3',
  'FEAT_BTI',
  'FEAT_SSBS',
  'FEAT_SSBS2',
  'FEAT_MTE',
  'FEAT_MTE2',
  'FEAT_MTE3',
  'FEAT_CRC32',
  'FEAT_LSE',
  'FEAT_FlagM',
  'FEAT_FlagM2',
  'FEAT_TLBIOS',
  'FEAT_TLBIRANGE',
  'FEAT_RNG',
  'FEAT_DPB',
  'FEAT_DPB2',
  'FEAT_LRCPC',
  'FEAT_LRCPC2',
  'FEAT_SB',
  'FEAT_SPECRES',
  'FEAT_HAFDBS',
  'FEAT_VMID16',
  'FEAT_HPDS',
  'FEAT_LOR',
  'FEAT_PAN',
  'FEAT_PAN2',
  'FEAT_XNX',
  'FEAT_TTCNP',
  'FEAT_UAO',
  'FEAT_LSE2',
  'FEAT_IDST',
  'FEAT_E0PD',
  'FEAT_Debugv8',
  ...FP_FEATURES,
];

/** Fields that no feature decides; RES0 elsewhere. Ref. DDI 0487, D19.2. */
const BASE: Readonly<Partial<Record<IdRegister, bigint>>> = {
  // EL0..EL3 AArch64 only; FP and AdvSIMD absent (0xf) until their features say otherwise.
  id_aa64pfr0_el1: 0xff1111n,
  // PARange 48 bits, 16-bit ASIDs, 16 KiB granule; 4 KiB and 64 KiB are zero when present. BigEnd absent.
  id_aa64mmfr0_el1: 0x0010_0025n,
  // Six breakpoints, four watchpoints, two context-aware.
  id_aa64dfr0_el1: 0x1030_5000n,
};

const NUMBERS = Object.entries(FEATURES) as readonly [FeatureName, FeatureRow][];

/** The value of an ID register on a machine with these features. */
export function idRegisterValue(id: IdRegister, has: (feature: FeatureName) => boolean): bigint {
  let value = BASE[id] ?? 0n;
  const best = new Map<number, number>();
  for (const [name, feature] of NUMBERS) {
    if (feature.id !== id || !has(name)) continue;
    for (const lsb of [feature.lsb, ...feature.also]) {
      best.set(lsb, Math.max(best.get(lsb) ?? 0, feature.value));
    }
  }
  for (const [lsb, field] of best) {
    value = (value & ~(0xfn << BigInt(lsb))) | (BigInt(field) << BigInt(lsb));
  }
  return value;
}

/** Features that need others beyond those of lower values in the same field, which they always need. */
const REQUIRES: Readonly<Partial<Record<FeatureName, readonly FeatureName[]>>> = {
  FEAT_FP: ['FEAT_AdvSIMD'],
  FEAT_AdvSIMD: ['FEAT_FP'],
  FEAT_FP16: ['FEAT_AdvSIMD'],
  FEAT_AES: ['FEAT_AdvSIMD'],
  FEAT_SHA1: ['FEAT_AdvSIMD'],
  FEAT_SHA256: ['FEAT_SHA1'],
  FEAT_SHA512: ['FEAT_SHA256'],
  FEAT_SHA3: ['FEAT_SHA512'],
  FEAT_SM3: ['FEAT_AdvSIMD'],
  FEAT_SM4: ['FEAT_AdvSIMD'],
  FEAT_RDM: ['FEAT_AdvSIMD'],
  FEAT_DotProd: ['FEAT_AdvSIMD'],
  FEAT_FHM: ['FEAT_FP16'],
  FEAT_JSCVT: ['FEAT_FP'],
  FEAT_FCMA: ['FEAT_AdvSIMD'],
  FEAT_FRINTTS: ['FEAT_FP'],
  FEAT_BF16: ['FEAT_AdvSIMD'],
  FEAT_I8MM: ['FEAT_AdvSIMD'],
};

/** What `feature` cannot be without. */
function requirementsOf(feature: FeatureName): FeatureName[] {
  const { id, lsb, value } = FEATURES[feature];
  const lower = NUMBERS.filter(([, f]) => f.id === id && f.lsb === lsb && f.value < value).map(
    ([name]) => name,
  );
  return [...lower, ...(REQUIRES[feature] ?? [])];
}

/** The feature a person names: `FEAT_PAuth`, `pauth`. */
function featureByName(text: string): FeatureName | undefined {
  const wanted = text.toLowerCase().replace(/^feat_/, '');
  return NUMBERS.find(([name]) => name.toLowerCase() === `feat_${wanted}`)?.[0];
}

/**
 * `base` with changes in order: `+pauth` adds a feature and what it needs, `-lse` removes one and what
 * needs it. Gives the first change that names no feature or has no sign instead, as text.
 */
export function changeFeatures(
  base: Iterable<FeatureName>,
  changes: Iterable<string>,
): Set<FeatureName> | string {
  const features = new Set(base);
  const add = (feature: FeatureName) => {
    if (features.has(feature)) return;
    features.add(feature);
    for (const needed of requirementsOf(feature)) add(needed);
  };
  const remove = (feature: FeatureName) => {
    if (!features.delete(feature)) return;
    for (const other of [...features]) if (requirementsOf(other).includes(feature)) remove(other);
  };
  for (const change of changes) {
    const feature = featureByName(change.slice(1));
    if (feature === undefined || !/^[+-]/.test(change)) return change;
    if (change.startsWith('+')) add(feature);
    else remove(feature);
  }
  return features;
}

/** True if `name` is a feature this table knows. */
export function isFeature(name: string): name is FeatureName {
  return Object.hasOwn(FEATURES, name);
}
