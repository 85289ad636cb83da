/**
 * QARMA5: the block cipher behind pointer authentication codes (FEAT_PACQARMA5).
 *
 * A tweakable cipher on sixteen 4-bit cells: five forward rounds, a reflector, five backward rounds.
 * Cells are numbered as in the cipher's paper, cell 0 the most significant; its permutations, its mixing
 * matrix circ(0, r, r^2, r) and its S-box sigma 2 are written down here as the paper has them, which is
 * easier to check than the bit ranges of the Arm ARM that say the same.
 *
 * Ref. DDI 0487, J1 ComputePAC, PACCellShuffle, PACMult, PACSub, TweakShuffle; R. Avanzi, "The QARMA
 * Block Cipher Family", IACR ToSC 2017(1).
 */

/** Output cell i is input cell SHUFFLE[i]. */
const SHUFFLE = [0, 11, 6, 13, 10, 1, 12, 7, 5, 14, 3, 8, 15, 4, 9, 2] as const;
const TWEAK_SHUFFLE = [6, 5, 14, 15, 0, 1, 2, 3, 7, 12, 13, 4, 8, 9, 10, 11] as const;
/** Cells of the shuffled tweak that go through the shift register too. */
const TWEAK_CELLS = [0, 1, 3, 4, 8, 11, 13] as const;
const SBOX = [11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10] as const;
const INVERSE_SBOX = SBOX.map((_, value) => SBOX.indexOf(value as (typeof SBOX)[number]));

const ALPHA = 0xc0ac_29b7_c97c_50ddn;
/** The first digits of pi behind the point, 64 bits at a time, after a zero. */
const ROUND_CONSTANTS = [
  0n,
  0x1319_8a2e_0370_7344n,
  0xa409_3822_299f_31d0n,
  0x082e_fa98_ec4e_6c89n,
  0x4528_21e6_38d0_1377n,
] as const;
const LAST_ROUND = ROUND_CONSTANTS.length - 1;

type Cells = number[];

function toCells(value: bigint): Cells {
  const high = Number(value >> 32n);
  const low = Number(value & 0xffff_ffffn);
  const nibble = (word: number, i: number) => (word >>> (28 - 4 * i)) & 15;
  return Array.from({ length: 16 }, (_, i) => (i < 8 ? nibble(high, i) : nibble(low, i - 8)));
}

function fromCells(cells: readonly number[]): bigint {
  let high = 0;
  let low = 0;
  for (let i = 0; i < 8; i++) {
    high = (high << 4) | cells[i]!;
    low = (low << 4) | cells[i + 8]!;
  }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

const permute = (cells: Cells, from: readonly number[]): Cells => from.map((source) => cells[source]!);

function unpermute(cells: Cells, from: readonly number[]): Cells {
  const out: Cells = new Array(16).fill(0);
  from.forEach((source, i) => {
    out[source] = cells[i]!;
  });
  return out;
}

const substitute = (cells: Cells, box: readonly number[]): Cells => cells.map((cell) => box[cell]!);

const rotate = (cell: number, by: number) => ((cell << by) | (cell >> (4 - by))) & 15;

/** Its own inverse. Columns are cells four apart. */
function mix(cells: Cells): Cells {
  return cells.map(
    (_, i) =>
      rotate(cells[(i + 4) & 15]!, 1) ^ rotate(cells[(i + 8) & 15]!, 2) ^ rotate(cells[(i + 12) & 15]!, 1),
  );
}

function nextTweak(tweak: bigint): bigint {
  const cells = permute(toCells(tweak), TWEAK_SHUFFLE);
  for (const i of TWEAK_CELLS) {
    const cell = cells[i]!;
    cells[i] = (cell >> 1) | (((cell ^ (cell >> 1)) & 1) << 3);
  }
  return fromCells(cells);
}

function previousTweak(tweak: bigint): bigint {
  const cells = toCells(tweak);
  for (const i of TWEAK_CELLS) {
    const cell = cells[i]!;
    cells[i] = ((cell << 1) & 15) | ((cell & 1) ^ (cell >> 3));
  }
  return fromCells(unpermute(cells, TWEAK_SHUFFLE));
}

/**
 * ComputePAC with QARMA5: all 64 bits of the code of `data`.
 * `key0` and `key1` are bits 127:64 and 63:0 of the key, the registers' Hi and Lo halves.
 */
export function computePac(data: bigint, modifier: bigint, key0: bigint, key1: bigint): bigint {
  const modifiedKey0 = ((key0 & 1n) << 63n) | ((key0 >> 2n) << 1n) | (((key0 >> 63n) ^ (key0 >> 1n)) & 1n);
  let tweak = modifier;
  let value = data ^ key0;
  for (let round = 0; round <= LAST_ROUND; round++) {
    value ^= key1 ^ tweak ^ ROUND_CONSTANTS[round]!;
    let cells = toCells(value);
    if (round > 0) cells = mix(permute(cells, SHUFFLE));
    value = fromCells(substitute(cells, SBOX));
    tweak = nextTweak(tweak);
  }
  let cells = toCells(value ^ modifiedKey0 ^ tweak);
  cells = substitute(mix(permute(cells, SHUFFLE)), SBOX);
  cells = toCells(fromCells(mix(permute(cells, SHUFFLE))) ^ key1);
  cells = mix(substitute(unpermute(cells, SHUFFLE), INVERSE_SBOX));
  value = fromCells(unpermute(cells, SHUFFLE)) ^ key0 ^ tweak;
  for (let round = LAST_ROUND; round >= 0; round--) {
    cells = substitute(toCells(value), INVERSE_SBOX);
    if (round > 0) cells = unpermute(mix(cells), SHUFFLE);
    tweak = previousTweak(tweak);
    value = fromCells(cells) ^ key1 ^ tweak ^ ROUND_CONSTANTS[round]! ^ ALPHA;
  }
  return value ^ modifiedKey0;
}
