// Restartable sequences: registration, abort by preemption and by signals, bad sections; membarrier.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct sequences {
  uint32_t cpu_start, cpu;
  uint64_t section;
  uint32_t flags, node, id, pad;
} __attribute__((aligned(32)));
struct section {
  uint32_t version, flags;
  uint64_t start, length, abort;
} __attribute__((aligned(32)));

static struct sequences area, other;
static long rseq(struct sequences *at, unsigned size, int flags, unsigned signature) {
  long result = syscall(293, at, size, flags, signature);
  return result == -1 ? -errno : result;
}

#define SIGNATURE 0xd428bc00
// Spins inside a section until it is aborted; gives how often it went round, 0 where it was never inside.
static long __attribute__((noinline)) spin(struct sequences *at, long most) {
  long rounds = 0;
  asm volatile(
      "  .pushsection .data.rel, \"aw\"\n"
      "  .balign 32\n"
      "9: .word 0, 0\n"
      "  .quad 1f, 2f - 1f, 4f\n"
      "  .popsection\n"
      "  adrp x9, 9b\n"
      "  add x9, x9, :lo12:9b\n"
      "  str x9, [%1, #8]\n"
      "1: add %0, %0, #1\n"
      "  cmp %0, %2\n"
      "  b.lo 1b\n"
      "2: mov %0, #-1\n"
      "  b 5f\n"
      "  .word 0xd428bc00\n"
      "4: nop\n"
      "5:\n"
      : "+r"(rounds)
      : "r"(at), "r"(most)
      : "x9", "memory", "cc");
  return rounds;
}

static volatile int caught;
static void note(int number) { caught++; }

static void bad_section(struct section *section) {
  rseq(&area, 32, 0, SIGNATURE);
  area.section = (uintptr_t)section;
  for (;;) sched_yield(), raise(SIGUSR1);
}

static void end(struct section *section) {
  fflush(stdout);
  pid_t child = fork();
  if (!child) bad_section(section);
  int status;
  waitpid(child, &status, 0);
  printf("bad section: signal %d\n", WTERMSIG(status));
}

static long barrier(int command, unsigned flags) {
  long result = syscall(SYS_membarrier, command, flags, 0);
  return result == -1 ? -errno : result;
}

int main(int argc, char **argv) {
  // The C library registers an area of its own unless it is told not to.
  if (!getenv("GLIBC_TUNABLES")) {
    setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
    execv("/proc/self/exe", argv);
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("size %ld %ld\n", rseq(&area, 31, 0, SIGNATURE), rseq((void *)((char *)&area + 8), 32, 0, SIGNATURE));
  printf("flags %ld\n", rseq(&area, 32, 2, SIGNATURE));
  printf("unregistered %ld\n", rseq(&area, 32, 1, SIGNATURE));
  area.cpu = -1;
  printf("register %ld\n", rseq(&area, 32, 0, SIGNATURE));
  printf("cpu %d %d\n", area.cpu == sched_getcpu(), area.cpu_start == area.cpu);
  printf("again %ld %ld %ld\n", rseq(&area, 32, 0, SIGNATURE), rseq(&area, 32, 0, 5), rseq(&other, 32, 0, SIGNATURE));
  signal(SIGALRM, note);
  struct itimerval soon = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  long rounds = spin(&area, 1L << 40);
  printf("aborted %d, section %d\n", rounds > 0, area.section != 0);
  while (!caught) continue;
  printf("short enough %ld\n", spin(&area, 10));
  // Another thread that never leaves the CPU: only preemption ends the section.
  pid_t child = fork();
  if (!child) {
    signal(SIGALRM, SIG_DFL);
    alarm(1);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
    fork();
    printf("preempted %d, inherited %ld\n", spin(&area, 1L << 40) > 0, rseq(&area, 32, 0, SIGNATURE));
    fflush(stdout);
    for (;;) continue;
  }
  waitpid(child, NULL, 0);
  usleep(100000);
  printf("wrong signature %ld\n", rseq(&area, 32, 1, 5));
  printf("unregister %ld", rseq(&area, 32, 1, SIGNATURE));
  printf(" cpu %d\n", (int)area.cpu);
  static uint32_t code[4] = {0, SIGNATURE, 0, 0};
  static struct section inside, wrong, version;
  wrong = (struct section){0, 0, (uintptr_t)&code[2], 4, (uintptr_t)&code[1]};
  inside = (struct section){0, 0, (uintptr_t)&code[2], 8, (uintptr_t)&code[2]};
  version = (struct section){1, 0, (uintptr_t)&code[3], 4, (uintptr_t)&code[2]};
  signal(SIGUSR1, note);
  end(&wrong);
  end(&inside);
  end(&version);
  end((void *)8);
  printf("barriers %d\n", (barrier(0, 0) & 0x1ff) == 0x1ff);
  printf("unregistered %ld %ld %ld\n", barrier(8, 0), barrier(32, 0), barrier(128, 0));
  printf("register %ld %ld %ld\n", barrier(16, 0), barrier(64, 0), barrier(256, 0));
  printf("registered %ld %ld %ld\n", barrier(8, 0), barrier(32, 0), barrier(128, 0));
  printf("global %ld %ld\n", barrier(1, 0), barrier(2, 0));
  printf("bad %ld %ld %ld\n", barrier(3, 0), barrier(8, 1), barrier(1 << 20, 0));
  return 0;
}
