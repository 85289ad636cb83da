// Asynchronous I/O by bare calls: reads, writes, vectors, syncs, polls, event counters, refusals.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}

static aio_context_t context;
static struct iocb cb[8];

static struct iocb *make(int i, int op, int fd, void *buffer, size_t bytes, long at) {
  memset(&cb[i], 0, sizeof cb[i]);
  cb[i].aio_data = 100 + i;
  cb[i].aio_lio_opcode = op;
  cb[i].aio_fildes = fd;
  cb[i].aio_buf = (unsigned long)buffer;
  cb[i].aio_nbytes = bytes;
  cb[i].aio_offset = at;
  return &cb[i];
}

static long submit(long n, struct iocb **list) { return syscall(SYS_io_submit, context, n, list); }

static void events(const char *what, long least, long most, long ms) {
  struct io_event e[8];
  struct timespec t = {0, ms * 1000000};
  long n = syscall(SYS_io_getevents, context, least, most, e, ms < 0 ? 0 : &t);
  if (n < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld", what, n);
  for (long i = 0; i < n; i++) printf(" [%d %s %ld %ld]", (int)e[i].data, e[i].obj == (unsigned long)&cb[e[i].data - 100] ? "own" : "?", (long)e[i].res, (long)e[i].res2);
  if (n >= 0) printf("\n");
}

static void on_alarm(int signo) {}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  char text[64] = "";
  struct iocb *one[1], *two[2];
  aio_context_t other = 5;
  say("no room", syscall(SYS_io_setup, 0, &context));
  say("not zero", syscall(SYS_io_setup, 4, &other));
  say("bad pointer", syscall(SYS_io_setup, 4, 8));
  say("too many", syscall(SYS_io_setup, -1, &context));
  say("more than the limit", syscall(SYS_io_setup, 100000, &context));
  say("setup", syscall(SYS_io_setup, 4, &context));
  printf("mapped %d\n", context != 0 && mincore((void *)context, 4096, (unsigned char *)text) == 0);

  int fd = open("/tmp/a", O_CREAT | O_RDWR, 0600);
  two[0] = make(0, IOCB_CMD_PWRITE, fd, "hello, world", 12, 0);
  two[1] = make(1, IOCB_CMD_PREAD, fd, text, 5, 7);
  say("submit two", submit(2, two));
  events("both", 2, 8, -1);
  printf("%s\n", text);
  struct iovec v[2] = {{"12", 2}, {"345", 3}}, r[2] = {{text, 3}, {text + 8, 20}};
  one[0] = make(0, IOCB_CMD_PWRITEV, fd, v, 2, 12);
  say("writev", submit(1, one));
  one[0] = make(1, IOCB_CMD_PREADV, fd, r, 2, 7);
  say("readv", submit(1, one));
  one[0] = make(2, IOCB_CMD_FSYNC, fd, 0, 0, 0);
  say("fsync", submit(1, one));
  events("at least one", 1, 1, -1);
  events("the rest", 2, 8, -1);
  printf("%.3s %.7s\n", text, text + 8);
  events("none", 0, 8, -1);
  events("none in time", 1, 8, 10);

  one[0] = make(0, IOCB_CMD_PREAD, 99, text, 1, 0);
  say("no descriptor", submit(1, one));
  int ro = open("/tmp/a", O_RDONLY);
  one[0] = make(0, IOCB_CMD_PWRITE, ro, text, 1, 0);
  say("not for writing", submit(1, one));
  one[0] = make(0, 77, fd, text, 1, 0);
  say("unknown", submit(1, one));
  one[0] = make(0, IOCB_CMD_PREAD, fd, text, 1, -5);
  say("before the beginning", submit(1, one));
  one[0] = make(0, IOCB_CMD_PREAD, fd, (void *)8, 4, 0);
  say("bad buffer", submit(1, one));
  events("which its event says", 0, 8, -1);
  one[0] = make(0, IOCB_CMD_PREADV, fd, (void *)8, 2, 0);
  say("bad vector", submit(1, one));
  one[0] = 0;
  say("null", submit(1, one));
  say("bad list", submit(1, (void *)8));
  say("none", submit(0, 0));
  say("negative", submit(-1, one));
  two[0] = make(0, IOCB_CMD_PREAD, fd, text, 1, 0);
  two[1] = make(1, IOCB_CMD_PREAD, 99, text, 1, 0);
  say("one good", submit(2, two));
  events("the good one", 0, 8, -1);
  one[0] = make(0, IOCB_CMD_PREAD, fd, text, 1, 0);
  cb[0].aio_reserved2 = 1;
  say("reserved", submit(1, one));

  int counter = eventfd(0, 0);
  one[0] = make(0, IOCB_CMD_PREAD, fd, text, 1, 0);
  cb[0].aio_flags = IOCB_FLAG_RESFD;
  cb[0].aio_resfd = counter;
  say("counted", submit(1, one));
  unsigned long n = 0;
  read(counter, &n, 8);
  printf("counter %lu\n", n);
  cb[0].aio_resfd = fd;
  say("not a counter", submit(1, one));
  events("one", 1, 8, -1);

  int ends[2];
  pipe(ends);
  one[0] = make(0, IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
  say("poll", submit(1, one));
  events("not yet", 0, 8, -1);
  pid_t child = fork();
  if (child == 0) {
    usleep(10000);
    write(ends[1], "x", 1);
    _exit(0);
  }
  events("now", 1, 8, -1);
  waitpid(child, 0, 0);
  one[0] = make(0, IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
  say("poll of what is there", submit(1, one));
  events("at once", 1, 8, -1);
  read(ends[0], text, 1);
  one[0] = make(0, IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
  submit(1, one);
  struct io_event e;
  say("cancel", syscall(SYS_io_cancel, context, &cb[0], &e));
  events("cancelled", 1, 8, 20);
  say("cancel of none", syscall(SYS_io_cancel, context, &cb[0], &e));
  say("cancel of nothing", syscall(SYS_io_cancel, context, 8, &e));

  signal(SIGALRM, on_alarm);
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, 0);
  ualarm(10000, 0);
  events("interrupted", 1, 8, -1);
  events("more than most", 9, 8, -1);
  if (fork() == 0) {
    events("in a child", 0, 8, -1);
    _exit(0);
  }
  wait(0);
  say("destroy", syscall(SYS_io_destroy, context));
  say("twice", syscall(SYS_io_destroy, context));
  events("of none", 0, 8, -1);
  return 0;
}
