/*
 * loops: small programs to be timed, over memory that is plain or tagged.
 *
 * Arguments: rounds, the loop's name, and `plain`, `sync` or `async`: whether its memory is tagged, its
 * pointers have tags and checks are on. Prints a number that is the same on every implementation.
 * No C library.
 *
 * Made with (Debian 12, gcc 12.2):
 *   aarch64-linux-gnu-gcc -O2 -march=armv8.5-a+memtag -mgeneral-regs-only -ffreestanding -fno-builtin -fno-pic -no-pie \
 *     -fno-tree-loop-distribute-patterns -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static \
 *     -Wl,--build-id=none -Wl,-z,max-page-size=4096 -s -o loops.elf loops.c
 */

typedef unsigned char u8;
typedef unsigned u32;
typedef unsigned long u64;

// PR_MTE_TCF_SYNC or PR_MTE_TCF_ASYNC of prctl(PR_SET_TAGGED_ADDR_CTRL); 0 for plain memory.
static u64 tcf;

static inline long syscall6(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#define WRITE 64
#define EXIT 94
#define MMAP 222
#define PRCTL 167

__asm__(".globl _start\n_start: mov x29, #0\n mov x30, #0\n mov x0, sp\n bl begin\n");

// Memory whose pointers carry a tag of their own.
static void *tagged(u64 bytes, int tag) {
  u8 *at = (u8 *)syscall6(MMAP, 0, bytes, tcf ? 0x23 : 3, 0x22, -1, 0);
  if (tcf) {
    at = (u8 *)((u64)at | (u64)tag << 56);
    for (u64 i = 0; i < bytes; i += 16) __asm__ volatile("stg %0, [%0]" : : "r"(at + i) : "memory");
  }
  return at;
}

static u32 state = 1;
static u32 next(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static u64 sieve(u64 rounds) {
  u32 n = 200000;
  u8 *composite = tagged(n, 3);
  u64 sum = 0;
  while (rounds--) {
    for (u32 i = 0; i < n; i++) ((volatile u8 *)composite)[i] = 0;
    for (u32 i = 2; i < n; i++) {
      if (composite[i]) continue;
      sum += i;
      for (u32 j = i + i; j < n; j += i) composite[j] = 1;
    }
  }
  return sum;
}

static u64 crc(u64 rounds) {
  u32 *table = tagged(1024, 5);
  u8 *data = tagged(65536, 6);
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    table[i] = c;
  }
  for (u32 i = 0; i < 65536; i++) data[i] = next();
  u32 c = ~0u;
  while (rounds--)
    for (u32 i = 0; i < 65536; i++) c = c >> 8 ^ table[(c ^ data[i]) & 255];
  return c;
}

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
static u64 sha(u64 rounds) {
  // The compression function of SHA-256 with constants of our own.
  u32 *k = tagged(256, 2), *w = tagged(256, 4), *block = tagged(4096, 7);
  u32 h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int i = 0; i < 64; i++) k[i] = next();
  for (int i = 0; i < 1024; i++) block[i] = next();
  while (rounds--)
    for (int at = 0; at < 1024; at += 16) {
      for (int i = 0; i < 16; i++) w[i] = __builtin_bswap32(block[at + i]);
      for (int i = 16; i < 64; i++) {
        u32 x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (ROTATE(x, 7) ^ ROTATE(x, 18) ^ x >> 3) + (ROTATE(y, 17) ^ ROTATE(y, 19) ^ y >> 10);
      }
      u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], z = h[7];
      for (int i = 0; i < 64; i++) {
        u32 t = z + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
        u32 s = (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        z = g; g = f; f = e; e = d + t; d = c; c = b; b = a; a = t + s;
      }
      h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += z;
    }
  return (u64)h[0] << 32 | h[7];
}

static void quicksort(u32 *v, long low, long high) {
  while (low < high) {
    u32 pivot = v[(low + high) / 2];
    long i = low, j = high;
    while (i <= j) {
      while (v[i] < pivot) i++;
      while (v[j] > pivot) j--;
      if (i > j) break;
      u32 t = v[i];
      v[i++] = v[j];
      v[j--] = t;
    }
    quicksort(v, low, j);
    low = i;
  }
}

static u64 sort(u64 rounds) {
  u32 n = 20000;
  u32 *v = tagged(4 * n, 9);
  u64 sum = 0;
  while (rounds--) {
    for (u32 i = 0; i < n; i++) v[i] = next();
    quicksort(v, 0, n - 1);
    for (u32 i = 0; i < n; i += 64) sum = sum * 31 + v[i];
  }
  return sum;
}

struct node { struct node *next; u64 value, rest[2]; };
static u64 chase(u64 rounds) {
  u32 n = 8192;
  struct node *nodes = tagged(n * sizeof *nodes, 10);
  u32 *order = tagged(4 * n, 1);
  for (u32 i = 0; i < n; i++) order[i] = i;
  for (u32 i = n - 1; i > 0; i--) {
    u32 j = next() % i, t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (u32 i = 0; i < n; i++) {
    nodes[order[i]].next = &nodes[order[(i + 1) % n]];
    nodes[order[i]].value = i * 7;
  }
  u64 sum = 0;
  struct node *p = nodes;
  for (rounds *= n; rounds--; p = p->next) sum += p->value;
  return sum;
}

static u64 copy(u64 rounds) {
  u64 *from = tagged(65536, 11), *to = tagged(65536, 12), sum = 0;
  for (u32 i = 0; i < 8192; i++) from[i] = next();
  while (rounds--) {
    const u64 *s = from;
    u64 *d = to, n = 8192, t;
    __asm__ volatile("1: ldr %3, [%0], #8\n str %3, [%1], #8\n subs %2, %2, #1\n b.ne 1b"
                     : "+r"(s), "+r"(d), "+r"(n), "=&r"(t) : : "memory", "cc");
    sum += to[rounds % 8192];
    from[rounds % 8192] += rounds;
  }
  return sum;
}

static u64 collatz(u64 rounds) {
  u64 steps = 0;
  for (u64 i = 1; i <= rounds * 1000; i++)
    for (u64 n = i; n != 1; steps++) n = n & 1 ? 3 * n + 1 : n >> 1;
  return steps;
}

__attribute__((noinline)) static u64 fibonacci(u64 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
static u64 fib(u64 rounds) {
  u64 sum = 0;
  while (rounds--) {
    sum += fibonacci(20);
    __asm__ volatile("" : : : "memory");
  }
  return sum;
}

static u64 sum(u64 rounds) {
  u64 *v = tagged(16384, 13), total = 0;
  for (u32 i = 0; i < 2048; i++) v[i] = next();
  while (rounds--) {
    const u64 *p = v, *end = v + 2048;
    for (; p < end; p++) {
      total += *p;
      __asm__ volatile("" : "+r"(total));
    }
  }
  return total;
}

static u64 scattered(u64 rounds, u32 bytes) {
  u64 *v = tagged(bytes, 14), total = 0;
  u32 s = 1;
  for (u32 i = 0; i < bytes / 8; i += 512) v[i] = i;
  for (rounds *= 10000; rounds--;) {
    s = s * 1664525 + 1013904223;
    u64 *p = v + (((u64)s * (bytes / 8)) >> 32);
    total += *p;
    *p = total;
  }
  return total;
}
static u64 random2(u64 rounds) { return scattered(rounds, 2 << 20); }
static u64 random16(u64 rounds) { return scattered(rounds, 16 << 20); }
static u64 random64(u64 rounds) { return scattered(rounds, 64 << 20); }

// A heap of size classes that tags what it gives out and what it takes back.
static u64 heap(u64 rounds) {
  static u8 *lists[8], *live[256];
  static u8 classes[256];
  u8 *bump = tagged(1 << 20, 0);
  u64 total = 0;
  for (rounds *= 1000; rounds--;) {
    u32 r = next(), slot = r % 256;
    u32 size = 32 << (r >> 20) % 4;
    u8 *p = live[slot];
    if (p) {
      size = 32 << classes[slot];
      total += *(u64 *)(p + size - 8);
      u8 *q = p; if (tcf) __asm__ volatile("addg %0, %0, #0, #1" : "+r"(q)); if (tcf) for (u32 i = 0; i < size; i += 16) __asm__ volatile("stg %1, [%0]" : : "r"(p + i), "r"(q) : "memory"); p = q;
      *(u8 **)p = lists[classes[slot]];
      lists[classes[slot]] = p;
      live[slot] = 0;
      continue;
    }
    u32 class = (r >> 20) % 4;
    p = lists[class];
    if (p) lists[class] = *(u8 **)p;
    else p = bump, bump += size;
    if (tcf) {
      __asm__ volatile("irg %0, %0, %1" : "+r"(p) : "r"((u64)1));
      for (u32 i = 0; i < size; i += 32) __asm__ volatile("st2g %0, [%0]" : : "r"(p + i) : "memory");
    }
    *(u64 *)(p + size - 8) = r;
    classes[slot] = class;
    live[slot] = p;
  }
  return total;
}

struct loop { char name[12]; u64 (*run)(u64 rounds); };
static const struct loop loops[] = {
  {"sieve", sieve}, {"crc", crc}, {"sha", sha}, {"sort", sort}, {"chase", chase}, {"copy", copy},
  {"collatz", collatz}, {"fib", fib}, {"sum", sum}, {"random2", random2}, {"random16", random16},
  {"random64", random64}, {"heap", heap},
};

static int same(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

__attribute__((used, noreturn)) void begin(u64 *sp) {
  char **argv = (char **)(sp + 1);
  int status = 1;
  if (sp[0] == 4) {
    u64 rounds = 0;
    for (const char *a = argv[1]; *a; a++) rounds = rounds * 10 + *a - '0';
    tcf = same(argv[3], "sync") ? 2 : same(argv[3], "async") ? 4 : 0;
    if (tcf) syscall6(PRCTL, 55, 1 | tcf | 0xfffeul << 3, 0, 0, 0, 0);
    for (u64 i = 0; i < sizeof loops / sizeof *loops; i++) {
      if (!same(loops[i].name, argv[2])) continue;
      u64 result = loops[i].run(rounds);
      u8 line[17];
      for (int at = 0; at < 16; at++) line[at] = "0123456789abcdef"[result >> (60 - 4 * at) & 15];
      line[16] = '\n';
      syscall6(WRITE, 1, (long)line, 17, 0, 0, 0);
      status = 0;
    }
  }
  syscall6(EXIT, status, 0, 0, 0, 0, 0);
  for (;;) ;
}
