/* Switches, jump tables, function pointers, static and constant data. */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

struct point { int x, y; short z; char tag; };
struct list { struct list *next; u64 value; const char *name; };

static int counter;
int exported = 42;
static u64 zeroed[512];
const struct point points[] = { { 1, 2, 3, 'a' }, { -4, 5, -6, 'b' } };
static const char *const names[] = { "zero", "one", "two", "three" };
static struct list third = { 0, 3, "third" };
static struct list second = { &third, 2, "second" };
struct list first = { &second, 1, "first" };

static int add(int a, int b) { return a + b; }
static int sub(int a, int b) { return a - b; }
static int mul(int a, int b) { return a * b; }
int (*const operations[])(int, int) = { add, sub, mul };

int dispatch(int op, int a, int b)
{
	switch (op) {
	case 0: return a + b;
	case 1: return a - b;
	case 2: return a * b;
	case 3: return b ? a / b : 0;
	case 4: return a ^ b;
	case 5: counter++; return a | b;
	case 6: return a << (b & 31);
	case 7: exported = a; return a >> (b & 31);
	case 1000: return 7;
	case 1000000: return 8;
	default: return operations[op % 3](a, b);
	}
}

const char *name_of(unsigned i) { return i < 4 ? names[i] : "many"; }

u64 walk(void)
{
	u64 sum = 0;
	for (struct list *l = &first; l; l = l->next) {
		sum += l->value;
		for (const char *c = l->name; *c; c++)
			sum = sum * 31 + (u8)*c;
	}
	return sum;
}

u64 fill(u64 n)
{
	u64 sum = 0;
	for (u64 i = 0; i < n && i < 512; i++)
		zeroed[i] = i * 0x9e3779b97f4a7c15ul;
	for (u64 i = 0; i < 512; i++)
		sum ^= zeroed[i] >> (i & 63);
	return sum + counter;
}

int sign(const struct point *p) { return p->x < 0 ? -1 : p->z > 0 ? p->tag : 0; }

static void write_all(const char *s, u64 n)
{
	register u64 x0 __asm__("x0") = 1;
	register const char *x1 __asm__("x1") = s;
	register u64 x2 __asm__("x2") = n;
	register u64 x8 __asm__("x8") = 64;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
}

__attribute__((noreturn)) void _start(void)
{
	char text[17];
	u64 sum = walk() + fill(100) + dispatch(9, 6, 7) + sign(&points[1]);
	for (int i = 0; i < 16; i++)
		text[i] = "0123456789abcdef"[(sum >> (60 - 4 * i)) & 15];
	text[16] = '\n';
	write_all(text, 17);
	register u64 x0 __asm__("x0") = name_of(2)[0] == 't' ? 0 : 1;
	register u64 x8 __asm__("x8") = 94;
	__asm__ volatile("svc #0" : : "r"(x0), "r"(x8));
	__builtin_unreachable();
}
