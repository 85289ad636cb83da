/* FIFOs, whose opening waits for the other end; names and arguments that are no UTF-8. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], path[96];

static void onAlarm(int number) { (void)number; }

static void opening(void) {
    char text[16] = "";
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    printf("write end without reader: %d", open("/nowhere", O_WRONLY));
    struct pollfd wait = {.fd = reader, .events = POLLIN};
    printf(", nobody yet: poll %d, read %zd\n", poll(&wait, 1, 0), read(reader, text, 8));
    int writer = open(path, O_WRONLY);
    printf("write %zd, poll %d", write(writer, "ab", 2), poll(&wait, 1, 1000));
    printf(" events %#x, ", wait.revents);
    close(writer);
    printf("left: poll %d events %#x", poll(&wait, 1, 0), wait.revents);
    printf(", read %zd %s", read(reader, text, 8), text);
    printf(", poll %d events %#x, read %zd\n", poll(&wait, 1, 0), wait.revents, read(reader, text, 8));
    close(reader);
    printf("nonblocking writer: %d", open(path, O_WRONLY | O_NONBLOCK));
    printf(" %s\n", strerror(errno));
}

static void meeting(void) {
    char text[16] = "";
    fflush(stdout);
    if (fork() == 0) {
        int out = open(path, O_WRONLY);
        _exit(write(out, "child", 5) == 5 ? 4 : 5);
    }
    usleep(2000);
    /* The writer waits in open(), and is one already. */
    int in = open(path, O_RDONLY | O_NONBLOCK);
    struct pollfd wait = {.fd = in, .events = POLLIN};
    int ready = poll(&wait, 1, 5000);
    int status;
    printf("met: poll %d, read %zd %s", ready, read(in, text, 8), text);
    wait4(-1, &status, 0, 0);
    printf(", status %d\n", WEXITSTATUS(status));
    close(in);

    struct sigaction action = {.sa_handler = onAlarm};
    sigaction(SIGALRM, &action, 0);
    struct itimerval soon = {.it_value = {0, 3000}};
    setitimer(ITIMER_REAL, &soon, 0);
    int none = open(path, O_RDONLY);
    printf("interrupted: %d %s\n", none, strerror(errno));
    int both = open(path, O_RDWR);
    printf("both ends: write %zd, read %zd\n", write(both, "xyz", 3), read(both, text, 8));
    close(both);
}

static void names(const char *self) {
    static const char *const odd[] = {"\xff\xfe", "\xffz", "caf\xe9", "caf\xc3\xa9", "\xef\xbb\xbfmark", "\xed\xa0\x80"};
    char name[128];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, odd[i]);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        printf("%d%s", fd >= 0, i < 5 ? " " : "\n");
        close(fd);
    }
    int found = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        for (int i = 0; i < 6; i++) found += !strcmp(entry->d_name, odd[i]);
    closedir(dir);
    char most[300];
    memset(most, 0xe9, sizeof most);
    most[255] = 0;
    chdir(folder);
    int longest = open(most, O_CREAT | O_WRONLY, 0600);
    most[255] = (char)0xe9;
    most[256] = 0;
    printf("found %d, 255 bytes %d", found, longest >= 0);
    printf(", 256 bytes %d %s\n", open(most, O_CREAT | O_WRONLY, 0600), strerror(errno));
    symlink("to\xff", "link\xfe");
    char target[16] = "";
    printf("link %zd %d\n", readlink("link\xfe", target, 16), !strcmp(target, "to\xff"));
    (void)self;
}

int main(int argc, char **argv) {
    snprintf(folder, sizeof folder, "/tmp/mtemu-fifos-%d", getpid());
    snprintf(path, sizeof path, "%s/fifo", folder);
    mkdir(folder, 0700);
    printf("mkfifo %d\n", mkfifo(path, 0600));
    opening();
    meeting();
    unlink(path);
    names(argv[0]);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) unlink(entry->d_name);
    closedir(dir);
    chdir("/");
    printf("rmdir %d\n", rmdir(folder));
    return argc - 1;
}
