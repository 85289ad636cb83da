// Futexes beyond wait and wake: locks with an owner, requeueing to them, several words at once, ends of owners.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long futex(volatile uint32_t *word, int operation, uint32_t value, const void *timeout, volatile uint32_t *word2,
                  uint32_t value3) {
  long result = syscall(SYS_futex, word, operation, value, timeout, word2, value3);
  return result == -1 ? -errno : result;
}

static const char *shown(uint32_t word) {
  static char text[64];
  snprintf(text, sizeof text, "%s%s%s", word & FUTEX_WAITERS ? "waiters " : "", word & FUTEX_OWNER_DIED ? "died " : "",
           (word & FUTEX_TID_MASK) == 0                      ? "nobody"
           : (word & FUTEX_TID_MASK) == (uint32_t)gettid() ? "mine"
                                                             : "another's");
  return text;
}

static volatile uint32_t word, word2;
static struct timespec soon(int clock, long ms) {
  struct timespec t;
  clock_gettime(clock, &t);
  t.tv_nsec += ms * 1000000;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

static void *hold(void *arg) {
  word = gettid();
  usleep(30000);
  printf("holder: %s\n", shown(word));
  printf("unlock %ld\n", futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
  return 0;
}

static void *wait_lock(void *arg) {
  printf("waiter got it: %ld\n", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
  printf("%s\n", shown(word));
  futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  return 0;
}

static void *die_holding(void *arg) {
  word = gettid();
  usleep(30000);
  return 0;
}

static void owners(void) {
  pthread_t thread;
  word = 0;
  printf("lock %ld: ", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
  printf("%s\n", shown(word));
  printf("again %ld\n", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
  printf("try %ld\n", futex(&word, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
  printf("wake %ld\n", futex(&word, FUTEX_WAKE, 1, 0, 0, 0));
  printf("unlock %ld: ", futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
  printf("%s\n", shown(word));
  printf("not mine %ld\n", futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
  word = 0x3ffffff;
  printf("no such thread %ld\n", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
  word = FUTEX_OWNER_DIED;
  printf("dead owner %ld: ", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
  printf("%s\n", shown(word));
  word = 0;
  pthread_create(&thread, 0, hold, 0);
  while (!word) usleep(100);
  printf("try %ld\n", futex(&word, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
  struct timespec t = soon(CLOCK_REALTIME, 5);
  printf("timed %ld\n", futex(&word, FUTEX_LOCK_PI, 0, &t, 0, 0));
  t = soon(CLOCK_MONOTONIC, 5);
  printf("timed %ld\n", futex(&word, FUTEX_LOCK_PI2, 0, &t, 0, 0));
  printf("wait %ld: ", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
  printf("%s\n", shown(word));
  pthread_join(thread, 0);
  pthread_create(&thread, 0, wait_lock, 0);
  while (!(word & FUTEX_WAITERS)) usleep(100);
  usleep(10000);
  printf("waiters are not woken: %ld\n", futex(&word, FUTEX_WAKE, 1, 0, 0, 0));
  printf("nor moved: %ld\n", futex(&word, FUTEX_REQUEUE, 0, (void *)1, &word2, 0));
  futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  pthread_join(thread, 0);
  word = 0;
  pthread_create(&thread, 0, die_holding, 0);
  while (!word) usleep(100);
  printf("from a dead owner %ld: ", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
  printf("%s\n", shown(word));
  futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  pthread_join(thread, 0);
}

static pthread_barrier_t barrier;
static void *second(void *arg) {
  futex(&word2, FUTEX_LOCK_PI, 0, 0, 0, 0);
  pthread_barrier_wait(&barrier);
  long result = futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0);
  futex(&word2, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  if (result == 0) futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  return (void *)result;
}

static void deadlock(void) {
  pthread_t thread;
  void *result;
  word = word2 = 0;
  pthread_barrier_init(&barrier, 0, 2);
  futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0);
  pthread_create(&thread, 0, second, 0);
  pthread_barrier_wait(&barrier);
  while (!(word & FUTEX_WAITERS)) usleep(100);
  usleep(10000);
  printf("deadlock %ld\n", futex(&word2, FUTEX_LOCK_PI, 0, 0, 0, 0));
  futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  pthread_join(thread, &result);
  printf("the other %ld\n", (long)result);
}

static volatile uint32_t condition;
static volatile int waiting;
static void *wait_condition(void *arg) {
  __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
  long result = futex(&condition, FUTEX_WAIT_REQUEUE_PI, 0, 0, &word, 0);
  int is_mine = (word & FUTEX_TID_MASK) == (uint32_t)gettid();
  futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  return (void *)(result * 10 + is_mine);
}

static void conditions(void) {
  pthread_t threads[3];
  word = condition = waiting = 0;
  struct timespec t = soon(CLOCK_MONOTONIC, 5);
  printf("timed %ld\n", futex(&condition, FUTEX_WAIT_REQUEUE_PI, 0, &t, &word, 0));
  printf("changed %ld\n", futex(&condition, FUTEX_WAIT_REQUEUE_PI, 1, &t, &word, 0));
  printf("same word %ld\n", futex(&condition, FUTEX_WAIT_REQUEUE_PI, 0, &t, &condition, 0));
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, wait_condition, 0);
  while (waiting < 3) usleep(100);
  usleep(20000);
  futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0);
  printf("elsewhere %ld\n", futex(&condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, &word2, 0));
  printf("two at once %ld\n", futex(&condition, FUTEX_CMP_REQUEUE_PI, 2, (void *)0, &word, 0));
  printf("changed %ld\n", futex(&condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, &word, 1));
  printf("plain wake %ld\n", futex(&condition, FUTEX_WAKE, 1, 0, 0, 0));
  printf("moved %ld\n", futex(&condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &word, 0));
  futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  usleep(20000);
  printf("one more, the lock is free: %ld\n", futex(&condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)5, &word, 0));
  for (int i = 0; i < 3; i++) {
    void *result;
    pthread_join(threads[i], &result);
    printf("back %ld\n", (long)result);
  }
  printf("%s\n", shown(word));
}

static void note(int number) {}

struct waitv {
  uint64_t value, address;
  uint32_t flags, reserved;
};
static uint32_t words[3];
static void *wake_later(void *arg) {
  usleep(20000);
  return (void *)futex(&words[(long)arg], FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}
static long waitv(struct waitv *waiters, int count, int flags, struct timespec *timeout, int clock) {
  long result = syscall(449, waiters, count, flags, timeout, clock);
  return result == -1 ? -errno : result;
}

static void several(void) {
  struct waitv waiters[3];
  pthread_t thread;
  for (int i = 0; i < 3; i++) waiters[i] = (struct waitv){0, (uintptr_t)&words[i], 2 | FUTEX_PRIVATE_FLAG, 0};
  struct timespec t = soon(CLOCK_MONOTONIC, 5);
  printf("timed %ld\n", waitv(waiters, 3, 0, &t, CLOCK_MONOTONIC));
  waiters[1].value = 5;
  printf("changed %ld\n", waitv(waiters, 3, 0, 0, 0));
  waiters[1].value = 0;
  printf("bad %ld %ld %ld\n", waitv(waiters, 0, 0, 0, 0), waitv(waiters, 3, 1, 0, 0), waitv(waiters, 3, 0, &t, 5));
  waiters[2].flags = 1;
  printf("size %ld\n", waitv(waiters, 3, 0, 0, 0));
  waiters[2].flags = 2 | FUTEX_PRIVATE_FLAG;
  for (long i = 2; i >= 0; i--) {
    pthread_create(&thread, 0, wake_later, (void *)i);
    printf("which %ld\n", waitv(waiters, 3, 0, 0, 0));
    void *woken;
    pthread_join(thread, &woken);
    printf("woken %ld\n", (long)woken);
  }
}

static pthread_mutex_t *mutex;
static void robust(int protocol) {
  pthread_mutexattr_t attributes;
  mutex = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setprotocol(&attributes, protocol);
  pthread_mutex_init(mutex, &attributes);
  pid_t pid = fork();
  if (!pid) {
    pthread_mutex_lock(mutex);
    usleep(20000);
    kill(getpid(), SIGKILL);
  }
  usleep(10000);
  int result = pthread_mutex_lock(mutex);
  printf("robust: %s\n", result == EOWNERDEAD ? "owner dead" : strerror(result));
  waitpid(pid, NULL, 0);
  printf("consistent %d unlock %d\n", pthread_mutex_consistent(mutex), pthread_mutex_unlock(mutex));
  printf("lock %d unlock %d\n", pthread_mutex_lock(mutex), pthread_mutex_unlock(mutex));
  // Held at execve: the new program has nothing to do with it.
  pid = fork();
  if (!pid) {
    pthread_mutex_lock(mutex);
    execl("/proc/self/exe", "exec", NULL);
  }
  waitpid(pid, NULL, 0);
  result = pthread_mutex_lock(mutex);
  printf("exec: %s\n", result == EOWNERDEAD ? "owner dead" : strerror(result));
}

static pthread_mutex_t inherits;
static long counter;
static void *count(void *arg) {
  for (int i = 0; i < 500; i++) {
    pthread_mutex_lock(&inherits);
    counter++;
    pthread_mutex_unlock(&inherits);
  }
  return 0;
}

static void storm(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&inherits, &attributes);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, count, 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  printf("counted %ld\n", counter);
}

int main(int argc, char **argv) {
  if (!strcmp(argv[0], "exec")) return 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  owners();
  deadlock();
  conditions();
  several();
  robust(PTHREAD_PRIO_NONE);
  robust(PTHREAD_PRIO_INHERIT);
  storm();
  // A relative wait goes on after a handler with SA_RESTART for what is left of it.
  struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  ualarm(20000, 20000);
  struct timespec wait = {0, 70000000}, before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  word = 0;
  printf("interrupted %ld\n", futex(&word, FUTEX_WAIT, 0, &wait, 0, 0));
  // Wake-op: the word is changed at once.
  word = 7;
  printf("wake-op %ld %d\n", futex(&word2, FUTEX_WAKE_OP, 1, (void *)1, &word, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 7)), word);
  printf("clock %ld\n", futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, 0, 0, 0));
  return 0;
}
