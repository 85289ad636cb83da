// futex(2) on words that are not there, which only other processes could share or nobody.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static void ask(const char *what, void *a, int op, long v, long v2, void *b, long v3) {
  errno = 0;
  long r = syscall(SYS_futex, a, op, v, v2, b, v3);
  printf("%-28s %ld %s\n", what, r, r < 0 ? strerror(errno) : "");
}
int main(void) {
  static int word;
  int *none = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(none, 4096);
  void *high = (void *)(1ul << 56 >> 1);
  ask("wake", none, 1, 1, 0, 0, 0);
  ask("wake private", none, 129, 1, 0, 0, 0);
  ask("wake high private", high, 129, 1, 0, 0, 0);
  ask("wake bits", none, 10, 1, 0, 0, 1);
  ask("requeue from", none, 3, 1, 1, &word, 0);
  ask("requeue to", &word, 3, 1, 1, none, 0);
  ask("requeue from private", none, 131, 1, 1, &word, 0);
  ask("requeue to private", &word, 131, 1, 1, none, 0);
  ask("compare from private", none, 132, 1, 1, &word, 0);
  ask("compare differs", &word, 4, 1, 1, none, 5);
  ask("wake op", none, 5, 1, 1, &word, 0);
  ask("wake op 2", &word, 5, 1, 1, none, 0);
  ask("wait", none, 0, 0, 0, 0, 0);
  ask("unlock", none, 7, 0, 0, 0, 0);
  return 0;
}
