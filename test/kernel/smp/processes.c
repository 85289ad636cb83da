// Processes and mappings of files on several CPUs: faults at one page of the page cache, mremap under writers, fork, exec,
// wait, stop and trace of what runs elsewhere.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define PAGES 40
static long page;
static pthread_t threads[THREADS];
static volatile int stop;
static int arrived, wrong;

static void start(void *(*work)(void *)) {
  stop = 0;
  arrived = 0;
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
}
static void join(void) {
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}
static void meet(int round) {
  __atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < (round + 1) * THREADS);
}
static void check(int ok) {
  if (!ok) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}
static void report(const char *what) {
  printf("%s %d\n", what, wrong);
  wrong = 0;
}
static void spend(int n) {
  for (volatile int i = 0; i < n; i++);
}

// ---- page cache ----------------------------------------------------------------------------------

static int file;
static char *maps[THREADS];
// Each thread has a mapping of its own; all fault at the same page of the file at once, some for writing.
static void *cache(void *arg) {
  long me = (long)arg;
  for (int i = 0; i < PAGES; i++) {
    meet(i);
    if (i % 3 == me % 3) check(maps[me][i * page + 100] == 0);
    maps[me][i * page + me] = 1;
  }
  return NULL;
}
// Private mappings: the first writes copy.
static void *copies(void *arg) {
  long me = (long)arg;
  for (int i = 0; i < PAGES; i++) {
    meet(i);
    if (me & 1) maps[0][i * page + me] += 5;
    else maps[0][i * page + me] = 6;
  }
  return NULL;
}
// The file shrinks and grows under those who read it.
static sigjmp_buf resume[THREADS];
static __thread int mine;
static volatile int faults;
static void onFault(int signo) {
  (void)signo;
  __atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
  siglongjmp(resume[mine], 1);
}
static void *readsFile(void *arg) {
  mine = (int)(long)arg;
  while (!stop) {
    if (sigsetjmp(resume[mine], 1) == 0)
      for (int i = 0; !stop; i = (i + 1) % PAGES) check(maps[mine][i * page + 7] == 0);
    sched_yield();
  }
  return NULL;
}

// ---- mremap --------------------------------------------------------------------------------------

static volatile long *word;
static void *writes(void *arg) {
  mine = (int)(long)arg;
  while (!stop) {
    if (sigsetjmp(resume[mine], 1) == 0)
      while (!stop) word[mine]++;
    sched_yield();
  }
  return NULL;
}
static long sum(volatile long *words) { return words[0] + words[1] + words[2] + words[3]; }
static void moves(void) {
  long *away = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int round = 0; round < 20; round++) {
    mremap((void *)word, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, away);
    long before = sum(away);
    for (int seen = faults; faults == seen;) sched_yield();
    check(sum(away) == before);
    mremap(away, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)word);
    spend(200);
  }
}

// ---- processes -----------------------------------------------------------------------------------

static void *forks(void *arg) {
  for (int i = 0; i < 6; i++) {
    int code = (int)(long)arg * 10 + i;
    pid_t pid = fork();
    if (pid == 0) {
      spend(100);
      _exit(code);
    }
    int status;
    check(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == code);
  }
  return NULL;
}
static int reaped[256];
static void *reaps(void *arg) {
  (void)arg;
  int status;
  while (wait(&status) > 0) __atomic_fetch_add(&reaped[WEXITSTATUS(status)], 1, __ATOMIC_RELAXED);
  check(errno == ECHILD);
  return NULL;
}
static void *spins(void *arg) {
  (void)arg;
  while (!stop);
  return NULL;
}
static void *execs(void *arg) {
  char *args[] = {"again", "again", NULL};
  (void)arg;
  execv("/proc/self/exe", args);
  return NULL;
}
// Children that fork on and on, killed as a group: nobody escapes.
static void bombs(void) {
  for (int round = 0; round < 4; round++) {
    int ends[2];
    pipe(ends);
    pid_t group = fork();
    if (group == 0) {
      setpgid(0, 0);
      close(ends[0]);
      write(ends[1], "x", 1);
      for (;;) {
        pid_t pid = fork();
        if (pid > 0) waitpid(pid, NULL, 0);
        else if (pid == 0) _exit(0);
      }
    }
    char c;
    close(ends[1]);
    read(ends[0], &c, 1);
    spend(500 * round);
    kill(-group, SIGKILL);
    int status;
    waitpid(group, &status, 0);
    check(WIFSIGNALED(status));
    // The write end is closed when the last of the group is gone.
    check(read(ends[0], &c, 1) == 0);
    close(ends[0]);
  }
}

// ---- stopped and traced --------------------------------------------------------------------------

static volatile long *counter;
static void traces(void) {
  for (int round = 0; round < 6; round++) {
    counter[0] = counter[1] = 0;
    pid_t pid = fork();
    if (pid == 0) {
      while (!counter[1]) counter[0]++;
      _exit(11);
    }
    while (counter[0] == 0) sched_yield();
    int status;
    check(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
    check(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
    check(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && status >> 8 == (SIGTRAP | PTRACE_EVENT_STOP << 8));
    long before = counter[0];
    spend(300);
    check(counter[0] == before);
    struct user_regs_struct regs;
    struct iovec io = {&regs, sizeof regs};
    check(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) == 0);
    errno = 0;
    long code = ptrace(PTRACE_PEEKTEXT, pid, regs.pc & ~7L, 0);
    check(errno == 0 && code != 0);
    check(ptrace(PTRACE_POKEDATA, pid, &counter[1], 1L) == 0);
    check(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
    check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 11);
  }
}
static void stops(void) {
  counter[0] = counter[1] = 0;
  pid_t pid = fork();
  if (pid == 0) {
    while (!counter[1]) counter[0]++;
    _exit(12);
  }
  int status;
  for (int round = 0; round < 6; round++) {
    for (long seen = counter[0]; counter[0] == seen;) sched_yield();
    kill(pid, SIGSTOP);
    check(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    long before = counter[0];
    spend(300);
    check(counter[0] == before);
    kill(pid, SIGCONT);
  }
  counter[1] = 1;
  check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 12);
}
// All threads of a stopped process stand when the parent hears of it.
static void *countsUp(void *arg) {
  while (!counter[8]) counter[(long)arg]++;
  return NULL;
}
static void stopsAll(void) {
  for (int i = 0; i < 9; i++) counter[i] = 0;
  pid_t pid = fork();
  if (pid == 0) {
    start(countsUp);
    join();
    _exit(13);
  }
  int status;
  for (int round = 0; round < 12; round++) {
    for (int t = 0; t < THREADS; t++)
      for (long seen = counter[t]; counter[t] == seen;) sched_yield();
    kill(pid, SIGSTOP);
    check(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    long before = sum(counter);
    spend(1000);
    check(sum(counter) == before);
    kill(pid, SIGCONT);
  }
  counter[8] = 1;
  check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 13);
}
// A signal of the process whose taker leaves, or blocks it, is another thread's.
static void onUser(int signo) { _exit(signo == SIGUSR1 ? 14 : 0); }
static void *waits(void *arg) {
  (void)arg;
  for (;;) pause();
}
static void *kills(void *arg) {
  (void)arg;
  while (!stop);
  kill(getpid(), SIGUSR1);
  return waits(NULL);
}
static void retargets(void) {
  for (int round = 0; round < 12; round++) {
    pid_t pid = fork();
    if (pid == 0) {
      signal(SIGUSR1, onUser);
      pthread_t thread;
      pthread_create(&threads[0], NULL, waits, NULL);
      pthread_create(&threads[1], NULL, kills, NULL);
      spend(100);
      stop = 1;
      spend(10 * round);
      if (round & 1) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        waits(NULL);
      }
      pthread_exit(NULL);
    }
    int status;
    check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 14);
  }
}
static volatile int alarms;
static void onAlarm(int signo) { alarms += signo == SIGALRM; }
static void *timed(void *arg) {
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGALRM, onAlarm);
    struct itimerval every = {{0, 200 + 50 * (int)(long)arg}, {0, 100}};
    setitimer(ITIMER_REAL, &every, NULL);
    struct timespec last, now;
    clock_gettime(CLOCK_MONOTONIC, &last);
    int back = 0;
    while (alarms < 10) {
      clock_gettime(CLOCK_MONOTONIC, &now);
      back += now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec);
      last = now;
    }
    _exit(back != 0);
  }
  int status;
  check(waitpid(pid, &status, 0) == pid && status == 0);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "again") == 0) _exit(21);
  page = sysconf(_SC_PAGESIZE);
  setvbuf(stdout, NULL, _IOLBF, 0);
  file = open("/tmp/mapped", 66 /* O_CREAT | O_RDWR */, 0600);
  ftruncate(file, PAGES * page);
  for (int i = 0; i < THREADS; i++) maps[i] = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  start(cache);
  join();
  char *got = malloc(PAGES * page);
  check(pread(file, got, PAGES * page, 0) == PAGES * page);
  for (int i = 0; i < PAGES; i++)
    for (int t = 0; t < THREADS; t++) check(got[i * page + t] == 1);
  report("page cache");

  maps[0] = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  start(copies);
  join();
  for (int i = 0; i < PAGES; i++)
    for (int t = 0; t < THREADS; t++) check(maps[0][i * page + t] == 6);
  report("private");

  signal(SIGBUS, onFault);
  struct sigaction action = {.sa_handler = onFault, .sa_flags = SA_NODEFER};
  sigaction(SIGBUS, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  for (int i = 0; i < THREADS; i++) maps[i] = mmap(NULL, PAGES * page, PROT_READ, MAP_SHARED, file, 0);
  start(readsFile);
  for (int i = 0; i < 12; i++) {
    ftruncate(file, page);
    for (int seen = faults; faults == seen;) sched_yield();
    ftruncate(file, PAGES * page);
    spend(200);
  }
  stop = 1;
  join();
  report("truncate");

  word = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  start(writes);
  moves();
  stop = 1;
  join();
  report("mremap");

  start(forks);
  join();
  report("forks");
  for (int i = 0; i < 40; i++)
    if (fork() == 0) {
      spend(20 * i);
      _exit(i);
    }
  start(reaps);
  join();
  for (int i = 0; i < 40; i++) check(reaped[i] == 1);
  report("reaped");
  for (int i = 0; i < 4; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      start(spins);
      spend(300 * i);
      pthread_t thread;
      pthread_create(&thread, NULL, i & 1 ? execs : spins, NULL);
      if (!(i & 1)) execs(NULL);
      for (;;) pause();
    }
    int status;
    check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 21);
  }
  for (int i = 0; i < 4; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      start(execs);
      for (;;) pause();
    }
    int status;
    check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 21);
  }
  report("exec");
  bombs();
  report("group");
  counter = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  traces();
  report("traced");
  stops();
  report("stopped");
  stopsAll();
  report("all stopped");
  retargets();
  report("retargeted");
  start(timed);
  join();
  report("timers");
  return 0;
}
