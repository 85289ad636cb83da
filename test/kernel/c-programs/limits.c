// Resource limits: values, inheritance, permission, and what each of them does.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int set(int which, rlim_t soft, rlim_t hard) {
  struct rlimit limit = {soft, hard};
  return setrlimit(which, &limit) ? -errno : 0;
}

static void show(const char *title, int which) {
  struct rlimit limit;
  getrlimit(which, &limit);
  printf("%s %ld %ld\n", title, (long)limit.rlim_cur, (long)limit.rlim_max);
}

static volatile sig_atomic_t caught;
static void note(int number) { caught = number; }

// How a child ends.
static void end(const char *title, void (*run)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    run();
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  printf("%s: %s %d\n", title, WIFSIGNALED(status) ? "signal" : "exit",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void descriptors(void) {
  set(RLIMIT_NOFILE, 5, 10);
  int first = dup(0), second = dup(0), third = dup(0);
  printf("dup %d %d %d %s\n", first, second, third, strerror(errno));
  printf("dup2 %d", dup2(0, 5));
  printf(" %s\n", strerror(errno));
  printf("F_DUPFD %d", fcntl(0, F_DUPFD, 5));
  printf(" %s\n", strerror(errno));
  printf("raise %d\n", set(RLIMIT_NOFILE, 8, 10));
  printf("dup %d\n", dup(0));
}

static void address_space(void) {
  set(RLIMIT_AS, 64 << 20, RLIM_INFINITY);
  void *big = mmap(0, 256 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("mmap %d %s\n", big == MAP_FAILED, strerror(errno));
  void *small = mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("small %d\n", small != MAP_FAILED);
  printf("mremap %d", mremap(small, 1 << 20, 128 << 20, MREMAP_MAYMOVE) == MAP_FAILED);
  printf(" %s\n", strerror(errno));
  printf("malloc %d\n", malloc(100 << 20) != NULL);
  printf("replace %d\n", mmap(small, 1 << 20, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == small);
}

static void data(void) {
  set(RLIMIT_DATA, 8 << 20, RLIM_INFINITY);
  void *readable = mmap(0, 32 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("readable %d\n", readable != MAP_FAILED);
  printf("writable %d", mprotect(readable, 32 << 20, PROT_READ | PROT_WRITE));
  printf(" %s\n", strerror(errno));
  void *shared = mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  printf("shared %d\n", shared != MAP_FAILED);
  printf("private %d", mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
  printf(" %s\n", strerror(errno));
  printf("sbrk %d", sbrk(32 << 20) == (void *)-1);
  printf(" %s\n", strerror(errno));
}

static int __attribute__((noinline)) deep(int frames) {
  volatile char room[65536];
  room[0] = frames;
  return frames > 0 ? deep(frames - 1) + room[0] : 0;
}
static void deep_enough(void) { printf("deep %d\n", deep(64) != 1); }
static void too_deep(void) {
  set(RLIMIT_STACK, 1 << 20, RLIM_INFINITY);
  deep(64);
}
static void far_deeper(void) {
  set(RLIMIT_STACK, 32 << 20, RLIM_INFINITY);
  printf("far deeper %d\n", deep(256) != 1);
}

static void file_size(void) {
  char name[] = "/tmp/limits-XXXXXX", block[6000];
  memset(block, 'x', sizeof block);
  int fd = mkstemp(name);
  unlink(name);
  signal(SIGXFSZ, note);
  set(RLIMIT_FSIZE, 10000, RLIM_INFINITY);
  int first = write(fd, block, 6000), second = write(fd, block, 6000), third = write(fd, block, 6000);
  printf("write %d %d %d %s signal %d\n", first, second, third, strerror(errno), caught);
  caught = 0;
  printf("truncate %d", ftruncate(fd, 20000));
  printf(" %s signal %d\n", strerror(errno), caught);
  printf("shorter %d\n", ftruncate(fd, 5000));
  printf("pwrite %d", (int)pwrite(fd, block, 10, 10000));
  printf(" %s\n", strerror(errno));
  caught = 0;
  printf("fallocate %d", fallocate(fd, 0, 0, 20000));
  printf(" %s signal %d\n", strerror(errno), caught);
  fflush(stdout);
  signal(SIGXFSZ, SIG_DFL);
  pwrite(fd, block, 10, 10000);
}

static void cpu_time(void) {
  signal(SIGXCPU, note);
  set(RLIMIT_CPU, 0, 1);
  while (!caught) continue;
  printf("caught %d\n", caught);
  caught = 0;
  fflush(stdout);
  set(RLIMIT_CPU, 0, 1);
  for (;;) continue;
}

static void cpu_timer(void) {
  signal(SIGVTALRM, note);
  struct itimerval soon = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_VIRTUAL, &soon, NULL);
  struct timespec rest = {0, 50000000};
  nanosleep(&rest, NULL);
  printf("asleep %d\n", caught);
  while (!caught) continue;
  printf("awake %d\n", caught);
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  printf("used %d\n", used.tv_nsec >= 19000000);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("rusage %d\n", usage.ru_maxrss > 0 && usage.ru_minflt > 0);
}

static void become_nobody(void) {
  show("before", RLIMIT_NOFILE);
  printf("raise as root %d\n", set(RLIMIT_NOFILE, 1000, 100000));
  printf("too high %d\n", set(RLIMIT_NOFILE, 1000, 2000000));
  printf("setuid %d %d\n", setuid(1000), getuid());
  printf("back %d\n", setuid(0) ? errno : 0);
  printf("lower %d\n", set(RLIMIT_NOFILE, 500, 600));
  printf("raise %d\n", set(RLIMIT_NOFILE, 500, 700));
  printf("soft above hard %d\n", set(RLIMIT_NOFILE, 601, 600));
  struct rlimit limit;
  printf("of init %d\n", prlimit(1, RLIMIT_NOFILE, NULL, &limit) ? errno : 0);
  printf("kill init %d\n", kill(1, 0) ? errno : 0);
  printf("nice %d\n", setpriority(PRIO_PROCESS, 0, -5) ? errno : 0);
  printf("nicer %d %d\n", setpriority(PRIO_PROCESS, 0, 5), getpriority(PRIO_PROCESS, 0));
  struct sched_param one = {1};
  printf("fifo %d\n", sched_setscheduler(0, SCHED_FIFO, &one) ? errno : 0);
  printf("batch %d %d\n", sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}), sched_getscheduler(0));
  set(RLIMIT_NPROC, 1, 1);
  pid_t child = fork();
  if (child == 0) _exit(0);
  printf("fork %d %s\n", child, strerror(errno));
}

static void pending(void) {
  sigset_t set_;
  sigemptyset(&set_);
  sigaddset(&set_, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set_, NULL);
  set(RLIMIT_SIGPENDING, 3, 3);
  int queued = 0;
  while (queued < 10 && sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0) queued++;
  printf("queued %d %s\n", queued > 0 && queued <= 3, strerror(errno));
}

static void shown(void) {
  set(RLIMIT_NPROC, 100, 200);
  set(RLIMIT_SIGPENDING, 300, 400);
  set(RLIMIT_MSGQUEUE, 1000, 2000);
  set(RLIMIT_NICE, 10, 20);
  set(RLIMIT_RTPRIO, 30, 40);
  set(RLIMIT_RTTIME, 50, RLIM_INFINITY);
  set(RLIMIT_CORE, 0, RLIM_INFINITY);
  char line[256];
  FILE *file = fopen("/proc/self/limits", "r");
  while (fgets(line, sizeof line, file)) fputs(line, stdout);
}

static void inherited(void) {
  set(RLIMIT_STACK, 4 << 20, 16 << 20);
  set(RLIMIT_FSIZE, 12345, 67890);
  fflush(stdout);
  if (fork() == 0) {
    show("child stack", RLIMIT_STACK);
    set(RLIMIT_FSIZE, 1, 2);
    fflush(stdout);
    _exit(0);
  }
  wait(NULL);
  show("parent size", RLIMIT_FSIZE);
  struct rlimit other = {111, 222}, old;
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  printf("prlimit %d\n", prlimit(child, RLIMIT_FSIZE, &other, &old));
  printf("old %ld\n", (long)old.rlim_cur);
  prlimit(child, RLIMIT_FSIZE, NULL, &old);
  printf("new %ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
  kill(child, SIGKILL);
  wait(NULL);
  printf("nobody %d bad %d\n", prlimit(child, RLIMIT_FSIZE, NULL, &old) ? errno : 0,
         prlimit(0, 16, NULL, &old) ? errno : 0);
}

int main(void) {
  end("descriptors", descriptors);
  end("address space", address_space);
  end("data", data);
  end("deep enough", deep_enough);
  end("too deep", too_deep);
  end("far deeper", far_deeper);
  end("file size", file_size);
  end("cpu timer", cpu_timer);
  end("cpu time", cpu_time);
  end("nobody", become_nobody);
  end("pending", pending);
  end("shown", shown);
  end("inherited", inherited);
  return 0;
}
