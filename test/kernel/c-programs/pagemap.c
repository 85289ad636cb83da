// /proc/self/pagemap: what is present, of which kind, and mapped by whom.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd;
static long page;

static void show(const char *what, const void *at) {
  uint64_t entry = 0;
  long got = pread(fd, &entry, 8, (uintptr_t)at / page * 8);
  printf("%-24s %ld present %d swap %d file %d exclusive %d frame %d\n", what, got, (int)(entry >> 63),
         (int)(entry >> 62 & 1), (int)(entry >> 61 & 1), (int)(entry >> 56 & 1), (entry & ((1ull << 55) - 1)) != 0);
}

int main(void) {
  page = sysconf(_SC_PAGESIZE);
  fd = open("/proc/self/pagemap", O_RDONLY);
  char *p = mmap(0, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(p, 8 * page, MADV_NOHUGEPAGE);
  p[page] = 1;
  volatile char zero = p[2 * page];
  show("not touched", p);
  show("written", p + page);
  show("read", p + 2 * page + zero);
  char *s = mmap(0, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  s[0] = 1;
  show("shared", s);
  int file = memfd_create("file", 0);
  ftruncate(file, page);
  char *f = mmap(0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  volatile char first = f[0];
  show("private file, read", f + first);
  f[0] = 1;
  show("private file, written", f);
  fflush(stdout);
  int go[2];
  pipe(go);
  pid_t child = fork();
  if (child == 0) {
    char byte;
    close(go[1]);
    read(go[0], &byte, 1);
    _exit(0);
  }
  show("of a child too", p + page);
  close(go[1]);
  waitpid(child, 0, 0);
  show("of a child no more", p + page);
  mprotect(p + page, page, PROT_NONE);
  show("without access", p + page);
  madvise(p, 8 * page, MADV_DONTNEED);
  show("given back", p + page);
  munmap(p, 8 * page);
  show("not mapped", p + page);
  uint64_t entries[2];
  printf("odd place %ld %s\n", (long)pread(fd, entries, 8, 4), strerror(errno));
  printf("odd size %ld %s\n", (long)pread(fd, entries, 12, 0), strerror(errno));
  printf("two %ld\n", (long)pread(fd, entries, 16, 0));
  printf("beyond %ld\n", (long)pread(fd, entries, 8, (1ull << 48) / page * 8));
  return 0;
}
