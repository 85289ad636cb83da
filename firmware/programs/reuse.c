/*
 * reuse: the life of tag storage, seen from a program.
 *
 * Fills memory with ordinary data until tag storage has to hold some of it, drops a part of the data,
 * then asks for tagged memory, tags every granule of it, and checks that no byte of the data and no tag
 * was lost. It then gives the tagged memory back, so that its tag storage can be lent again.
 *
 * Arguments: MiB of data, MiB of tagged memory, MiB of data to drop before (defaults 8, 1 and 2).
 * No C library: five system calls and the MTE instructions.
 *
 * Made with (Debian 12, gcc 12.2):
 *   aarch64-linux-gnu-gcc -O2 -march=armv8.5-a+memtag -mgeneral-regs-only -ffreestanding -fno-pic -no-pie \
 *     -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
 *     -s -o reuse.elf reuse.c
 */

typedef unsigned long u64;

enum { SYS_write = 64, SYS_exit_group = 94, SYS_prctl = 167, SYS_munmap = 215, SYS_mmap = 222 };
enum { PROT_READ = 1, PROT_WRITE = 2, PROT_MTE = 0x20, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20 };
enum { PR_SET_TAGGED_ADDR_CTRL = 55, PR_TAGGED_ADDR_ENABLE = 1, PR_MTE_TCF_SYNC = 2, PR_MTE_TAG_SHIFT = 3 };
enum { PAGE = 4096, GRANULE = 16, WORDS_PER_PAGE = 2 };

static long syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

static char line[160];
static int length;

static void put(const char *text)
{
	while (*text && length < (int)sizeof line)
		line[length++] = *text++;
}

static void put_decimal(u64 value)
{
	char digits[24];
	int n = 0;
	do
		digits[n++] = '0' + value % 10;
	while (value /= 10);
	while (n)
		line[length++] = digits[--n];
}

static void put_hex(u64 value)
{
	put("0x");
	for (int shift = 60; shift >= 0; shift -= 4)
		line[length++] = "0123456789abcdef"[value >> shift & 15];
}

static void say(void)
{
	put("\n");
	syscall6(SYS_write, 1, (long)line, length, 0, 0, 0);
	length = 0;
}

static void stop(int status)
{
	for (;;)
		syscall6(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

static char *map(u64 bytes, int protection)
{
	long at = syscall6(SYS_mmap, 0, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096) {
		put("reuse: mmap failed with error ");
		put_decimal(-at);
		say();
		stop(1);
	}
	return (char *)at;
}

/* A different value for every word of memory, so that a page in the wrong place cannot pass. */
static u64 pattern(u64 page, u64 word)
{
	u64 x = (page * WORDS_PER_PAGE + word + 1) * 0x9e3779b97f4a7c15ul;
	return x ^ x >> 29;
}

static u64 number(const char *text, u64 otherwise)
{
	u64 value = 0;
	if (!text)
		return otherwise;
	while (*text >= '0' && *text <= '9')
		value = value * 10 + (*text++ - '0');
	return value;
}

static u64 check_data(const char *data, u64 first, u64 pages, u64 *checksum)
{
	u64 wrong = 0, sum = 0;
	for (u64 page = first; page < pages; page++) {
		const u64 *words = (const u64 *)(data + page * PAGE);
		for (u64 word = 0; word < WORDS_PER_PAGE; word++) {
			u64 value = words[word * (PAGE / 8 / WORDS_PER_PAGE)];
			wrong += value != pattern(page, word);
			sum = (sum << 1 | sum >> 63) ^ value;
		}
	}
	*checksum = sum;
	return wrong;
}

__attribute__((used)) void start(u64 *sp)
{
	u64 argc = sp[0];
	u64 data_mib = number(argc > 1 ? (const char *)sp[2] : 0, 8);
	u64 tagged_mib = number(argc > 2 ? (const char *)sp[3] : 0, 1);
	u64 dropped_mib = number(argc > 3 ? (const char *)sp[4] : 0, 2);
	u64 pages = data_mib << 8, dropped = dropped_mib << 8, tagged_bytes = tagged_mib << 20;
	u64 checksum, wrong;

	syscall6(SYS_prctl, PR_SET_TAGGED_ADDR_CTRL,
		 PR_TAGGED_ADDR_ENABLE | PR_MTE_TCF_SYNC | 0xfffe << PR_MTE_TAG_SHIFT, 0, 0, 0, 0);

	char *data = map(data_mib << 20, PROT_READ | PROT_WRITE);
	for (u64 page = 0; page < pages; page++)
		for (u64 word = 0; word < WORDS_PER_PAGE; word++)
			((u64 *)(data + page * PAGE))[word * (PAGE / 8 / WORDS_PER_PAGE)] = pattern(page, word);
	put("filled ");
	put_decimal(pages);
	put(" pages with data");
	say();

	syscall6(SYS_munmap, (long)data, dropped_mib << 20, 0, 0, 0, 0);
	put("dropped ");
	put_decimal(dropped);
	put(" of them");
	say();

	/* One random tag for each run of four granules, remembered in the data of its first granule. */
	char *tagged = map(tagged_bytes, PROT_READ | PROT_WRITE | PROT_MTE);
	for (u64 at = 0; at < tagged_bytes; at += 4 * GRANULE) {
		char *p;
		__asm__ volatile("irg %0, %1" : "=r"(p) : "r"(tagged + at));
		for (int i = 0; i < 4; i++)
			__asm__ volatile("stg %0, [%0]" : : "r"(p + i * GRANULE) : "memory");
		*(u64 *)p = (u64)p;
	}
	put("tagged ");
	put_decimal(tagged_bytes / GRANULE);
	put(" granules");
	say();

	u64 bad_tags = 0, tag_sum = 0;
	for (u64 at = 0; at < tagged_bytes; at += 4 * GRANULE) {
		u64 first = 0;
		for (int i = 0; i < 4; i++) {
			u64 p = (u64)(tagged + at + i * GRANULE);
			__asm__ volatile("ldg %0, [%0]" : "+r"(p) : : "memory");
			if (i == 0)
				first = *(u64 *)p;
			bad_tags += p != first + i * GRANULE;
			tag_sum = (tag_sum << 1 | tag_sum >> 63) ^ p >> 56;
		}
		bad_tags += (first >> 56 & 15) == 0;
	}
	wrong = check_data(data, dropped, pages, &checksum);
	put("verified: ");
	put_decimal(wrong);
	put(" words of data and ");
	put_decimal(bad_tags);
	put(" tags differ");
	say();

	syscall6(SYS_munmap, (long)tagged, tagged_bytes, 0, 0, 0, 0);
	wrong += check_data(data, dropped, pages, &checksum);
	put("freed the tagged memory, data checksum ");
	put_hex(checksum);
	put(tag_sum ? "" : ", no tags seen");
	say();
	stop(wrong || bad_tags || !tag_sum);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	b start\n");
