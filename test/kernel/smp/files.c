// One file position, pipes and directories under several CPUs.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define RECORDS 120
static int fd;
static int seen[THREADS * RECORDS];
static int torn;
static int ends[2];

static void together(void *(*work)(void *)) {
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

// A record is its number, eight times.
static void *writes(void *arg) {
  for (int i = 0; i < RECORDS; i++) {
    int record[8];
    for (int j = 0; j < 8; j++) record[j] = (int)(long)arg * RECORDS + i;
    if (write(fd, record, sizeof record) != sizeof record) torn++;
  }
  return NULL;
}
static void *appends(void *arg) {
  int own = open("/tmp/own", O_CREAT | O_WRONLY | O_APPEND, 0600);
  for (int i = 0; i < RECORDS; i++) {
    int record[8];
    for (int j = 0; j < 8; j++) record[j] = (int)(long)arg * RECORDS + i;
    if (write(own, record, sizeof record) != sizeof record) torn++;
  }
  close(own);
  return NULL;
}
static void note(const int *record) {
  for (int j = 1; j < 8; j++)
    if (record[j] != record[0]) __atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
  if (record[0] >= 0 && record[0] < THREADS * RECORDS) __atomic_fetch_add(&seen[record[0]], 1, __ATOMIC_RELAXED);
}
// Into untouched pages: the kernel takes faults while it copies.
static void take(int from) {
  char *fresh = mmap(NULL, THREADS * RECORDS * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (char *at = fresh; read(from, at, 32) == 32; at += 4096) note((int *)at);
  munmap(fresh, THREADS * RECORDS * 4096L);
}
static void *reads(void *arg) {
  (void)arg;
  take(fd);
  return NULL;
}
static void *readsPipe(void *arg) {
  (void)arg;
  take(ends[0]);
  return NULL;
}
static void report(const char *what) {
  int wrong = 0;
  for (int i = 0; i < THREADS * RECORDS; i++) wrong += seen[i] != 1;
  printf("%s %d %d\n", what, wrong, torn);
  memset(seen, 0, sizeof seen);
  torn = 0;
}

static void *creates(void *arg) {
  for (int i = 0; i < 40; i++) {
    char name[32];
    // Each name is one thread's to make, all others' to fail on.
    sprintf(name, "/tmp/one%d", i);
    int made = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (made >= 0) {
      __atomic_fetch_add(&seen[i], 1, __ATOMIC_RELAXED);
      close(made);
    }
    sprintf(name, "/tmp/own%ld-%d", (long)arg, i);
    close(open(name, O_CREAT | O_WRONLY, 0600));
    unlink(name);
  }
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  fd = open("/tmp/records", O_CREAT | O_TRUNC | O_RDWR, 0600);
  together(writes);
  struct stat st;
  fstat(fd, &st);
  printf("size %ld\n", (long)st.st_size);
  lseek(fd, 0, SEEK_SET);
  together(reads);
  report("position");
  close(fd);

  fd = open("/tmp/appended", O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
  together(writes);
  close(fd);
  fd = open("/tmp/appended", O_RDONLY);
  reads(NULL);
  report("append");

  // As many open files, one end.
  together(appends);
  int shared = fd;
  fd = open("/tmp/own", O_RDONLY);
  reads(NULL);
  close(fd);
  report("ends");
  fd = shared;

  // Processes share a position as threads do.
  lseek(fd, 0, SEEK_SET);
  pipe(ends);
  pid_t pids[THREADS];
  for (int t = 0; t < THREADS; t++) {
    if ((pids[t] = fork()) == 0) {
      int record[8];
      while (read(fd, record, sizeof record) == sizeof record) write(ends[1], record, sizeof record);
      _exit(0);
    }
  }
  close(ends[1]);
  together(readsPipe);
  for (int t = 0; t < THREADS; t++) waitpid(pids[t], NULL, 0);
  report("pipe");
  close(fd);

  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends);
  for (int t = 0; t < THREADS; t++) {
    if ((pids[t] = fork()) == 0) {
      close(ends[0]);
      fd = ends[1];
      writes((void *)(long)t);
      _exit(0);
    }
  }
  close(ends[1]);
  together(readsPipe);
  for (int t = 0; t < THREADS; t++) waitpid(pids[t], NULL, 0);
  report("packets");

  together(creates);
  int wrong = 0;
  for (int i = 0; i < 40; i++) wrong += seen[i] != 1;
  printf("created %d\n", wrong);
  return 0;
}
