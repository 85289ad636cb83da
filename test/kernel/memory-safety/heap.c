/* What a tagged heap must catch, and what it must let pass. PROGRAM safe|after-free|overflow|after-free-read [handler] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "ballast.h"

#ifdef ASK_FOR_CHECKS
/* Before the allocator's first use, which looks whether the process has its tags checked. */
__attribute__((constructor(101))) static void askForChecks(void) {
    const char *mode = getenv("TCF");
    unsigned long tcf = mode && !strcmp(mode, "async") ? PR_MTE_TCF_ASYNC : PR_MTE_TCF_SYNC;
    if (prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE | tcf | 0xfffeUL << PR_MTE_TAG_SHIFT, 0, 0, 0))
        abort();
}
#endif

static unsigned long state = 1;
static unsigned long next(void) { return (state = state * 6364136223846793005UL + 1442695040888963407UL) >> 33; }

/* Small, middling and large blocks in no order of their own, each full of what its size says. */
static void churn(void) {
    static unsigned char *blocks[200];
    static size_t sizes[200];
    unsigned long wrong = 0, tagged = 0, bytes = 0;
    for (int i = 0; i < 4000; i++) {
        int at = next() % 200;
        for (size_t k = 0; k < sizes[at]; k += 61) wrong += blocks[at][k] != (unsigned char)sizes[at];
        size_t size = i % 500 == 499 ? 300000 : next() % (i % 10 ? 200 : 9000) + 1;
        if (i % 3) {
            free(blocks[at]);
            blocks[at] = malloc(size);
        } else {
            blocks[at] = realloc(blocks[at], size);
        }
        memset(blocks[at], (int)size, size);
        sizes[at] = size;
        tagged += (unsigned long)blocks[at] >> 56 != 0;
        bytes += size;
    }
    for (int i = 0; i < 200; i++) free(blocks[i]);
    printf("%lu bytes, %lu wrong, tags %s\n", bytes, wrong, tagged > 3000 ? "nearly everywhere" : "seldom");
}

static void handler(int number, siginfo_t *info, void *context) {
    char text[64];
    write(1, text, snprintf(text, sizeof text, "signal %d, si_code %d\n", number, info->si_code));
    _exit(9);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "safe";
    if (argc > 2) {
        struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
        sigaction(SIGSEGV, &action, 0);
    }
    takeBallast();
    churn();
    printf("ballast: %lu pages lost\n", lostBallast());
    fflush(stdout);
    char *p = malloc(100);
    memset(p, 1, 100);
    volatile char *v = p;
    if (!strcmp(what, "after-free") || !strcmp(what, "after-free-read")) free(p);
    if (!strcmp(what, "after-free")) v[0] = 1;
    if (!strcmp(what, "after-free-read")) (void)v[8];
    if (!strcmp(what, "overflow")) v[112] = 1;
    getppid();
    puts("survived");
    return 3;
}
