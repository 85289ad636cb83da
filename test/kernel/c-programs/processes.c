// fork, wait, pipes, exec of itself, process groups, shared and private memory across fork.
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int children;
static void child_ended(int signo) {
  (void)signo;
  children++;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "again")) {
    printf("again: %s %s\n", argv[2], getenv("MARK") ? getenv("MARK") : "none");
    return 9;
  }
  setvbuf(stdout, NULL, _IONBF, 0);
  int status;
  int private_word = 1;
  int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    private_word = 2;
    *shared = 3;
    _exit(private_word + 5);
  }
  printf("waited %d\n", waitpid(pid, &status, 0) == pid);
  printf("status %x private %d shared %d\n", status, private_word, *shared);

  sem_t *semaphore = (sem_t *)(shared + 16);
  sem_init(semaphore, 1, 0);
  pid = fork();
  if (pid == 0) {
    usleep(1000);
    sem_post(semaphore);
    _exit(0);
  }
  printf("shared semaphore %d\n", sem_wait(semaphore));
  waitpid(pid, &status, 0);

  pid = fork();
  if (pid == 0) abort();
  waitpid(pid, &status, 0);
  printf("signal %d\n", WTERMSIG(status));

  int ends[2];
  pipe(ends);
  pid = fork();
  if (pid == 0) {
    close(ends[0]);
    for (int i = 0; i < 40; i++) dprintf(ends[1], "%0999d\n", i);
    _exit(0);
  }
  close(ends[1]);
  char buffer[4096];
  long total = 0, got;
  while ((got = read(ends[0], buffer, sizeof buffer)) > 0) total += got;
  waitpid(pid, &status, 0);
  printf("piped %ld\n", total);
  close(ends[0]);

  signal(SIGCHLD, child_ended);
  for (int i = 0; i < 8; i++)
    if (fork() == 0) _exit(i);
  int sum = 0;
  for (int i = 0; i < 8; i++) {
    while (wait(&status) < 0 && errno == EINTR) {
    }
    sum += WEXITSTATUS(status);
  }
  printf("sum %d signalled %d\n", sum, children > 0);
  printf("none left: %d %s\n", wait(&status), strerror(errno));

  pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    for (;;) pause();
  }
  setpgid(pid, pid);
  kill(-pid, SIGSTOP);
  waitpid(pid, &status, WUNTRACED);
  printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
  kill(pid, SIGCONT);
  waitpid(pid, &status, WCONTINUED);
  printf("continued %d\n", WIFCONTINUED(status) != 0);
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
  printf("killed %d\n", WTERMSIG(status));

  pipe(ends);
  int event = eventfd(0, 0);
  struct pollfd polled[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = event, .events = POLLIN}};
  printf("poll %d\n", poll(polled, 2, 10));
  if ((pid = fork()) == 0) {
    usleep(1000);
    write(event, &(unsigned long){4}, 8);
    _exit(0);
  }
  int ready = poll(polled, 2, 1000);
  unsigned long count = 0;
  read(event, &count, 8);
  printf("poll %d %d %d count %lu\n", ready, polled[0].revents, polled[1].revents, count);
  waitpid(pid, &status, 0);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[1], &set);
  printf("select %d\n", select(ends[1] + 1, NULL, &set, NULL, NULL));

  char *arguments[] = {argv[0], "again", "spawned", NULL};
  char *environment[] = {"MARK=mark", NULL};
  if (posix_spawn(&pid, argv[0], NULL, NULL, arguments, environment) != 0) return 1;
  waitpid(pid, &status, 0);
  printf("spawned %d\n", WEXITSTATUS(status));
  char *last[] = {argv[0], "again", "replaced", NULL};
  execve(argv[0], last, environment);
  return 2;
}
