/* Programs by descriptor, chosen process numbers, what two processes share, and /proc's files about descriptors. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

struct args {
    unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static void handler(int number) { (void)number; }

static int chosen(int tid, unsigned long long flags) {
    struct args args = {.flags = flags, .exit_signal = SIGCHLD, .set_tid = (unsigned long)&tid, .set_tid_size = 1};
    return syscall(SYS_clone3, &args, tid ? sizeof args : 64);
}

static const char *said(long result) {
    static char text[32];
    sprintf(text, "%ld", result);
    return result < 0 ? strerror(errno) : text;
}

static void clones(void) {
    int status;
    fflush(stdout);
    int pid = chosen(4321, 0);
    if (pid == 0) {
        pause();
        _exit(1);
    }
    printf("chosen %d", pid);
    if (pid < 0) {
        /* An emulator without clone3: what follows would mean everybody. */
        printf(": %s\n", strerror(errno));
        exit(1);
    }
    printf(", again: %s", said(chosen(4321, 0)));
    printf(", 0 levels: ");
    struct args none = {.set_tid_size = 1};
    printf("%s", said(syscall(SYS_clone3, &none, sizeof none)));
    printf(", negative: %s\n", said(chosen(-5, 0)));
    struct args unwritable = {.flags = CLONE_PIDFD, .pidfd = 8, .exit_signal = SIGCHLD};
    printf("a pidfd for nobody: %s\n", said(syscall(SYS_clone3, &unwritable, 64)));
    printf("shared: files %d, same %d, file %d", syscall(SYS_kcmp, getpid(), pid, KCMP_FILES, 0, 0) > 0,
           (int)syscall(SYS_kcmp, pid, pid, KCMP_VM, 0, 0), (int)syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, 1, 1));
    printf(", no type: %s", said(syscall(SYS_kcmp, pid, pid, 99, 0, 0)));
    printf(", no file: %s", said(syscall(SYS_kcmp, pid, pid, KCMP_FILE, 77, 0)));
    printf(", nobody: %s\n", said(syscall(SYS_kcmp, pid, 30000, KCMP_VM, 0, 0)));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);

    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    printf("handlers with SIGHAND: %s\n", said(chosen(0, CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM)));
    fflush(stdout);
    struct args clear = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    if (syscall(SYS_clone3, &clear, sizeof clear) == 0) {
        struct sigaction one, two;
        sigaction(SIGUSR1, 0, &one);
        sigaction(SIGUSR2, 0, &two);
        _exit((one.sa_handler == SIG_DFL) | (two.sa_handler == SIG_IGN) << 1);
    }
    wait(&status);
    printf("cleared %d\n", WEXITSTATUS(status));
}

static void descriptors(void) {
    char path[64], text[512];
    struct stat info;
    int wrong = 0, seen = 0;
    for (const char *const *name = (const char *const[]){"01", " 1", "1 ", "+1", "-1", "1x", "0x1", 0}; *name; name++) {
        sprintf(path, "/proc/self/fd/%s", *name);
        wrong += lstat(path, &info) == 0;
        sprintf(path, "/proc/self/fdinfo/%s", *name);
        wrong += lstat(path, &info) == 0;
    }
    DIR *folder = opendir("/proc/self/fdinfo");
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        int fd = openat(dirfd(folder), entry->d_name, O_RDONLY);
        if (fd < 0) continue;
        seen += read(fd, text, sizeof text) > 0 && !strncmp(text, "pos:", 4);
        close(fd);
    }
    closedir(folder);
    printf("odd names %d, each told of: %d\n", wrong, seen >= 4);
    int file = memfd_create("mapped", 0);
    ftruncate(file, 8192);
    char *at = mmap(0, 8192, PROT_READ, MAP_SHARED, file, 0);
    sprintf(path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 8192);
    ssize_t length = readlink(path, text, sizeof text - 1);
    text[length > 0 ? length : 0] = 0;
    sprintf(path, "/proc/self/map_files/0%lx-%lx", (long)at, (long)at + 8192);
    printf("mapped %s, otherwise %zd\n", text, readlink(path, text, sizeof text));
    struct epoll_event event = {.events = EPOLLIN};
    int path_only = open("/proc/self/fd", O_PATH);
    printf("a path alone: accept %s", said(accept(path_only, 0, 0)));
    printf(", epoll %s\n", said(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, path_only, &event)));
    struct statfs where;
    printf("proc %d", statfs("/proc/self", &where));
    printf(" %lx, sys %d", where.f_type, statfs("/sys", &where));
    printf(" %lx\n", where.f_type);
}

static void programs(void) {
    char *arguments[] = {"renamed", "inside", 0}, *none[] = {0};
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    printf("nothing named: %s", said(syscall(SYS_execveat, self, "", arguments, none, 0)));
    printf(", flags: %s", said(syscall(SYS_execveat, self, "", arguments, none, 1)));
    symlink("/proc/self/exe", "/tmp/mtemu-identities");
    printf(", a link: %s",
           said(syscall(SYS_execveat, AT_FDCWD, "/tmp/mtemu-identities", arguments, none, AT_SYMLINK_NOFOLLOW)));
    unlink("/tmp/mtemu-identities");
    printf(", closed: %s\n", said(syscall(SYS_execveat, 99, "", arguments, none, AT_EMPTY_PATH)));
    fflush(stdout);
    dup3(self, 50, O_CLOEXEC);
    fexecve(50, arguments, none);
    printf("not there: %s\n", strerror(errno));
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "inside")) {
        char name[16];
        prctl(PR_GET_NAME, name);
        printf("%s named %d by %s, descriptor %d\n", argv[0], strcmp(name, "50") != 0, (char *)getauxval(AT_EXECFN), fcntl(50, F_GETFD));
        return 6;
    }
    clones();
    descriptors();
    programs();
    return 1;
}
