/**
 * What each AT instruction translates as.
 *
 * Ref. DDI 0487, C5.3 (AT).
 */
import type { Regime } from '../mmu/index.js';

export interface AddressTranslationForm {
  readonly regime: Regime;
  readonly user: boolean;
  readonly write: boolean;
  /** PSTATE.PAN counts. */
  readonly pan: boolean;
  readonly stage1Only: boolean;
}

const form = (
  regime: Regime,
  user: boolean,
  write: boolean,
  stage1Only: boolean,
  pan = false,
): AddressTranslationForm => ({ regime, user, write, pan, stage1Only });

export const AT_FORMS: Readonly<Record<string, AddressTranslationForm>> = {
  s1e1r: form('el10', false, false, true),
  s1e1w: form('el10', false, true, true),
  s1e0r: form('el10', true, false, true),
  s1e0w: form('el10', true, true, true),
  s1e1rp: form('el10', false, false, true, true),
  s1e1wp: form('el10', false, true, true, true),
  s12e1r: form('el10', false, false, false),
  s12e1w: form('el10', false, true, false),
  s12e0r: form('el10', true, false, false),
  s12e0w: form('el10', true, true, false),
  s1e2r: form('el2', false, false, true),
  s1e2w: form('el2', false, true, true),
  s1e3r: form('el3', false, false, true),
  s1e3w: form('el3', false, true, true),
};
