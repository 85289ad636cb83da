// mremap with MREMAP_DONTUNMAP: pages move, the old place stays mapped and empty; tags move with them.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define PROT_MTE 0x20
#define P 4096ul

static void say(const char *what, void *result) {
  printf("%s: %s\n", what, result == MAP_FAILED ? strerrorname_np(errno) : "ok");
}

static char *map(unsigned long pages, int prot, int flags, int fd) {
  return mmap(0, pages * P, prot, flags, fd, 0);
}

static int locked(void) {
  char line[256];
  int kb = -1;
  FILE *f = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, f)) sscanf(line, "VmLck: %d", &kb);
  fclose(f);
  return kb;
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  int anon = MAP_PRIVATE | MAP_ANONYMOUS;
  char *a = map(4, 3, anon, -1);
  for (int i = 0; i < 4; i++) a[i * P] = 'a' + i;
  say("without MAYMOVE", mremap(a, 4 * P, 4 * P, MREMAP_DONTUNMAP));
  say("another size", mremap(a, 4 * P, 5 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
  say("smaller", mremap(a, 4 * P, 3 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
  say("overlapping", mremap(a, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, a + P));
  say("unaligned", mremap(a, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 1));
  say("beyond", mremap(a, 5 * P, 5 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
  char *b = mremap(a, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  say("moves", b);
  printf("%d: %c%c%c%c, old %d%d%d%d\n", b != a, b[0], b[P], b[2 * P], b[3 * P], a[0], a[P], a[2 * P], a[3 * P]);
  a[P] = 'z';
  printf("apart: %c %c\n", a[P], b[P]);
  char *hole = map(8, 0, anon, -1);
  munmap(hole, 8 * P);
  char *c = mremap(b, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, hole);
  printf("at the hint: %d %c, old %d\n", c == hole, c[0], b[0]);
  char *d = mremap(c + P, P, P, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, hole + 6 * P);
  printf("one page: %d %c, old %c %d %c\n", d == hole + 6 * P, d[0], c[0], c[P], c[2 * P]);

  // Twice the pages at once are locked no more at the old place.
  char *l = map(4, 3, anon, -1);
  int before = locked();
  mlock(l, 4 * P);
  printf("locked %d", locked() - before);
  char *m = mremap(l, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  printf(", moved %d\n", locked() - before);
  munlock(m, 4 * P);

  // A child's copy stays whole.
  char *s = map(2, 3, anon, -1);
  strcpy(s, "before");
  int ends[2], back[2];
  pipe(ends);
  pipe(back);
  pid_t child = fork();
  if (child == 0) {
    char go;
    read(ends[0], &go, 1);
    printf("child: %s\n", s);
    strcpy(s, "child");
    write(back[1], "x", 1);
    pause();
  }
  char *t = mremap(s, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  strcpy(t + 8, "after");
  write(ends[1], "x", 1);
  char go;
  read(back[0], &go, 1);
  printf("parent: %s %s, old '%s'\n", t, t + 8, s);
  kill(child, 9);
  wait(0);

  // Of files.
  int fd = memfd_create("m", 0);
  ftruncate(fd, 2 * P);
  char *f = map(2, 3, MAP_SHARED, fd);
  strcpy(f, "file");
  char *g = mremap(f, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  printf("shared: %s %s\n", g, f);
  strcpy(f, "both");
  printf("shared: %s %s\n", g, f);
  char *p = map(2, 3, MAP_PRIVATE, fd);
  strcpy(p, "own");
  char *q = mremap(p, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  printf("private: %s %s\n", q, p);

  if (getauxval(AT_HWCAP2) & (1 << 18)) {
    prctl(PR_SET_TAGGED_ADDR_CTRL, 1 | 2 | 0xfffe << 3, 0, 0, 0);
    char *x = map(2, 3 | PROT_MTE, anon, -1);
    char *y = (char *)((unsigned long)x | 5ul << 56), *moved;
    __asm__(".arch_extension memtag\n stg %0, [%0]" ::"r"(y) : "memory");
    *y = 't';
    moved = mremap(x, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    unsigned long tag = (unsigned long)moved, old = (unsigned long)x;
    __asm__(".arch_extension memtag\n ldg %0, [%0]" : "+r"(tag));
    __asm__(".arch_extension memtag\n ldg %0, [%0]" : "+r"(old));
    printf("tag %lu, %c; old tag %lu, %d\n", tag >> 56, *(char *)tag, old >> 56, *x);
  }
  return 0;
}
