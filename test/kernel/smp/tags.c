// Allocation tags on several CPUs, with memory short enough that tag storage is lent and taken back all the time.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROT_MTE 0x20
#define THREADS 4
static long page;
static pthread_barrier_t barrier;
static char *shared;
static int bad, full, filling;
// KiB of ordinary memory, and how often it is written: the arguments.
static long ballast;
static int passes;

static void control(void) { prctl(55, 1 | (1 << 1) | (0xfffeL << 3), 0, 0, 0); }
static char *tagged(char *p, int tag) { return (char *)((uintptr_t)p & ~(15UL << 56) | (uintptr_t)tag << 56); }
static void stg(char *p) { asm volatile(".arch armv8.5-a+memtag\n stg %0, [%0]" ::"r"(p) : "memory"); }
static char *ldg(char *p) {
  char *got = p;
  asm volatile(".arch armv8.5-a+memtag\n ldg %0, [%1]" : "+r"(got) : "r"(p) : "memory");
  return got;
}
static void wrong(void) { __atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED); }

// Granules of two threads share each byte of tags.
static void *neighbours(void *arg) {
  long me = (long)arg;
  control();
  for (int round = 0; round < 6; round++) {
    pthread_barrier_wait(&barrier);
    char *base = shared + round * page;
    for (long at = me * 16; at < page; at += THREADS * 16) {
      char *p = tagged(base + at, 1 + (int)(me + at / 64) % 15);
      stg(p);
      p[0] = (char)(me + round);
    }
    for (long at = me * 16; at < page; at += THREADS * 16) {
      char *p = tagged(base + at, 1 + (int)(me + at / 64) % 15);
      if (ldg(base + at) != p || p[0] != (char)(me + round)) wrong();
    }
  }
  return NULL;
}

// Tagged memory comes and goes, while ordinary memory fills the rest.
static void *churn(void *arg) {
  long me = (long)arg, size = 24 * page;
  control();
  for (int round = 0; round < 10 || __atomic_load_n(&filling, __ATOMIC_RELAXED); round++) {
    char *area = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_MTE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
      __atomic_fetch_add(&full, 1, __ATOMIC_RELAXED);
      continue;
    }
    for (long at = 0; at < size; at += page / 4) {
      char *p = tagged(area + at, 1 + (int)(at / 16 + me + round) % 15);
      stg(p);
      *(long *)p = at ^ me;
    }
    sched_yield();
    for (long at = 0; at < size; at += page / 4) {
      char *p = tagged(area + at, 1 + (int)(at / 16 + me + round) % 15);
      if (ldg(area + at) != p || *(long *)p != (at ^ me)) wrong();
    }
    munmap(area, size);
  }
  return NULL;
}

// Ordinary memory that fills what there is, tag storage too, and is written while its pages move out of the way.
static void *fill(void *arg) {
  long me = (long)arg, size = ballast * 1024 / 2;
  char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  for (int pass = 0; pass < passes; pass++)
    for (long at = 0; at < size; at += page) *(volatile long *)(area + at) += at + me;
  for (long at = 0; at < size; at += page)
    if (*(long *)(area + at) != passes * (at + me)) wrong();
  munmap(area, size);
  __atomic_fetch_sub(&filling, 1, __ATOMIC_RELAXED);
  return NULL;
}

static void together(void *(*work)(void *), int count) {
  pthread_t threads[THREADS];
  for (long i = 0; i < count; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
  page = sysconf(_SC_PAGESIZE);
  ballast = argc > 1 ? atol(argv[1]) : 1024;
  passes = argc > 2 ? atoi(argv[2]) : 4;
  setvbuf(stdout, NULL, _IOLBF, 0);
  control();
  pthread_barrier_init(&barrier, NULL, THREADS);
  shared = mmap(NULL, 6 * page, PROT_READ | PROT_WRITE | PROT_MTE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  together(neighbours, THREADS);
  printf("neighbours %d\n", bad);
  filling = 2;
  pthread_t fillers[2];
  for (long i = 0; i < 2; i++) pthread_create(&fillers[i], NULL, fill, (void *)i);
  together(churn, THREADS);
  for (int i = 0; i < 2; i++) pthread_join(fillers[i], NULL);
  printf("churn %d %d\n", bad, full);
  // Children copy tags while the parent's other threads make more.
  pthread_t other;
  pthread_create(&other, NULL, churn, (void *)9);
  int failed = 0;
  for (int i = 0; i < 4; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      int lost = 0;
      for (long at = 0; at < page; at += 16) {
        char *p = tagged(shared + at, 1 + (int)(at / 16 % THREADS + at / 64) % 15);
        lost += ldg(shared + at) != p;
        stg(tagged(shared + at, 3));
      }
      _exit(lost != 0);
    }
    int status;
    waitpid(pid, &status, 0);
    failed += status != 0;
  }
  pthread_join(other, NULL);
  printf("children %d\n", failed);
  return 0;
}
