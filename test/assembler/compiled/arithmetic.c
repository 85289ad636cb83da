/* Wide arithmetic, bit fields, atomics, byte swaps: a wide choice of instructions. */
typedef unsigned long u64;
typedef long i64;
typedef unsigned int u32;
typedef int i32;
typedef unsigned __int128 u128;

struct bits { u32 a : 3, b : 7, c : 12; u64 d : 40; i32 e : 5; };

u64 high_product(u64 a, u64 b) { return (u64)(((u128)a * b) >> 64); }
u128 add_wide(u128 a, u128 b) { return a + b * 3; }
i64 divide(i64 a, i64 b) { return a / b + a % b; }
u32 by_constant(u32 a) { return a / 10 + a % 7 + a / 1000003; }
u64 swap(u64 x) { return __builtin_bswap64(x) ^ __builtin_bswap32((u32)x); }
int count(u64 x) { return __builtin_clzl(x) + __builtin_ctzl(x | 1); }
u64 rotate(u64 x, int n) { return (x << (n & 63)) | (x >> (-n & 63)); }
u64 constants(int i)
{
	switch (i & 7) {
	case 0: return 0xff00ff00ff00ff00ul;
	case 1: return 0x123456789abcdef0ul;
	case 2: return 0xfffffffffffffff0ul;
	case 3: return 0xffff0000ffff1234ul;
	case 4: return 0x7fffffff00000000ul;
	case 5: return 0x5555555555555555ul;
	case 6: return 0xffffffff;
	default: return 65536;
	}
}
void pack(struct bits *s, u32 a, u64 d) { s->a = a; s->b = a >> 3; s->c = a >> 10; s->d = d; s->e = -a; }
i64 unpack(const struct bits *s) { return s->a + s->b * s->c - s->d + s->e; }
u64 atomic_work(u64 *p, u32 *q)
{
	u64 sum = __atomic_fetch_add(p, 5, __ATOMIC_ACQ_REL);
	sum += __atomic_exchange_n(q, 7, __ATOMIC_SEQ_CST);
	u64 expected = 9;
	__atomic_compare_exchange_n(p, &expected, 11, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
	__atomic_store_n(q, 1, __ATOMIC_RELEASE);
	return sum + expected + __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
u64 select(u64 a, i64 b, u32 c)
{
	u64 r = a > 100 ? a + 1 : ~a;
	r ^= b < -5 ? -b : b;
	return c == 3 || c > 17 ? r : r << (c & 31);
}
void copy(char *to, const char *from, u64 n) { while (n--) *to++ = *from++ ^ 0x5a; }
i64 sum_signed(const signed char *a, const short *b, const int *c, int n)
{
	i64 s = 0;
	for (int i = 0; i < n; i++)
		s += a[i] * (i64)b[i] + c[i];
	return s;
}
int variadic(int n, ...)
{
	__builtin_va_list ap;
	int s = 0;
	__builtin_va_start(ap, n);
	while (n--)
		s += __builtin_va_arg(ap, int);
	__builtin_va_end(ap);
	return s;
}
__thread int per_thread = 3;
static __thread u64 zero_per_thread[4];
u64 thread_local_use(int i) { zero_per_thread[i & 3] += per_thread; return zero_per_thread[0] + per_thread++; }
__attribute__((weak)) int maybe(int x) { return x; }
int weak_call(int x) { return maybe(x); }
int big_frame(int x) { volatile char buffer[70000]; buffer[x] = 1; buffer[69999] = 2; return buffer[x & 7]; }
int common_data[1000];
int *common_address(int i) { return &common_data[i]; }
