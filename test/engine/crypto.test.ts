/**
 * Whole algorithms through the cryptographic instructions, against node:crypto: one wrong bit anywhere
 * in a round is a wrong digest.
 */
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { assemble, toFlat } from '../../src/assembler/index.js';
import { PA, Random, VA } from '../../src/base/index.js';
import { createEngine } from '../../src/engine/index.js';
import { createMachine } from '../../src/machine/index.js';

const BASE = 0x4000_0000;
const DATA = 0x4001_0000;

/** Runs text at EL1 with X0 = DATA over the bytes at DATA; gives the bytes from there on afterwards. */
function run(text: string, data: Uint8Array, size: number): Uint8Array {
  const machine = createMachine({
    banks: [{ base: BASE, size: 0x10_0000 }],
    hasEl2: false,
    hasEl3: false,
  });
  machine.setSupervisor({ exceptionTaken: () => {} });
  const { cpu, memory } = machine;
  const program = assemble({ name: 't.s', text: `${text}\nbrk #0\n` }, { textBase: VA(BigInt(BASE)) });
  memory.writeBytes(PA(BASE), toFlat(program, VA(BigInt(BASE))));
  memory.writeBytes(PA(DATA), data);
  cpu.setLevel(1, 1);
  cpu.writeRegister('cpacr_el1', 3n << 20n);
  cpu.writeX(0, BigInt(DATA));
  cpu.pc = BigInt(BASE);
  createEngine(machine, 'evaluate').run(cpu, 10_000);
  expect(cpu.readRegister('esr_el1') >> 26n).toBe(0x3cn);
  return memory.readBytes(PA(DATA), size);
}

const bytes = (random: Random, count: number) => Uint8Array.from({ length: count }, () => random.below(256));

/** Words of 32 or 64 bits in the other byte order, which the digests are in. */
function swapped(data: Uint8Array, width: 4 | 8): Uint8Array {
  return Uint8Array.from(data, (_, i) => data[i - (i % width) + width - 1 - (i % width)]!);
}

/** FIPS 197, 5.2, with AESE as the substitution: a round key is expanded from the last one in text. */
function expandKey(key: Uint8Array): Uint8Array[] {
  const keys = [key];
  let rcon = 1;
  for (let round = 0; round < 10; round++) {
    const last = keys.at(-1)!;
    // AESE of a state of one repeated column substitutes that column's bytes in every row.
    const rotated = [last[13]!, last[14]!, last[15]!, last[12]!];
    const column = run(
      'ldr q0, [x0]\nmovi v1.16b, #0\naese v0.16b, v1.16b\nstr q0, [x0]',
      Uint8Array.from({ length: 16 }, (_, i) => rotated[i % 4]!),
      4,
    );
    const next = new Uint8Array(16);
    for (let i = 0; i < 16; i++) {
      const before = i < 4 ? column[i]! ^ (i === 0 ? rcon : 0) : next[i - 4]!;
      next[i] = last[i]! ^ before;
    }
    keys.push(next);
    rcon = ((rcon << 1) ^ (rcon & 0x80 ? 0x11b : 0)) & 0xff;
  }
  return keys;
}

describe('AES-128', () => {
  const random = new Random(1, 'aes');
  const key = bytes(random, 16);
  const block = bytes(random, 16);
  const keys = expandKey(key);

  it('encrypts as node:crypto does', () => {
    const load = 'ldr q0, [x0], #16';
    const rounds = Array.from(
      { length: 9 },
      () => 'ldr q1, [x0], #16\naese v0.16b, v1.16b\naesmc v0.16b, v0.16b',
    );
    const last = 'ldp q1, q2, [x0]\naese v0.16b, v1.16b\neor v0.16b, v0.16b, v2.16b';
    const text = `mov x3, x0\n${load}\n${rounds.join('\n')}\n${last}\nstr q0, [x3]`;
    const ours = run(text, Uint8Array.from([block, ...keys].flatMap((part) => [...part])), 16);
    const cipher = createCipheriv('aes-128-ecb', key, null).setAutoPadding(false);
    expect([...ours]).toEqual([...cipher.update(block)]);
  });

  it('decrypts as node:crypto does', () => {
    const inverse = keys.toReversed();
    const rounds = Array.from({ length: 9 }, (_, i) => {
      // The equivalent inverse cipher: inner round keys go through AESIMC too.
      const mixed = i === 0 ? '' : 'aesimc v1.16b, v1.16b\n';
      return `ldr q1, [x0], #16\n${mixed}aesd v0.16b, v1.16b\naesimc v0.16b, v0.16b`;
    });
    const last = 'ldp q1, q2, [x0]\naesimc v1.16b, v1.16b\naesd v0.16b, v1.16b\neor v0.16b, v0.16b, v2.16b';
    const text = `mov x3, x0\nldr q0, [x0], #16\n${rounds.join('\n')}\n${last}\nstr q0, [x3]`;
    const ours = run(text, Uint8Array.from([block, ...inverse].flatMap((part) => [...part])), 16);
    const decipher = createDecipheriv('aes-128-ecb', key, null).setAutoPadding(false);
    expect([...ours]).toEqual([...decipher.update(block)]);
  });
});

/** A message of less than a block as its only block: padding and length, in memory order. */
function padded(message: Uint8Array, block: 64 | 128): Uint8Array {
  const out = new Uint8Array(block);
  out.set(message);
  out[message.length] = 0x80;
  new DataView(out.buffer).setBigUint64(block - 8, BigInt(8 * message.length));
  return out;
}

/** Fractional bits of the square or cube roots of the first primes (FIPS 180-4, 4.2 and 5.3). */
function rootBits(count: number, root: 2 | 3, bits: 32 | 64): bigint[] {
  const primes: bigint[] = [];
  for (let n = 2n; primes.length < count; n++) if (primes.every((p) => n % p !== 0n)) primes.push(n);
  return primes.map((p) => {
    // The integer root of p * 2^(root * bits), by bisection.
    const wanted = p << BigInt(root * bits);
    let low = 0n;
    let high = 1n << BigInt(bits + 10);
    while (high - low > 1n) {
      const middle = (low + high) >> 1n;
      if (middle ** BigInt(root) <= wanted) low = middle;
      else high = middle;
    }
    return BigInt.asUintN(bits, low);
  });
}

function littleEndian(words: readonly bigint[], width: 4 | 8): Uint8Array {
  const out = new Uint8Array(words.length * width);
  const view = new DataView(out.buffer);
  for (const [i, word] of words.entries()) {
    if (width === 4) view.setUint32(4 * i, Number(word), true);
    else view.setBigUint64(8 * i, word, true);
  }
  return out;
}

const joined = (...parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
const message = bytes(new Random(2, 'message'), 50);

describe('SHA-1', () => {
  it('hashes a block as node:crypto does', () => {
    const rounds: string[] = [];
    // E alternates between S20 and S21; a group of four rounds takes message words from V4 to V7 in turn.
    for (let group = 0; group < 20; group++) {
      const operation = group < 5 ? 'sha1c' : group < 10 || group >= 15 ? 'sha1p' : 'sha1m';
      const constant = 24 + Math.floor(group / 5);
      const [w0, w1, w2, w3] = [0, 1, 2, 3].map((i) => 4 + ((group + i) % 4)) as [
        number,
        number,
        number,
        number,
      ];
      const [e, next] = group % 2 === 0 ? [20, 21] : [21, 20];
      rounds.push(
        `add v16.4s, v${w0}.4s, v${constant}.4s\nsha1h s${next}, s0\n${operation} q0, s${e}, v16.4s`,
      );
      if (group < 16) {
        rounds.push(`sha1su0 v${w0}.4s, v${w1}.4s, v${w2}.4s\nsha1su1 v${w0}.4s, v${w3}.4s`);
      }
    }
    const constants = [0x5a827999n, 0x6ed9eba1n, 0x8f1bbcdcn, 0xca62c1d6n];
    const state = [0x67452301n, 0xefcdab89n, 0x98badcfen, 0x10325476n, 0xc3d2e1f0n];
    const text = `
      mov x9, x0
      ld1 {v4.16b-v7.16b}, [x0], #64
      rev32 v4.16b, v4.16b
      rev32 v5.16b, v5.16b
      rev32 v6.16b, v6.16b
      rev32 v7.16b, v7.16b
      ldr q0, [x0], #16
      ldr s20, [x0], #4
      ld1r {v24.4s}, [x0], #4
      ld1r {v25.4s}, [x0], #4
      ld1r {v26.4s}, [x0], #4
      ld1r {v27.4s}, [x0]
      mov v1.16b, v0.16b
      fmov s2, s20
      ${rounds.join('\n')}
      add v0.4s, v0.4s, v1.4s
      add v2.2s, v2.2s, v20.2s
      rev32 v0.16b, v0.16b
      rev32 v2.8b, v2.8b
      str q0, [x9]
      str s2, [x9, #16]`;
    const data = joined(padded(message, 64), littleEndian([...state, ...constants], 4));
    expect(Buffer.from(run(text, data, 20)).toString('hex')).toBe(
      createHash('sha1').update(message).digest('hex'),
    );
  });
});

describe('SHA-256', () => {
  it('hashes a block as node:crypto does', () => {
    const rounds: string[] = [];
    for (let group = 0; group < 16; group++) {
      const [w0, w1, w2, w3] = [0, 1, 2, 3].map((i) => 4 + ((group + i) % 4)) as [
        number,
        number,
        number,
        number,
      ];
      rounds.push(`ldr q16, [x0], #16\nadd v16.4s, v16.4s, v${w0}.4s\nmov v17.16b, v0.16b`);
      rounds.push('sha256h q0, q1, v16.4s\nsha256h2 q1, q17, v16.4s');
      if (group < 12) {
        rounds.push(`sha256su0 v${w0}.4s, v${w1}.4s\nsha256su1 v${w0}.4s, v${w2}.4s, v${w3}.4s`);
      }
    }
    const text = `
      mov x9, x0
      ld1 {v4.16b-v7.16b}, [x0], #64
      rev32 v4.16b, v4.16b
      rev32 v5.16b, v5.16b
      rev32 v6.16b, v6.16b
      rev32 v7.16b, v7.16b
      ldp q0, q1, [x0], #32
      mov v2.16b, v0.16b
      mov v3.16b, v1.16b
      ${rounds.join('\n')}
      add v0.4s, v0.4s, v2.4s
      add v1.4s, v1.4s, v3.4s
      rev32 v0.16b, v0.16b
      rev32 v1.16b, v1.16b
      stp q0, q1, [x9]`;
    const data = joined(
      padded(message, 64),
      littleEndian(rootBits(8, 2, 32), 4),
      littleEndian(rootBits(64, 3, 32), 4),
    );
    expect(Buffer.from(run(text, data, 32)).toString('hex')).toBe(
      createHash('sha256').update(message).digest('hex'),
    );
  });
});

describe('SHA-512', () => {
  it('hashes a block as node:crypto does', () => {
    // State pairs: V0 = ab, V1 = cd, V2 = ef, V3 = gh; message words in V8 to V15.
    const rounds: string[] = [];
    for (let pair = 0; pair < 40; pair++) {
      const w = (i: number) => 8 + ((pair + i) % 8);
      rounds.push(`
        ldr q20, [x0], #16
        add v20.2d, v20.2d, v${w(0)}.2d
        ext v20.16b, v20.16b, v20.16b, #8
        ext v21.16b, v2.16b, v3.16b, #8
        ext v22.16b, v1.16b, v2.16b, #8
        add v3.2d, v3.2d, v20.2d
        sha512h q3, q21, v22.2d
        add v23.2d, v1.2d, v3.2d
        sha512h2 q3, q1, v0.2d
        mov v24.16b, v2.16b
        mov v2.16b, v23.16b
        mov v25.16b, v3.16b
        mov v3.16b, v24.16b
        mov v1.16b, v0.16b
        mov v0.16b, v25.16b`);
      if (pair < 32) {
        rounds.push(`
        ext v26.16b, v${w(4)}.16b, v${w(5)}.16b, #8
        sha512su0 v${w(0)}.2d, v${w(1)}.2d
        sha512su1 v${w(0)}.2d, v${w(7)}.2d, v26.2d`);
      }
    }
    const text = `
      mov x9, x0
      ld1 {v8.16b-v11.16b}, [x0], #64
      ld1 {v12.16b-v15.16b}, [x0], #64
      ${[8, 9, 10, 11, 12, 13, 14, 15].map((v) => `rev64 v${v}.16b, v${v}.16b`).join('\n')}
      ld1 {v0.2d-v3.2d}, [x0], #64
      mov v16.16b, v0.16b
      mov v17.16b, v1.16b
      mov v18.16b, v2.16b
      mov v19.16b, v3.16b
      ${rounds.join('\n')}
      add v0.2d, v0.2d, v16.2d
      add v1.2d, v1.2d, v17.2d
      add v2.2d, v2.2d, v18.2d
      add v3.2d, v3.2d, v19.2d
      st1 {v0.2d-v3.2d}, [x9]`;
    const data = joined(
      padded(message, 128),
      littleEndian(rootBits(8, 2, 64), 8),
      littleEndian(rootBits(80, 3, 64), 8),
    );
    expect(Buffer.from(swapped(run(text, data, 64), 8)).toString('hex')).toBe(
      createHash('sha512').update(message).digest('hex'),
    );
  });
});

describe('SHA-3', () => {
  it('permutes as Keccak does', () => {
    // Lanes of the state in D registers: V0 to V24, x + 5 y; steps theta, rho with pi, chi, iota.
    const lane = (x: number, y: number) => ((x + 5) % 5) + 5 * ((y + 5) % 5);
    const offsets: number[] = new Array<number>(25).fill(0);
    let [x, y] = [1, 0];
    for (let t = 0; t < 24; t++) {
      offsets[lane(x, y)] = (((t + 1) * (t + 2)) / 2) % 64;
      [x, y] = [y, (2 * x + 3 * y) % 5];
    }
    const constants: bigint[] = [];
    let lfsr = 1;
    for (let round = 0; round < 24; round++) {
      let word = 0n;
      for (let j = 0; j < 7; j++) {
        if (lfsr & 1) word |= 1n << BigInt(2 ** j - 1);
        lfsr = (lfsr << 1) ^ (lfsr & 0x80 ? 0x171 : 0);
      }
      constants.push(word);
    }
    const across = [0, 1, 2, 3, 4];
    const parity = across.map(
      (i) => `eor3 v25.16b, v${lane(i, 0)}.16b, v${lane(i, 1)}.16b, v${lane(i, 2)}.16b
        eor3 v25.16b, v25.16b, v${lane(i, 3)}.16b, v${lane(i, 4)}.16b
        str q25, [x1, #${16 * i}]`,
    );
    const theta = across.map(
      (i) => `ldr q26, [x1, #${16 * ((i + 4) % 5)}]
        ldr q27, [x1, #${16 * ((i + 1) % 5)}]
        rax1 v26.2d, v26.2d, v27.2d
        str q26, [x1, #${80 + 16 * i}]`,
    );
    // Out through memory, rotated on the way: lane (x, y) goes to (y, 2x + 3y).
    const rho = across.flatMap((j) =>
      across.map(
        (i) => `ldr q26, [x1, #${80 + 16 * i}]
        xar v25.2d, v${lane(i, j)}.2d, v26.2d, #${(64 - offsets[lane(i, j)]!) % 64}
        str q25, [x1, #${160 + 16 * lane(j, 2 * i + 3 * j)}]`,
      ),
    );
    const back = Array.from({ length: 25 }, (_, i) => `ldr q${i}, [x1, #${160 + 16 * i}]`);
    const chi = across.map(
      (j) => `mov v25.16b, v${lane(0, j)}.16b
        mov v26.16b, v${lane(1, j)}.16b
        bcax v${lane(0, j)}.16b, v25.16b, v${lane(2, j)}.16b, v26.16b
        bcax v${lane(1, j)}.16b, v26.16b, v${lane(3, j)}.16b, v${lane(2, j)}.16b
        bcax v${lane(2, j)}.16b, v${lane(2, j)}.16b, v${lane(4, j)}.16b, v${lane(3, j)}.16b
        bcax v${lane(3, j)}.16b, v${lane(3, j)}.16b, v25.16b, v${lane(4, j)}.16b
        bcax v${lane(4, j)}.16b, v${lane(4, j)}.16b, v26.16b, v25.16b`,
    );
    const text = `
      ${Array.from({ length: 25 }, (_, i) => `ldr d${i}, [x0, #${8 * i}]`).join('\n')}
      add x1, x0, #1024
      add x2, x0, #200
      mov x3, #24
      1:
      ${[...parity, ...theta, ...rho, ...back, ...chi].join('\n')}
      ldr d25, [x2], #8
      eor v0.16b, v0.16b, v25.16b
      subs x3, x3, #1
      b.ne 1b
      ${Array.from({ length: 25 }, (_, i) => `str d${i}, [x0, #${8 * i}]`).join('\n')}`;
    // SHA3-256 of a message of less than its rate of 136 bytes.
    const state = new Uint8Array(200);
    state.set(message);
    state[message.length] = 0x06;
    state[135] = 0x80;
    const ours = run(text, joined(state, littleEndian(constants, 8)), 32);
    expect(Buffer.from(ours).toString('hex')).toBe(createHash('sha3-256').update(message).digest('hex'));
  });
});
