/**
 * PSTATE but for the condition flags, and its saved form.
 *
 * NZCV lives in linear memory (generated code computes it); everything else is here, one field each,
 * 0 or 1 unless said otherwise.
 *
 * Ref. DDI 0487, D1.4 (process state), D19.2.144 (SPSR_EL1).
 */
import type { ExceptionLevel } from '../../../isa/index.js';

export class Pstate {
  el: ExceptionLevel = 3;
  /** SPSel: 0 SP_EL0, 1 SP_ELx. */
  sp: 0 | 1 = 1;
  /** D, A, I, F in bits 3..0. */
  daif = 0xf;
  il = 0;
  ss = 0;
  pan = 0;
  uao = 0;
  tco = 0;
  dit = 0;
  ssbs = 0;
  /** 0..3. */
  btype = 0;

  /** SPSR_ELx as an exception saves it. `nzcv`: N in bit 3. */
  save(nzcv: number): bigint {
    return BigInt(this.saveWord(nzcv));
  }

  /** The same as a number: SPSR_ELx has 32 bits. */
  saveWord(nzcv: number): number {
    const low =
      (this.el << 2) |
      this.sp |
      (this.daif << 6) |
      (this.btype << 10) |
      (this.ssbs << 12) |
      (this.il << 20) |
      (this.ss << 21) |
      (this.pan << 22) |
      (this.uao << 23) |
      (this.dit << 24) |
      (this.tco << 25) |
      (nzcv << 28);
    return low >>> 0;
  }

  /** Takes everything but the exception level and the flags from an SPSR; gives NZCV. */
  restore(word: number): number {
    const bit = (n: number) => (word >>> n) & 1;
    this.daif = (word >>> 6) & 15;
    this.btype = (word >>> 10) & 3;
    this.ssbs = bit(12);
    this.il = bit(20);
    this.ss = bit(21);
    this.pan = bit(22);
    this.uao = bit(23);
    this.dit = bit(24);
    this.tco = bit(25);
    return word >>> 28;
  }
}
