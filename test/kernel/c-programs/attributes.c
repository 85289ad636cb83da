// Extended attributes, and advice about memory that children and dumps notice.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}

static void flags(const char *what, void *at) {
  char line[512];
  unsigned long start, end;
  int here = 0;
  FILE *f = fopen("/proc/self/smaps", "r");
  while (fgets(line, sizeof line, f)) {
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && line[8] != 'g') here = (unsigned long)at >= start && (unsigned long)at < end;
    if (here && !strncmp(line, "VmFlags:", 8)) printf("%s %s", what, line);
  }
  fclose(f);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  char text[300];
  int fd = open("/tmp/x", O_CREAT | O_RDWR, 0644);
  memset(text, 'n', 299);
  text[299] = 0;
  say("unknown flags", setxattr("/tmp/x", "trusted.a", "1", 1, 4));
  say("no name", setxattr("/tmp/x", "", "1", 1, 0));
  say("long name", setxattr("/tmp/x", text, "1", 1, 0));
  say("long value", setxattr("/tmp/x", "trusted.a", "1", 65537, 0));
  say("bad value", setxattr("/tmp/x", "trusted.a", (void *)8, 1, 0));
  say("nowhere", setxattr("/tmp/none", "trusted.a", "1", 1, 0));
  say("no family", setxattr("/tmp/x", "a", "1", 1, 0));
  say("replace of none", setxattr("/tmp/x", "trusted.a", "1", 1, XATTR_REPLACE));
  say("set", setxattr("/tmp/x", "trusted.a", "value", 5, 0));
  say("create of one", setxattr("/tmp/x", "trusted.a", "1", 1, XATTR_CREATE));
  say("security", fsetxattr(fd, "security.b", "22", 2, XATTR_CREATE));
  say("empty", setxattr("/tmp/x", "trusted.empty", 0, 0, 0));
  say("length", getxattr("/tmp/x", "trusted.a", 0, 0));
  say("too small", getxattr("/tmp/x", "trusted.a", text, 4));
  memset(text, 0, sizeof text);
  say("get", fgetxattr(fd, "trusted.a", text, 100));
  printf("%s\n", text);
  say("of none", getxattr("/tmp/x", "trusted.none", text, 100));
  say("list length", listxattr("/tmp/x", 0, 0));
  say("list too small", listxattr("/tmp/x", text, 3));
  say("list", flistxattr(fd, text, 300));
  symlink("x", "/tmp/s");
  say("of a link", lsetxattr("/tmp/s", "trusted.l", "link", 4, 0));
  say("through the link", getxattr("/tmp/s", "trusted.l", text, 100));
  say("itself", lgetxattr("/tmp/s", "trusted.l", text, 100));
  int place = open("/tmp/x", O_PATH);
  say("a place", fgetxattr(place, "trusted.a", text, 100));
  say("remove", removexattr("/tmp/x", "trusted.a"));
  say("twice", removexattr("/tmp/x", "trusted.a"));
  chmod("/tmp/x", 0666);
  if (fork() == 0) {
    setgroups(0, 0);
    setgid(1000);
    setuid(1000);
    say("trusted set by others", setxattr("/tmp/x", "trusted.a", "1", 1, 0));
    say("trusted get by others", getxattr("/tmp/x", "trusted.empty", text, 100));
    say("security get by others", getxattr("/tmp/x", "security.b", text, 100));
    say("device by others", mknod("/tmp/nothing", S_IFCHR | 0666, makedev(1, 3)));
    exit(0);
  }
  wait(0);

  // Devices of one's own.
  umask(0);
  say("device", mknod("/tmp/null", S_IFCHR | 0640, makedev(1, 3)));
  struct stat st;
  stat("/tmp/null", &st);
  printf("%o %u:%u\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
  int n = open("/tmp/null", O_RDWR);
  say("write", write(n, "x", 1));
  say("read", read(n, text, 1));
  say("nobody drives", mknod("/tmp/none", S_IFCHR | 0600, makedev(240, 77)));
  say("open", open("/tmp/none", O_RDWR));
  say("folder", mknod("/tmp/dir", S_IFDIR | 0700, 0));
  say("no type", mknod("/tmp/what", 0110000, 0));

  // Sealed: O_TRUNC is a change.
  int m = memfd_create("m", MFD_ALLOW_SEALING);
  write(m, "1234", 4);
  fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK);
  snprintf(text, sizeof text, "/proc/self/fd/%d", m);
  say("truncating", open(text, O_RDWR | O_TRUNC));

  // Memory.
  int anon = MAP_PRIVATE | MAP_ANONYMOUS;
  char *a = mmap(0, 4 * 4096, PROT_READ | PROT_WRITE, anon, -1, 0);
  memset(a, 'a', 4 * 4096);
  say("wipe", madvise(a, 4096, MADV_WIPEONFORK));
  say("not copied", madvise(a + 4096, 4096, MADV_DONTFORK));
  say("not dumped", madvise(a + 2 * 4096, 4096, MADV_DONTDUMP));
  flags("wiped", a);
  flags("not copied", a + 4096);
  flags("not dumped", a + 2 * 4096);
  if (fork() == 0) {
    unsigned char vec;
    printf("child: %d, %s, %c\n", a[0], mincore(a + 4096, 4096, &vec) < 0 ? strerrorname_np(errno) : "mapped", a[2 * 4096]);
    a[0] = 'c';
    if (fork() == 0) {
      printf("grandchild: %d\n", a[0]);
      exit(0);
    }
    wait(0);
    exit(0);
  }
  wait(0);
  printf("parent: %c\n", a[0]);
  say("keep", madvise(a, 4096, MADV_KEEPONFORK));
  say("copy", madvise(a + 4096, 4096, MADV_DOFORK));
  say("dump", madvise(a + 2 * 4096, 4096, MADV_DODUMP));
  say("sequential", madvise(a, 4096, MADV_SEQUENTIAL));
  flags("sequential", a);
  say("random", madvise(a, 4096, MADV_RANDOM));
  flags("random", a);
  say("normal", madvise(a, 4096, MADV_NORMAL));
  flags("again", a);
  if (fork() == 0) {
    printf("child: %c %c\n", a[0], a[4096]);
    exit(0);
  }
  wait(0);
  ftruncate(m = memfd_create("r", 0), 3 * 4096);
  char *s = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
  memset(s, 's', 3 * 4096);
  say("wipe of shared", madvise(s, 4096, MADV_WIPEONFORK));
  say("remove", madvise(s + 4096, 4096, MADV_REMOVE));
  printf("%c %d %c\n", s[0], s[4096], s[2 * 4096]);
  fstat(m, &st);
  printf("%ld bytes, %ld blocks\n", (long)st.st_size, (long)st.st_blocks);
  say("remove of private", madvise(a, 4096, MADV_REMOVE));
  char *r = mmap(0, 4096, PROT_READ, MAP_SHARED, m, 0);
  say("remove of read-only", madvise(r, 4096, MADV_REMOVE));
  return 0;
}
