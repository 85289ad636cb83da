/**
 * The instruction syndrome of a stage 2 data abort: what a hypervisor needs to emulate the access.
 *
 * It is valid (ISV) for loads and stores of one general-purpose register without write-back, exclusives
 * and atomics apart.
 *
 * Ref. DDI 0487, D19.2.39 "ISS encoding for an exception from a Data Abort": ISV, SAS, SSE, SRT, SF, AR.
 */

const ISV = 1 << 24;

function syndrome(word: number, size: number, signed: boolean, sf: boolean, ordered: boolean): number {
  return (
    ISV |
    (size << 22) |
    ((signed ? 1 : 0) << 21) |
    ((word & 31) << 16) |
    ((sf ? 1 : 0) << 15) |
    ((ordered ? 1 : 0) << 14)
  );
}

/** By opc: 0 store, 1 load, 2 load sign-extended to 64 bits, 3 to 32 bits. */
function byOpc(word: number, ordered: boolean): number {
  const size = word >>> 30;
  const opc = (word >>> 22) & 3;
  return syndrome(word, size, opc >= 2, opc === 2 || (opc < 2 && size === 3), ordered);
}

/** ISS bits 24:14 for the load or store `word`; 0 where they are not valid. */
export function loadStoreSyndrome(word: number): number {
  const is = (mask: number, value: number) => (word & mask) >>> 0 === value;
  // Unsigned immediate offset.
  if (is(0x3f000000, 0x39000000)) return byOpc(word, false);
  // LDAPR is among the atomics.
  if (is(0x3ffffc00, 0x38bfc000)) return syndrome(word, word >>> 30, false, word >>> 30 === 3, true);
  // Unscaled, unprivileged; register offset.
  if (is(0x3f200400, 0x38000000) || is(0x3f200c00, 0x38200800)) return byOpc(word, false);
  // LDAPUR, STLUR.
  if (is(0x3f200c00, 0x19000000)) return byOpc(word, true);
  // LDAR, STLR; LDLAR, STLLR.
  if (is(0x3fa00000, 0x08800000)) {
    const ordered = (word & (1 << 15)) !== 0;
    return syndrome(word, word >>> 30, false, word >>> 30 === 3, ordered);
  }
  // Literal: 32 bits, 64 bits, 32 bits sign-extended.
  if (is(0x3f000000, 0x18000000)) {
    const opc = word >>> 30;
    return opc === 3 ? 0 : syndrome(word, opc === 1 ? 3 : 2, opc === 2, opc !== 0, false);
  }
  return 0;
}
