// What inotify tells of files and folders, and in which order.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int fd;
static unsigned cookies[64], known;

static void drain(const char *what) {
  static const char *names[] = {"ACCESS", "MODIFY", "ATTRIB", "CLOSE_WRITE", "CLOSE_NOWRITE", "OPEN", "MOVED_FROM",
    "MOVED_TO", "CREATE", "DELETE", "DELETE_SELF", "MOVE_SELF", "?", "UNMOUNT", "Q_OVERFLOW", "IGNORED"};
  char buffer[8192];
  printf("%s:", what);
  for (;;) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n <= 0) break;
    for (char *at = buffer; at < buffer + n;) {
      struct inotify_event *e = (void *)at;
      printf(" [%d", e->wd);
      for (int bit = 0; bit < 16; bit++) if (e->mask >> bit & 1) printf(" %s", names[bit]);
      if (e->mask & IN_ISDIR) printf(" ISDIR");
      if (e->cookie) {
        unsigned i = 0;
        while (i < known && cookies[i] != e->cookie) i++;
        if (i == known) cookies[known++ & 63] = e->cookie;
        printf(" #%u", i);
      }
      if (e->len) printf(" %s/%u", e->name, e->len);
      printf("]");
      at += sizeof *e + e->len;
    }
  }
  printf("\n");
}

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  umask(0);
  say("flags", inotify_init1(1));
  fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  say("empty", read(fd, cookies, sizeof cookies));
  say("write", write(fd, "x", 1));
  mkdir("/tmp/w", 0777);
  int d = inotify_add_watch(fd, "/tmp/w", IN_ALL_EVENTS);
  say("folder", d);
  say("again", inotify_add_watch(fd, "/tmp/w", IN_ALL_EVENTS));
  say("no mask", inotify_add_watch(fd, "/tmp/w", 0));
  say("nowhere", inotify_add_watch(fd, "/tmp/none", IN_OPEN));
  say("must be new", inotify_add_watch(fd, "/tmp/w", IN_OPEN | IN_MASK_CREATE));
  say("new and more", inotify_add_watch(fd, "/tmp/w", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD));
  say("not inotify", inotify_add_watch(0, "/tmp/w", IN_OPEN));
  say("no descriptor", inotify_add_watch(99, "/tmp/w", IN_OPEN));
  say("no watch", inotify_rm_watch(fd, 77));

  int f = open("/tmp/w/file", O_CREAT | O_RDWR, 0666);
  drain("create");
  write(f, "hello", 5);
  write(f, "hello", 5);
  drain("write twice");
  lseek(f, 0, SEEK_SET);
  char text[16];
  read(f, text, 16);
  read(f, text, 16);
  drain("read, and at the end");
  pwritev(f, &(struct iovec){text, 3}, 1, 0);
  drain("pwritev");
  ftruncate(f, 2);
  drain("ftruncate");
  fchmod(f, 0644);
  fchown(f, 1, -1);
  drain("fchmod and fchown are one");
  struct timespec both[2] = {{1, 0}, {1, 0}}, one[2] = {{1, 0}, {0, UTIME_OMIT}}, other[2] = {{0, UTIME_OMIT}, {1, 0}};
  futimens(f, both);
  drain("futimens");
  futimens(f, one);
  drain("of access alone");
  futimens(f, other);
  drain("of change alone");
  fallocate(f, 0, 0, 100);
  drain("fallocate");
  close(f);
  drain("close");
  f = open("/tmp/w/file", O_RDONLY);
  close(f);
  drain("for reading");
  f = open("/tmp/w/file", O_WRONLY | O_TRUNC);
  close(f);
  drain("O_TRUNC");
  truncate("/tmp/w/file", 7);
  drain("truncate");
  f = open("/tmp/w/file", O_PATH);
  close(f);
  drain("O_PATH");
  chmod("/tmp/w/file", 0600);
  drain("chmod");

  int w = inotify_add_watch(fd, "/tmp/w/file", IN_ALL_EVENTS);
  say("file", w);
  link("/tmp/w/file", "/tmp/w/other");
  drain("link");
  f = open("/tmp/w/other", O_RDONLY);
  close(f);
  drain("open by the other name");
  rename("/tmp/w/other", "/tmp/w/third");
  drain("rename");
  unlink("/tmp/w/third");
  drain("unlink of one of two");
  f = open("/tmp/w/file", O_RDWR);
  drain("open");
  unlink("/tmp/w/file");
  drain("unlink while open");
  write(f, "x", 1);
  drain("write without a name");
  close(f);
  drain("the last close");

  mkdir("/tmp/w/sub", 0777);
  drain("mkdir");
  int s = inotify_add_watch(fd, "/tmp/w/sub", IN_ALL_EVENTS | IN_ONLYDIR);
  say("sub", s);
  close(open("/tmp/w/sub", O_RDONLY | O_DIRECTORY));
  drain("open a folder");
  close(open("/tmp/w/sub/deep", O_CREAT | O_WRONLY, 0666));
  drain("deep");
  rename("/tmp/w/sub/deep", "/tmp/w/shallow");
  drain("move up");
  close(open("/tmp/w/victim", O_CREAT | O_WRONLY, 0666));
  drain("another");
  int v = inotify_add_watch(fd, "/tmp/w/victim", IN_ALL_EVENTS);
  rename("/tmp/w/shallow", "/tmp/w/victim");
  drain("rename over");
  rename("/tmp/w/sub", "/tmp/w/renamed");
  drain("rename a folder");
  chmod("/tmp/w/renamed", 0700);
  drain("chmod a folder");
  rmdir("/tmp/w/renamed");
  drain("rmdir");
  symlink("victim", "/tmp/w/link");
  drain("symlink");
  say("through a link", inotify_add_watch(fd, "/tmp/w/link", IN_OPEN));
  say("the link itself", inotify_add_watch(fd, "/tmp/w/link", IN_OPEN | IN_DONT_FOLLOW));
  say("not a folder", inotify_add_watch(fd, "/tmp/w/victim", IN_OPEN | IN_ONLYDIR));
  close(open("/tmp/w/link", O_RDONLY));
  drain("open through a link");
  mkfifo("/tmp/w/fifo", 0666);
  drain("mkfifo");
  f = open("/tmp/w/fifo", O_RDWR);
  write(f, "x", 1);
  read(f, text, 1);
  close(f);
  drain("fifo");

  say("only opens", inotify_add_watch(fd, "/tmp/w", IN_OPEN));
  close(open("/tmp/w/x", O_CREAT | O_WRONLY, 0666));
  drain("opens");
  say("deletes too", inotify_add_watch(fd, "/tmp/w", IN_DELETE | IN_MASK_ADD));
  close(open("/tmp/w/x", O_WRONLY));
  unlink("/tmp/w/x");
  drain("opens and deletes");
  say("once", inotify_add_watch(fd, "/tmp/w", IN_CREATE | IN_ONESHOT));
  close(open("/tmp/w/y", O_CREAT | O_WRONLY, 0666));
  close(open("/tmp/w/z", O_CREAT | O_WRONLY, 0666));
  drain("once");

  d = inotify_add_watch(fd, "/tmp/w", IN_ALL_EVENTS | IN_EXCL_UNLINK);
  say("anew", d);
  f = open("/tmp/w/y", O_RDWR);
  unlink("/tmp/w/y");
  write(f, "x", 1);
  close(f);
  drain("names only");
  close(open("/tmp/w/a-name-of-seventeen", O_CREAT | O_WRONLY, 0666));
  int bytes;
  ioctl(fd, FIONREAD, &bytes);
  struct pollfd p = {fd, POLLIN | POLLOUT};
  poll(&p, 1, 0);
  printf("%d bytes, poll %x\n", bytes, p.revents);
  say("too small", read(fd, text, 16));
  char two[96];
  say("two of three", read(fd, two, sizeof two));
  drain("the third");
  say("remove", inotify_rm_watch(fd, d));
  drain("removed");
  say("twice", inotify_rm_watch(fd, d));

  mkdir("/tmp/m", 0777);
  mount("none", "/tmp/m", "tmpfs", 0, 0);
  say("mounted", inotify_add_watch(fd, "/tmp/m", IN_ALL_EVENTS));
  umount("/tmp/m");
  drain("umount");

  // More than the queue holds.
  int sysctl = open("/proc/sys/fs/inotify/max_queued_events", O_WRONLY);
  say("at most 25", write(sysctl, "25", 2));
  close(fd);
  fd = inotify_init1(IN_NONBLOCK);
  say("back", pwrite(sysctl, "16384", 5, 0));
  d = inotify_add_watch(fd, "/tmp/w", IN_OPEN | IN_CLOSE);
  for (int i = 0; i < 20; i++) close(open("/tmp/w/z", O_RDONLY));
  int events = 0, overflows = 0;
  static char all[1 << 20];
  for (ssize_t n; (n = read(fd, all, sizeof all)) > 0;)
    for (char *at = all; at < all + n;) {
      struct inotify_event *e = (void *)at;
      events++;
      if (e->mask & IN_Q_OVERFLOW) overflows++, printf("wd %d\n", e->wd);
      at += sizeof *e + e->len;
    }
  printf("%d events, %d of them overflow\n", events, overflows);
  return 0;
}
