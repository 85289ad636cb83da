// Data that moves inside the kernel: splice, tee, vmsplice, sendfile, copy_file_range; holes, seals, unnamed files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <signal.h>
#include <unistd.h>

static void result(const char *what, long value) {
  printf("%s %ld %s\n", what, value, value == -1 ? strerror(errno) : "");
}

static int temporary(const char *text) {
  char name[] = "/tmp/transfers-XXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  write(fd, text, strlen(text));
  lseek(fd, 0, SEEK_SET);
  return fd;
}

static void show(const char *title, int fd) {
  char text[200] = "";
  int length = pread(fd, text, sizeof text - 1, 0);
  for (int i = 0; i < length; i++)
    if (!text[i]) text[i] = '.';
  printf("%s: %s at %ld\n", title, text, (long)lseek(fd, 0, SEEK_CUR));
}

static void pipes(void) {
  int p[2], q[2], in = temporary("hello, splice"), out = temporary("");
  char text[64] = "";
  pipe(p), pipe(q);
  result("file to pipe", splice(in, NULL, p[1], NULL, 100, 0));
  result("tee", tee(p[0], q[1], 5, 0));
  loff_t at = 3;
  result("pipe to file", splice(p[0], NULL, out, &at, 100, 0));
  printf("offset %ld\n", (long)at);
  show("out", out);
  result("copy", read(q[0], text, sizeof text));
  printf("%s\n", text);
  result("nothing there", splice(p[0], NULL, out, NULL, 10, SPLICE_F_NONBLOCK));
  result("no pipe", splice(in, NULL, out, NULL, 10, 0));
  result("offset of a pipe", splice(in, NULL, p[1], &at, 10, 0));
  result("same pipe", splice(p[0], NULL, p[1], NULL, 10, 0));
  at = 7;
  result("from an offset", splice(in, &at, p[1], NULL, 3, 0));
  result("pipe to pipe", splice(p[0], NULL, q[1], NULL, 2, 0));
  result("left", splice(p[0], NULL, out, NULL, 9, 0));
  struct iovec parts[2] = {{"abc", 3}, {"defg", 4}};
  result("vmsplice", vmsplice(p[1], parts, 2, 0));
  char first[2], second[10];
  struct iovec to[2] = {{first, 2}, {second, 10}};
  result("out of a pipe", vmsplice(p[0], to, 2, 0));
  printf("%.2s %.5s\n", first, second);
  result("bad flags", splice(in, NULL, p[1], NULL, 3, 64));
  close(p[1]);
  result("end", splice(p[0], NULL, out, NULL, 9, 0));
  close(q[0]);
  signal(SIGPIPE, SIG_IGN);
  at = 0;
  result("nobody reads", splice(in, &at, q[1], NULL, 3, 0));
  pipe(p);
  result("size", fcntl(p[0], F_GETPIPE_SZ));
  result("set", fcntl(p[1], F_SETPIPE_SZ, 5000));
  char *page = calloc(1, 8192);
  result("fill", write(p[1], page, 8192));
  result("smaller", fcntl(p[1], F_SETPIPE_SZ, 4096));
  result("not a pipe", fcntl(in, F_GETPIPE_SZ));
}

static void files(void) {
  int in = temporary("0123456789"), out = temporary("abcdefghij");
  off_t at = 4;
  result("sendfile", sendfile(out, in, &at, 3));
  printf("offset %ld\n", (long)at);
  show("out", out), show("in", in);
  result("sendfile", sendfile(out, in, NULL, 2));
  show("out", out), show("in", in);
  loff_t from = 8, to = 0;
  result("copy", copy_file_range(in, &from, out, &to, 100, 0));
  show("out", out);
  from = 0, to = 2;
  result("overlap", copy_file_range(in, &from, in, &to, 5, 0));
  result("flags", copy_file_range(in, &from, out, &to, 5, 1));
  int appending = open("/tmp", O_TMPFILE | O_RDWR | O_APPEND, 0600);
  result("append", copy_file_range(in, NULL, appending, NULL, 5, 0));
  result("sendfile append", sendfile(appending, in, NULL, 2));
  struct iovec part = {"xyz", 3};
  result("pwritev2", pwritev2(out, &part, 1, 1, 0));
  result("append", pwritev2(out, &part, 1, 0, RWF_APPEND));
  result("where it is", pwritev2(out, &part, 1, -1, RWF_DSYNC));
  result("unknown", pwritev2(out, &part, 1, 0, 0x80));
  result("preadv offset", preadv(out, &part, 1, -1));
  show("out", out);
}

static void holes(void) {
  int fd = temporary("");
  char *text = malloc(20000);
  memset(text, 'x', 20000);
  write(fd, text, 20000);
  result("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 10000));
  char *map = mmap(0, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  printf("%d %d %d %d %d\n", map[99], map[100], map[5000], map[10099], map[10100]);
  map[8200] = 'y';
  result("in one page", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 12300, 10));
  printf("%d %d %d %d\n", map[12299], map[12300], map[12309], map[12310]);
  result("mapped", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096));
  printf("%d %d\n", map[8200], map[12288]);
  result("to the end", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 16384, 100000));
  printf("%d size %ld\n", map[19000], (long)lseek(fd, 0, SEEK_END));
  result("without keep", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
  result("collapse", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
  result("nothing", fallocate(fd, 0, 0, 0));
  result("grow", fallocate(fd, 0, 0, 30000));
  result("keep", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 40000));
  result("size", lseek(fd, 0, SEEK_END));
  int p[2];
  pipe(p);
  result("pipe", fallocate(p[1], 0, 0, 10));
  // Tags go with the page.
  if (!mprotect(map, 4096, PROT_READ | PROT_WRITE | 0x20)) map[0] = 'z';
}

static void seals(void) {
  int fd = memfd_create("sealed", MFD_ALLOW_SEALING), plain = memfd_create("plain", 0);
  result("seals", fcntl(fd, F_GET_SEALS)), result("plain", fcntl(plain, F_GET_SEALS));
  result("plain", fcntl(plain, F_ADD_SEALS, F_SEAL_GROW));
  ftruncate(fd, 8192);
  result("shrink", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  result("shrink", ftruncate(fd, 4096)), result("grow", ftruncate(fd, 12288));
  result("grow", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  result("grow", ftruncate(fd, 16384)), result("beyond", pwrite(fd, "xx", 2, 12287)), result("inside", pwrite(fd, "xx", 2, 0));
  result("allocate", fallocate(fd, 0, 0, 20000));
  char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  result("write, mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  result("future", fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  map[1] = 'z';
  result("write", pwrite(fd, "y", 1, 0));
  result("map", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
  char *readable = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
  result("readable", readable != MAP_FAILED && readable[1] == 'z');
  result("later", mprotect(readable, 4096, PROT_READ | PROT_WRITE));
  munmap(map, 4096), munmap(readable, 4096);
  result("write", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  result("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
  result("private", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
  result("seal", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL)), result("more", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  result("seals", fcntl(fd, F_GET_SEALS));
  result("bad", memfd_create("x", 0x4000));
}

static void names(void) {
  char folder[] = "/tmp/names-XXXXXX", path[64];
  mkdtemp(folder), chdir(folder);
  int fd = open(".", O_TMPFILE | O_RDWR, 0640);
  write(fd, "unnamed", 7);
  struct stat s;
  fstat(fd, &s);
  printf("links %d\n", (int)s.st_nlink);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  result("link", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  fstat(fd, &s);
  printf("links %d\n", (int)s.st_nlink);
  int exclusive = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
  result("exclusive", linkat(exclusive, "", AT_FDCWD, "never", AT_EMPTY_PATH));
  result("read only", open(".", O_TMPFILE | O_RDONLY, 0600));
  mkdir("folder", 0755);
  result("exchange", syscall(SYS_renameat2, AT_FDCWD, "named", AT_FDCWD, "folder", 2));
  printf("folder is a file %d\n", !stat("folder", &s) && S_ISREG(s.st_mode));
  result("into itself", syscall(SYS_renameat2, AT_FDCWD, "named", AT_FDCWD, "named/x", 2));
  result("no such", syscall(SYS_renameat2, AT_FDCWD, "named", AT_FDCWD, "other", 2));
  result("both", syscall(SYS_renameat2, AT_FDCWD, "named", AT_FDCWD, "folder", 3));
  struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
  result("beneath", syscall(SYS_openat2, AT_FDCWD, "named", &how, sizeof how) >= 0);
  result("above", syscall(SYS_openat2, AT_FDCWD, "named/../..", &how, sizeof how));
  result("absolute", syscall(SYS_openat2, AT_FDCWD, "/tmp", &how, sizeof how));
  how.resolve = RESOLVE_NO_SYMLINKS;
  symlink("named", "link");
  result("link", syscall(SYS_openat2, AT_FDCWD, "link", &how, sizeof how));
  how.resolve = 0, how.mode = 0600;
  result("mode", syscall(SYS_openat2, AT_FDCWD, "named", &how, sizeof how));
  how.mode = 0, how.resolve = 1 << 20;
  result("resolve", syscall(SYS_openat2, AT_FDCWD, "named", &how, sizeof how));
  how.resolve = 0, how.flags = 1L << 40;
  result("flags", syscall(SYS_openat2, AT_FDCWD, "named", &how, sizeof how));
  result("size", syscall(SYS_openat2, AT_FDCWD, "named", &how, 8));
  unlink("link"), unlink("folder"), rmdir("named"), chdir("/"), rmdir(folder);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  pipes();
  files();
  holes();
  seals();
  names();
  return 0;
}
