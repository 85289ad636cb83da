/* A tracer and its tracees: every stop, every register set, tags from outside. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ptrace(...) raw_ptrace(__VA_ARGS__)
static long raw_ptrace(long request, long pid, unsigned long addr, void *data) {
  return syscall(SYS_ptrace, request, pid, addr, data);
}
#ifndef PROT_MTE
#define PROT_MTE 0x20
#endif
#define PEEKMTETAGS 33
#define POKEMTETAGS 34
#define NT_TAGGED 0x409

static const char *error_name(long result) { return result == 0 ? "0" : strerrorname_np(errno); }

static void show_status(const char *what, int status) {
  printf("%s: ", what);
  if (WIFEXITED(status))
    printf("exited %d\n", WEXITSTATUS(status));
  else if (WIFSIGNALED(status))
    printf("killed by %d\n", WTERMSIG(status));
  else if (WIFCONTINUED(status))
    printf("continued\n");
  else
    printf("stopped by %d event %d\n", WSTOPSIG(status), status >> 16);
  fflush(stdout);
}

static int wait_for(const char *what, int pid) {
  int status = 0;
  int got = waitpid(pid, &status, __WALL);
  if (got != pid) {
    printf("%s: wait gives %s\n", what, got < 0 ? strerrorname_np(errno) : "another");
    return -1;
  }
  show_status(what, status);
  return status;
}

struct regs {
  uint64_t x[31], sp, pc, pstate;
};

static long get_set(int request, int pid, long note, void *at, size_t *length) {
  struct iovec vector = {at, *length};
  long result = ptrace(request, pid, note, &vector);
  *length = vector.iov_len;
  return result;
}

static void get_regs(int pid, struct regs *regs) {
  size_t length = sizeof *regs;
  get_set(PTRACE_GETREGSET, pid, NT_PRSTATUS, regs, &length);
}
static long set_regs(int pid, struct regs *regs) {
  size_t length = sizeof *regs;
  return get_set(PTRACE_SETREGSET, pid, NT_PRSTATUS, regs, &length);
}

static volatile long shared = 41;
static volatile int handled;
static void on_signal(int signo) { handled = signo; }

static int child_of(void (*body)(void)) {
  fflush(stdout);
  int pid = fork();
  if (pid == 0) {
    body();
    _exit(0);
  }
  return pid;
}

/* ---- signals and data */

static void signalled(void) {
  signal(SIGUSR1, on_signal);
  signal(SIGCHLD, SIG_IGN);
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  raise(SIGUSR1);
  if (shared != 42 || handled != 0) _exit(1);
  raise(SIGCHLD);
  raise(SIGUSR2);
  if (handled != SIGUSR1) _exit(2);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGURG);
  _exit(7);
}

static void test_signals(void) {
  int pid = child_of(signalled);
  siginfo_t info;
  wait_for("traceme", pid);
  long word = 0;
  printf("peek %s", error_name(ptrace(PTRACE_PEEKDATA, pid, (long)&shared, &word)));
  printf(" gives %ld\n", word);
  printf("peek of nothing: %s\n", error_name(ptrace(PTRACE_PEEKDATA, pid, 8, &word)));
  printf("poke %s\n", error_name(ptrace(PTRACE_POKEDATA, pid, (long)&shared, (void *)42)));
  printf("poke text %s\n", error_name(ptrace(PTRACE_PEEKTEXT, pid, (long)on_signal, &word)));
  printf("poke text %s\n", error_name(ptrace(PTRACE_POKETEXT, pid, (long)on_signal, (void *)word)));
  printf("bad signal %s\n", error_name(ptrace(PTRACE_CONT, pid, 0, (void *)65)));
  printf("peekuser %s\n", error_name(ptrace(PTRACE_PEEKUSR, pid, 0, &word)));
  printf("unknown request %s\n", error_name(ptrace(0x4999, pid, 0, 0)));
  printf("attach again %s\n", error_name(ptrace(PTRACE_ATTACH, pid, 0, 0)));
  printf("interrupt unseized %s\n", error_name(ptrace(PTRACE_INTERRUPT, pid, 0, 0)));
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("siginfo %d code %d own %d\n", info.si_signo, info.si_code, info.si_pid == pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("usr1", pid);
  printf("while stopped: %s\n", error_name(waitpid(pid, NULL, WNOHANG)));
  ptrace(PTRACE_CONT, pid, 0, 0); /* swallowed */
  wait_for("ignored signal", pid);
  ptrace(PTRACE_CONT, pid, 0, (void *)SIGCHLD);
  wait_for("usr2", pid);
  ptrace(PTRACE_CONT, pid, 0, (void *)SIGUSR1); /* another one instead */
  wait_for("urg", pid);
  uint64_t mask = 0;
  printf("mask %s", error_name(ptrace(PTRACE_GETSIGMASK, pid, 8, &mask)));
  printf(" %llx\n", (unsigned long long)mask);
  printf("mask size %s\n", error_name(ptrace(PTRACE_GETSIGMASK, pid, 4, &mask)));
  mask = ~0ULL;
  ptrace(PTRACE_SETSIGMASK, pid, 8, &mask);
  ptrace(PTRACE_GETSIGMASK, pid, 8, &mask);
  printf("mask set %llx\n", (unsigned long long)mask);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  info.si_code = 77;
  printf("setsiginfo %s\n", error_name(ptrace(PTRACE_SETSIGINFO, pid, 0, &info)));
  memset(&info, 0, sizeof info);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("siginfo %d code %d\n", info.si_signo, info.si_code);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("end", pid);
  printf("after the end: %s\n", error_name(ptrace(PTRACE_CONT, pid, 0, 0)));
}

/* ---- registers */

static void parked(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE | PR_MTE_TCF_SYNC | (0xfffe << PR_MTE_TAG_SHIFT), 0, 0, 0);
  asm volatile("fmov d8, #1.0\n mov x19, #0x1234\n mov x0, %0\n mov x1, %1\n mov x8, #131\n mov x2, #19\n"
               "mov x1, %1\n mov x2, #19\n svc #0\n"
               "fmov x20, d8\n mov x0, x19\n mov x8, #94\n svc #0\n"
               :
               : "r"((long)getpid()), "r"((long)gettid())
               : "x0", "x1", "x2", "x8", "x19", "x20", "d8", "memory");
}

static void test_registers(void) {
  int pid = child_of(parked);
  struct regs regs;
  uint8_t bytes[600];
  wait_for("parked", pid);
  size_t length = 1000;
  printf("general %s", error_name(get_set(PTRACE_GETREGSET, pid, NT_PRSTATUS, &regs, &length)));
  printf(" %zu x19 %llx x8 %llu x0 %llu\n", length, (unsigned long long)regs.x[19], (unsigned long long)regs.x[8],
         (unsigned long long)regs.x[0]);
  length = 12;
  printf("odd length %s\n", error_name(get_set(PTRACE_GETREGSET, pid, NT_PRSTATUS, &regs, &length)));
  length = 8 * 20;
  regs.x[19] = 0x77;
  printf("set part %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_PRSTATUS, &regs, &length)));
  get_regs(pid, &regs);
  regs.pstate |= 0x80;
  printf("masked interrupts %s\n", error_name(set_regs(pid, &regs)));
  regs.pstate = 0x60000005;
  printf("EL1 %s\n", error_name(set_regs(pid, &regs)));
  get_regs(pid, &regs);
  regs.pstate = 0xa0000000;
  printf("flags %s", error_name(set_regs(pid, &regs)));
  get_regs(pid, &regs);
  printf(" %llx\n", (unsigned long long)regs.pstate);
  length = sizeof bytes;
  printf("fp %s", error_name(get_set(PTRACE_GETREGSET, pid, NT_PRFPREG, bytes, &length)));
  uint64_t d8;
  memcpy(&d8, bytes + 8 * 16, 8);
  printf(" %zu d8 %llx\n", length, (unsigned long long)d8);
  uint64_t value[2] = {0x5555, 0};
  length = 8;
  printf("tls %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_ARM_TLS, value, &length)));
  value[0] = 0;
  length = 8;
  get_set(PTRACE_GETREGSET, pid, NT_ARM_TLS, value, &length);
  printf("tls %llx\n", (unsigned long long)value[0]);
  int call = 0;
  length = 4;
  printf("call %s", error_name(get_set(PTRACE_GETREGSET, pid, NT_ARM_SYSTEM_CALL, &call, &length)));
  printf(" %d\n", call);
  length = 16;
  if (getauxval(AT_HWCAP) & HWCAP_PACA) {
    get_set(PTRACE_GETREGSET, pid, NT_ARM_PAC_MASK, value, &length);
    if (length != 16 || value[0] != 0x7f000000000000 || value[1] != value[0]) printf("pac mask differs\n");
    if (!get_set(PTRACE_SETREGSET, pid, NT_ARM_PAC_MASK, value, &length)) printf("pac mask can be set\n");
  }
  length = 16;
  printf("tagged %s", error_name(get_set(PTRACE_GETREGSET, pid, NT_TAGGED, value, &length)));
  printf(" %zu %llx\n", length, (unsigned long long)value[0]);
  value[0] = PR_TAGGED_ADDR_ENABLE | PR_MTE_TCF_ASYNC;
  length = 8;
  printf("tagged set %s", error_name(get_set(PTRACE_SETREGSET, pid, NT_TAGGED, value, &length)));
  get_set(PTRACE_GETREGSET, pid, NT_TAGGED, value, &length);
  printf(" %llx\n", (unsigned long long)value[0]);
  value[0] = 1ULL << 40;
  printf("tagged nonsense %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_TAGGED, value, &length)));
  length = 8;
  printf("no such set %s\n", error_name(get_set(PTRACE_GETREGSET, pid, 0x7777, value, &length)));
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("x19 as status", pid);
}

/* ---- system calls */

static void calling(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  syscall(SYS_getppid);
  long pid = syscall(SYS_getpgid, 0);
  syscall(SYS_close, 999);
  syscall(SYS_exit_group, pid == 1234 ? 3 : 4);
}

static void show_call(int pid) {
  struct ptrace_syscall_info info;
  memset(&info, 0xee, sizeof info);
  long size = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
  struct regs regs;
  get_regs(pid, &regs);
  unsigned long message = 0;
  ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
  int call = 0;
  size_t length = 4;
  get_set(PTRACE_GETREGSET, pid, NT_ARM_SYSTEM_CALL, &call, &length);
  printf("  info %ld op %d arch %x x7 %llu message %lu call %d", size, info.op, info.arch,
         (unsigned long long)(info.op == 0 ? 0 : regs.x[7]), message, call);
  if (info.op == 1) printf(" nr %llu arg0 %lld", (unsigned long long)info.entry.nr, (long long)info.entry.args[0]);
  if (info.op == 2) printf(" error %d%s", info.exit.is_error, info.exit.is_error ? " " : "");
  if (info.op == 2 && info.exit.is_error) printf("%lld", (long long)info.exit.rval);
  printf("\n");
}

static void test_calls(void) {
  int pid = child_of(calling);
  wait_for("calling", pid);
  printf("options %s\n", error_name(ptrace(PTRACE_SETOPTIONS, pid, 0, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT))));
  printf("bad options %s\n", error_name(ptrace(PTRACE_SETOPTIONS, pid, 0, (void *)(1L << 40))));
  show_call(pid);
  for (int stops = 0; stops < 20; stops++) {
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    int status = wait_for("syscall", pid);
    if (!WIFSTOPPED(status)) break;
    if (status >> 16) {
      unsigned long message = 0;
      ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
      printf("exit status will be %lx\n", message);
      continue;
    }
    show_call(pid);
    int call = 0;
    size_t length = 4;
    get_set(PTRACE_GETREGSET, pid, NT_ARM_SYSTEM_CALL, &call, &length);
    struct ptrace_syscall_info info;
    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    if (info.op == 1 && info.entry.nr == SYS_getpgid) {
      call = -1;
      printf("skip %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &call, &length)));
      struct regs regs;
      get_regs(pid, &regs);
      regs.x[0] = 1234;
      set_regs(pid, &regs);
    }
  }
}

/* ---- stepping */

extern char step_start[], step_end[];
static void stepping(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  asm volatile(
      ".global step_start, step_end\n step_start:\n mov x0, #1\n add x0, x0, #2\n b 1f\n nop\n1: mov x8, #172\n svc #0\n mov x9, #5\n"
      "step_end: nop\n"
      :
      :
      : "x0", "x8", "x9");
  _exit(0);
}

static void test_steps(void) {
  int pid = child_of(stepping);
  struct regs regs;
  wait_for("stepping", pid);
  /* Over the rest of raise to the marked code. */
  long old;
  ptrace(PTRACE_PEEKTEXT, pid, (long)step_start, &old);
  ptrace(PTRACE_POKETEXT, pid, (long)step_start, (void *)((old & ~0xffffffffL) | 0xd4200000));
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("breakpoint", pid);
  siginfo_t info;
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  get_regs(pid, &regs);
  printf("brk code %d at %d\n", info.si_code, regs.pc == (uint64_t)step_start);
  ptrace(PTRACE_POKETEXT, pid, (long)step_start, (void *)old);
  for (int i = 0; i < 12; i++) {
    ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
    wait_for("step", pid);
    get_regs(pid, &regs);
    ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
    printf("  pc +%lld code %d\n", (long long)(regs.pc - (uint64_t)step_start), info.si_code);
    if (regs.pc == (uint64_t)step_end) break;
  }
  signal(SIGUSR1, SIG_DFL);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("stepped", pid);
}

static void step_handler(void) {
  signal(SIGUSR1, on_signal);
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGUSR1);
  _exit(handled);
}

static void test_step_into_handler(void) {
  int pid = child_of(step_handler);
  struct regs regs;
  siginfo_t info;
  wait_for("signal", pid);
  ptrace(PTRACE_SINGLESTEP, pid, 0, (void *)SIGUSR1);
  wait_for("step", pid);
  get_regs(pid, &regs);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("in handler %d code %d\n", regs.pc == (uint64_t)on_signal, info.si_code);
  ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
  wait_for("step", pid);
  get_regs(pid, &regs);
  printf("in handler +%lld\n", (long long)(regs.pc - (uint64_t)on_signal));
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("end", pid);
}

/* ---- hardware breakpoints and watchpoints */

static volatile uint64_t watched[4];
static __attribute__((noinline)) void target_function(void) { asm volatile("nop"); }
static void debugged(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  watched[0] = 1;
  watched[1] = 2;
  target_function();
  _exit(9);
}

struct debug_state {
  uint32_t info, pad;
  struct {
    uint64_t address;
    uint32_t control, pad;
  } regs[16];
};

static void test_debug_registers(void) {
  int pid = child_of(debugged);
  struct debug_state state;
  siginfo_t info;
  struct regs regs;
  wait_for("debugged", pid);
  memset(&state, 0, sizeof state);
  size_t length = sizeof state;
  printf("watch %s", error_name(get_set(PTRACE_GETREGSET, pid, NT_ARM_HW_WATCH, &state, &length)));
  printf(" %zu %d\n", length, (state.info & 0xff) >= 2);
  state.regs[0].address = (uint64_t)&watched[1] + 3;
  state.regs[0].control = (1 << 5) | (2 << 3) | 1;
  length = 8 + 16;
  printf("watch set %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_ARM_HW_WATCH, &state, &length)));
  state.regs[0].address = (uint64_t)&watched[1];
  state.regs[0].control = (0xf << 5) | (2 << 3) | 1;
  printf("watch set %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_ARM_HW_WATCH, &state, &length)));
  memset(&state, 0, sizeof state);
  length = sizeof state;
  get_set(PTRACE_GETREGSET, pid, NT_ARM_HW_WATCH, &state, &length);
  printf("watch reads %d %x\n", state.regs[0].address == (uint64_t)&watched[1], state.regs[0].control);
  memset(&state, 0, sizeof state);
  state.regs[0].address = (uint64_t)target_function;
  state.regs[0].control = (0xf << 5) | 1;
  length = 8 + 16;
  printf("break set %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_ARM_HW_BREAK, &state, &length)));
  state.regs[0].control = (0xf << 5) | (1 << 3) | 1;
  printf("bad break %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_ARM_HW_BREAK, &state, &length)));
  state.regs[0].address = ~0ULL << 50;
  state.regs[0].control = (0xf << 5) | 1;
  printf("far break %s\n", error_name(get_set(PTRACE_SETREGSET, pid, NT_ARM_HW_BREAK, &state, &length)));
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("watchpoint", pid);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("code %d at %d\n", info.si_code, info.si_addr == (void *)&watched[1]);
  memset(&state, 0, sizeof state);
  get_set(PTRACE_SETREGSET, pid, NT_ARM_HW_WATCH, &state, &length);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("hardware breakpoint", pid);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  get_regs(pid, &regs);
  printf("code %d at %d\n", info.si_code, regs.pc == (uint64_t)target_function);
  get_set(PTRACE_SETREGSET, pid, NT_ARM_HW_BREAK, &state, &length);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("end", pid);
}

/* ---- events */

static void *empty_thread(void *arg) { return arg; }
static void forking(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  if (fork() == 0) _exit(5);
  wait(NULL);
  if (vfork() == 0) _exit(6);
  wait(NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, empty_thread, NULL);
  pthread_join(thread, NULL);
  char *args[] = {"tracing", "exec", NULL};
  execv("/proc/self/exe", args);
  _exit(99);
}

static void test_events(void) {
  int pid = child_of(forking);
  wait_for("forking", pid);
  long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                 PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
  printf("options %s\n", error_name(ptrace(PTRACE_SETOPTIONS, pid, 0, (void *)options)));
  ptrace(PTRACE_CONT, pid, 0, 0);
  int alive = 1;
  int parent_events = 0;
  while (alive > 0) {
    int status;
    int got = waitpid(-1, &status, __WALL);
    if (got < 0) break;
    int is_child = got != pid;
    if (!WIFSTOPPED(status)) {
      alive--;
      if (!is_child) show_status("parent", status);
      if (is_child) parent_events += 100;
      continue;
    }
    int event = status >> 16;
    unsigned long message = 0;
    ptrace(PTRACE_GETEVENTMSG, got, 0, &message);
    if (!is_child) {
      printf("parent: signal %d event %d", WSTOPSIG(status), event);
      if (event == PTRACE_EVENT_EXEC) printf(" same pid %d", message == (unsigned long)pid);
      if (event == PTRACE_EVENT_EXIT) printf(" status %lx", message);
      if (event >= 1 && event <= 3) alive++;
      printf("\n");
    } else {
      parent_events++;
    }
    long pass = event != 0 || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
    ptrace(PTRACE_CONT, got, 0, (void *)pass);
  }
  printf("stops and ends of the others: %d\n", parent_events);
}

/* ---- attach, seize, group stops */

static void idle(void) {
  for (;;) pause();
}

static void test_attach(void) {
  int pid = child_of(idle);
  printf("attach %s\n", error_name(ptrace(PTRACE_ATTACH, pid, 0, 0)));
  wait_for("attached", pid);
  char line[64], path[64];
  sprintf(path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "r");
  while (fgets(line, sizeof line, file)) {
    if (!strncmp(line, "State:", 6)) fputs(line, stdout);
    if (!strncmp(line, "TracerPid:", 10)) printf("traced by us %d\n", atoi(line + 10) == getpid());
  }
  fclose(file);
  printf("cont %s\n", error_name(ptrace(PTRACE_CONT, pid, 0, 0)));
  printf("running %s\n", error_name(ptrace(PTRACE_CONT, pid, 0, 0)));
  kill(pid, SIGSTOP);
  wait_for("stop", pid);
  ptrace(PTRACE_CONT, pid, 0, (void *)SIGSTOP);
  wait_for("group stop", pid);
  siginfo_t info;
  printf("its siginfo: %s\n", error_name(ptrace(PTRACE_GETSIGINFO, pid, 0, &info)));
  printf("detach %s\n", error_name(ptrace(PTRACE_DETACH, pid, 0, 0)));
  int status;
  waitpid(pid, &status, WUNTRACED);
  show_status("as a child", status);
  kill(pid, SIGCONT);
  waitpid(pid, &status, WCONTINUED);
  show_status("as a child", status);
  kill(pid, SIGTERM);
  wait_for("end", pid);
}

static void test_seize(void) {
  int pid = child_of(idle);
  siginfo_t info;
  printf("seize address %s\n", error_name(ptrace(PTRACE_SEIZE, pid, 1, 0)));
  printf("seize options %s\n", error_name(ptrace(PTRACE_SEIZE, pid, 0, (void *)(1L << 33))));
  printf("seize %s\n", error_name(ptrace(PTRACE_SEIZE, pid, 0, (void *)PTRACE_O_TRACESYSGOOD)));
  printf("interrupt %s\n", error_name(ptrace(PTRACE_INTERRUPT, pid, 0, 0)));
  wait_for("interrupted", pid);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("siginfo %d code %x\n", info.si_signo, info.si_code);
  printf("listen outside a group stop %s\n", error_name(ptrace(PTRACE_LISTEN, pid, 0, 0)));
  kill(pid, SIGCONT);
  wait_for("its end is trapped", pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("cont as a signal", pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  kill(pid, SIGSTOP);
  wait_for("stop signal", pid);
  ptrace(PTRACE_CONT, pid, 0, (void *)SIGSTOP);
  wait_for("group stop", pid);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("siginfo %d code %x\n", info.si_signo, info.si_code);
  printf("listen %s\n", error_name(ptrace(PTRACE_LISTEN, pid, 0, 0)));
  printf("while listening %s\n", error_name(ptrace(PTRACE_CONT, pid, 0, 0)));
  printf("nothing new %d\n", waitpid(pid, NULL, WNOHANG | __WALL));
  kill(pid, SIGCONT);
  wait_for("end of stop", pid);
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("siginfo %d code %x\n", info.si_signo, info.si_code);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("cont as a signal", pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  siginfo_t waited;
  kill(pid, SIGUSR2);
  memset(&waited, 0, sizeof waited);
  waitid(P_PID, pid, &waited, WSTOPPED | WNOWAIT);
  printf("waitid code %d status %d\n", waited.si_code, waited.si_status);
  printf("kill %s\n", error_name(ptrace(PTRACE_KILL, pid, 0, 0)));
  wait_for("end", pid);
}

/* The tracer is not the parent. */
static int between[2];
static void tracer_of_sibling(void) {
  int pid;
  read(between[0], &pid, sizeof pid);
  ptrace(PTRACE_SEIZE, pid, 0, (void *)PTRACE_O_EXITKILL);
  ptrace(PTRACE_INTERRUPT, pid, 0, 0);
  wait_for("sibling", pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  kill(pid, SIGUSR1);
  wait_for("sibling", pid);
  ptrace(PTRACE_CONT, pid, 0, (void *)SIGUSR1);
  wait_for("sibling", pid);
  fflush(stdout);
}
static void tracer_that_leaves(void) {
  int pid;
  read(between[0], &pid, sizeof pid);
  ptrace(PTRACE_SEIZE, pid, 0, (void *)PTRACE_O_EXITKILL);
}

static void test_foreign_tracer(void) {
  pipe(between);
  int pid = child_of(idle);
  int tracer = child_of(tracer_of_sibling);
  write(between[1], &pid, sizeof pid);
  wait_for("tracer", tracer);
  wait_for("and its parent hears of", pid);
  pid = child_of(idle);
  tracer = child_of(tracer_that_leaves);
  write(between[1], &pid, sizeof pid);
  wait_for("tracer", tracer);
  wait_for("exitkill", pid);
}

/* ---- queued signals, memory of others */

static char far_buffer[32] = "from the other side";
static void queueing(void) {
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  union sigval value;
  for (int i = 0; i < 3; i++) {
    value.sival_int = 10 + i;
    pthread_sigqueue(pthread_self(), SIGRTMIN + 1, value);
    value.sival_int = 20 + i;
    sigqueue(getpid(), SIGRTMIN + 2, value);
  }
  raise(SIGSTOP);
  strcpy(far_buffer, strcmp(far_buffer, "written") ? "unchanged" : "as it should");
  _exit(far_buffer[0] == 'a' ? 0 : 1);
}

static void test_remote(void) {
  int pid = child_of(queueing);
  wait_for("queueing", pid);
  struct ptrace_peeksiginfo_args args = {0, 0, 8};
  siginfo_t infos[8];
  long count = ptrace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&args, infos);
  printf("own queue %ld:", count);
  for (int i = 0; i < count; i++) printf(" %d/%d", infos[i].si_signo - SIGRTMIN, infos[i].si_value.sival_int);
  args.flags = PTRACE_PEEKSIGINFO_SHARED;
  args.off = 1;
  args.nr = 1;
  count = ptrace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&args, infos);
  printf("\nshared queue %ld: %d\n", count, infos[0].si_value.sival_int);
  args.flags = 6;
  printf("bad flags %s\n", error_name(ptrace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&args, infos)));
  char near[64] = {0};
  struct iovec local[2] = {{near, 4}, {near + 8, 12}};
  struct iovec remote[2] = {{far_buffer, 8}, {(void *)16, 8}};
  printf("readv %zd", process_vm_readv(pid, local, 2, remote, 2, 0));
  printf(" '%s' '%.4s'\n", near, near + 8);
  remote[0].iov_base = (void *)16;
  ssize_t none = process_vm_readv(pid, local, 2, remote, 1, 0);
  printf("readv of nothing %s\n", error_name(none));
  strcpy(near, "written");
  local[0].iov_len = 8;
  remote[0] = (struct iovec){far_buffer, 8};
  printf("writev %zd\n", process_vm_writev(pid, local, 1, remote, 1, 0));
  remote[0] = (struct iovec){(void *)on_signal, 8};
  printf("writev to text %s\n", error_name(process_vm_writev(pid, local, 1, remote, 1, 0)));
  printf("flags %s\n", error_name(process_vm_readv(pid, local, 1, remote, 1, 1)));
  char path[64];
  sprintf(path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDWR);
  printf("mem %zd", pread(fd, near + 32, 7, (off_t)far_buffer));
  printf(" %s\n", near + 32);
  close(fd);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("end", pid);
}

/* ---- tags */

static char *tagged;
static void tagging(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE | PR_MTE_TCF_SYNC | (0xfffe << PR_MTE_TAG_SHIFT), 0, 0, 0);
  for (int i = 0; i < 8; i++) {
    char *at = (char *)((uintptr_t)(tagged + 16 * i) | ((uint64_t)(i + 1) << 56));
    asm volatile(".arch armv8.5-a+memtag\n stg %0, [%0]" : : "r"(at) : "memory");
  }
  raise(SIGSTOP);
  *(volatile char *)((uintptr_t)tagged | (9ULL << 56)) = 1;
  *(volatile char *)((uintptr_t)tagged | (1ULL << 56)) = 1;
  _exit(1);
}

static void show_tags(int pid, const char *at, size_t count) {
  unsigned char tags[600];
  memset(tags, 0xee, sizeof tags);
  struct iovec vector = {tags, count};
  long result = ptrace(PEEKMTETAGS, pid, (unsigned long)at, &vector);
  printf("tags %s %zu:", error_name(result), vector.iov_len);
  if (result == 0)
    for (size_t i = 0; i < vector.iov_len && i < 10; i++) printf(" %x", tags[i]);
  printf("\n");
}

static void test_tags(void) {
  long page = sysconf(_SC_PAGESIZE);
  tagged = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE | PROT_MTE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *plain = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mmap(tagged + 2 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  plain[0] = 1;
  int pid = child_of(tagging);
  wait_for("tagging", pid);
  show_tags(pid, tagged, 10);
  show_tags(pid, tagged + 24, 2);
  show_tags(pid, (char *)((uintptr_t)tagged | 7ULL << 56), 1);
  show_tags(pid, plain, 4);
  show_tags(pid, (char *)4096, 4);
  show_tags(pid, tagged, 0);
  show_tags(pid, tagged + 2 * page - 32, 8);
  show_tags(pid, tagged + page - 32, 4);
  unsigned char tags[4] = {0xf9, 0x12, 3, 4};
  struct iovec vector = {tags, 2};
  printf("poke %s", error_name(ptrace(POKEMTETAGS, pid, (unsigned long)tagged, &vector)));
  printf(" %zu\n", vector.iov_len);
  show_tags(pid, tagged, 3);
  vector = (struct iovec){tags, 4};
  printf("poke over the end %s", error_name(ptrace(POKEMTETAGS, pid, (unsigned long)(tagged + 2 * page - 16), &vector)));
  printf(" %zu\n", vector.iov_len);
  vector = (struct iovec){(void *)16, 4};
  printf("poke from nothing %s\n", error_name(ptrace(POKEMTETAGS, pid, (unsigned long)tagged, &vector)));
  printf("peek to nothing %s\n", error_name(ptrace(PEEKMTETAGS, pid, (unsigned long)tagged, &vector)));
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_for("mismatch", pid);
  siginfo_t info;
  ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  printf("code %d at %d\n", info.si_code, info.si_addr == tagged);
  ptrace(PTRACE_CONT, pid, 0, (void *)SIGSEGV);
  wait_for("end", pid);
}

int main(int argc, char **argv) {
  if (argc > 1) return 11;
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  const struct {
    const char *name;
    void (*run)(void);
  } tests[] = {{"signals", test_signals},
               {"registers", test_registers},
               {"calls", test_calls},
               {"steps", test_steps},
               {"handler", test_step_into_handler},
               {"debug registers", test_debug_registers},
               {"events", test_events},
               {"attach", test_attach},
               {"seize", test_seize},
               {"foreign tracer", test_foreign_tracer},
               {"remote", test_remote},
               {"tags", test_tags}};
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
    printf("-- %s\n", tests[i].name);
    tests[i].run();
    fflush(stdout);
  }
  return 0;
}
