/** What the rows of scalar floating point share: the formats, and how they stand in encodings. */
import type { FpSize } from '../builder.js';

/** A format as `ftype` encodes it. */
export interface FpFormat {
  readonly size: FpSize;
  readonly ftype: '00' | '01' | '11';
  /** Ends the ids of rows: `FADD_s`. */
  readonly mark: 's' | 'd' | 'h';
  readonly title: string;
  /** What arithmetic in this format needs. */
  readonly feature: 'FEAT_FP' | 'FEAT_FP16';
}

export const SINGLE: FpFormat = {
  size: 32,
  ftype: '00',
  mark: 's',
  title: 'single-precision',
  feature: 'FEAT_FP',
};
export const DOUBLE: FpFormat = {
  size: 64,
  ftype: '01',
  mark: 'd',
  title: 'double-precision',
  feature: 'FEAT_FP',
};
export const HALF: FpFormat = {
  size: 16,
  ftype: '11',
  mark: 'h',
  title: 'half-precision',
  feature: 'FEAT_FP16',
};

export const FORMATS: readonly FpFormat[] = [SINGLE, DOUBLE, HALF];
