// /proc: what each file says of things that the program did itself.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char *file(const char *path) {
  static char text[65536];
  int fd = open(path, O_RDONLY);
  if (fd < 0) return strcpy(text, strerror(errno));
  int length = 0, more;
  while ((more = read(fd, text + length, sizeof text - 1 - length)) > 0) length += more;
  text[length] = 0;
  close(fd);
  return text;
}

// The value of a line of status.
static char *status(const char *path, const char *name) {
  static char value[200];
  char key[64];
  snprintf(key, sizeof key, "%s:\t", name);
  char *at = file(path), *line = strstr(at, key);
  if (!line) return "none";
  return strcpy(value, strtok(line + strlen(key), "\n"));
}

static long field(const char *path, int number) {
  char *at = strrchr(file(path), ')') + 1;
  for (int i = 2; i < number; i++) at = strchr(at, ' ') + 1;
  return atol(at);
}

static void has(const char *text, const char *lines) {
  char copy[2000];
  strcpy(copy, lines);
  for (char *name = strtok(copy, " "); name; name = strtok(NULL, " "))
    printf("%s %d ", name, strstr(text, name) != NULL);
  printf("\n");
}

static void note(int number) {}

static void own(void) {
  char *self = "/proc/self/status";
  has(file(self), "Name Umask State Tgid Ngid Pid PPid TracerPid Uid Gid FDSize Groups NStgid NSpid NSpgid NSsid VmPeak VmSize "
                  "VmLck VmPin VmHWM VmRSS RssAnon RssFile RssShmem VmData VmStk VmExe VmLib VmPTE VmSwap CoreDumping Threads "
                  "SigQ SigPnd ShdPnd SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Cpus_allowed");
  printf("%s ", status(self, "Name")), printf("%s ", status(self, "State"));
  printf("%d\n", atoi(status(self, "Pid")) == getpid());
  signal(SIGUSR1, note);
  signal(SIGUSR2, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  kill(getpid(), SIGTERM);
  printf("%s ", status(self, "SigBlk")), printf("%s ", status(self, "SigIgn")), printf("%s ", status(self, "SigCgt"));
  printf("%s\n", status(self, "ShdPnd"));
  printf("%s ", status(self, "CapEff")), printf("%s\n", status(self, "Umask"));
  long before = atol(status(self, "VmSize")), data = atol(status(self, "VmData"));
  char *memory = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("VmSize +%ld VmData +%ld\n", atol(status(self, "VmSize")) - before, atol(status(self, "VmData")) - data);
  long resident = atol(status(self, "RssAnon"));
  memset(memory, 1, 1 << 20);
  printf("RssAnon %d\n", atol(status(self, "RssAnon")) - resident >= 1000);
  long peak = atol(status(self, "VmPeak")), faults = field("/proc/self/stat", 10);
  munmap(memory, 4 << 20);
  printf("VmPeak stays %d, size falls %d\n", atol(status(self, "VmPeak")) == peak, atol(status(self, "VmSize")) < peak);
  printf("stat: pgrp %d threads %ld faults %d start %d rsslim %d exit signal %ld\n", field("/proc/self/stat", 5) == getpgid(0),
         field("/proc/self/stat", 20), faults > 256, field("/proc/self/stat", 22) >= 0, field("/proc/self/stat", 25) == -1 || field("/proc/self/stat", 25) == 0x7fffffffffffffffL,
         field("/proc/self/stat", 38));
  setpriority(PRIO_PROCESS, 0, 7);
  printf("priority %ld nice %ld\n", field("/proc/self/stat", 18), field("/proc/self/stat", 19));
  unsigned long text = strtoul(file("/proc/self/maps"), NULL, 16);
  printf("code %d heap %d\n", field("/proc/self/stat", 26) == (long)text, field("/proc/self/stat", 47) > (long)text);
  long size, shown, rest[5];
  sscanf(file("/proc/self/statm"), "%ld %ld %ld %ld %ld %ld %ld", &size, &shown, rest, rest + 1, rest + 2, rest + 3, rest + 4);
  printf("statm %d %d %d\n", size * 4 == atol(status(self, "VmSize")), rest[1] > 10, rest[3] > 10);
  long chars, calls;
  sscanf(file("/proc/self/io"), "rchar: %ld wchar: %*d syscr: %ld", &chars, &calls);
  file("/proc/self/io");
  long chars2, calls2;
  sscanf(file("/proc/self/io"), "rchar: %ld wchar: %*d syscr: %ld", &chars2, &calls2);
  printf("io %d %ld\n", chars2 - chars > 80, calls2 - calls);
  printf("oom %s", file("/proc/self/oom_score_adj"));
  int fd = open("/proc/self/oom_score_adj", O_RDWR);
  printf("set %zd", write(fd, "500\n", 4));
  printf(" %zd\n", write(fd, "5000\n", 5));
  printf("now %s", file("/proc/self/oom_score_adj"));
  close(fd);
  printf("cmdline %s, ", file("/proc/self/cmdline")), printf("limits %d\n", strstr(file("/proc/self/limits"), "Max open files            1024") != NULL);
}

static void descriptors(void) {
  char name[] = "/tmp/procfs-XXXXXX", path[64];
  int fd = mkostemp(name, O_CLOEXEC | O_APPEND);
  write(fd, "12345", 5);
  flock(fd, LOCK_EX);
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  char *text = file(path);
  long position;
  unsigned flags;
  sscanf(text, "pos:\t%ld\nflags:\t%o", &position, &flags);
  printf("pos %ld flags %o lock %d\n", position, flags & ~0400000, strstr(text, "FLOCK  ADVISORY  WRITE") != NULL);
  struct stat s;
  fstat(fd, &s);
  printf("ino %d\n", atol(strstr(text, "ino:\t") + 5) == (long)s.st_ino);
  close(fd);
  printf("closed: %s\n", file(path));
  fd = eventfd(42, 0);
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  printf("%.31s\n", strstr(file(path), "eventfd-count"));
  close(fd);
  unlink(name);
}

static void others(void) {
  char path[64];
  pid_t child = fork();
  if (!child) {
    pause();
    _exit(0);
  }
  snprintf(path, sizeof path, "/proc/%d/status", child);
  for (int i = 0; i < 100 && status(path, "State")[0] != 'S'; i++) usleep(1000);
  printf("child: %s, ", status(path, "State")), printf("parent %d\n", atoi(status(path, "PPid")) == getpid());
  kill(child, SIGSTOP);
  waitpid(child, NULL, WUNTRACED);
  printf("child: %s\n", status(path, "State"));
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  printf("child: %s, ", status(path, "State")), printf("size %s\n", status(path, "VmSize"));
  waitpid(child, NULL, 0);
  printf("child: %s\n", status(path, "State"));
}

static void sockets(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), datagram = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_in address = {AF_INET, htons(4660), {htonl(INADDR_LOOPBACK)}};
  bind(listener, (void *)&address, sizeof address);
  listen(listener, 5);
  address.sin_port = htons(4661);
  bind(datagram, (void *)&address, sizeof address);
  struct sockaddr_un name = {AF_UNIX, "\0hidden"};
  bind(local, (void *)&name, 2 + 7);
  listen(local, 5);
  printf("tcp %.40s\n", strstr(file("/proc/net/tcp"), "0100007F:1234"));
  printf("udp %.40s\n", strstr(file("/proc/net/udp"), "0100007F:1235"));
  char *line = strstr(file("/proc/net/unix"), " @hidden");
  printf("unix %d\n", line != NULL);
  has(file("/proc/net/dev"), "lo: bytes packets");
  close(listener), close(datagram), close(local);
  printf("gone %d\n", strstr(file("/proc/net/tcp"), "0100007F:1234") == NULL);
}

static void whole_system(void) {
  has(file("/proc/stat"), "cpu cpu0 ctxt btime processes procs_running procs_blocked");
  int ready, all;
  double load;
  printf("loadavg %d %d\n", sscanf(file("/proc/loadavg"), "%lf %*f %*f %d/%d", &load, &ready, &all) == 3, ready >= 1 && all >= ready);
  double up, idle;
  printf("uptime %d\n", sscanf(file("/proc/uptime"), "%lf %lf", &up, &idle) == 2);
  has(file("/proc/filesystems"), "proc tmpfs sysfs");
  has(file("/proc/mounts"), "/proc /sys");
  has(file("/proc/self/mountinfo"), "/proc /sys");
  has(file("/proc/devices"), "Character Block mem");
  has(file("/proc/interrupts"), "CPU0 arch_timer");
  printf("swaps %.8s\n", file("/proc/swaps"));
  printf("pid_max %s", file("/proc/sys/kernel/pid_max"));
  printf("sem %s", file("/proc/sys/kernel/sem"));
  printf("nr_open %s", file("/proc/sys/fs/nr_open"));
  printf("tagged %s", file("/proc/sys/abi/tagged_addr_disabled"));
  printf("ports %s", file("/proc/sys/net/ipv4/ip_local_port_range"));
  printf("none %s\n", file("/proc/sys/fs/none"));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  own();
  descriptors();
  others();
  sockets();
  whole_system();
  return 0;
}
