// Several CPUs: locks and atomics of all kinds, wake-ups, affinity, and page tables that change under other CPUs' feet.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
static pthread_t threads[THREADS];
static pthread_barrier_t barrier;
static volatile int stop;

static void start(void *(*work)(void *)) {
  stop = 0;
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
}
static void join(void) {
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

// ---- locks ---------------------------------------------------------------------------------------

static int spin;
static long plain, exclusive, lse;
static long pair[2];

static void spin_lock(int *lock) {
  int value, failed;
  asm volatile(
      "   sevl\n"
      "1: wfe\n"
      "2: ldaxr %w0, [%2]\n"
      "   cbnz %w0, 1b\n"
      "   stxr %w1, %w3, [%2]\n"
      "   cbnz %w1, 2b\n"
      : "=&r"(value), "=&r"(failed)
      : "r"(lock), "r"(1)
      : "memory");
}
static void spin_unlock(int *lock) { asm volatile("stlr wzr, [%0]" ::"r"(lock) : "memory"); }

static void *locks(void *arg) {
  long one = 1, old, value;
  int failed;
  (void)arg;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 1500; i++) {
    spin_lock(&spin);
    plain++;
    spin_unlock(&spin);
    do {
      asm volatile("ldxr %0, [%2]\n add %0, %0, #1\n stlxr %w1, %0, [%2]"
                   : "=&r"(value), "=&r"(failed)
                   : "r"(&exclusive)
                   : "memory");
    } while (failed);
    asm volatile(".arch_extension lse\n ldaddal %1, %0, [%2]" : "=&r"(old) : "r"(one), "r"(&lse) : "memory");
    // Both words or none: CASP.
    for (;;) {
      register long a asm("x0") = pair[0], b asm("x1") = pair[1];
      long seen = a;
      register long c asm("x2") = a + 1, d asm("x3") = b + 2;
      long seen2 = b;
      asm volatile(".arch_extension lse\n casp x0, x1, x2, x3, [%4]" : "+r"(a), "+r"(b) : "r"(c), "r"(d), "r"(pair) : "memory");
      if (a == seen && b == seen2) break;
    }
  }
  return NULL;
}

// ---- producers and consumers, futexes ------------------------------------------------------------

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static int ring[4], head, tail;
static long consumed;

static void *queue(void *arg) {
  for (int i = 1; i <= 400; i++) {
    pthread_mutex_lock(&mutex);
    if ((long)arg & 1) {
      while (head - tail == 4) pthread_cond_wait(&not_full, &mutex);
      ring[head++ & 3] = i;
      pthread_cond_signal(&not_empty);
    } else {
      while (head == tail) pthread_cond_wait(&not_empty, &mutex);
      consumed += ring[tail++ & 3];
      pthread_cond_signal(&not_full);
    }
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static int turn;
static long futex(int *word, int op, int value) { return syscall(SYS_futex, word, op, value, NULL, NULL, 0); }

// Each hands the turn to the next: a lost wake-up stops all of them.
static void *ringOfTurns(void *arg) {
  int me = (int)(long)arg;
  for (int i = 0; i < 150; i++) {
    int now;
    while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) % THREADS != me) futex(&turn, FUTEX_WAIT_PRIVATE, now);
    __atomic_fetch_add(&turn, 1, __ATOMIC_RELEASE);
    futex(&turn, FUTEX_WAKE_PRIVATE, THREADS);
  }
  return NULL;
}

// FUTEX_WAKE_OP adds to a word that others add to as well.
static int added, dummy;
static void *wakeOp(void *arg) {
  (void)arg;
  for (int i = 0; i < 200; i++) {
    syscall(SYS_futex, &dummy, FUTEX_WAKE_OP_PRIVATE, 1, 0L, &added, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0));
    __atomic_fetch_add(&added, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

// ---- page tables ---------------------------------------------------------------------------------

#define PAGES 48
static char *shared;
static long page;

// All threads touch the same untouched pages, as nearly at once as can be: a write first, or a read first.
static int arrived;
static void meet(int round) {
  __atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < (round + 1) * THREADS);
}
static void *touch(void *arg) {
  long me = (long)arg;
  for (int i = 0; i < PAGES; i++) {
    volatile char *at = shared + i * page + me;
    meet(i);
    if (i & 1) (*at)++;
    else *at = 1;
  }
  return NULL;
}

static volatile long *word;
static void *spare;
static __thread sigjmp_buf resume;
static volatile int faults;
static void onFault(int signo) {
  (void)signo;
  __atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
  siglongjmp(resume, 1);
}
static void *writer(void *arg) {
  long me = (long)arg;
  while (!stop) {
    if (sigsetjmp(resume, 1) == 0) {
      while (!stop) word[me]++;
    }
    sched_yield();
  }
  return NULL;
}
static void spend(int n) {
  for (volatile int i = 0; i < n; i++);
}
static long sum(volatile long *words) {
  long total = 0;
  for (int i = 0; i < THREADS; i++) total += words[i];
  return total;
}

// A fresh page at another address: very likely the one that was just given back.
static volatile long *mapSpare(void) {
  return mmap(spare, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_FIXED, -1, 0);
}
// What another CPU may no longer write does not change, and a page that was given back is nobody's.
static int protect(void) {
  int bad = 0;
  for (int round = 0; round < 25; round++) {
    mprotect((void *)word, page, PROT_READ);
    long before = sum(word);
    for (int seen = faults; faults == seen;) sched_yield();
    bad += sum(word) != before;
    mprotect((void *)word, page, PROT_READ | PROT_WRITE);
    spend(300);
  }
  return bad;
}
static int unmap(void) {
  int bad = 0;
  for (int round = 0; round < 25; round++) {
    munmap((void *)word, page);
    volatile long *fresh = mapSpare();
    spend(300);
    for (int i = 0; i < THREADS; i++) bad += fresh[i] != 0;
    mmap(spare, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap((void *)word, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    spend(300);
  }
  return bad;
}
static int discard(void) {
  int bad = 0;
  for (int round = 0; round < 25; round++) {
    madvise((void *)word, page, MADV_DONTNEED);
    volatile long *fresh = mapSpare();
    spend(200);
    for (int i = 0; i < THREADS; i++) bad += fresh[i] != 0;
    mmap(spare, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
  return bad;
}
// A child's memory is what it was at the fork, however much the parent's threads write on.
static int forks(void) {
  int bad = 0;
  for (int round = 0; round < 8; round++) {
    pid_t pid = fork();
    if (pid == 0) {
      long before = sum(word);
      spend(600);
      _exit(sum(word) != before);
    }
    int status;
    waitpid(pid, &status, 0);
    bad += status != 0;
  }
  return bad;
}

// ---- affinity, signals ---------------------------------------------------------------------------

static long misplaced;
static void *pinned(void *arg) {
  int cpus = sysconf(_SC_NPROCESSORS_ONLN);
  for (int i = 0; i < 30; i++) {
    int cpu = ((long)arg + i) % cpus;
    cpu_set_t set, got;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) __atomic_fetch_add(&misplaced, 1, __ATOMIC_RELAXED);
    sched_getaffinity(0, sizeof got, &got);
    spend(50);
    unsigned now = 99;
    syscall(SYS_getcpu, &now, NULL, NULL);
    if (now != (unsigned)cpu || !CPU_EQUAL(&set, &got)) __atomic_fetch_add(&misplaced, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

static __thread volatile long handled;
static volatile long answers[THREADS];
static void onSignal(int signo) {
  (void)signo;
  handled++;
}
static void *busy(void *arg) {
  while (!stop) answers[(long)arg] = handled;
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  asm volatile("wfe\n wfi");
  page = sysconf(_SC_PAGESIZE);
  pthread_barrier_init(&barrier, NULL, THREADS);
  start(locks);
  join();
  printf("locks %ld %ld %ld %ld %ld\n", plain, exclusive, lse, pair[0], pair[1]);
  start(queue);
  join();
  printf("queue %ld\n", consumed);
  start(ringOfTurns);
  join();
  printf("turns %d\n", turn);
  start(wakeOp);
  join();
  printf("wake-op %d\n", added);

  shared = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  start(touch);
  join();
  int lost = 0;
  for (int i = 0; i < PAGES; i++)
    for (int t = 0; t < THREADS; t++) lost += shared[i * page + t] != 1;
  printf("touched %d\n", lost);

  struct sigaction action = {.sa_handler = onFault, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  spare = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  word = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  start(writer);
  printf("protect %d\n", protect());
  printf("unmap %d\n", unmap());
  printf("discard %d\n", discard());
  printf("forks %d\n", forks());
  stop = 1;
  join();

  start(pinned);
  join();
  printf("misplaced %ld\n", misplaced);

  signal(SIGUSR1, onSignal);
  start(busy);
  long before = 0;
  for (int i = 1; i <= 20; i++) {
    for (int t = 0; t < THREADS; t++) {
      while (answers[t] < before) sched_yield();
      pthread_kill(threads[t], SIGUSR1);
    }
    before = i;
  }
  for (int t = 0; t < THREADS; t++)
    while (answers[t] < before) sched_yield();
  stop = 1;
  join();
  printf("signals %ld %ld\n", answers[0], answers[THREADS - 1]);

  printf("membarrier %ld", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  printf(" %d", errno);
  printf(" %ld", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  printf(" %ld\n", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));

  // The end comes while others run.
  pid_t pid = fork();
  if (pid == 0) {
    start(busy);
    spend(2000);
    exit(7);
  }
  int status;
  waitpid(pid, &status, 0);
  printf("ended %d\n", WEXITSTATUS(status));
  return 0;
}
