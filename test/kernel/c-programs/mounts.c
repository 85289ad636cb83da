// mount, umount2 and chroot: what Linux 6.1 prints.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long r(long x) { return x == -1 ? -errno : x; }
#define M(type, flags, data) r(mount("here", "/tmp/m", type, flags, data))

static void line(const char *file, const char *at) {
  char text[512];
  FILE *f = fopen(file, "r");
  while (fgets(text, sizeof text, f))
    if (strstr(text, at)) {
      // What a kernel adds by itself.
      char *more = strstr(text, ",inode64");
      if (more) memmove(more, more + 8, strlen(more + 8) + 1);
      printf("%s: %s", file, text);
    }
  fclose(f);
}

static long huge_pages(void) {
  char text[256];
  long kb = -1;
  FILE *f = fopen("/proc/meminfo", "r");
  while (fgets(text, sizeof text, f)) sscanf(text, "ShmemHugePages: %ld", &kb);
  fclose(f);
  return kb;
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  struct stat a, b;
  struct statfs fs;
  char cwd[64];
  mkdir("/tmp", 0777);
  mkdir("/tmp/m", 0755);
  close(open("/tmp/m/below", O_CREAT, 0600));
  stat("/tmp", &a);

  printf("no type %ld unknown %ld no target %ld a file %ld null %ld\n", M(0, 0, 0), M("nosuch", 0, 0),
         r(mount("x", "/tmp/none", "tmpfs", 0, 0)), r(mount("x", "/tmp/m/below", "tmpfs", 0, 0)), r(mount("x", 0, "tmpfs", 0, 0)));
  printf("bad options %ld %ld %ld %ld\n", M("tmpfs", 0, "what=1"), M("tmpfs", 0, "size=x"), M("tmpfs", 0, "mode=9"), M("tmpfs", 0, "huge=perhaps"));
  printf("mount %ld\n", M("tmpfs", 0, "size=64k,mode=750,uid=5,gid=6"));
  stat("/tmp/m", &b);
  statfs("/tmp/m", &fs);
  printf("mode %o uid %d gid %d other device %d, below %d, blocks %ld magic %lx\n", b.st_mode, b.st_uid, b.st_gid, a.st_dev != b.st_dev,
         access("/tmp/m/below", F_OK), (long)fs.f_blocks, (long)fs.f_type);
  line("/proc/mounts", "/tmp/m");
  printf("rmdir %ld rename %ld across %ld\n", r(rmdir("/tmp/m")), r(rename("/tmp/m", "/tmp/n")), (close(open("/tmp/f", O_CREAT, 0600)), r(rename("/tmp/f", "/tmp/m/f"))));

  char page[4096];
  memset(page, 7, sizeof page);
  int fd = open("/tmp/m/file", O_RDWR | O_CREAT, 0644), n = 0;
  while (write(fd, page, sizeof page) == sizeof page) n++;
  printf("room for %d pages, then %d\n", n, errno);
  statfs("/tmp/m", &fs);
  printf("free %ld\n", (long)fs.f_bfree);
  printf("too small %ld larger %ld\n", r(mount(0, "/tmp/m", 0, MS_REMOUNT, "size=32k")), r(mount(0, "/tmp/m", 0, MS_REMOUNT, "size=128k")));
  printf("more %ld\n", r(write(fd, page, sizeof page)));
  line("/proc/mounts", "/tmp/m");

  printf("busy %ld\n", r(umount("/tmp/m")));
  char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
  chdir("/tmp/m");
  close(fd);
  munmap(map, 4096);
  printf("busy %ld, in %s\n", r(umount2("/tmp/m", 0)), getcwd(cwd, sizeof cwd));
  chdir("/");
  printf("flags %ld, no mount %ld, %ld\n", r(umount2("/tmp/m", 99)), r(umount("/tmp")), r(umount("/tmp/none")));
  mkdir("/tmp/m/sub", 0755);
  printf("on top %ld ", r(mount("two", "/tmp/m/sub", "tmpfs", 0, 0)));
  printf("busy %ld ", r(umount("/tmp/m")));
  printf("first %ld then %ld ", r(umount("/tmp/m/sub")), r(umount("/tmp/m")));
  printf("again %ld below %d\n", r(umount("/tmp/m")), access("/tmp/m/below", F_OK));

  printf("lazy: %ld ", M("tmpfs", 0, 0));
  fd = open("/tmp/m/kept", O_RDWR | O_CREAT, 0644);
  write(fd, "kept", 4);
  printf("%ld ", r(umount2("/tmp/m", MNT_DETACH)));
  n = pread(fd, page, 10, 0);
  printf("%.*s %d\n", n, page, access("/tmp/m/below", F_OK));
  close(fd);

  printf("propagation %ld\n", r(mount("none", "/", 0, MS_REC | MS_PRIVATE, 0)));
  printf("twice %ld ", M("tmpfs", 0, 0));
  printf("%ld ", M("tmpfs", 0, "mode=700"));
  stat("/tmp/m", &b);
  printf("%o ", b.st_mode);
  printf("%ld %ld %ld\n", r(umount("/tmp/m")), r(umount("/tmp/m")), r(umount("/tmp/m")));

  printf("huge %ld", M("tmpfs", 0, "huge=always"));
  long before = huge_pages();
  fd = open("/tmp/m/huge", O_RDWR | O_CREAT, 0600);
  ftruncate(fd, 2 << 20);
  map = mmap(0, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  map[5] = 1;
  printf(" %ld kB, ", huge_pages() - before);
  printf("never %ld", M(0, MS_REMOUNT, "huge=never"));
  int small = open("/tmp/m/small", O_RDWR | O_CREAT, 0600);
  ftruncate(small, 2 << 20);
  before = huge_pages();
  map[0] = *(char *)mmap(0, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, small, 0);
  printf(" %ld kB\n", huge_pages() - before);
  line("/proc/mounts", "/tmp/m");
  printf("gone %ld\n", r(umount2("/tmp/m", MNT_DETACH)));

  mkdir("/tmp/m/in", 0755);
  if (fork() == 0) {
    printf("chroot a file %ld none %ld ", r(chroot("/tmp/m/below")), r(chroot("/tmp/none")));
    printf("%ld %ld ", r(chroot("/tmp/m")), r(chdir("/")));
    printf("%d %d %d ", access("/in", F_OK), access("/../../in", F_OK), access("/tmp", F_OK));
    chdir("/in");
    printf("%s ", getcwd(cwd, sizeof cwd));
    chdir("../../..");
    printf("%s\n", getcwd(cwd, sizeof cwd));
    setuid(1);
    printf("as nobody: %ld %ld %ld\n", r(chroot("/in")), r(mount("a", "/in", "tmpfs", 0, 0)), r(umount("/in")));
    _exit(0);
  }
  wait(0);
  printf("%d\n", access("/tmp/m/in", F_OK));
  return 0;
}
