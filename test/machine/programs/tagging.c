/*
 * A bare program in C: its own page tables and vectors at EL1, memory Normal Tagged, and what tag checks do in
 * each of SCTLR_EL1.TCF's modes. Prints over PL011, ends over semihosting.
 *
 *     aarch64-linux-gnu-gcc -O2 -march=armv8.5-a+memtag -ffreestanding -nostdlib -static -mgeneral-regs-only \
 *       -fno-pic -fno-stack-protector -Wl,-Ttext=0x40080000,--build-id=none -o tagging.elf tagging.c
 *     aarch64-linux-gnu-objcopy -O binary tagging.elf tagging.bin
 */
typedef unsigned long u64;
typedef unsigned char u8;

__asm__(".section .text.unlikely, \"ax\"\n"
        ".global _start\n"
        "_start: adrp x0, stack_top\n"
        "  add x0, x0, :lo12:stack_top\n"
        "  mov sp, x0\n"
        "  bl run\n"
        "  b .\n"
        ".text\n"
        ".balign 2048\n"
        "vectors:\n"
        "  .org vectors + 0x200\n"
        "  stp x0, x30, [sp, #-176]!\n"
        "  stp x1, x2, [sp, #16]\n"
        "  stp x3, x4, [sp, #32]\n"
        "  stp x5, x6, [sp, #48]\n"
        "  stp x7, x8, [sp, #64]\n"
        "  stp x9, x10, [sp, #80]\n"
        "  stp x11, x12, [sp, #96]\n"
        "  stp x13, x14, [sp, #112]\n"
        "  stp x15, x16, [sp, #128]\n"
        "  stp x17, x18, [sp, #144]\n"
        "  bl on_exception\n"
        "  ldp x1, x2, [sp, #16]\n"
        "  ldp x3, x4, [sp, #32]\n"
        "  ldp x5, x6, [sp, #48]\n"
        "  ldp x7, x8, [sp, #64]\n"
        "  ldp x9, x10, [sp, #80]\n"
        "  ldp x11, x12, [sp, #96]\n"
        "  ldp x13, x14, [sp, #112]\n"
        "  ldp x15, x16, [sp, #128]\n"
        "  ldp x17, x18, [sp, #144]\n"
        "  ldp x0, x30, [sp], #176\n"
        "  eret\n"
        "  .org vectors + 0x800\n"
        ".bss\n"
        ".balign 16\n"
        ".skip 16384\n"
        "stack_top:\n"
        ".text\n");

#define READ(reg) ({ u64 v_; __asm__ volatile("mrs %0, " #reg : "=r"(v_)); v_; })
#define WRITE(reg, value) __asm__ volatile("msr " #reg ", %0\n isb" : : "r"((u64)(value)) : "memory")

static u64 table[512] __attribute__((aligned(4096)));
static u8 heap[4096] __attribute__((aligned(4096)));
static volatile u64 faults, last_esr, last_far;

static void put(char c) { *(volatile unsigned *)0x09000000 = (u8)c; }
static void text(const char *s) { while (*s) put(*s++); }
static void hex(u64 value)
{
    text("0x");
    for (int shift = 60; shift >= 0; shift -= 4)
        if (value >> shift || !shift) put("0123456789abcdef"[value >> shift & 15]);
}
static void line(const char *what, u64 value)
{
    text(what);
    put(' ');
    hex(value);
    put('\n');
}

void on_exception(void)
{
    faults++;
    last_esr = READ(esr_el1);
    last_far = READ(far_el1);
    WRITE(elr_el1, READ(elr_el1) + 4);
}

static void *tagged(void *p, u64 tag) { return (void *)((u64)p | tag << 56); }
static void store_tag(void *p) { __asm__ volatile("stg %0, [%0]" : : "r"(p) : "memory"); }
static u64 load_tag(void *p)
{
    u64 v = (u64)p;
    __asm__ volatile("ldg %0, [%0]" : "+r"(v) : : "memory");
    return v >> 56 & 15;
}
static void store(void *p, u64 value) { __asm__ volatile("str %1, [%0]" : : "r"(p), "r"(value) : "memory"); }
static u64 load(void *p)
{
    u64 v = 0;
    __asm__ volatile("ldr %0, [%1]" : "+r"(v) : "r"(p) : "memory");
    return v;
}

static void mmu_on(void)
{
    table[0] = 0x0ul | 0x401 | 1ul << 54 | 1ul << 53;           /* devices: attribute 0, AF */
    table[1] = 0x40000000ul | 0x701 | 1 << 2;                   /* memory: attribute 1, inner shareable, AF */
    WRITE(mair_el1, 0xf000);
    WRITE(tcr_el1, 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1ul << 23 | 2ul << 32 | 1ul << 37);
    WRITE(ttbr0_el1, table);
    __asm__ volatile("tlbi vmalle1\n dsb sy\n isb" : : : "memory");
    WRITE(sctlr_el1, READ(sctlr_el1) | 1 | 1 << 2 | 1 << 12 | 1ul << 43);
}

static void checks(const char *name, u64 tcf)
{
    u8 *good = tagged(heap, 5), *bad = tagged(heap, 6);
    WRITE(sctlr_el1, (READ(sctlr_el1) & ~(3ul << 40)) | tcf << 40);
    WRITE(tfsr_el1, 0);
    text(name);
    put('\n');
    faults = 0;
    store(good, tcf);
    line("  right tag, faults", faults);
    store(bad, 77);
    __asm__ volatile("dsb nsh\n isb" : : : "memory");
    line("  wrong store, faults", faults);
    line("  tfsr", READ(tfsr_el1));
    if (faults) {
        line("  esr", last_esr);
        line("  far", last_far);
    }
    WRITE(tfsr_el1, 0);
    faults = 0;
    (void)load(bad + 8);
    __asm__ volatile("dsb nsh\n isb" : : : "memory");
    line("  wrong load, faults", faults);
    line("  tfsr", READ(tfsr_el1));
    line("  memory", load(good));
}

int run(void)
{
    extern char vectors[];
    WRITE(vbar_el1, vectors);
    mmu_on();
    line("ctlr", READ(sctlr_el1) >> 40 & 0xf);
    for (u64 at = 0; at < 64; at += 16) store_tag(tagged(heap + at, 5 + at / 16));
    for (u64 at = 0; at < 64; at += 16) line("tag", load_tag(heap + at));
    checks("none", 0);
    checks("sync", 1);
    checks("async", 2);
    checks("asymm", 3);
    static const u64 block[2] = { 0x20026, 3 };
    __asm__ volatile("mov w0, #0x20\n mov x1, %0\n hlt #0xf000" : : "r"(block) : "x0", "x1", "memory");
    return 0;
}
