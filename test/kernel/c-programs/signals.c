// Signals: siginfo, masks, nesting, alternate stack, restarted and interrupted calls, timers.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int seen, code, depth, most;
static void note(int signo, siginfo_t *info, void *context) {
  (void)context;
  seen = signo;
  code = info->si_code;
}
static void nested(int signo) {
  if (++depth > most) most = depth;
  if (depth < 3) raise(signo);
  depth--;
}
static sigjmp_buf back;
static volatile unsigned long fault_address, frame_sp;
static void faulted(int signo, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  seen = signo;
  code = info->si_code;
  fault_address = (unsigned long)info->si_addr;
  frame_sp = (unsigned long)&u;
  siglongjmp(back, 1);
}
static void skip(int signo, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  seen = signo;
  code = info->si_code;
  u->uc_mcontext.pc += 4;
  u->uc_mcontext.regs[0] = 99;
}
static void on(int signo, void (*handler)(int, siginfo_t *, void *), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(signo, &action, NULL);
}

int main(void) {
  on(SIGUSR1, note, 0);
  raise(SIGUSR1);
  printf("raise: %d code %d\n", seen, code);
  kill(getpid(), SIGUSR1);
  printf("kill: %d code %d\n", seen, code);
  union sigval value = {.sival_int = 5};
  sigqueue(getpid(), SIGUSR1, value);
  printf("sigqueue: %d code %d\n", seen, code);

  sigset_t set, old, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, &old);
  seen = 0;
  raise(SIGUSR1);
  sigpending(&pending);
  printf("blocked: %d pending %d\n", seen, sigismember(&pending, SIGUSR1));
  sigprocmask(SIG_SETMASK, &old, NULL);
  printf("unblocked: %d\n", seen);

  struct sigaction nest = {.sa_handler = nested, .sa_flags = SA_NODEFER};
  sigaction(SIGUSR2, &nest, NULL);
  raise(SIGUSR2);
  printf("nested: %d\n", most);

  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  on(SIGSEGV, faulted, SA_ONSTACK);
  if (!sigsetjmp(back, 1)) *(volatile int *)0x1234 = 1;
  printf("segv: %d code %d at %lx on the other stack %d\n", seen, code, fault_address,
         frame_sp > (unsigned long)stack && frame_sp < (unsigned long)stack + sizeof stack);
  char *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!sigsetjmp(back, 1)) *(volatile char *)(page + 7) = 1;
  printf("accerr: code %d at +%ld\n", code, (long)(fault_address - (unsigned long)page));
  on(SIGILL, skip, 0);
  register long x0 asm("x0") = 1;
  asm volatile(".inst 0" : "+r"(x0));
  printf("ill: %d code %d x0 %ld\n", seen, code, x0);
  on(SIGTRAP, skip, 0);
  asm volatile("brk #1" ::: "x0");
  printf("trap: %d code %d\n", seen, code);

  on(SIGALRM, note, 0);
  struct itimerval soon = {.it_value = {.tv_usec = 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  struct timespec second = {1, 0}, left;
  int result = nanosleep(&second, &left);
  printf("nanosleep: %d %s left %d\n", result, strerror(errno), left.tv_sec == 0 && left.tv_nsec > 900000000);
  int ends[2];
  pipe(ends);
  setitimer(ITIMER_REAL, &soon, NULL);
  char byte;
  result = read(ends[0], &byte, 1);
  printf("read: %d %s\n", result, strerror(errno));
  on(SIGPIPE, note, 0);
  close(ends[0]);
  result = write(ends[1], "x", 1);
  printf("write: %d %s signal %d\n", result, strerror(errno), seen);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value = {.sival_int = 7}};
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  struct itimerspec once = {.it_value = {.tv_nsec = 5000000}};
  timer_settime(timer, 0, &once, NULL);
  seen = 0;
  while (!seen) pause();
  printf("timer: %d code %d\n", seen, code);
  sigprocmask(SIG_BLOCK, &set, NULL);
  kill(getpid(), SIGUSR1);
  siginfo_t info;
  printf("sigwaitinfo: %d from %d\n", sigwaitinfo(&set, &info), info.si_pid == getpid());
  fflush(stdout);
  signal(SIGTERM, SIG_DFL);
  raise(SIGTERM);
  return 0;
}
