// What a thread gives up: seccomp's modes, capabilities, dumpability; orphans, death of parents, unshare.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void result(const char *what, long value) {
  printf("%s %ld %s\n", what, value, value == -1 ? strerror(errno) : "");
}

static void end(const char *title, void (*run)(void)) {
  pid_t child = fork();
  if (!child) {
    run();
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  printf("%s: %s %d\n", title, WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static long install(struct sock_filter *filter, int length, int flags) {
  struct sock_fprog program = {length, filter};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define CALL(name, answer) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, answer)

static void handler(int number, siginfo_t *info, void *context) {
  printf("signal %d code %d errno %d call %d arch %x\n", number, info->si_code, info->si_errno, info->si_syscall == SYS_getpgid, info->si_arch);
}

static void filters(void) {
  struct sock_filter rules[] = {
      LOAD(nr),
      CALL(getppid, SECCOMP_RET_ERRNO | 77),
      CALL(getpgid, SECCOMP_RET_TRAP | 5),
      CALL(getsid, SECCOMP_RET_TRACE),
      CALL(getuid, SECCOMP_RET_LOG),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 3),
      LOAD(args[1]),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 40, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 33),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  int length = sizeof rules / sizeof *rules;
  result("mode", prctl(PR_GET_SECCOMP));
  struct sock_filter bad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 3), BPF_STMT(BPF_RET | BPF_K, 0)};
  result("unaligned", install(bad, 2, 0));
  bad[0] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0);
  result("division", install(bad, 2, 0));
  bad[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 0);
  result("jump", install(bad, 2, 0));
  result("no end", install(bad, 1, 0));
  result("flags", install(rules, length, 1 << 20));
  result("install", install(rules, length, 0));
  result("mode", prctl(PR_GET_SECCOMP));
  result("errno", syscall(SYS_getppid));
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  result("trap", syscall(SYS_getpgid, 42));
  result("trace", syscall(SYS_getsid, 0));
  result("log", syscall(SYS_getuid));
  result("by argument", kill(getpid(), 41));
  result("by argument", kill(getpid(), 0));
  // Another filter: the stricter answer counts.
  struct sock_filter more[] = {LOAD(nr), CALL(getppid, SECCOMP_RET_ERRNO | 99), CALL(getuid, SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  result("install", install(more, 6, 0));
  result("errno", syscall(SYS_getppid));
  if (fork() == 0) {
    result("inherited", syscall(SYS_getppid));
    _exit(0);
  }
  wait(NULL);
  unsigned known = SECCOMP_RET_KILL_THREAD, unknown = 0x12340000;
  result("known", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &known));
  result("unknown", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown));
  result("strict", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
  syscall(SYS_getuid);
}

static void nobody(void) {
  struct sock_filter rule[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  setuid(1000);
  result("not allowed", install(rule, 1, 0));
  result("no new privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  result("allowed", install(rule, 1, 0));
}

static void strict(void) {
  result("strict", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
  write(1, "write works\n", 12);
  syscall(SYS_getpid);
}
static void strict_exit(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  syscall(SYS_exit, 7);
}

static unsigned effective(void) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  syscall(SYS_capget, &head, data);
  return data[0].effective;
}

static void capabilities(void) {
  struct __user_cap_header_struct head = {0, 0};
  struct __user_cap_data_struct data[2];
  result("version", syscall(SYS_capget, &head, NULL));
  printf("%x %x\n", head.version, effective());
  result("drop", prctl(PR_CAPBSET_DROP, CAP_NET_RAW));
  printf("bounding %d %d\n", prctl(PR_CAPBSET_READ, CAP_NET_RAW), prctl(PR_CAPBSET_READ, CAP_CHOWN));
  result("beyond", prctl(PR_CAPBSET_READ, 50));
  head.version = _LINUX_CAPABILITY_VERSION_3;
  syscall(SYS_capget, &head, data);
  data[0].effective = 1 << CAP_KILL;
  data[0].permitted = 1 << CAP_KILL | 1 << CAP_SETUID;
  data[0].inheritable = 1 << CAP_KILL;
  data[1].effective = data[1].permitted = 0;
  result("capset", syscall(SYS_capset, &head, data));
  printf("%x\n", effective());
  data[0].permitted |= 1 << CAP_CHOWN;
  result("more", syscall(SYS_capset, &head, data));
  result("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
  result("not inheritable", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0));
  result("is set", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
  result("drop", prctl(PR_CAPBSET_DROP, CAP_CHOWN));
  head.pid = 1;
  result("others", syscall(SYS_capset, &head, data));
}

static void keep(void) {
  result("keep", prctl(PR_SET_KEEPCAPS, 1));
  setuid(1000);
  printf("effective %x keeps %d\n", effective(), prctl(PR_GET_KEEPCAPS));
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  syscall(SYS_capget, &head, data);
  printf("permitted %d\n", data[0].permitted == 0xffffffff);
  result("back", setresuid(-1, 0, -1));
}

static void family(void) {
  int p[2];
  char byte;
  pipe(p);
  result("subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1));
  pid_t self = getpid(), child = fork();
  if (!child) {
    if (!fork()) {
      while (getppid() != self) usleep(1000);
      write(p[1], "x", 1);
      _exit(3);
    }
    _exit(0);
  }
  waitpid(child, NULL, 0);
  read(p[0], &byte, 1);
  int status;
  printf("orphan %d\n", waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 3);
  child = fork();
  if (!child) {
    pid_t grandchild = fork();
    if (!grandchild) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      write(p[1], "x", 1);
      pause();
    }
    read(p[0], &byte, 1);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  waitpid(-1, &status, 0);
  printf("with its parent: signal %d\n", WTERMSIG(status));
  printf("slack %d %d\n", prctl(PR_GET_TIMERSLACK), prctl(PR_SET_TIMERSLACK, 1000));
}

static void sharing(void) {
  result("files", unshare(CLONE_FILES | CLONE_FS));
  result("nothing", unshare(0));
  result("unknown", unshare(CLONE_SETTLS));
  result("setns", setns(99, 0));
  result("attribute", getxattr("/tmp", "user.none", NULL, 0));
  result("none", getxattr("/none", "user.none", NULL, 0));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  end("filters", filters);
  end("nobody", nobody);
  end("strict", strict);
  end("strict exit", strict_exit);
  end("capabilities", capabilities);
  end("keep", keep);
  end("family", family);
  end("sharing", sharing);
  return 0;
}
