// Who may do what with files: owners, groups, others, sticky folders, set-user-ID programs, capabilities.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *outcome(long result) {
  static char text[8][24];
  static int next;
  char *at = text[next++ & 7];
  if (result < 0) snprintf(at, 24, "%s", strerrorname_np(errno));
  else snprintf(at, 24, "ok");
  return at;
}
int main(int, char **);
#define SAY(what, call) do { errno = 0; printf("  %-28s %s\n", what, outcome(call)); } while (0)

static void make(const char *path, mode_t mode, uid_t uid, gid_t gid) {
  int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
  write(fd, "text\n", 5);
  fchown(fd, uid, gid);
  fchmod(fd, mode);
  close(fd);
}

static void folder(const char *path, mode_t mode, uid_t uid, gid_t gid) {
  mkdir(path, 0700);
  chown(path, uid, gid);
  chmod(path, mode);
}

static long opens(const char *path, int flags) {
  int fd = open(path, flags, 0644);
  if (fd >= 0) close(fd);
  return fd;
}

static void become(uid_t uid, gid_t gid, int groups, gid_t extra) {
  setgroups(groups, &extra);
  setresgid(gid, gid, gid);
  setresuid(uid, uid, uid);
}

static void owner(const char *path) {
  struct stat st;
  if (lstat(path, &st) < 0) printf("  %s: %s\n", path, strerrorname_np(errno));
  else printf("  %s: %u:%u %o\n", path, st.st_uid, st.st_gid, st.st_mode);
}

static void as(const char *who, uid_t uid, gid_t gid, int groups, gid_t extra, void (*run)(void)) {
  printf("%s\n", who);
  fflush(stdout);
  if (fork() == 0) {
    become(uid, gid, groups, extra);
    run();
    fflush(stdout);
    _exit(0);
  }
  wait(0);
}

static void access_bits(void) {
  static const mode_t modes[] = {0400, 0040, 0004, 0200, 0020, 0002, 0100, 0010, 0001, 0};
  for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
    char path[40];
    snprintf(path, sizeof path, "/tmp/p/f%03o", modes[i]);
    printf("  %03o:", modes[i]);
    for (int m = 1; m <= 4; m <<= 1) printf(" %s", outcome(access(path, m)));
    printf(" | %s", outcome(opens(path, O_RDONLY)));
    printf(" %s", outcome(opens(path, O_WRONLY)));
    printf(" %s", outcome(opens(path, O_RDWR)));
    printf(" %s", outcome(opens(path, O_RDONLY | O_TRUNC)));
    printf(" %s", outcome(opens(path, 3)));
    printf(" %s\n", outcome(opens(path, O_PATH)));
  }
}

static void owners(void) {
  SAY("chmod of another's", chmod("/tmp/p/f004", 0777));
  SAY("chown of another's", chown("/tmp/p/f004", -1, getgid()));
  SAY("utimes of another's, now", utimensat(AT_FDCWD, "/tmp/p/f004", 0, 0));
  struct timespec then[2] = {{1, 0}, {2, 0}};
  struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  SAY("writable one, now", utimensat(AT_FDCWD, "/tmp/p/f002", now, 0));
  SAY("writable one, then", utimensat(AT_FDCWD, "/tmp/p/f002", then, 0));
  SAY("neither", utimensat(AT_FDCWD, "/tmp/p/f004", omit, 0));
  SAY("truncate", truncate("/tmp/p/f004", 1));
  SAY("O_NOATIME", opens("/tmp/p/f004", O_RDONLY | O_NOATIME));
  union sigval value = {0};
  SAY("signal to root", kill(getppid(), SIGUSR1));
  char byte;
  struct iovec mine = {&byte, 1}, theirs = {main, 1};
  SAY("memory of root", process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0));
  SAY("queued signal to root", sigqueue(getppid(), SIGUSR1, value));
  SAY("execute", execl("/tmp/p/f004", "x", (char *)0));
}

static void folders(void) {
  SAY("create in closed", opens("/tmp/closed/new", O_CREAT | O_WRONLY));
  SAY("open what is there", opens("/tmp/closed/file", O_RDONLY));
  SAY("O_CREAT of what is there", opens("/tmp/closed/file", O_CREAT | O_RDONLY));
  SAY("O_EXCL of what is there", opens("/tmp/closed/file", O_CREAT | O_EXCL | O_RDONLY));
  SAY("mkdir", mkdir("/tmp/closed/d", 0777));
  SAY("mkdir of what is there", mkdir("/tmp/closed/file", 0777));
  SAY("symlink", symlink("x", "/tmp/closed/s"));
  SAY("mkfifo", mkfifo("/tmp/closed/p", 0777));
  SAY("device", mknod("/tmp/open/null", S_IFCHR | 0666, 0x103));
  SAY("unlink", unlink("/tmp/closed/file"));
  SAY("unlink of nothing", unlink("/tmp/closed/none"));
  SAY("rmdir", rmdir("/tmp/closed/sub"));
  SAY("rename out", rename("/tmp/closed/file", "/tmp/open/out"));
  SAY("rename in", rename("/tmp/open/file", "/tmp/closed/in"));
  SAY("list without x", opens("/tmp/listed", O_RDONLY | O_DIRECTORY));
  SAY("file without x", opens("/tmp/listed/file", O_RDONLY));
  SAY("stat without x", access("/tmp/listed/file", F_OK));
  SAY("nothing without x", access("/tmp/listed/none", F_OK));
  SAY("list without r", opens("/tmp/searched", O_RDONLY | O_DIRECTORY));
  SAY("file without r", opens("/tmp/searched/file", O_RDONLY));
  SAY("chdir", chdir("/tmp/listed"));
  SAY("chroot", chroot("/tmp/searched"));
  int fd = open("/tmp/listed", O_PATH | O_DIRECTORY);
  SAY("fchdir", fchdir(fd));
  close(fd);
}

static void sticky(void) {
  SAY("unlink another's", unlink("/tmp/sticky/root"));
  SAY("unlink own", unlink("/tmp/sticky/own"));
  SAY("rename another's", rename("/tmp/sticky/root", "/tmp/sticky/mine"));
  SAY("rename over another's", rename("/tmp/sticky/own2", "/tmp/sticky/root"));
  SAY("rmdir another's", rmdir("/tmp/sticky/dir"));
  SAY("move another's folder", rename("/tmp/open/theirs", "/tmp/open/deep/theirs"));
  SAY("rename it in place", rename("/tmp/open/theirs", "/tmp/open/theirs2"));
  SAY("and back", rename("/tmp/open/theirs2", "/tmp/open/theirs"));
}

static void own(void) {
  umask(022);
  close(open("/tmp/open/own", O_CREAT | O_WRONLY, 02777));
  owner("/tmp/open/own");
  mkdir("/tmp/open/owndir", 0777);
  owner("/tmp/open/owndir");
  close(open("/tmp/setgid/own", O_CREAT | O_WRONLY, 0666));
  owner("/tmp/setgid/own");
  mkdir("/tmp/setgid/dir", 0777);
  owner("/tmp/setgid/dir");
  symlink("x", "/tmp/setgid/link");
  owner("/tmp/setgid/link");
  SAY("chown to another", chown("/tmp/open/own", 0, -1));
  SAY("chown to itself", chown("/tmp/open/own", getuid(), -1));
  SAY("chgrp to one of its groups", chown("/tmp/open/own", -1, 300));
  SAY("chgrp to another", chown("/tmp/open/own", -1, 0));
  SAY("chmod", chmod("/tmp/open/own", 06777));
  owner("/tmp/open/own");
  SAY("chmod of a foreign group's", chmod("/tmp/setgid/own", 02777));
  owner("/tmp/setgid/own");
  unlink("/tmp/open/own");
  rmdir("/tmp/open/owndir");
  unlink("/tmp/setgid/own");
  unlink("/tmp/setgid/link");
  rmdir("/tmp/setgid/dir");
  int fd = memfd_create("m", 0);
  struct stat st;
  fstat(fd, &st);
  printf("  memfd %u:%u\n", st.st_uid, st.st_gid);
  int ends[2];
  pipe(ends);
  fstat(ends[0], &st);
  printf("  pipe %u:%u\n", st.st_uid, st.st_gid);
  stat("/proc/self", &st);
  printf("  /proc/self %u:%u\n", st.st_uid, st.st_gid);
  SAY("own memory", opens("/proc/self/mem", O_RDWR));
  SAY("memory of init", opens("/proc/1/mem", O_RDONLY));
  SAY("a sysctl", opens("/proc/sys/vm/swappiness", O_WRONLY));
  SAY("reading it", opens("/proc/sys/vm/swappiness", O_RDONLY));
  struct sockaddr_un address = {AF_UNIX, "/tmp/closedsock"};
  SAY("connect", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address));
  struct sockaddr_un in = {AF_UNIX, "/tmp/closed/sock"};
  SAY("bind", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&in, sizeof in));
}

static void descriptors(void) {
  int fd = memfd_create("seen", 0);
  write(fd, "twice", 5);
  char path[40], text[8] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDONLY);
  printf("  read anew: %zd", read(again, text, 5));
  printf(" %s", text);
  printf(" write: %s\n", outcome(write(again, "x", 1)));
  fchmod(fd, 0400);
  SAY("open read-only file", opens(path, O_RDWR));
  int place = open("/tmp/p/f004", O_PATH);
  SAY("read a place", read(place, text, 1));
  SAY("fchmod a place", fchmod(place, 0777));
  SAY("fchown a place", fchown(place, -1, -1));
  SAY("ioctl a place", syscall(SYS_ioctl, place, 0x5421, text));
  SAY("map a place", mmap(0, 1, PROT_READ, MAP_PRIVATE, place, 0) == MAP_FAILED ? -1 : 0);
  SAY("fcntl a place", fcntl(place, F_SETFL, 0));
  SAY("its flags", fcntl(place, F_GETFL));
  SAY("fgetxattr of a place", syscall(SYS_fgetxattr, place, "user.x", text, 4));
  SAY("fstat a place", fstat(place, &(struct stat){0}));
}

static void effective(void) {
  // Real user 1000 with the file rights of root: access asks for the one, open for the other.
  setresuid(1000, 0, 0);
  SAY("access", access("/tmp/p/f400", R_OK));
  SAY("faccessat AT_EACCESS", syscall(SYS_faccessat2, AT_FDCWD, "/tmp/p/f400", R_OK, AT_EACCESS));
  SAY("open", opens("/tmp/p/f400", O_RDONLY));
  setfsuid(1000);
  SAY("open as fsuid 1000", opens("/tmp/p/f400", O_RDONLY));
}

int main(int argc, char **argv) {
  if (argc > 1) {
    uid_t r, e, s;
    gid_t rg, eg, sg;
    getresuid(&r, &e, &s);
    getresgid(&rg, &eg, &sg);
    printf("  %s: %u %u %u, %u %u %u, dumpable %d\n", argv[1], r, e, s, rg, eg, sg, prctl(PR_GET_DUMPABLE));
    return 0;
  }
  setvbuf(stdout, 0, _IOLBF, 0);
  umask(0);
  folder("/tmp/p", 0755, 0, 0);
  static const mode_t modes[] = {0400, 0040, 0004, 0200, 0020, 0002, 0100, 0010, 0001, 0};
  for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
    char path[40];
    snprintf(path, sizeof path, "/tmp/p/f%03o", modes[i]);
    make(path, modes[i], 100, 200);
  }
  folder("/tmp/closed", 0755, 0, 0);
  make("/tmp/closed/file", 0666, 0, 0);
  folder("/tmp/closed/sub", 0777, 0, 0);
  folder("/tmp/open", 0777, 0, 0);
  make("/tmp/open/file", 0666, 0, 0);
  folder("/tmp/open/theirs", 0755, 0, 0);
  folder("/tmp/open/deep", 0777, 0, 0);
  folder("/tmp/listed", 0744, 0, 0);
  make("/tmp/listed/file", 0666, 0, 0);
  folder("/tmp/searched", 0711, 0, 0);
  make("/tmp/searched/file", 0666, 0, 0);
  folder("/tmp/sticky", 01777, 0, 0);
  make("/tmp/sticky/root", 0666, 0, 0);
  make("/tmp/sticky/own", 0666, 1000, 1000);
  make("/tmp/sticky/own2", 0666, 1000, 1000);
  folder("/tmp/sticky/dir", 0777, 0, 0);
  folder("/tmp/setgid", 02777, 0, 400);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {AF_UNIX, "/tmp/closedsock"};
  bind(listener, (void *)&address, sizeof address);
  chmod("/tmp/closedsock", 0755);
  listen(listener, 1);

  as("root", 0, 0, 0, 0, access_bits);
  make("/tmp/p/f400", 0400, 100, 200);
  as("owner", 100, 1000, 0, 0, access_bits);
  as("group", 1000, 200, 0, 0, access_bits);
  as("supplementary group", 1000, 1000, 1, 200, access_bits);
  as("others", 1000, 1000, 0, 0, access_bits);
  as("owners", 1000, 1000, 0, 0, owners);
  as("folders", 1000, 1000, 0, 0, folders);
  as("sticky", 1000, 1000, 0, 0, sticky);
  as("own", 1000, 1000, 1, 300, own);
  as("descriptors", 1000, 1000, 0, 0, descriptors);
  as("effective", 0, 0, 0, 0, effective);

  puts("set-user-ID");
  char image[1 << 16];
  int in = open("/proc/self/exe", O_RDONLY), out = open("/tmp/setuid", O_CREAT | O_WRONLY, 0755);
  for (ssize_t n; (n = read(in, image, sizeof image)) > 0;) write(out, image, n);
  close(out);
  chown("/tmp/setuid", 500, 600);
  static const struct { mode_t mode; int gains; const char *name; } forms[] = {
    {04755, 1, "user"}, {02755, 1, "group"}, {02745, 1, "group without x"}, {06755, 1, "both"}, {06755, 0, "nothing gained"}, {0755, 1, "plain"},
  };
  for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
    chmod("/tmp/setuid", forms[i].mode);
    if (fork() == 0) {
      become(1000, 1000, 0, 0);
      if (!forms[i].gains) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      execl("/tmp/setuid", "setuid", forms[i].name, (char *)0);
      printf("  %s: %s\n", forms[i].name, strerrorname_np(errno));
      _exit(1);
    }
    wait(0);
  }
  chmod("/tmp/setuid", 06755);
  chown("/tmp/setuid", 500, 600);
  owner("/tmp/setuid");
  return 0;
}
