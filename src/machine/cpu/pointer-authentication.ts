/**
 * Pointer authentication of one CPU: where in a pointer the code goes, and who may compute it.
 *
 * FEAT_PAuth with QARMA5, no more: a failed authentication gives a pointer with an error code in its top
 * bits, on which the access or branch then faults. FEAT_EPAC, FEAT_PAuth2 and FEAT_FPAC are not there.
 *
 * Ref. DDI 0487, D8.8; J1 AddPAC, Auth, Strip, AddPACIA and its kin, CalculateBottomPACBit.
 */
import { HCR, type PacKey, SCR, SCTLR } from '../../../isa/index.js';
import type { HalfConfig } from '../mmu/index.js';
import type { Cpu } from './cpu.js';
import { ExceptionClass, GuestException } from './exception.js';
import { codeOf } from './pac-table.js';
import { cellOf } from './system-cells.js';

interface Key {
  readonly hi: number;
  readonly lo: number;
}
const keyCells = (name: string): Key => ({
  hi: cellOf(`ap${name}keyhi_el1`),
  lo: cellOf(`ap${name}keylo_el1`),
});
/** Cells of the address keys' halves. */
export const KEYS: Readonly<Record<PacKey, Key>> = {
  ia: keyCells('ia'),
  ib: keyCells('ib'),
  da: keyCells('da'),
  db: keyCells('db'),
};
export const GENERIC_KEY = keyCells('ga');
const ENABLES: Readonly<Record<PacKey, number>> = {
  ia: SCTLR.EnIA,
  ib: SCTLR.EnIB,
  da: SCTLR.EnDA,
  db: SCTLR.EnDB,
};
const SCR_EL3 = cellOf('scr_el3');

/** Without FEAT_TTST. Sizes beyond are CONSTRAINED UNPREDICTABLE; here they are taken as the nearest. */
const SMALLEST_SPACE = 64 - 39;
const LARGEST_SPACE = 48;
const BIT55 = 55n;

/** Bits `high`..`low` set. */
const ones = (high: number, low: number): bigint =>
  high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);

export class PointerAuthentication {
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** Whether the key does anything in the CPU's present state. */
  stateOf(key: PacKey): 'off' | 'on' | 'trapped' {
    if (!this.#cpu.cells.bit(this.#cpu.sctlr, ENABLES[key])) return 'off';
    return this.#trapped() === undefined ? 'on' : 'trapped';
  }

  /** No level above keeps the instructions to itself. */
  get isAllowed(): boolean {
    return this.#trapped() === undefined;
  }

  /** The bits of a pointer of one half that are no part of its address: bit 55, and those for codes. */
  fieldOf(upper: boolean, data: boolean): bigint {
    const half = this.#half(upper);
    return ones((data ? half.tbi : half.tbiFetch) ? 55 : 63, this.#bottom(upper));
  }

  /** TrapPACUse: the levels above may keep the instructions to themselves. Gives the level that does. */
  #trapped(): 2 | 3 | undefined {
    const cpu = this.#cpu;
    const { el } = cpu.pstate;
    const trapToEl2 =
      el < 2 &&
      cpu.el2Enabled &&
      !cpu.hcrBit(HCR.API) &&
      !(el === 0 && cpu.hcrBit(HCR.TGE) && cpu.hcrBit(HCR.E2H));
    if (trapToEl2) return 2;
    return el < 3 && cpu.environment.hasEl3 && !cpu.cells.bit(SCR_EL3, SCR.API) ? 3 : undefined;
  }

  #checkTraps(): void {
    const target = this.#trapped();
    if (target !== undefined) throw new GuestException(ExceptionClass.PACTrap, 0, { target });
  }

  /** Whether SCTLR_ELx enables the key; where it does, the traps are checked too. */
  #enabled(key: PacKey): boolean {
    if (!this.#cpu.cells.bit(this.#cpu.sctlr, ENABLES[key])) return false;
    this.#checkTraps();
    return true;
  }

  #half(upper: boolean): HalfConfig {
    const { config } = this.#cpu;
    return upper ? (config.upper ?? config.lower) : config.lower;
  }

  /** EffectiveTBI of an address. */
  #tbi(pointer: bigint, data: boolean): boolean {
    const half = this.#half(((pointer >> BIT55) & 1n) === 1n);
    return data ? half.tbi : half.tbiFetch;
  }

  /** CalculateBottomPACBit: the lowest bit that translation does not use. */
  #bottom(upper: boolean): number {
    return Math.min(Math.max(this.#half(upper).inputBits, SMALLEST_SPACE), LARGEST_SPACE);
  }

  #code(pointer: bigint, modifier: bigint, key: Key): bigint {
    const { cells, linear, base } = this.#cpu;
    return codeOf(linear, base, pointer, modifier, cells.get(key.hi), cells.get(key.lo));
  }

  /** `pointer` with the bits from `bottom` up (to 55 with `tbi`, else 63) all `bit`. */
  #extended(pointer: bigint, bit: boolean, bottom: number, tbi: boolean): bigint {
    const field = ones(tbi ? 55 : 63, bottom);
    return bit ? pointer | field : pointer & ~field;
  }

  /** AddPACIA, AddPACIB, AddPACDA, AddPACDB. */
  add(pointer: bigint, modifier: bigint, key: PacKey): bigint {
    if (!this.#enabled(key)) return pointer;
    const data = key === 'da' || key === 'db';
    const { config } = this.#cpu;
    const tbi = this.#tbi(pointer, data);
    // With tagged addresses in either half, bit 55 says which half it is, and is kept.
    const ignores = (half: HalfConfig) => (data ? half.tbi : half.tbiFetch);
    const eitherTbi = config.upper === undefined ? tbi : ignores(config.lower) || ignores(config.upper);
    const upper = ((pointer >> (eitherTbi ? BIT55 : 63n)) & 1n) === 1n;
    const bottom = this.#bottom(upper);
    const top = tbi ? 55 : 63;
    let code = this.#code(this.#extended(pointer, upper, bottom, tbi), modifier, KEYS[key]);
    const field = ones(top, bottom);
    const extension = pointer & field;
    // A pointer that was not canonical must not authenticate later.
    if (extension !== 0n && extension !== field) code ^= 1n << BigInt(top - 1);
    const placed = ones(54, bottom) | (tbi ? 0n : ones(63, 56));
    const half = upper ? 1n << BIT55 : 0n;
    return (pointer & ~(placed | (1n << BIT55))) | half | (code & placed);
  }

  /** AuthIA and its kin. */
  authenticate(pointer: bigint, modifier: bigint, key: PacKey): bigint {
    if (!this.#enabled(key)) return pointer;
    const tbi = this.#tbi(pointer, key === 'da' || key === 'db');
    const upper = ((pointer >> BIT55) & 1n) === 1n;
    const bottom = this.#bottom(upper);
    const original = this.#extended(pointer, upper, bottom, tbi);
    const placed = ones(54, bottom) | (tbi ? 0n : ones(63, 56));
    const code = this.#code(original, modifier, KEYS[key]);
    if ((code & placed) === (pointer & placed)) return original;
    // The error code: 01 for the A keys, 10 for the B keys.
    const error = key.endsWith('a') ? 1n : 2n;
    const at = tbi ? 53n : 61n;
    return (original & ~(3n << at)) | (error << at);
  }

  /** Strip: XPACI, XPACLRI, XPACD (`data`). Neither enabled nor trapped by anything. */
  strip(pointer: bigint, data: boolean): bigint {
    const upper = ((pointer >> BIT55) & 1n) === 1n;
    return this.#extended(pointer, upper, this.#bottom(upper), this.#tbi(pointer, data));
  }

  /** PACGA: the upper half of the code of any value. */
  generic(value: bigint, modifier: bigint): bigint {
    this.#checkTraps();
    return this.#code(value, modifier, GENERIC_KEY) & 0xffff_ffff_0000_0000n;
  }
}
