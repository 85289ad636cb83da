// Everything that moves pages at once: threads of several processes tag, protect, fork, advise and hand around memory
// whose contents and tags they know, while ksmd, khugepaged, kswapd, compaction and hibernation are at work on it.
// Arguments: operations of each thread, seed, and whether one thread hibernates.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROT_MTE 0x20
#define RW (PROT_READ | PROT_WRITE)
#define THREADS 3
#define PROCESSES 2
#define AREAS 4
#define PAGES 12
#define HUGE (2L << 20)
#define HUGE_PAGES 40
enum { MERGEABLE = 12, UNMERGEABLE, HUGEPAGE, NOHUGEPAGE, COLD = 20, PAGEOUT, COLLAPSE = 25 };
static long page = 4096;
static int operations, bad;

// Pages that one thread alone writes; what each holds is known.
struct area {
    char *at;
    long pages;
    int mte, shared, locked;
    int value[HUGE_PAGES], tag[HUGE_PAGES];
};

static void wrong(const char *what, long detail) {
    if (__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED) < 8) dprintf(2, "%d: %s %ld\n", getpid(), what, detail);
}
static void control(void) { prctl(55, 1 | (1 << 1) | (0xfffeL << 3), 0, 0, 0); }
static char *tagged(char *p, int tag) { return (char *)((uintptr_t)p | (uintptr_t)tag << 56); }
static void stg(char *p) { asm volatile(".arch armv8.5-a+memtag\n stg %0, [%0]" ::"r"(p) : "memory"); }
static int ldg(char *p) {
    asm volatile(".arch armv8.5-a+memtag\n ldg %0, [%0]" : "+r"(p)::"memory");
    return (uintptr_t)p >> 56 & 15;
}
static unsigned draw(unsigned *state, unsigned below) {
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}
static void put(const char *name, const char *text) {
    int fd = open(name, O_WRONLY);
    if (fd >= 0) {
        ssize_t ignored = write(fd, text, strlen(text));
        (void)ignored;
        close(fd);
    }
}
static long take(const char *name) {
    char text[4096];
    long total = 0, got;
    int fd = open(name, O_RDONLY);
    while (fd >= 0 && (got = read(fd, text, sizeof text)) > 0) total += got;
    close(fd);
    return total;
}

// The first and the last granule of each page are looked at, and written.
static void write_page(struct area *a, int i, int value, int tag) {
    for (int end = 0; end < 2; end++) {
        char *p = a->at + i * page + (end ? page - 16 : 0);
        if (a->mte) stg(p = tagged(p, tag));
        *(long *)p = value;
    }
    a->value[i] = value;
    a->tag[i] = a->mte ? tag : 0;
}
static void look(struct area *a, const char *when) {
    for (int i = 0; i < a->pages; i++) {
        for (int end = 0; end < 2; end++) {
            char *p = a->at + i * page + (end ? page - 16 : 0);
            if (a->mte && ldg(p) != a->tag[i]) {
                wrong(when, i * 1000000L + a->tag[i] * 100 + ldg(p));
                return;
            }
            if (*(long *)(a->mte ? tagged(p, a->tag[i]) : p) != a->value[i]) wrong(when, i);
        }
    }
}
static void make(struct area *a, unsigned *seed) {
    int kind = draw(seed, 8);
    memset(a, 0, sizeof *a);
    a->mte = kind < 5;
    a->shared = kind == 4 || kind == 7;
    a->pages = kind == 1 || kind == 6 ? HUGE_PAGES : PAGES;
    if (a->shared) {
        int fd = memfd_create("storm", 0);
        if (ftruncate(fd, a->pages * page)) wrong("ftruncate", 0);
        a->at = mmap(0, a->pages * page, RW | (a->mte ? PROT_MTE : 0), MAP_SHARED, fd, 0);
        close(fd);
    } else if (a->pages == HUGE_PAGES) {
        // A whole huge page can be there; the rest of it goes again.
        char *room = mmap(0, 2 * HUGE, RW | (a->mte ? PROT_MTE : 0), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        a->at = (char *)(((uintptr_t)room + HUGE - 1) & -HUGE);
        munmap(room, a->at - room);
        munmap(a->at + HUGE, room + HUGE - a->at);
    } else {
        a->at = mmap(0, a->pages * page, RW | (a->mte ? PROT_MTE : 0), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (a->at == MAP_FAILED) {
        wrong("mmap", kind);
        _exit(70);
    }
}
static long room(struct area *a) { return a->pages == HUGE_PAGES && !a->shared ? HUGE : a->pages * page; }

static void step(struct area *areas, int which, unsigned *seed) {
    struct area *a = &areas[which];
    long size = a->pages * page;
    int first = draw(seed, a->pages), count = 1 + draw(seed, a->pages - first);
    char *from = a->at + first * page;
    switch (draw(seed, 22)) {
    case 0:
    case 1:
    case 2:
        // Few different contents, so that pages can be merged.
        for (int i = first; i < first + count; i++) write_page(a, i, draw(seed, 3), 1 + draw(seed, 3));
        break;
    case 3: madvise(a->at, size, MERGEABLE); break;
    case 4: madvise(a->at, size, UNMERGEABLE); break;
    case 5: madvise(a->at, room(a), draw(seed, 3) ? HUGEPAGE : NOHUGEPAGE); break;
    case 6:
    case 7: madvise(from, count * page, PAGEOUT); break;
    case 8: madvise(from, count * page, COLD); break;
    case 9: madvise(a->at, room(a), COLLAPSE); break;
    case 10:
        if (mprotect(from, count * page, PROT_READ | (a->mte ? PROT_MTE : 0))) wrong("mprotect", 1);
        look(a, "while read-only");
        if (mprotect(from, count * page, RW | (a->mte ? PROT_MTE : 0))) wrong("mprotect", 2);
        break;
    case 11:
        if (mprotect(from, count * page, PROT_NONE)) wrong("mprotect", 3);
        if (mprotect(from, count * page, RW)) wrong("mprotect", 4);
        break;
    case 12:
        // What was there has tag 0 from then on.
        if (!a->mte && mprotect(a->at, size, RW | PROT_MTE)) wrong("mprotect", 5);
        a->mte = 1;
        break;
    case 13: {
        if (a->pages != PAGES) break;
        char *to = mremap(a->at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                          mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (to == MAP_FAILED) wrong("mremap", 0);
        else a->at = to;
        break;
    }
    case 14:
        if (a->shared) break;
        if (madvise(from, count * page, a->locked ? COLD : MADV_DONTNEED)) break;
        if (a->locked) break;
        for (int i = first; i < first + count; i++) a->value[i] = a->tag[i] = 0;
        break;
    case 15:
        if ((a->locked = !a->locked) != 0) {
            if (mlock(a->at, size)) a->locked = 0;
        } else munlock(a->at, size);
        break;
    case 16: {
        // By another way: no tags are looked at.
        char copy[4096];
        struct iovec to = {copy, page}, source = {from, page};
        if (process_vm_readv(getpid(), &to, 1, &source, 1, 0) == page && *(long *)copy != a->value[first])
            wrong("process_vm_readv", first);
        break;
    }
    case 17: {
        pid_t child = fork();
        if (child == 0) {
            bad = 0;
            for (int i = 0; i < AREAS; i++) look(&areas[i], "in a child");
            if (!a->shared) {
                for (int i = first; i < first + count; i++) write_page(a, i, 7, 9);
                look(a, "what a child wrote");
            }
            _exit(bad != 0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) wrong("child", status);
        break;
    }
    case 18:
        munmap(a->at, room(a));
        make(a, seed);
        break;
    case 19:
        switch (draw(seed, 4)) {
        case 0: put("/proc/sys/vm/compact_memory", "1"); break;
        case 1: put("/proc/sys/vm/drop_caches", "3"); break;
        case 2: take("/proc/self/smaps"); break;
        case 3: {
            uint64_t entry[PAGES];
            int fd = open("/proc/self/pagemap", O_RDONLY);
            if (pread(fd, entry, sizeof entry, (uintptr_t)a->at / page * 8) != sizeof entry) wrong("pagemap", fd);
            close(fd);
            break;
        }
        }
        break;
    case 20: {
        struct timespec pause = {0, 20000L * (1 + draw(seed, 20))};
        nanosleep(&pause, 0);
        break;
    }
    case 21: look(a, "now and then"); break;
    }
}

static void *thread(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    struct area areas[AREAS];
    control();
    for (int i = 0; i < AREAS; i++) make(&areas[i], &seed);
    for (int n = 0; n < operations; n++) step(areas, draw(&seed, AREAS), &seed);
    for (int i = 0; i < AREAS; i++) {
        look(&areas[i], "at the end");
        munmap(areas[i].at, room(&areas[i]));
    }
    return 0;
}

int main(int argc, char **argv) {
    operations = argc > 1 ? atoi(argv[1]) : 100;
    int seed = argc > 2 ? atoi(argv[2]) : 1, hibernates = argc > 3 ? atoi(argv[3]) : 0;
    put("/sys/kernel/mm/ksm/sleep_millisecs", "1");
    put("/sys/kernel/mm/ksm/pages_to_scan", "64");
    put("/sys/kernel/mm/ksm/run", "1");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always");
    put("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
    put("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "1");
    put("/sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs", "1");
    put("/proc/sys/kernel/numa_balancing", "1");
    pid_t children[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        if ((children[p] = fork()) != 0) continue;
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            pthread_create(&threads[i], 0, thread, (void *)(uintptr_t)(seed * 101 + p * 17 + i * 7 + 1));
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
        _exit(bad != 0);
    }
    for (int n = 0; n < hibernates; n++) {
        struct timespec pause = {0, 3000000};
        nanosleep(&pause, 0);
        put("/sys/power/state", "disk");
    }
    int failed = 0;
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        if (waitpid(children[p], &status, 0) != children[p] || status != 0) failed++;
    }
    printf("%d processes failed\n", failed);
    return failed;
}
