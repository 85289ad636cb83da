/**
 * Benchmarks of what compilers make of C: floating point, Advanced SIMD and the cryptographic instructions, in
 * static glibc programs. They are compiled when the benchmark runs, where the cross-compiler is installed.
 *
 * Every program takes an amount of work as its argument and prints what it computed.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const COMPILER = 'aarch64-linux-gnu-gcc';

interface Source {
  readonly name: string;
  /** What one unit of the argument is. */
  readonly unit: string;
  readonly amounts: readonly [number, number];
  readonly flags: readonly string[];
  readonly text: string;
}

export interface CompiledWorkload {
  readonly name: string;
  readonly unit: string;
  /** Small and large, for both sides. */
  readonly amounts: readonly [number, number];
  readonly bytes: Uint8Array;
}

const HEAD = `#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
`;

const SHA256 = `${HEAD}
static uint32_t k[64], h[8];
static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }
static void block(const uint8_t *p) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) w[i] = p[4*i] << 24 | p[4*i+1] << 16 | p[4*i+2] << 8 | p[4*i+3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i-15], b = w[i-2];
    w[i] = w[i-16] + w[i-7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
  }
  memcpy(v, h, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t e = v[4], a = v[0];
    uint32_t t = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
    uint32_t u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 28);
    v[4] += t;
    v[0] = t + u;
  }
  for (int i = 0; i < 8; i++) h[i] += v[i];
}
int main(int argc, char **argv) {
  static uint8_t data[64];
  for (int i = 0; i < 64; i++) k[i] = 0x9e3779b9u * (i + 1);
  for (long n = atol(argv[1]); n > 0; n--) { data[n & 63] += n; block(data); }
  printf("%08x\\n", h[0] ^ h[7]);
}
`;

const AES_CTR = `${HEAD}#include <arm_neon.h>
static uint8_t data[4096];
int main(int argc, char **argv) {
  uint8x16_t key[11];
  uint32x4_t counter = {1, 2, 3, 4};
  for (int i = 0; i < 11; i++) for (int j = 0; j < 16; j++) key[i][j] = 31 * i + 7 * j;
  for (long n = atol(argv[1]); n > 0; n--)
    for (int at = 0; at < 4096; at += 16) {
      uint8x16_t x = vreinterpretq_u8_u32(counter);
      counter[3]++;
      for (int i = 0; i < 9; i++) x = vaesmcq_u8(vaeseq_u8(x, key[i]));
      x = veorq_u8(vaeseq_u8(x, key[9]), key[10]);
      vst1q_u8(data + at, veorq_u8(vld1q_u8(data + at), x));
    }
  unsigned sum = 0;
  for (int i = 0; i < 4096; i++) sum = 31 * sum + data[i];
  printf("%u\\n", sum);
}
`;

const COPY = `${HEAD}
static char from[40000], to[40000];
int main(int argc, char **argv) {
  unsigned long sum = 0;
  for (unsigned i = 0; i < sizeof from - 1; i++) from[i] = 'a' + i % 23;
  for (long n = atol(argv[1]); n > 0; n--) {
    for (int size = 1; size < 32768; size *= 2) {
      memcpy(to + (n & 7), from + (size & 15), size + 3);
      sum += to[size];
    }
    to[30000] = 0;
    sum += strlen(to + 8) + (memchr(from, '!', 30000) != 0);
    memset(to, n, 20000);
    sum += memcmp(to, to + 1, 16000);
  }
  printf("%lu\\n", sum);
}
`;

const BODIES = `${HEAD}#include <math.h>
static struct { double p[3], v[3], m; } b[5];
int main(int argc, char **argv) {
  for (int i = 0; i < 5; i++) {
    b[i].m = 1.0 / (1 + i);
    for (int k = 0; k < 3; k++) { b[i].p[k] = i * (1.1 - .3 * k) + k; b[i].v[k] = .01 * (k - 1) * i; }
  }
  for (long n = atol(argv[1]); n > 0; n--) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double d[3], r = .01;
        for (int k = 0; k < 3; k++) { d[k] = b[i].p[k] - b[j].p[k]; r += d[k] * d[k]; }
        double f = .001 / (r * sqrt(r));
        for (int k = 0; k < 3; k++) { b[i].v[k] -= d[k] * b[j].m * f; b[j].v[k] += d[k] * b[i].m * f; }
      }
    for (int i = 0; i < 5; i++) for (int k = 0; k < 3; k++) b[i].p[k] += .001 * b[i].v[k];
  }
  printf("%.17g\\n", b[0].p[0] + b[3].v[1]);
}
`;

const MATRICES = `${HEAD}
#define N 64
static float a[N][N], b[N][N], c[N][N];
int main(int argc, char **argv) {
  for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) { a[i][j] = i * j % 17 / 3.f; b[i][j] = (i + j) % 13 - 6.1f; }
  for (long n = atol(argv[1]); n > 0; n--)
    for (int i = 0; i < N; i++) {
      for (int j = 0; j < N; j++) c[i][j] = 0;
      for (int k = 0; k < N; k++) for (int j = 0; j < N; j++) c[i][j] += a[i][k] * b[k][j];
    }
  float sum = 0;
  for (int i = 0; i < N; i++) sum += c[i][i];
  printf("%.9g\\n", sum);
}
`;

const SOURCES: readonly Source[] = [
  { name: 'SHA-256 in C', unit: '64 bytes', amounts: [2000, 62_000], flags: ['-O2'], text: SHA256 },
  {
    name: 'AES-CTR, instructions',
    unit: '4 KiB',
    amounts: [200, 5200],
    flags: ['-O2', '-march=armv8-a+crypto'],
    text: AES_CTR,
  },
  { name: "glibc's mem and str", unit: '164 KiB', amounts: [500, 8500], flags: ['-O2'], text: COPY },
  { name: 'five bodies, double', unit: 'step', amounts: [5000, 305_000], flags: ['-O2'], text: BODIES },
  { name: 'matrices, single, SIMD', unit: 'product', amounts: [20, 720], flags: ['-O3'], text: MATRICES },
];

/** The programs, compiled into `folder`; none where there is no cross-compiler. */
export function compiledWorkloads(folder: string): CompiledWorkload[] {
  if (spawnSync(COMPILER, ['--version']).status !== 0) return [];
  return SOURCES.flatMap(({ name, unit, amounts, flags, text }) => {
    const source = join(folder, 'compiled.c');
    const program = join(folder, 'compiled');
    writeFileSync(source, text);
    const { status } = spawnSync(COMPILER, [...flags, '-static', '-o', program, source, '-lm']);
    // A compiler without libc for static programs makes none.
    return status === 0 ? [{ name, unit, amounts, bytes: readFileSync(program) }] : [];
  });
}
