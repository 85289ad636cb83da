// The file tree: directories, links, renames, holes, mappings, /proc.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

int main(void) {
  char folder[] = "/tmp/mtemu-files-XXXXXX";
  if (!mkdtemp(folder) || chdir(folder)) return 1;
  printf("mkdir %d %d\n", mkdir("a", 0755), mkdir("a", 0755) ? errno : 0);
  int fd = open("a/file", O_RDWR | O_CREAT | O_EXCL, 0640);
  struct iovec parts[2] = {{"hello ", 6}, {"world\n", 6}};
  printf("writev %zd\n", writev(fd, parts, 2));
  printf("pwrite %zd\n", pwrite(fd, "x", 1, 10000));
  struct stat s;
  fstat(fd, &s);
  printf("size %ld mode %o links %d\n", (long)s.st_size, s.st_mode, (int)s.st_nlink);
  char buffer[32];
  printf("pread %zd %d\n", pread(fd, buffer, 32, 9990), buffer[0]);
  printf("link %d symlink %d\n", link("a/file", "a/hard"), symlink("a/file", "soft"));
  printf("readlink %zd\n", readlink("soft", buffer, 32));
  stat("soft", &s);
  printf("links %d\n", (int)s.st_nlink);
  lstat("soft", &s);
  printf("is link %d\n", S_ISLNK(s.st_mode));
  printf("rename %d\n", rename("a/hard", "b"));
  printf("rmdir %d", rmdir("a"));
  printf(" %s\n", strerror(errno));
  printf("loop %d", symlink("loop", "loop") || open("loop", O_RDONLY));
  printf(" %s\n", strerror(errno));
  struct dirent **names;
  int count = scandir(".", &names, NULL, by_name);
  for (int i = 0; i < count; i++) printf("%s ", names[i]->d_name);
  printf("\n");
  char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  memcpy(shared, "HELLO", 5);
  printf("private sees %.5s\n", private);
  memcpy(private, "mine ", 5);
  pread(fd, buffer, 5, 0);
  printf("file %.5s\n", buffer);
  printf("truncate %d %d\n", ftruncate(fd, 3), (int)lseek(fd, 0, SEEK_END));
  int memory = memfd_create("m", 0);
  printf("memfd %d\n", ftruncate(memory, 8192));
  printf("unlink %d %d %d %d\n", unlink("a/file"), unlink("b"), unlink("soft"), unlink("loop"));
  printf("rmdir %d\n", rmdir("a"));
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[256];
  int stack = 0;
  while (fgets(line, sizeof line, maps)) stack |= strstr(line, "[stack]") != NULL;
  printf("maps %d\n", stack);
  printf("null %zd zero %zd\n", write(open("/dev/null", O_WRONLY), "x", 1), read(open("/dev/zero", O_RDONLY), buffer, 8));
  chdir("/");
  return rmdir(folder);
}
