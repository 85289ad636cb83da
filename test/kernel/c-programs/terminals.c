// Pseudo-terminals: line editing and echo, modes, job control, hang-ups: what Linux 6.1 prints.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static long r(long x) { return x == -1 ? -errno : x; }
static int master, slave;

static void quoted(const char *name, const char *text, long n) {
  printf("%s %ld \"", name, n);
  for (long i = 0; i < n; i++)
    if (text[i] >= 32 && text[i] < 127 && text[i] != '\\' && text[i] != '"') putchar(text[i]);
    else printf("\\%03o", (unsigned char)text[i]);
  printf("\"\n");
}

// What the program on the terminal reads, and what is on the screen.
static void typed(const char *what, const char *text) {
  char buffer[512];
  write(master, text, strlen(text));
  printf("-- %s\n", what);
  struct pollfd p = {slave, POLLIN};
  while (poll(&p, 1, 20) == 1) {
    long n = read(slave, buffer, sizeof buffer);
    quoted("read", buffer, n);
    if (n <= 0) break;
  }
  fcntl(master, F_SETFL, O_NONBLOCK);
  long n, all = 0;
  while ((n = read(master, buffer + all, sizeof buffer - all)) > 0) all += n;
  fcntl(master, F_SETFL, 0);
  quoted("echo", buffer, all);
}

static struct termios mode;
static void set(int iflag, int oflag, int lflag) {
  tcgetattr(slave, &mode);
  mode.c_iflag ^= iflag;
  mode.c_oflag ^= oflag;
  mode.c_lflag ^= lflag;
  printf("set %ld\n", r(tcsetattr(slave, TCSANOW, &mode)));
}

static volatile int got;
static void handler(int signo) { got = signo; }

// A shell in its own session, on a terminal of its own; commands are what it does.
static void session(void) {
  int m = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(m);
  unlockpt(m);
  pid_t shell = fork();
  if (shell == 0) {
    int error = 0;
    printf("no terminal %ld\n", r(open("/dev/tty", O_RDWR)));
    setsid();
    int s = open(ptsname(m), O_RDWR);
    close(m);
    int same = open("/dev/tty", O_RDWR);
    printf("terminal %d sid %d group %d\n", same > 0, tcgetsid(s) == getpid(), tcgetpgrp(s) == getpid());
    close(same);
    signal(SIGTTOU, SIG_IGN);
    // Reading in the background stops; in the foreground it works.
    pid_t job = fork();
    if (job == 0) {
      setpgid(0, 0);
      signal(SIGTTOU, SIG_DFL);
      char c[8];
      long n = read(s, c, 8);
      printf("job reads %ld\n", n);
      pause();
    }
    setpgid(job, job);
    int status;
    waitpid(job, &status, WUNTRACED);
    printf("stopped by %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
    printf("foreground %ld ", r(tcsetpgrp(s, job)));
    printf("%d, other group %ld none %ld\n", tcgetpgrp(s) == job, r(tcsetpgrp(s, 1)), r(tcsetpgrp(s, 29999)));
    kill(-job, SIGCONT);
    write(s, "ready\n", 6);
    waitpid(job, &status, WUNTRACED);
    printf("then stopped by %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
    kill(-job, SIGCONT);
    write(s, "again\n", 6);
    waitpid(job, &status, WUNTRACED);
    printf("killed by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    tcsetpgrp(s, getpid());
    // A window that changes size; the end of the terminal.
    struct winsize w;
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGWINCH, &action, 0);
    sigaction(SIGHUP, &action, 0);
    write(s, "size\n", 5);
    while (got != SIGWINCH) usleep(1000);
    ioctl(s, TIOCGWINSZ, &w);
    printf("window %d %d\n", w.ws_row, w.ws_col);
    write(s, "hang\n", 5);
    while (got != SIGHUP) usleep(1000);
    char c;
    printf("after the end: read %ld write %ld tty %ld ", r(read(s, &c, 1)), r(write(s, "x", 1)), r(open("/dev/tty", O_RDWR)));
    struct pollfd p = {s, POLLIN | POLLOUT};
    printf("poll %d %x ioctl %ld\n", poll(&p, 1, 0), p.revents, r(ioctl(s, TIOCGWINSZ, &w)));
    _exit(0);
  }
  char line[64];
  int at = 0;
  for (;;) {
    if (read(m, line + at, 1) != 1) break;
    if (line[at++] != '\n') continue;
    line[at] = 0;
    at = 0;
    if (strstr(line, "ready")) {
      write(m, "in\n", 3);
      usleep(30000);
      write(m, "\032", 1);
    }
    if (strstr(line, "again")) write(m, "\003", 1);
    if (strstr(line, "size")) {
      struct winsize w = {30, 90};
      ioctl(m, TIOCSWINSZ, &w);
    }
    if (strstr(line, "hang")) break;
  }
  close(m);
  waitpid(shell, 0, 0);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  char name[64], buffer[8192];
  struct winsize size = {24, 80};
  struct stat st;
  printf("open %ld\n", r(openpty(&master, &slave, name, 0, &size)));
  fstat(slave, &st);
  printf("%s tty %d %d mode %o device %x not a terminal %d\n", strncmp(name, "/dev/pts/", 9) ? name : "pts", isatty(master), isatty(slave),
         st.st_mode & S_IFMT, (int)(st.st_rdev >> 8), isatty(0));
  tcgetattr(slave, &mode);
  printf("modes %x %x %x %x speed %d\n", mode.c_iflag, mode.c_oflag, mode.c_cflag, mode.c_lflag, cfgetospeed(&mode));
  for (int i = 0; i < 17; i++) printf("%d ", mode.c_cc[i]);
  printf("\n");
  typed("a line", "hello\r");
  typed("two lines", "one\ntwo\n");
  typed("unfinished", "par");
  typed("finished", "tial\n");
  typed("erase", "ab\177c\177\177\177\177x\n");
  typed("erase a control character and a tab", "a\001\177\t\177b\n");
  typed("kill", "some words\025other\n");
  typed("erase a word", "first second, \027third\027\027\027\027x\n");
  typed("literal", "a\026\003b\026\026\n");
  typed("reprint", "abc\022d\n");
  typed("end of file", "\004");
  typed("end within a line", "no newline\004");
  typed("interrupt without a session", "gone\003kept\n");
  typed("flow", "\023\021x\n");
  set(0, 0, ECHO);
  typed("no echo", "secret\n");
  set(0, 0, ECHONL);
  typed("but newlines", "secret\177\n");
  set(0, 0, ECHO | ECHONL | ECHOE);
  typed("erase shown as such", "ab\177\n");
  set(0, 0, ECHOE | ECHOKE);
  typed("kill shown as such", "ab\025c\n");
  set(0, 0, ECHOKE | ECHOCTL);
  typed("control characters as they are", "a\001\177b\n");
  set(ICRNL, 0, ECHOCTL);
  typed("return is no newline", "a\rb\n");
  set(ICRNL | IGNCR, 0, 0);
  typed("return is nothing", "a\rb\n");
  set(IGNCR, 0, ICANON);
  typed("bytes", "a\004b\177");
  mode.c_cc[VMIN] = 3;
  tcsetattr(slave, TCSANOW, &mode);
  struct pollfd p = {slave, POLLIN};
  write(master, "ab", 2);
  printf("two of three: %d ", poll(&p, 1, 10));
  write(master, "c", 1);
  printf("three: %d\n", poll(&p, 1, 10));
  quoted("read", buffer, read(slave, buffer, 2));
  mode.c_cc[VMIN] = 0;
  mode.c_cc[VTIME] = 1;
  tcsetattr(slave, TCSANOW, &mode);
  quoted("read", buffer, read(slave, buffer, 10));
  quoted("nothing in time", buffer, read(slave, buffer, 10));
  mode.c_cc[VTIME] = 0;
  tcsetattr(slave, TCSANOW, &mode);
  quoted("nothing", buffer, read(slave, buffer, 10));
  mode.c_cc[VMIN] = 1;
  tcsetattr(slave, TCSANOW, &mode);
  set(0, 0, ICANON);
  typed("lines again", "");
  typed("", "line\n");
  write(slave, "tab\there\n\r\b", 11);
  typed("output", "");
  set(0, OPOST, 0);
  write(slave, "raw\n", 4);
  typed("output as it is", "");
  set(0, OPOST | ONLCR | OCRNL | TAB3, 0);
  write(slave, "a\n\tb\rc", 6);
  typed("other output", "");
  set(0, ONLCR | OCRNL | TAB3, 0);

  int n;
  write(master, "some\nmore", 9);
  usleep(20000);
  ioctl(slave, FIONREAD, &n);
  printf("readable %d ", n);
  printf("flush %ld ", r(tcflush(slave, TCIFLUSH)));
  ioctl(slave, FIONREAD, &n);
  printf("readable %d\n", n);
  typed("", "");
  printf("group %ld sid %ld drain %ld break %ld bad %ld\n", r(tcgetpgrp(slave)), r(tcgetsid(slave)), r(tcdrain(slave)), r(tcsendbreak(slave, 0)), r(ioctl(slave, 0x54ff, 0)));
  printf("of the master: group %ld, number as in the name %d\n", r(tcgetpgrp(master)), (ioctl(master, TIOCGPTN, &n), n == atoi(name + 9)));
  ioctl(master, TIOCGWINSZ, &size);
  printf("window %d %d\n", size.ws_row, size.ws_col);
  printf("peer %d\n", ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY) > 0);

  int m2 = posix_openpt(O_RDWR | O_NOCTTY);
  ptsname_r(m2, name, sizeof name);
  printf("locked %ld ", r(open(name, O_RDWR | O_NOCTTY)));
  unlockpt(m2);
  int s2 = open(name, O_RDWR | O_NOCTTY);
  printf("unlocked %d ", s2 > 0);
  write(s2, "last", 4);
  close(s2);
  p.fd = m2;
  printf("poll %d %x ", poll(&p, 1, 0), p.revents);
  printf("read %ld then %ld ", r(read(m2, buffer, 10)), r(read(m2, buffer, 10)));
  s2 = open(name, O_RDWR | O_NOCTTY);
  close(m2);
  printf("without a master: %ld %ld, node %d\n", r(read(s2, buffer, 10)), r(write(s2, "x", 1)), access(name, F_OK));

  // A writer waits for the master to read.
  fcntl(slave, F_SETFL, O_NONBLOCK);
  memset(buffer, 'x', sizeof buffer);
  long wrote = 0, w;
  while ((w = write(slave, buffer, 1000)) > 0) wrote += w;
  printf("full: %d error %d\n", wrote > 1000 && wrote < 100000, errno);
  session();
  return 0;
}
