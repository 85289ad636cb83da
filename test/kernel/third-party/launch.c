/* ROUNDS PROGRAM ARG...: the program runs ROUNDS times, the last time visibly, while another process holds BALLAST MiB
 * of the machine and finds them untouched afterwards. Ends as the program did; 90 and up if something else is wrong. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../memory-safety/ballast.h"

static int ran(char **argv, int visible) {
    int status;
    int pid = fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR);
        if (!visible) {
            dup2(nowhere, 1);
            dup2(nowhere, 2);
        }
        close(nowhere);
        execv(argv[0], argv);
        _exit(99);
    }
    if (waitpid(pid, &status, 0) != pid) return 98;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    int ready[2], over[2], lost, status = 0;
    char byte;
    if (argc < 3 || pipe(ready) || pipe(over)) return 97;
    int holder = fork();
    if (holder == 0) {
        takeBallast();
        if (write(ready[1], "r", 1) != 1) _exit(96);
        close(over[1]);
        if (read(over[0], &byte, 1) != 0) _exit(95);
        _exit(lostBallast() != 0);
    }
    if (read(ready[0], &byte, 1) != 1) return 96;
    close(ready[0]);
    close(ready[1]);
    fcntl(over[1], F_SETFD, FD_CLOEXEC);
    close(over[0]);
    int rounds = atoi(argv[1]);
    for (int round = 1; round <= rounds; round++) {
        int now = ran(argv + 2, round == rounds);
        if (round > 1 && now != status) return 94;
        status = now;
    }
    close(over[1]);
    if (waitpid(holder, &lost, 0) != holder || lost != 0) return 93;
    return status;
}
