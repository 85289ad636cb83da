// Who is told of events on files, and by which signal: owners, O_ASYNC, folders and leases.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}

static volatile int count;
static siginfo_t last;
static int thread;
static void on_signal(int signo, siginfo_t *info, void *context) {
  count++;
  last = *info;
  thread = syscall(SYS_gettid);
}

static void told(const char *what, int fd) {
  usleep(1000);
  if (count == 0) printf("%s: nothing\n", what);
  else if (last.si_code == SI_KERNEL) printf("%s: %d, signal %d of the kernel\n", what, count, last.si_signo);
  else printf("%s: %d, signal %d code %d band %lx %s\n", what, count, last.si_signo, last.si_code, last.si_band,
              last.si_fd == fd ? "of it" : "of another");
  count = 0;
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  umask(0);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(SIGIO, &action, 0);
  sigaction(SIGRTMIN + 2, &action, 0);
  char text[64];
  int ends[2], pair[2];
  pipe(ends);

  say("nobody", fcntl(ends[0], F_GETOWN));
  say("no such process", fcntl(ends[0], F_SETOWN, 99999));
  say("no such group", fcntl(ends[0], F_SETOWN, -99999));
  say("least number", fcntl(ends[0], F_SETOWN, 1 << 31));
  struct f_owner_ex ex = {9, getpid()};
  say("unknown kind", fcntl(ends[0], F_SETOWN_EX, &ex));
  ex.type = F_OWNER_TID;
  say("thread", fcntl(ends[0], F_SETOWN_EX, &ex));
  printf("is me: %d\n", fcntl(ends[0], F_GETOWN) == getpid());
  memset(&ex, -1, sizeof ex);
  fcntl(ends[0], F_GETOWN_EX, &ex);
  printf("kind %d %d\n", ex.type, ex.pid == getpid());
  ex.type = F_OWNER_PGRP;
  ex.pid = getpgrp();
  fcntl(ends[0], F_SETOWN_EX, &ex);
  fcntl(ends[0], F_GETOWN_EX, &ex);
  printf("kind %d %d\n", ex.type, ex.pid == getpgrp());
  unsigned ids[2];
  say("uids", fcntl(ends[0], 17, ids));
  printf("%u %u\n", ids[0], ids[1]);
  say("signal 65", fcntl(ends[0], F_SETSIG, 65));

  fcntl(ends[0], F_SETOWN, getpid());
  write(ends[1], "x", 1);
  told("without O_ASYNC", ends[0]);
  fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
  printf("flags %x\n", fcntl(ends[0], F_GETFL) & (O_ASYNC | O_NONBLOCK));
  write(ends[1], "x", 1);
  told("a write", ends[0]);
  read(ends[0], text, 1);
  told("a read", ends[0]);
  fcntl(ends[0], F_SETSIG, SIGRTMIN + 2);
  write(ends[1], "x", 1);
  told("with F_SETSIG", ends[0]);
  int copy = dup(ends[0]);
  write(ends[1], "x", 1);
  told("after dup", ends[0]);
  close(ends[0]);
  write(ends[1], "x", 1);
  told("after close of one", ends[0]);
  close(copy);
  signal(SIGPIPE, SIG_IGN);
  write(ends[1], "x", 1);
  told("after close of both", ends[0]);
  close(ends[1]);

  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  int on = 1;
  fcntl(pair[0], F_SETOWN, -getpgrp());
  say("FIOASYNC", ioctl(pair[0], FIOASYNC, &on));
  fcntl(pair[0], F_SETSIG, SIGRTMIN + 2);
  write(pair[1], "x", 1);
  told("socket", pair[0]);
  on = 0;
  ioctl(pair[0], FIOASYNC, &on);
  write(pair[1], "x", 1);
  told("no more", pair[0]);

  // A child's file tells nobody who is not its own.
  fcntl(pair[0], F_SETFL, 0);
  pid_t child = fork();
  if (child == 0) {
    setgroups(0, 0);
    setgid(1000);
    setuid(1000);
    fcntl(pair[0], F_SETOWN, getppid());
    fcntl(pair[0], F_SETFL, O_ASYNC);
    write(pair[1], "x", 1);
    _exit(0);
  }
  waitpid(child, 0, 0);
  told("from another user", pair[0]);
  fcntl(pair[0], F_SETFL, 0);

  // Folders.
  mkdir("/tmp/f", 0777);
  int d = open("/tmp/f", O_RDONLY | O_DIRECTORY);
  say("a pipe", fcntl(pair[0], F_NOTIFY, DN_CREATE));
  say("folder", fcntl(d, F_NOTIFY, DN_CREATE));
  close(open("/tmp/f/a", O_CREAT | O_WRONLY, 0666));
  told("create", d);
  close(open("/tmp/f/b", O_CREAT | O_WRONLY, 0666));
  told("only once", d);
  fcntl(d, F_SETSIG, SIGRTMIN + 2);
  say("again and again", fcntl(d, F_NOTIFY, DN_DELETE | DN_MULTISHOT));
  say("and more", fcntl(d, F_NOTIFY, DN_RENAME | DN_MULTISHOT));
  unlink("/tmp/f/a");
  told("delete", d);
  rename("/tmp/f/b", "/tmp/f/c");
  told("rename", d);
  chmod("/tmp/f/c", 0600);
  told("chmod", d);
  mkdir("/tmp/g", 0777);
  rename("/tmp/f/c", "/tmp/g/c");
  told("move out", d);
  rename("/tmp/g/c", "/tmp/f/c");
  told("move in", d);
  say("end", fcntl(d, F_NOTIFY, 0));
  unlink("/tmp/f/c");
  told("ended", d);
  close(d);

  // Leases.
  int f = open("/tmp/l", O_CREAT | O_RDWR | O_TRUNC, 0666);
  say("none", fcntl(f, F_GETLEASE));
  say("unknown", fcntl(f, F_SETLEASE, 7));
  say("of a pipe", fcntl(pair[0], F_SETLEASE, F_RDLCK));
  say("to read what can be written", fcntl(f, F_SETLEASE, F_RDLCK));
  say("to write", fcntl(f, F_SETLEASE, F_WRLCK));
  say("is", fcntl(f, F_GETLEASE));
  say("give back", fcntl(f, F_SETLEASE, F_UNLCK));
  say("twice", fcntl(f, F_SETLEASE, F_UNLCK));
  close(f);
  f = open("/tmp/l", O_RDONLY);
  int g = open("/tmp/l", O_RDONLY);
  say("to write, with another", fcntl(f, F_SETLEASE, F_WRLCK));
  say("to read, with another", fcntl(f, F_SETLEASE, F_RDLCK));
  say("both", fcntl(g, F_SETLEASE, F_RDLCK));
  fcntl(f, F_SETSIG, SIGRTMIN + 2);
  int h = open("/tmp/l", O_RDONLY);
  told("open to read", f);
  close(h);
  close(g);
  say("open to write", open("/tmp/l", O_WRONLY | O_NONBLOCK));
  told("it was told", f);
  say("on its way to", fcntl(f, F_GETLEASE));
  say("once more", open("/tmp/l", O_WRONLY | O_NONBLOCK));
  told("told once", f);
  child = fork();
  if (child == 0) {
    int w = open("/tmp/l", O_WRONLY);
    printf("child opened\n");
    _exit(w < 0);
  }
  usleep(30000);
  printf("giving back\n");
  fcntl(f, F_SETLEASE, F_UNLCK);
  waitpid(child, 0, 0);
  count = 0;
  close(f);
  f = open("/tmp/l", O_RDWR);
  fcntl(f, F_SETSIG, SIGRTMIN + 2);
  fcntl(f, F_SETLEASE, F_WRLCK);
  child = fork();
  if (child == 0) {
    close(f);
    int r = open("/tmp/l", O_RDONLY);
    printf("reader opened\n");
    _exit(r < 0);
  }
  while (count == 0) usleep(1000);
  told("a reader came", f);
  say("to become", fcntl(f, F_GETLEASE));
  say("downgrade of one that can be written", fcntl(f, F_SETLEASE, F_RDLCK));
  printf("closing\n");
  close(f);
  waitpid(child, 0, 0);
  f = open("/tmp/l", O_RDONLY);
  fcntl(f, F_SETLEASE, F_RDLCK);
  signal(SIGALRM, (void *)on_signal);
  child = fork();
  if (child == 0) {
    sigaction(SIGALRM, &action, 0);
    ualarm(30000, 0);
    say("interrupted", truncate("/tmp/l", 1));
    _exit(0);
  }
  waitpid(child, 0, 0);
  if (fork() == 0) {
    setgroups(0, 0);
    setgid(1000);
    setuid(1000);
    int o = open("/tmp/l", O_RDONLY);
    say("of another's file", fcntl(o, F_SETLEASE, F_RDLCK));
    _exit(0);
  }
  wait(0);
  return 0;
}
