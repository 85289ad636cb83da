/* Untagged memory to fill the machine with: BALLAST MiB, each page with its own number, looked at again at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static unsigned long *ballast, ballastPages;

static void takeBallast(void) {
    ballastPages = getenv("BALLAST") ? strtoul(getenv("BALLAST"), 0, 10) * 256 : 0;
    if (!ballastPages) return;
    ballast = mmap(0, ballastPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ballast == MAP_FAILED) abort();
    for (unsigned long i = 0; i < ballastPages; i++) ballast[i * 512] = i + 1;
}

static unsigned long lostBallast(void) {
    unsigned long lost = 0;
    for (unsigned long i = 0; i < ballastPages; i++) lost += ballast[i * 512] != i + 1;
    return lost;
}
