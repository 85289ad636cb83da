// Static glibc: start-up, stdio, floating-point printf, malloc, files of the tmpfs.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  printf("argc %d last %s\n", argc, argv[argc - 1]);
  printf("%.17g %e %a %10.3f|%-8d|%+d|%x|%s\n", 0.1, 12345.678, 1.0 / 3, 3.14159, 42, 7, 0xbeef, "text");
  char *blocks[64];
  unsigned sum = 0;
  for (int i = 0; i < 64; i++) {
    blocks[i] = malloc(17 * i + 1);
    memset(blocks[i], i, 17 * i + 1);
  }
  for (int i = 0; i < 64; i += 2) free(blocks[i]);
  for (int i = 1; i < 64; i += 2) sum += (unsigned char)blocks[i][17 * i];
  printf("sum %u\n", sum);
  char *large = malloc(1 << 20);
  memset(large, 1, 1 << 20);
  large = realloc(large, 3 << 20);
  printf("large %d %d\n", large[0], large[(1 << 20) - 1]);
  char name[] = "/tmp/mtemu-stdio-XXXXXX";
  int fd = mkstemp(name);
  FILE *f = fdopen(fd, "w+");
  for (int i = 0; i < 1000; i++) fprintf(f, "line %d\n", i);
  rewind(f);
  char line[64];
  int lines = 0, last = -1;
  while (fgets(line, sizeof line, f)) {
    lines++;
    sscanf(line, "line %d", &last);
  }
  fseek(f, 0, SEEK_END);
  printf("lines %d last %d size %ld\n", lines, last, ftell(f));
  fclose(f);
  printf("unlink %d again %d\n", unlink(name), access(name, F_OK));
  printf("missing: %s\n", fopen("/no/such/file", "r") ? "there" : strerror(2));
  return 3;
}
