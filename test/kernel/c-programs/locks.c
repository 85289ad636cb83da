// File locks: flock, POSIX and open file description locks: conflicts, ranges, waiting, deadlock, release.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[] = "/tmp/locks-XXXXXX";

static int lock(int fd, int command, int type, long start, long length) {
  struct flock f = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &f) ? -errno : 0;
}

static void ask(int fd, int command, int type, long start, long length) {
  struct flock f = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  int result = fcntl(fd, command, &f) ? -errno : 0;
  printf("ask %d: type %d start %ld length %ld pid %s\n", result, f.l_type, (long)f.l_start, (long)f.l_len,
         f.l_pid == 0 ? "0" : f.l_pid == getppid() ? "parent" : f.l_pid == -1 ? "-1" : "other");
}

// What another process sees.
static void child(const char *title, void (*run)(int fd)) {
  pid_t pid = fork();
  if (!pid) {
    printf("%s\n", title);
    run(open(name, O_RDWR));
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

static void look(int fd) { ask(fd, F_GETLK, F_WRLCK, 0, 0); }
static void look_at_50(int fd) { ask(fd, F_GETLK, F_RDLCK, 50, 10); }
static void try_read(int fd) { printf("read %d write %d\n", lock(fd, F_SETLK, F_RDLCK, 0, 10), lock(fd, F_SETLK, F_WRLCK, 0, 10)); }

static void show(int fd) {
  struct flock probe = {.l_type = F_WRLCK};
  long at = 0;
  if (fork() == 0) {
    int other = open(name, O_RDWR);
    for (;;) {
      probe = (struct flock){.l_type = F_WRLCK, .l_start = at};
      fcntl(other, F_GETLK, &probe);
      if (probe.l_type == F_UNLCK) break;
      printf("[%ld,%ld)%s ", (long)probe.l_start, (long)(probe.l_start + probe.l_len), probe.l_type == F_RDLCK ? "r" : "w");
      if (probe.l_len == 0) break;
      at = probe.l_start + probe.l_len;
    }
    printf("\n");
    _exit(0);
  }
  wait(NULL);
}

static void posix(int fd) {
  printf("write lock %d\n", lock(fd, F_SETLK, F_WRLCK, 10, 20));
  child("conflict", look);
  child("elsewhere", look_at_50);
  printf("read in the middle %d\n", lock(fd, F_SETLK, F_RDLCK, 15, 5));
  show(fd);
  printf("unlock in the middle %d\n", lock(fd, F_SETLK, F_UNLCK, 17, 1));
  show(fd);
  printf("join %d\n", lock(fd, F_SETLK, F_WRLCK, 15, 15));
  show(fd);
  printf("touching %d %d\n", lock(fd, F_SETLK, F_WRLCK, 30, 10), lock(fd, F_SETLK, F_WRLCK, 0, 10));
  show(fd);
  printf("to the end %d\n", lock(fd, F_SETLK, F_WRLCK, 100, 0));
  show(fd);
  printf("negative length %d\n", lock(fd, F_SETLK, F_UNLCK, 40, -40));
  show(fd);
  printf("errors %d %d %d %d\n", lock(fd, F_SETLK, F_WRLCK, -1, 1), lock(fd, F_SETLK, F_WRLCK, 5, -6),
         lock(fd, F_SETLK, F_WRLCK, 1, 0x7fffffffffffffffL), lock(fd, F_SETLK, 7, 0, 0));
  int readonly = open(name, O_RDONLY);
  printf("read only %d %d\n", lock(readonly, F_SETLK, F_WRLCK, 0, 1), lock(readonly, F_SETLK, F_RDLCK, 0, 1));
  // Any close of the file releases all of the process's locks.
  close(readonly);
  show(fd);
  lock(fd, F_SETLK, F_RDLCK, 0, 10);
  child("shared", try_read);
  lock(fd, F_SETLK, F_UNLCK, 0, 0);
}

static void note(int number) {}

static void waiting(int fd) {
  int to_child[2], to_parent[2];
  char byte;
  pipe(to_child), pipe(to_parent);
  lock(fd, F_SETLK, F_WRLCK, 0, 10);
  pid_t pid = fork();
  if (!pid) {
    int own = open(name, O_RDWR);
    printf("try %d\n", lock(own, F_SETLK, F_WRLCK, 5, 10));
    printf("mine %d\n", lock(own, F_SETLK, F_WRLCK, 10, 10));
    write(to_parent[1], "x", 1);
    printf("got it %d\n", lock(own, F_SETLKW, F_WRLCK, 5, 5));
    write(to_parent[1], "x", 1);
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    lock(own, F_SETLK, F_UNLCK, 0, 0);
    read(to_child[0], &byte, 1);
    printf("interrupted %d\n", lock(own, F_SETLKW, F_RDLCK, 0, 1));
    _exit(0);
  }
  read(to_parent[0], &byte, 1);
  usleep(50000);
  // The child waits for us: waiting for it would be for ever.
  printf("deadlock %d\n", lock(fd, F_SETLKW, F_WRLCK, 12, 1));
  char line[200], inode[32];
  struct stat about;
  fstat(fd, &about);
  snprintf(inode, sizeof inode, ":%lu", (unsigned long)about.st_ino);
  // Linux lists them CPU by CPU: in an order of our own, the child's lock first.
  for (int of_child = 1; of_child >= 0; of_child--) {
    FILE *locks = fopen("/proc/locks", "r");
    while (fgets(line, sizeof line, locks)) {
      char kind[20], way[20], type[20], place[40], from[30], to[30];
      int waits = strstr(line, "->") != NULL, owner;
      if (sscanf(strchr(line, ':') + (waits ? 4 : 1), "%s %s %s %d %s %s %s", kind, way, type, &owner, place, from, to) == 7 &&
          strcmp(strrchr(place, ':'), inode) == 0 && of_child == (!waits && owner != getpid()))
        printf("%s%s %s %s %s %s %s\n", waits ? "-> " : "", kind, way, type, owner == getpid() ? "parent" : "child", from, to);
    }
    fclose(locks);
  }
  lock(fd, F_SETLK, F_UNLCK, 0, 0);
  read(to_parent[0], &byte, 1);
  lock(fd, F_SETLKW, F_WRLCK, 0, 0);
  write(to_child[1], "x", 1);
  waitpid(pid, NULL, 0);
  lock(fd, F_SETLK, F_UNLCK, 0, 0);
  // Released by the owner's end.
  pid = fork();
  if (!pid) {
    lock(open(name, O_RDWR), F_SETLK, F_WRLCK, 0, 0);
    write(to_parent[1], "x", 1);
    usleep(50000);
    _exit(0);
  }
  read(to_parent[0], &byte, 1);
  printf("held %d\n", lock(fd, F_SETLK, F_WRLCK, 0, 1));
  printf("released %d\n", lock(fd, F_SETLKW, F_WRLCK, 0, 1));
  waitpid(pid, NULL, 0);
  lock(fd, F_SETLK, F_UNLCK, 0, 0);
}

static void descriptions(int fd) {
  int other = open(name, O_RDWR), copy = dup(fd);
  printf("ofd %d\n", lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
  printf("other %d copy %d\n", lock(other, F_OFD_SETLK, F_WRLCK, 5, 10), lock(copy, F_OFD_SETLK, F_WRLCK, 5, 10));
  printf("posix %d\n", lock(other, F_SETLK, F_RDLCK, 0, 1));
  ask(other, F_OFD_GETLK, F_RDLCK, 0, 0);
  ask(other, F_GETLK, F_RDLCK, 0, 0);
  struct flock f = {.l_type = F_WRLCK, .l_pid = 5};
  printf("pid %d\n", fcntl(fd, F_OFD_SETLK, &f) ? -errno : 0);
  // Closing another description releases nothing; fork shares the lock.
  close(open(name, O_RDWR));
  printf("still %d\n", lock(other, F_OFD_SETLK, F_RDLCK, 0, 1));
  close(copy);
  printf("still %d\n", lock(other, F_OFD_SETLK, F_RDLCK, 0, 1));
  lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
  printf("free %d\n", lock(other, F_OFD_SETLK, F_RDLCK, 0, 1));
  close(other);
}

static int whole(int fd, int operation) { return flock(fd, operation) ? -errno : 0; }

static void whole_files(int fd) {
  int other = open(name, O_RDONLY);
  printf("exclusive %d %d\n", whole(fd, LOCK_EX), whole(other, LOCK_EX | LOCK_NB));
  printf("posix does not see it %d\n", lock(fd, F_SETLK, F_WRLCK, 0, 0));
  printf("shared %d %d\n", whole(fd, LOCK_SH), whole(other, LOCK_SH | LOCK_NB));
  printf("upgrade %d\n", whole(fd, LOCK_EX | LOCK_NB));
  printf("lost %d\n", whole(other, LOCK_EX | LOCK_NB));
  printf("bad %d %d\n", whole(fd, 0), whole(99, LOCK_SH));
  pid_t pid = fork();
  if (!pid) {
    // The same open file: not in its own way, and kept when the child ends.
    printf("inherited %d\n", whole(other, LOCK_EX | LOCK_NB));
    int own = open(name, O_RDWR);
    printf("own %d\n", whole(own, LOCK_SH | LOCK_NB));
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  printf("kept %d\n", whole(fd, LOCK_SH | LOCK_NB));
  pid = fork();
  if (!pid) {
    close(other);
    printf("waited %d\n", whole(fd, LOCK_EX));
    _exit(0);
  }
  usleep(50000);
  close(other);
  waitpid(pid, NULL, 0);
  printf("unlock %d\n", whole(fd, LOCK_UN));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  int fd = mkstemp(name);
  posix(fd);
  waiting(fd);
  descriptions(fd);
  whole_files(fd);
  unlink(name);
  return 0;
}
