/* ROUNDS PROGRAM ARG...: the program runs ROUNDS times, the last time visibly, while another process holds BALLAST MiB
 * of the machine and finds them untouched afterwards, and a third one tags CHURN pages again and again, PAUSE
 * microseconds apart, so that tag storage changes hands whatever the program does. Ends as the program did; 90 and up
 * if something else is wrong. */
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../memory-safety/ballast.h"

#define PAGE 4096
/* Plain pages for each that is tagged. */
#define PLAIN 4
#define PROT_MTE 0x20
/* PR_SET_TAGGED_ADDR_CTRL; addresses with tags, synchronous checks, tags from 1 on. */
#define TAGGED_ADDR_CTRL 55
#define CHECKED (1 | 1 << 1 | 0xfffe << 3)

static char *mapped(long pages, int more) {
    return mmap(0, pages * PAGE, PROT_READ | PROT_WRITE | more, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Round for round: plain pages with numbers, for which those of the last round but one go, and pages with tags in what
 * these leave: they want tag storage in which the former lie. Looks at all of that. Until nobody holds `over` open. */
static int churn(long pages, int ready, int over) {
    struct pollfd end = {over, POLLIN};
    struct timespec pause = {0, (getenv("PAUSE") ? atol(getenv("PAUSE")) : 1000) * 1000};
    char *plain[2] = {0};
    if (prctl(TAGGED_ADDR_CTRL, CHECKED, 0, 0, 0)) return 1;
    for (long round = 1; poll(&end, 1, 0) == 0; round++) {
        char *now = plain[round % 2] = mapped(PLAIN * pages, 0), *last = plain[1 - round % 2];
        if (now == MAP_FAILED) return 2;
        for (long i = 0; i < PLAIN * pages; i++) *(long *)(now + i * PAGE) = round * i;
        for (long i = 0; last != 0 && i < PLAIN * pages; i++) {
            if (*(long *)(last + i * PAGE) != (round - 1) * i) return 3;
        }
        if (last != 0) munmap(last, PLAIN * pages * PAGE);
        char *at = mapped(pages, PROT_MTE);
        if (at == MAP_FAILED) return 2;
        for (long i = 0; i < pages; i++) {
            char *tagged = (char *)((unsigned long)(at + i * PAGE) | (1 + (round + i) % 15) << 56);
            asm volatile(".arch armv8.5-a+memtag\nstg %0, [%0]" : : "r"(tagged) : "memory");
            *(long *)tagged = round + i;
        }
        if (round == 3 && write(ready, "c", 1) != 1) return 4;
        nanosleep(&pause, 0);
        for (long i = 0; i < pages; i++) {
            unsigned long tagged = (unsigned long)(at + i * PAGE);
            asm volatile(".arch armv8.5-a+memtag\nldg %0, [%0]" : "+r"(tagged));
            if (tagged >> 56 != 1 + (round + i) % 15 || *(long *)tagged != round + i) return 5;
        }
        munmap(at, pages * PAGE);
    }
    return 0;
}

static int ran(char **argv, int visible) {
    int status;
    int pid = fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR);
        if (!visible) {
            dup2(nowhere, 1);
            dup2(nowhere, 2);
        }
        close(nowhere);
        execv(argv[0], argv);
        _exit(99);
    }
    if (waitpid(pid, &status, 0) != pid) return 98;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    int ready[2], over[2], lost, churned = 0, status = 0;
    char byte;
    if (argc < 3 || pipe(ready) || pipe(over)) return 97;
    int holder = fork();
    if (holder == 0) {
        takeBallast();
        if (write(ready[1], "r", 1) != 1) _exit(96);
        close(over[1]);
        if (read(over[0], &byte, 1) != 0) _exit(95);
        _exit(lostBallast() != 0);
    }
    if (read(ready[0], &byte, 1) != 1) return 96;
    long pages = getenv("CHURN") ? atol(getenv("CHURN")) : 0;
    int churner = pages == 0 ? 0 : fork();
    if (pages != 0 && churner == 0) {
        close(over[1]);
        _exit(churn(pages, ready[1], over[0]));
    }
    if (pages != 0 && read(ready[0], &byte, 1) != 1) return 96;
    close(ready[0]);
    close(ready[1]);
    close(over[0]);
    fcntl(over[1], F_SETFD, FD_CLOEXEC);
    int rounds = atoi(argv[1]);
    for (int round = 1; round <= rounds; round++) {
        int now = ran(argv + 2, round == rounds);
        if (round > 1 && now != status) return 94;
        status = now;
    }
    close(over[1]);
    if (waitpid(holder, &lost, 0) != holder || lost != 0) return 93;
    if (churner != 0 && (waitpid(churner, &churned, 0) != churner || churned != 0)) return 92;
    return status;
}
