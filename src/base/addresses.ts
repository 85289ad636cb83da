/**
 * Branded address types.
 *
 * A virtual address, an intermediate physical address, a physical address and a page frame number
 * are four different things that a plain number would let us mix up; the brands make that a type
 * error. Virtual addresses are bigint because all 64 bits matter (tags live in bits 59:56, and
 * bit 55 selects the half). Physical addresses are numbers: no machine here reaches 2^53.
 */

declare const brand: unique symbol;

/** A 64-bit virtual address, tag and all, as an unsigned bigint. */
export type VA = bigint & { readonly [brand]: 'VA' };
/** An intermediate physical address (stage-1 output, stage-2 input) in bytes. */
export type IPA = number & { readonly [brand]: 'IPA' };
/** A physical address in bytes. */
export type PA = number & { readonly [brand]: 'PA' };
/** A page frame number: physical address divided by the translation granule. */
export type Pfn = number & { readonly [brand]: 'Pfn' };

export const VA = (value: bigint): VA => BigInt.asUintN(64, value) as VA;
export const IPA = (value: number): IPA => value as IPA;
export const PA = (value: number): PA => value as PA;
export const Pfn = (value: number): Pfn => value as Pfn;

/** `0x` and lower-case hexadecimal, the one way addresses are shown to people. */
export function hex(value: bigint | number, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** The logical tag of a pointer: bits 59:56. */
export function logicalTag(va: VA | bigint): number {
  return Number((va >> 56n) & 0xfn);
}

/** Bit 55 copied into bits 63:56: the address with its top byte ignored (TBI). */
export function untagged(va: VA | bigint): VA {
  const low = BigInt.asUintN(56, va);
  return ((low >> 55n) & 1n ? low | (0xffn << 56n) : low) as VA;
}
