/* A stack that the compiler tags (clang -fsanitize=memtag). PROGRAM INDEX */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "ballast.h"

static void __attribute__((noinline)) put(volatile char *p, int i) { p[i] = 1; }

static int __attribute__((noinline)) victim(int i) {
    char array[32], other[16];
    memset(array, 0, sizeof array);
    put(other, 3);
    put(array, i);
    return (uintptr_t)array >> 56 != 0;
}

/* A frame deep, each with tags of its own, cleared on return. */
static int __attribute__((noinline)) deep(int n) {
    char array[48];
    put(array, n % 48);
    return n == 0 ? 0 : deep(n - 1) + array[n % 48];
}

int main(int argc, char **argv) {
    unsigned long low = 0, high = 0;
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "[stack]")) sscanf(line, "%lx-%lx", &low, &high);
    fclose(maps);
    if (mprotect((void *)low, high - low, PROT_READ | PROT_WRITE | 0x20 /* PROT_MTE */)) abort();
    unsigned long tcf = getenv("TCF") && !strcmp(getenv("TCF"), "async") ? PR_MTE_TCF_ASYNC : PR_MTE_TCF_SYNC;
    if (prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE | tcf | 0xfffeUL << PR_MTE_TAG_SHIFT, 0, 0, 0))
        abort();
    takeBallast();
    printf("deep %d\n", deep(300));
    printf("ballast: %lu pages lost\n", lostBallast());
    fflush(stdout);
    int tagged = victim(atoi(argv[1]));
    printf("survived, %s\n", tagged ? "tagged" : "untagged");
    return 3;
}
