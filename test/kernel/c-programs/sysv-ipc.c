// System V IPC: shared memory, semaphores with undo, message queues by type.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int result(const char *what, long value) {
  printf("%s %ld %s\n", what, value, value == -1 ? strerror(errno) : "");
  return value;
}
static int attached(int id) {
  struct shmid_ds s;
  return shmctl(id, IPC_STAT, &s) ? -errno : (int)s.shm_nattch;
}

static void columns(const char *path, int from, int to) {
  char line[512];
  FILE *file = fopen(path, "r");
  while (fgets(line, sizeof line, file)) {
    int column = 0;
    for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"), column++)
      if (column >= from && column <= to) printf("%s ", word);
    printf("\n");
  }
  fclose(file);
}

static void memory(void) {
  int id = result("shmget", shmget(0x1234, 10000, IPC_CREAT | 0640));
  result("again", shmget(0x1234, 10000, IPC_CREAT | 0640));
  result("exclusive", shmget(0x1234, 10000, IPC_CREAT | IPC_EXCL | 0640));
  result("larger", shmget(0x1234, 10001, 0));
  result("none", shmget(0x4321, 10000, 0));
  result("empty", shmget(IPC_PRIVATE, 0, 0600));
  int other = result("private", shmget(IPC_PRIVATE, 5000, 0600));
  char *first = shmat(id, NULL, 0), *second = shmat(id, NULL, 0), *readonly = shmat(other, NULL, SHM_RDONLY);
  strcpy(first, "seen twice");
  printf("%s, attached %d\n", second, attached(id));
  result("writable", mprotect(readonly, 4096, PROT_READ | PROT_WRITE));
  result("tagged", mprotect(first, 4096, PROT_READ | PROT_WRITE | 0x20));
  printf("after a split %d\n", attached(id));
  result("occupied", (long)shmat(id, first, 0));
  result("misaligned", (long)shmat(id, (char *)0x10000001, 0));
  printf("rounded %d\n", shmat(id, (char *)0x20000001, SHM_RND) == (void *)0x20000000);
  result("remap", (long)shmat(other, (char *)0x20000000, SHM_REMAP) == 0x20000000);
  result("nobody", (long)shmat(12345, NULL, 0));
  if (fork() == 0) {
    printf("child: attached %d\n", attached(id));
    strcpy(first, "from the child");
      _exit(0);
  }
  wait(NULL);
  printf("%s, attached %d\n", second, attached(id));
  columns("/proc/sysvipc/shm", 0, 3);
  result("rmid", shmctl(id, IPC_RMID, NULL));
  columns("/proc/sysvipc/shm", 0, 3);
  result("still there", attached(id));
  result("by key", shmget(0x1234, 1, 0));
  result("attach", (long)shmat(id, (char *)0x30000000, 0) == 0x30000000);
  printf("%s\n", (char *)0x30000000);
  result("detach", shmdt((void *)0x30000000));
  result("twice", shmdt((void *)0x30000000));
  result("first", shmdt(first));
  result("second", shmdt(second));
  // What is left of it was made by SHM_RND, and is a page at its end.
  printf("left %d\n", attached(id));
  munmap((void *)0x20000000, 4 << 20);
  result("gone", attached(id));
  struct shmid_ds s;
  shmctl(other, IPC_STAT, &s);
  printf("size %ld mode %o cpid %d lpid %d times %d %d\n", (long)s.shm_segsz, s.shm_perm.mode,
         s.shm_cpid == getpid(), s.shm_lpid == getpid(), s.shm_atime > 0, s.shm_ctime > 0);
  s.shm_perm.mode = 0400;
  result("set", shmctl(other, IPC_SET, &s));
  result("lock", shmctl(other, SHM_LOCK, NULL));
  shmctl(other, IPC_STAT, &s);
  printf("mode %o\n", s.shm_perm.mode);
  setegid(5);
  seteuid(1000);
  result("not mine", (long)shmat(other, NULL, SHM_RDONLY));
  result("not mine", shmctl(other, IPC_RMID, NULL));
  result("not mine", attached(other) == -EACCES);
  seteuid(0);
  shmctl(other, IPC_RMID, NULL);
  shmdt(readonly);
  columns("/proc/sysvipc/shm", 0, 3);
}

static int operate(int id, int number, int change, int flags) {
  struct sembuf one = {number, change, flags};
  return semop(id, &one, 1);
}
static int value(int id, int number) { return semctl(id, number, GETVAL); }

static void note(int number) {}

static void semaphores(void) {
  int id = result("semget", semget(0x55, 3, IPC_CREAT | 0600));
  result("more", semget(0x55, 4, 0));
  result("none", semget(IPC_PRIVATE, 0, 0600));
  result("setval", semctl(id, 0, SETVAL, 2));
  result("range", semctl(id, 0, SETVAL, 40000));
  unsigned short all[3] = {1, 2, 3};
  result("setall", semctl(id, 0, SETALL, all));
  printf("values %d %d %d\n", value(id, 0), value(id, 1), value(id, 2));
  result("down", operate(id, 2, -3, 0));
  result("not down", operate(id, 2, -1, IPC_NOWAIT));
  result("no such", operate(id, 3, 1, 0));
  result("overflow", operate(id, 0, 32767, 0));
  struct sembuf both[2] = {{0, -1, 0}, {2, -1, IPC_NOWAIT}};
  result("both", semop(id, both, 2));
  printf("value %d pid %d\n", value(id, 0), semctl(id, 0, GETPID) == getpid());
  struct timespec soon = {0, 20000000};
  struct sembuf wait_one = {2, -1, 0};
  result("timed", semtimedop(id, &wait_one, 1, &soon));
  // A waiter, counted, that goes on when it can.
  pid_t child = fork();
  if (child == 0) {
    struct sembuf two[2] = {{2, -2, 0}, {1, 0, 0}};
    printf("child %d\n", semop(id, two, 2));
      _exit(0);
  }
  while (semctl(id, 2, GETNCNT) != 1) usleep(1000);
  printf("waits to grow %d, for zero %d\n", semctl(id, 2, GETNCNT), semctl(id, 1, GETZCNT));
  operate(id, 2, 2, 0);
  while (semctl(id, 1, GETZCNT) != 1) usleep(1000);
  printf("waits to grow %d, for zero %d\n", semctl(id, 2, GETNCNT), semctl(id, 1, GETZCNT));
  operate(id, 1, -2, 0);
  waitpid(child, NULL, 0);
  printf("values %d %d %d\n", value(id, 0), value(id, 1), value(id, 2));
  // Undo.
  if (fork() == 0) {
    operate(id, 0, -1, SEM_UNDO);
    operate(id, 1, 5, SEM_UNDO);
    _exit(0);
  }
  wait(NULL);
  printf("undone %d %d %d\n", value(id, 0), value(id, 1), value(id, 2));
  // A signal, and removal under a waiter.
  child = fork();
  if (child == 0) {
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    printf("interrupted %d", operate(id, 2, -1, 0));
    printf(" %s\n", strerror(errno));
      int gone = operate(id, 2, -1, 0), why = errno;
    usleep(20000);
    printf("removed %d %s\n", gone, strerror(why));
      _exit(0);
  }
  while (semctl(id, 2, GETNCNT) != 1) usleep(1000);
  kill(child, SIGUSR1);
  usleep(50000);
  columns("/proc/sysvipc/sem", 0, 7);
  result("rmid", semctl(id, 0, IPC_RMID));
  waitpid(child, NULL, 0);
  result("gone", value(id, 0));
}

static void queues(void) {
  struct message {
    long type;
    char text[100];
  } m;
  int id = result("msgget", msgget(0x66, IPC_CREAT | 0600));
  for (int i = 1; i <= 5; i++) {
    m.type = 6 - i;
    snprintf(m.text, sizeof m.text, "number %d", i);
    msgsnd(id, &m, strlen(m.text) + 1, 0);
  }
  columns("/proc/sysvipc/msg", 0, 4);
  result("first", msgrcv(id, &m, 100, 0, 0)), puts(m.text);
  result("type 2", msgrcv(id, &m, 100, 2, 0)), puts(m.text);
  result("at most 3", msgrcv(id, &m, 100, -3, 0)), puts(m.text);
  result("except 4", msgrcv(id, &m, 100, 4, MSG_EXCEPT)), puts(m.text);
  result("too long", msgrcv(id, &m, 3, 0, 0));
  memset(m.text, 0, sizeof m.text);
  result("cut", msgrcv(id, &m, 3, 0, MSG_NOERROR)), puts(m.text);
  result("empty", msgrcv(id, &m, 100, 0, IPC_NOWAIT));
  m.type = 0;
  result("no type", msgsnd(id, &m, 1, 0));
  m.type = 1;
  result("huge", msgsnd(id, &m, 9000, 0));
  int sent = 0;
  while (msgsnd(id, &m, 100, IPC_NOWAIT) == 0) sent++;
  printf("sent %d %s\n", sent, strerror(errno));
  pid_t child = fork();
  if (child == 0) {
    m.type = 9;
    int sent = msgsnd(id, &m, 100, 0);
    usleep(40000);
    printf("child sends %d\n", sent);
    long received = msgrcv(id, &m, 100, 77, 0);
    int why = errno;
    usleep(20000);
    printf("child waits %ld %s\n", received, strerror(why));
    _exit(0);
  }
  usleep(20000);
  result("room", msgrcv(id, &m, 100, 1, 0));
  result("from the child", msgrcv(id, &m, 100, 9, 0));
  usleep(80000);
  struct msqid_ds s;
  msgctl(id, IPC_STAT, &s);
  printf("messages %d bytes %d of %d\n", (int)s.msg_qnum, (int)s.__msg_cbytes, (int)s.msg_qbytes);
  result("rmid", msgctl(id, IPC_RMID, NULL));
  waitpid(child, NULL, 0);
  result("gone", msgctl(id, IPC_STAT, &s));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  memory();
  semaphores();
  queues();
  return 0;
}
