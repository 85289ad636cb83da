// POSIX message queues: names, attributes, order, waiting, notification, permissions.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}

static long opens(const char *name, int flags, mode_t mode, void *attr) {
  long q = syscall(SYS_mq_open, name, flags, mode, attr);
  if (q >= 0) close(q), q = 0;
  return q;
}

static void file(const char *path) {
  char text[128] = "";
  int fd = open(path, O_RDONLY);
  if (fd < 0) printf("%s: %s\n", path, strerrorname_np(errno));
  else {
    read(fd, text, 127);
    printf("%s: %s", path, text);
    close(fd);
  }
}

static volatile int told;
static siginfo_t seen;
static void on_message(int signo, siginfo_t *info, void *context) {
  told++;
  seen = *info;
}

static struct timespec in(long ms) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += ms * 1000000;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  umask(022);
  char buffer[8192], text[16];
  unsigned priority;
  say("nothing there", opens("q", O_RDWR, 0, 0));
  say("no name", opens("", O_RDWR | O_CREAT, 0600, 0));
  say("a slash", opens("a/b", O_RDWR | O_CREAT, 0600, 0));
  say("a dot", opens(".", O_RDWR | O_CREAT, 0600, 0));
  memset(buffer, 'x', 300);
  buffer[256] = 0;
  say("long", opens(buffer, O_RDWR | O_CREAT, 0600, 0));
  say("bad attributes", opens("q", O_RDWR | O_CREAT, 0600, (void *)8));
  struct mq_attr none = {.mq_maxmsg = 0, .mq_msgsize = 16}, huge = {.mq_maxmsg = 1 << 20, .mq_msgsize = 16},
                 most = {.mq_maxmsg = 65536, .mq_msgsize = 8192}, small = {.mq_maxmsg = 3, .mq_msgsize = 16};
  say("no messages", opens("q", O_RDWR | O_CREAT, 0600, &none));
  say("too many", opens("q", O_RDWR | O_CREAT, 0600, &huge));
  say("beyond the limit", opens("q", O_RDWR | O_CREAT, 0600, &most));

  mqd_t q = mq_open("/q", O_RDWR | O_CREAT | O_EXCL, 0666, &small);
  struct stat st;
  fstat(q, &st);
  printf("mode %o size %ld, cloexec %d\n", st.st_mode, (long)st.st_size, fcntl(q, F_GETFD));
  say("again", opens("q", O_RDWR | O_CREAT | O_EXCL, 0600, 0));
  say("existing", opens("q", O_RDWR | O_CREAT, 0600, &none));
  say("mode 3", opens("q", 3, 0, 0));
  struct mq_attr attr;
  mq_getattr(q, &attr);
  printf("%ld %ld %ld %ld\n", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
  mqd_t plain = mq_open("/plain", O_RDWR | O_CREAT, 0600, 0);
  mq_getattr(plain, &attr);
  printf("%ld %ld %ld %ld\n", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
  mq_close(plain);
  mq_unlink("/plain");

  say("send", mq_send(q, "low", 3, 1));
  say("send", mq_send(q, "high", 4, 9));
  say("send", mq_send(q, "low2", 4, 1));
  struct pollfd p = {q, POLLIN | POLLOUT};
  poll(&p, 1, 0);
  printf("full: poll %x\n", p.revents);
  struct timespec soon = in(20);
  say("one more, in time", mq_timedsend(q, "x", 1, 0, &soon));
  struct timespec bad = {0, -1};
  say("bad time, full", mq_timedsend(q, "x", 1, 0, &bad));
  say("too long", mq_send(q, buffer, 17, 0));
  say("priority", mq_send(q, "x", 1, 32768));
  file("/dev/mqueue/q");
  say("small buffer", mq_receive(q, text, 15, 0));
  for (int i = 0; i < 3; i++) {
    ssize_t n = mq_receive(q, text, 16, &priority);
    printf("%.*s %u\n", (int)n, text, priority);
  }
  poll(&p, 1, 0);
  printf("empty: poll %x\n", p.revents);
  struct mq_attr nonblock = {.mq_flags = O_NONBLOCK}, wrong = {.mq_flags = O_APPEND};
  say("wrong flags", syscall(SYS_mq_getsetattr, q, &wrong, 0));
  say("set", mq_setattr(q, &nonblock, &attr));
  printf("was %lx, is %x\n", attr.mq_flags, fcntl(q, F_GETFL) & O_NONBLOCK);
  say("receive", mq_receive(q, text, 16, 0));
  mq_setattr(q, &attr, 0);
  soon = in(20);
  say("receive in time", mq_timedreceive(q, text, 16, 0, &soon));
  say("bad pointer", mq_send(q, (void *)8, 4, 0));
  say("empty message", mq_send(q, "", 0, 0));
  say("received", mq_receive(q, text, 16, 0));
  say("not a queue", mq_send(1, "x", 1, 0));
  say("write", write(q, "x", 1));

  // One waits, another sends; then one waits for room.
  pid_t child = fork();
  if (child == 0) {
    usleep(20000);
    mq_send(q, "from child", 10, 5);
    _exit(0);
  }
  ssize_t n = mq_receive(q, text, 16, &priority);
  printf("%.*s %u\n", (int)n, text, priority);
  waitpid(child, 0, 0);
  for (int i = 0; i < 3; i++) mq_send(q, "fill", 4, i);
  child = fork();
  if (child == 0) {
    usleep(20000);
    mq_receive(q, text, 16, &priority);
    _exit(0);
  }
  say("waited for room", mq_send(q, "more", 4, 7));
  waitpid(child, 0, 0);
  for (mq_getattr(q, &attr); attr.mq_curmsgs > 0; mq_getattr(q, &attr)) {
    mq_receive(q, text, 16, &priority);
    printf(" %u", priority);
  }
  printf("\n");

  // Told by a signal, once.
  struct sigaction action = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, 0);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
  say("notify", mq_notify(q, &event));
  say("notify twice", mq_notify(q, &event));
  mq_send(q, "tell", 4, 0);
  printf("told %d: code %d from %s value %d\n", told, seen.si_code, seen.si_pid == getpid() ? "me" : "?", seen.si_value.sival_int);
  mq_send(q, "tell", 4, 0);
  say("notify of one that has some", mq_notify(q, &event));
  mq_send(q, "tell", 4, 0);
  printf("told %d\n", told);
  while (mq_getattr(q, &attr), attr.mq_curmsgs) mq_receive(q, text, 16, 0);
  say("take it back", mq_notify(q, 0));
  mq_send(q, "tell", 4, 0);
  mq_receive(q, text, 16, 0);
  printf("told %d\n", told);
  event.sigev_notify = SIGEV_NONE;
  say("silently", mq_notify(q, &event));
  event.sigev_notify = 9;
  say("unknown kind", mq_notify(q, &event));
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = 65;
  say("no such signal", mq_notify(q, &event));
  mqd_t other = mq_open("/q", O_RDONLY);
  close(other);
  event.sigev_signo = SIGUSR1;
  say("lost with any descriptor", mq_notify(q, &event));
  child = fork();
  if (child == 0) _exit(0);
  waitpid(child, 0, 0);
  say("not with a child's", mq_notify(q, &event));
  mq_notify(q, 0);
  // Who waits is served, and nobody is told.
  mq_notify(q, &event);
  child = fork();
  if (child == 0) {
    mq_receive(q, text, 16, 0);
    _exit(0);
  }
  usleep(30000);
  mq_send(q, "served", 6, 0);
  waitpid(child, 0, 0);
  printf("told %d\n", told);
  mq_notify(q, 0);

  // A signal ends the wait.
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGALRM, &action, 0);
  ualarm(20000, 0);
  say("interrupted", mq_receive(q, text, 16, 0));
  ualarm(0, 0);

  // The name goes, the queue stays.
  say("unlink", mq_unlink("/q"));
  say("unlink again", mq_unlink("/q"));
  say("send to the nameless", mq_send(q, "x", 1, 0));
  say("receive from it", mq_receive(q, text, 16, 0));
  mq_close(q);

  // Others.
  q = mq_open("/mine", O_RDWR | O_CREAT, 0622, &small);
  if (fork() == 0) {
    setgroups(0, 0);
    setgid(1000);
    setuid(1000);
    say("others read", opens("mine", O_RDONLY, 0, 0));
    say("others write", opens("mine", O_WRONLY, 0, 0));
    say("others unlink", mq_unlink("/mine"));
    struct mq_attr eleven = {.mq_maxmsg = 11, .mq_msgsize = 16}, ten = {.mq_maxmsg = 10, .mq_msgsize = 8193};
    say("eleven messages", opens("theirs", O_RDWR | O_CREAT, 0600, &eleven));
    say("8193 bytes", opens("theirs", O_RDWR | O_CREAT, 0600, &ten));
    struct rlimit limit = {2000, 2000};
    setrlimit(RLIMIT_MSGQUEUE, &limit);
    struct mq_attr a = {.mq_maxmsg = 10, .mq_msgsize = 100};
    say("10 of 100 in 2000", opens("a", O_RDWR | O_CREAT, 0600, &a));
    a.mq_msgsize = 104;
    say("10 of 104", opens("b", O_RDWR | O_CREAT, 0600, &a));
    a.mq_maxmsg = 1;
    say("1 of 104", opens("c", O_RDWR | O_CREAT, 0600, &a));
    mq_unlink("/a");
    mq_unlink("/c");
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  mq_unlink("/mine");
  file("/proc/sys/fs/mqueue/msg_max");
  file("/proc/sys/fs/mqueue/queues_max");
  return 0;
}
