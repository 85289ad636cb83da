/* PROGRAM WHAT: takes all there is of something. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1UL << 20)

static void hog(void) {
    for (;;) {
        char *p = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) _exit(8);
        for (unsigned long at = 0; at < MIB; at += 4096) p[at] = 1;
    }
}

static void adjust(const char *value) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (write(fd, value, strlen(value)) < 0) printf("adjust %s: %s\n", value, strerror(errno));
    close(fd);
}

static const char *ended(int status, char *text) {
    if (WIFSIGNALED(status)) sprintf(text, "signal %d", WTERMSIG(status));
    else sprintf(text, "status %d", WEXITSTATUS(status));
    return text;
}

/* The biggest dies; a small one that offers itself dies before it, one that must not die never does. */
static int victims(int offers) {
    char text[32], told[8];
    int ready[2], status;
    pipe(ready);
    int small = fork();
    if (small == 0) {
        adjust(offers ? "1000" : "-1000");
        memset(malloc(4 * MIB), 1, 4 * MIB);
        write(ready[1], "r", 1);
        pause();
    }
    read(ready[0], told, 1);
    int big = fork();
    if (big == 0) hog();
    int first = wait(&status);
    printf("%s first: %s\n", first == small ? "small" : first == big ? "big" : "?", ended(status, text));
    if (first == small) {
        waitpid(big, &status, 0);
        printf("big: %s\n", ended(status, text));
    } else {
        printf("small is %s\n", kill(small, 0) == 0 && waitpid(small, &status, WNOHANG) == 0 ? "there" : "gone");
        kill(small, SIGKILL);
        wait(0);
    }
    return 0;
}

static long counter(const char *name) {
    static char text[65536];
    int fd = open("/proc/vmstat", O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    char *line = strstr(text, name);
    return line ? atol(line + strlen(name)) : -1;
}

/* The kernel itself touches the pages, for a call: the killer's turn too, and no EFAULT. */
static void readAll(void) {
    int zero = open("/dev/zero", O_RDONLY);
    for (;;) {
        char *p = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) _exit(8);
        if (read(zero, p, MIB) != MIB) _exit(9);
    }
}

static void tagAll(void) {
    int zero = open("/dev/zero", O_RDONLY);
    prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE | PR_MTE_TCF_SYNC, 0, 0, 0);
    for (;;) {
        char *p = mmap(0, MIB, PROT_READ | PROT_WRITE | 0x20, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) _exit(8);
        if (read(zero, p, MIB) != MIB) _exit(9);
        p = (char *)((unsigned long)p | 5UL << 56);
        for (unsigned long at = 0; at < MIB; at += 4096) {
            __asm__ volatile(".arch armv8.5-a+memtag\n stg %0, [%0]" ::"r"(p + at) : "memory");
            p[at] = 1;
        }
    }
}

/* A child dies of it; all it had is free again, whoever needs it. */
static int child(void (*what)(void)) {
    char text[32];
    int status;
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) what();
        wait(&status);
        printf("%s, oom_kill %ld\n", ended(status, text), counter("oom_kill "));
    }
    char *rest = mmap(0, 40 * MIB, PROT_READ | PROT_WRITE | 0x20, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    memset(rest, 1, 40 * MIB);
    printf("40 MiB since, oom_kill %ld\n", counter("oom_kill "));
    return 0;
}

/* What can be written back or swapped out is no reason to kill anybody. */
static int reclaimable(const char *path) {
    static char block[65536];
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 1600; i++) {
        memset(block, i, sizeof block);
        if (write(fd, block, sizeof block) != sizeof block) return 1;
    }
    char *anon = mmap(0, 80 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned long at = 0; at < 80 * MIB; at += 4096) *(unsigned long *)(anon + at) = at;
    unsigned long wrong = 0;
    for (unsigned long at = 0; at < 80 * MIB; at += 4096) wrong += *(unsigned long *)(anon + at) != at;
    for (int i = 0; i < 1600; i += 7) {
        pread(fd, block, sizeof block, i * (long)sizeof block);
        wrong += block[99] != (char)i;
    }
    printf("%lu wrong, oom_kill %ld, swapped %d\n", wrong, counter("oom_kill "), counter("pswpout ") > 0);
    return 0;
}

static int forks(void) {
    int count = 0, error = 0;
    for (;;) {
        int pid = fork();
        if (pid == 0) for (;;) pause();
        if (pid < 0) {
            error = errno;
            break;
        }
        count++;
    }
    printf("%s children, then %s\n", count > 20 ? "many" : "few", strerror(error));
    fflush(stdout);
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    int reaped = 0;
    while (wait(0) > 0) reaped++;
    printf("%d missing\n", count - reaped);
    return fork() == 0 ? (_exit(0), 0) : 0;
}

/* RLIMIT_NPROC counts the user's, not root's; a child gets the answer, whoever else there is. */
static int userForks(void) {
    int status;
    if (fork() == 0) {
        struct rlimit most = {12, 12};
        setrlimit(RLIMIT_NPROC, &most);
        if (setuid(1000)) _exit(50);
        int count = 0, pid;
        while ((pid = fork()) > 0) count++;
        if (pid == 0) for (;;) pause();
        _exit(errno == EAGAIN ? count : 60);
    }
    wait(&status);
    printf("%d children, one's own counted too\n", WEXITSTATUS(status));
    return fork() == 0 ? (_exit(0), 0) : 0;
}

/* Numbers of processes: more are made, one after the other, than there are. */
static int numbers(void) {
    int last = 0, wrapped = 0, low = 0;
    for (int i = 0; i < 34000 && !wrapped; i++) {
        int pid = vfork();
        if (pid == 0) _exit(0);
        if (pid < 0) return 1;
        waitpid(pid, 0, 0);
        wrapped = pid < last;
        if (wrapped) low = pid;
        last = pid;
    }
    printf("wrapped %d, to %s\n", wrapped, low >= 300 && low < 400 ? "a low number" : "elsewhere");
    return 0;
}

static void *sleepy(void *unused) {
    for (;;) pause();
    return unused;
}

static int threads(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    int count = 0, error;
    pthread_t thread;
    while ((error = pthread_create(&thread, &attributes, sleepy, 0)) == 0 && count < 100000) count++;
    printf("%s threads, then %s\n", count > 20 ? "many" : "few", strerror(error));
    return 0;
}

static int descriptors(void) {
    int count = 0, ends[2];
    while (pipe(ends) == 0) count += 2;
    printf("%d descriptors, then %s\n", count + 3, strerror(errno));
    return 0;
}

static int mappings(void) {
    unsigned long count = 0;
    while (mmap(0, 4096, count % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        count++;
    printf("%s mappings, then %s\n", count > 60000 ? "many" : "few", strerror(errno));
    return 0;
}

static volatile int depth;
static __attribute__((noinline)) int recurse(int n) {
    volatile char room[256];
    room[0] = (char)n;
    depth++;
    return recurse(n + 1) + room[0];
}

static volatile unsigned long handled;
static void again(int number) {
    handled++;
    kill(getpid(), number);
}

static int signals(int nested) {
    struct sigaction action = {.sa_handler = again, .sa_flags = nested ? SA_NODEFER : 0};
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    return 1;
}

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IOLBF, 0);
    const char *what = argv[1];
    if (!strcmp(what, "memory")) hog();
    if (!strcmp(what, "reads")) return child(readAll);
    if (!strcmp(what, "tags")) return child(tagAll);
    if (!strcmp(what, "reclaimable")) return reclaimable(argv[2]);
    if (!strcmp(what, "nobody")) {
        adjust("-1000");
        hog();
    }
    if (!strcmp(what, "offers")) return victims(1);
    if (!strcmp(what, "refuses")) return victims(0);
    if (!strcmp(what, "forks")) return forks();
    if (!strcmp(what, "user-forks")) return userForks();
    if (!strcmp(what, "numbers")) return numbers();
    if (!strcmp(what, "fork-bomb")) for (;;) fork();
    if (!strcmp(what, "threads")) return threads();
    if (!strcmp(what, "descriptors")) return descriptors();
    if (!strcmp(what, "mappings")) return mappings();
    if (!strcmp(what, "recursion")) return recurse(0);
    if (!strcmp(what, "nested-signals")) return signals(1);
    if (!strcmp(what, "signals")) return signals(0);
    return 99;
}
