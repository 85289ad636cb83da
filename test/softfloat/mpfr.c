/*
 * Correctly rounded results from GNU MPFR, for fixtures/mpfr.txt:
 *
 *     gcc -O2 -o mpfr-cases mpfr.c -lmpfr -lgmp && ./mpfr-cases 170 1 > fixtures/mpfr.txt
 *
 * Arguments: cases of each operation, format and rounding mode; seed. A line is
 *     operation size mode operands = result flags
 * in hexadecimal but for size and mode, flags as FPSR has them. Operands are finite; an operation on them
 * is never invalid, except that conversions to integers saturate. Tininess is before rounding, as Arm has it.
 */
#include <gmp.h>
#include <mpfr.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IOC = 1, OFC = 4, UFC = 8, IXC = 16 };

typedef struct {
  int size, precision, emin, emax, fraction, bias;
} format;

/* MPFR's exponents are of a significand in [1/2, 1); emin is that of the smallest denormal. */
static const format FORMATS[3] = {
    {16, 11, -23, 16, 10, 15},
    {32, 24, -148, 128, 23, 127},
    {64, 53, -1073, 1024, 52, 1023},
};
static const mpfr_rnd_t MODES[4] = {MPFR_RNDN, MPFR_RNDU, MPFR_RNDD, MPFR_RNDZ};
static const char *MODE_NAMES[4] = {"tieEven", "posInf", "negInf", "zero"};

static uint64_t state;

static uint64_t random64(void) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static unsigned below(unsigned n) { return (unsigned)(random64() >> 33) % n; }

static uint64_t ones(int n) { return n == 64 ? ~0ull : (1ull << n) - 1; }

static int is_finite(const format *f, uint64_t bits) {
  uint64_t exponent = (bits >> f->fraction) & ones(f->size - 1 - f->fraction);
  return exponent != ones(f->size - 1 - f->fraction);
}

static uint64_t some_number(const format *f, uint64_t other) {
  for (;;) {
    uint64_t bits = random64() & ones(f->size);
    uint64_t sign = (random64() & 1) << (f->size - 1);
    uint64_t low = bits & ones(f->fraction);
    uint64_t out = bits;
    switch (below(7)) {
    case 0: /* denormals and the smallest normals */
      out = sign | (bits & ones(f->fraction + 1));
      break;
    case 1: /* around one, few fraction bits: ties */
      out = sign | ((uint64_t)(f->bias - 4 + (int)below(2 * f->fraction)) << f->fraction) |
            (low & ~ones(f->fraction - (int)below(6)));
      break;
    case 2: /* near the other operand */
      out = (other ^ below(16) ^ sign) & ones(f->size);
      break;
    case 3:
      out = sign | (((other & ~ones(f->fraction)) + ((uint64_t)below(8) << f->fraction) + low) &
                    ones(f->size - 1));
      break;
    case 4: /* the largest numbers */
      out = sign | ((ones(f->size - 2 - f->fraction) << (f->fraction + 1)) - (uint64_t)below(2) * (1ull << f->fraction)) |
            (low | ones(below(f->fraction)));
      break;
    default:
      break;
    }
    if (is_finite(f, out)) return out;
  }
}

static void from_bits(mpfr_t x, const format *f, uint64_t bits) {
  uint64_t exponent = (bits >> f->fraction) & ones(f->size - 1 - f->fraction);
  uint64_t fraction = bits & ones(f->fraction);
  int scale = (exponent == 0 ? 1 : (int)exponent) - f->bias - f->fraction;
  if (exponent != 0) fraction |= 1ull << f->fraction;
  mpfr_set_ui_2exp(x, fraction, scale, MPFR_RNDN);
  if (bits >> (f->size - 1)) mpfr_neg(x, x, MPFR_RNDN);
}

static uint64_t to_bits(mpfr_t x, const format *f) {
  uint64_t sign = mpfr_signbit(x) ? 1ull << (f->size - 1) : 0;
  uint64_t infinity = ones(f->size - 1 - f->fraction) << f->fraction;
  if (mpfr_inf_p(x)) return sign | infinity;
  if (mpfr_zero_p(x)) return sign;
  mpz_t z;
  mpz_init(z);
  long scale = mpfr_get_z_2exp(z, x);
  mpz_abs(z, z);
  /* Make the scale that of the number's fraction. */
  long exponent = mpfr_get_exp(x) - 1;
  long wanted = (exponent < 1 - f->bias ? 1 - f->bias : exponent) - f->fraction;
  if (scale > wanted) mpz_mul_2exp(z, z, (mp_bitcnt_t)(scale - wanted));
  else mpz_tdiv_q_2exp(z, z, (mp_bitcnt_t)(wanted - scale));
  uint64_t fraction = mpz_get_ui(z);
  mpz_clear(z);
  if (fraction >> f->fraction == 0) return sign | fraction;
  return sign | ((uint64_t)(exponent + f->bias) << f->fraction) | (fraction & ones(f->fraction));
}

typedef int (*operation)(mpfr_t, mpfr_t *, mpfr_rnd_t);

static int do_add(mpfr_t r, mpfr_t *o, mpfr_rnd_t m) { return mpfr_add(r, o[0], o[1], m); }
static int do_sub(mpfr_t r, mpfr_t *o, mpfr_rnd_t m) { return mpfr_sub(r, o[0], o[1], m); }
static int do_mul(mpfr_t r, mpfr_t *o, mpfr_rnd_t m) { return mpfr_mul(r, o[0], o[1], m); }
static int do_div(mpfr_t r, mpfr_t *o, mpfr_rnd_t m) { return mpfr_div(r, o[0], o[1], m); }
static int do_sqrt(mpfr_t r, mpfr_t *o, mpfr_rnd_t m) { return mpfr_sqrt(r, o[0], m); }
static int do_fma(mpfr_t r, mpfr_t *o, mpfr_rnd_t m) { return mpfr_fma(r, o[0], o[1], o[2], m); }
static int do_set(mpfr_t r, mpfr_t *o, mpfr_rnd_t m) { return mpfr_set(r, o[0], m); }

/* Rounds `op` of the operands into the format; gives flags. */
static int rounded(mpfr_t result, operation op, mpfr_t *operands, const format *f, mpfr_rnd_t mode) {
  mpfr_t tiny;
  int flags = 0;
  mpfr_set_emin(mpfr_get_emin_min());
  mpfr_set_emax(mpfr_get_emax_max());
  mpfr_init2(tiny, 2);
  op(tiny, operands, MPFR_RNDZ);
  int is_tiny = mpfr_regular_p(tiny) && mpfr_get_exp(tiny) - 1 < 1 - f->bias;
  mpfr_clear(tiny);
  mpfr_set_prec(result, f->precision);
  mpfr_set_emin(f->emin);
  mpfr_set_emax(f->emax);
  mpfr_clear_flags();
  int ternary = op(result, operands, mode);
  ternary = mpfr_check_range(result, ternary, mode); /* mpfr_set does not */
  ternary = mpfr_subnormalize(result, ternary, mode);
  if (mpfr_overflow_p()) flags |= OFC;
  mpfr_set_emin(mpfr_get_emin_min());
  mpfr_set_emax(mpfr_get_emax_max());
  if (ternary != 0) flags |= IXC | (is_tiny ? UFC : 0);
  return flags;
}

static void arithmetic(const char *name, operation op, int count, int cases) {
  mpfr_t operands[3], result;
  for (int i = 0; i < 3; i++) mpfr_init2(operands[i], 64);
  mpfr_init2(result, 64);
  for (int f = 0; f < 3; f++)
    for (int m = 0; m < 4; m++)
      for (int i = 0; i < cases;) {
        uint64_t bits[3] = {0, 0, 0};
        for (int n = 0; n < count; n++) {
          bits[n] = some_number(&FORMATS[f], n == 0 ? random64() : bits[n - 1]);
          if (op == do_sqrt) bits[n] &= ones(FORMATS[f].size - 1);
          from_bits(operands[n], &FORMATS[f], bits[n]);
        }
        if (op == do_div && mpfr_zero_p(operands[1])) continue;
        int flags = rounded(result, op, operands, &FORMATS[f], MODES[m]);
        printf("%s %d %s", name, FORMATS[f].size, MODE_NAMES[m]);
        for (int n = 0; n < count; n++) printf(" %llx", (unsigned long long)bits[n]);
        printf(" = %llx %x\n", (unsigned long long)to_bits(result, &FORMATS[f]), flags);
        i++;
      }
}

static void conversions(int cases) {
  mpfr_t operand[1], result;
  mpfr_init2(operand[0], 64);
  mpfr_init2(result, 64);
  for (int from = 0; from < 3; from++)
    for (int to = 0; to < 3; to++)
      for (int m = 0; from != to && m < 4; m++)
        for (int i = 0; i < cases; i++) {
          uint64_t bits = some_number(&FORMATS[from], random64());
          /* Half of the numbers in the narrower format's range. */
          if (from > to && (i & 1)) {
            int exponent = FORMATS[from].bias - FORMATS[to].bias - FORMATS[to].fraction - 2 +
                           (int)below(2 * FORMATS[to].bias + FORMATS[to].fraction + 4);
            bits = (bits & (ones(FORMATS[from].fraction) | 1ull << (FORMATS[from].size - 1))) |
                   (uint64_t)exponent << FORMATS[from].fraction;
          }
          from_bits(operand[0], &FORMATS[from], bits);
          int flags = rounded(result, do_set, operand, &FORMATS[to], MODES[m]);
          printf("convert%d %d %s %llx = %llx %x\n", FORMATS[to].size, FORMATS[from].size, MODE_NAMES[m],
                 (unsigned long long)bits, (unsigned long long)to_bits(result, &FORMATS[to]), flags);
        }
}

static uint64_t some_integer(void) {
  uint64_t bits = random64() >> below(64);
  return random64() & 1 ? bits : -bits;
}

static void integers(int cases) {
  mpfr_t operand[1], result, limit;
  mpz_t z, low, high;
  mpfr_init2(operand[0], 64);
  mpfr_init2(result, 64);
  mpfr_init2(limit, 64);
  mpz_inits(z, low, high, NULL);
  for (int f = 0; f < 3; f++)
    for (int m = 0; m < 5; m++)
      for (int i = 0; i < cases; i++) {
        const format *g = &FORMATS[f];
        const char *mode = m == 4 ? "tieAway" : MODE_NAMES[m];
        if (m < 4) {
          uint64_t bits = some_integer();
          int is_unsigned = i & 1;
          if (is_unsigned) mpfr_set_ui(operand[0], bits, MPFR_RNDN);
          else mpfr_set_si(operand[0], (long)bits, MPFR_RNDN);
          int flags = rounded(result, do_set, operand, g, MODES[m]);
          printf("%s %d %s %llx = %llx %x\n", is_unsigned ? "fromUnsigned" : "fromSigned", g->size, mode,
                 (unsigned long long)bits, (unsigned long long)to_bits(result, g), flags);
        }
        uint64_t bits = some_number(g, random64());
        from_bits(operand[0], g, bits);
        mpfr_set_prec(result, 64);
        if (m == 4) mpfr_round(result, operand[0]);
        else mpfr_rint(result, operand[0], MODES[m]);
        int exact = mpfr_equal_p(result, operand[0]);
        printf("roundInt %d %s %llx = %llx %x\n", g->size, mode, (unsigned long long)bits,
               (unsigned long long)to_bits(result, g), exact ? 0 : IXC);
        for (int width = 32; width <= 64; width += 32) {
          int is_unsigned = below(2) != 0, flags = exact ? 0 : IXC;
          mpfr_get_z(z, result, MPFR_RNDN);
          mpz_set_ui(high, 1);
          mpz_mul_2exp(high, high, (mp_bitcnt_t)(is_unsigned ? width : width - 1));
          if (is_unsigned) mpz_set_ui(low, 0);
          else mpz_neg(low, high);
          mpz_sub_ui(high, high, 1);
          if (mpz_cmp(z, low) < 0) { mpz_set(z, low); flags = IOC; }
          if (mpz_cmp(z, high) > 0) { mpz_set(z, high); flags = IOC; }
          uint64_t out = mpz_sgn(z) < 0 ? -mpz_get_ui(z) : mpz_get_ui(z);
          printf("to%s%d %d %s %llx = %llx %x\n", is_unsigned ? "Unsigned" : "Signed", width, g->size, mode,
                 (unsigned long long)bits, (unsigned long long)(out & ones(width)), flags);
        }
      }
}

int main(int argc, char **argv) {
  int cases = argc > 1 ? atoi(argv[1]) : 240;
  state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
  arithmetic("add", do_add, 2, cases);
  arithmetic("sub", do_sub, 2, cases);
  arithmetic("mul", do_mul, 2, cases);
  arithmetic("div", do_div, 2, cases);
  arithmetic("sqrt", do_sqrt, 1, cases);
  arithmetic("mulAdd", do_fma, 3, cases);
  conversions(cases);
  integers(cases);
  return 0;
}
