/* Sockets inside the guest: UNIX in all its types, TCP and UDP on the loopback, files passed along,
   epoll, timerfd and signalfd. Prints nothing that depends on time or numbers of the system. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *err(long r) { return r < 0 ? strerrorname_np(errno) : "ok"; }

static void pairs(void) {
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int t = 0; t < 3; t++) {
        int fd[2];
        char buf[32] = "";
        printf("pair %d: %s\n", types[t], err(socketpair(AF_UNIX, types[t], 0, fd)));
        printf("send %zd %zd\n", send(fd[0], "hello", 5, 0), send(fd[0], "world!", 6, 0));
        int n = 0;
        ioctl(fd[1], FIONREAD, &n);
        printf("fionread %d\n", n);
        ssize_t got = recv(fd[1], buf, 3, MSG_PEEK);
        printf("peek %zd %.3s\n", got, buf);
        got = recv(fd[1], buf, 3, MSG_TRUNC);
        printf("trunc %zd\n", got);
        got = recv(fd[1], buf, sizeof buf, 0);
        printf("recv %zd %.*s\n", got, (int)got, buf);
        got = recv(fd[1], buf, sizeof buf, MSG_DONTWAIT);
        printf("recv %zd %s\n", got, got < 0 ? err(-1) : "data");
        if (types[t] != SOCK_DGRAM) {
            close(fd[0]);
            got = recv(fd[1], buf, sizeof buf, 0);
            printf("end %zd\n", got);
            printf("after %s\n", err(send(fd[1], "x", 1, MSG_NOSIGNAL)));
            struct pollfd p = {fd[1], POLLIN | POLLOUT | POLLRDHUP, 0};
            poll(&p, 1, 0);
            printf("poll %x\n", p.revents);
        }
        close(fd[1]);
    }
}

static void rights(void) {
    int fd[2], p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    pipe(p);
    int on = 1;
    setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    char data[] = "with a file", control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec iov = {data, sizeof data};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), p, sizeof p);
    printf("sendmsg %zd\n", sendmsg(fd[0], &m, 0));
    close(p[0]);
    close(p[1]);
    send(fd[0], "more", 4, 0);
    char got[64], room[256];
    struct iovec in = {got, sizeof got};
    struct msghdr r = {.msg_iov = &in, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    printf("recvmsg %zd", recvmsg(fd[1], &r, MSG_CMSG_CLOEXEC));
    printf(" flags %x control %zu\n", r.msg_flags & ~MSG_CMSG_CLOEXEC, (size_t)r.msg_controllen);
    for (c = CMSG_FIRSTHDR(&r); c; c = CMSG_NXTHDR(&r, c)) {
        printf("cmsg type %d len %zu\n", c->cmsg_type, (size_t)c->cmsg_len);
        if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred u;
            memcpy(&u, CMSG_DATA(c), sizeof u);
            printf("me %d uid %d\n", u.pid == getpid(), u.uid);
        } else {
            int q[2];
            memcpy(q, CMSG_DATA(c), sizeof q);
            char b[4] = "";
            write(q[1], "abc", 3);
            printf("through %zd ", read(q[0], b, 3));
            printf("%s cloexec %d\n", b, fcntl(q[0], F_GETFD));
        }
    }
    printf("rest %zd\n", recv(fd[1], got, sizeof got, 0));
    struct ucred peer;
    socklen_t len = sizeof peer;
    getsockopt(fd[0], SOL_SOCKET, SO_PEERCRED, &peer, &len);
    printf("peercred %d\n", peer.pid == getpid());
}

static void *echo(void *arg) {
    int l = (int)(intptr_t)arg;
    for (int i = 0; i < 2; i++) {
        int c = accept(l, NULL, NULL);
        char buf[4096];
        ssize_t n;
        while ((n = read(c, buf, sizeof buf)) > 0)
            for (ssize_t done = 0; done < n;) done += write(c, buf + done, n - done);
        close(c);
    }
    return NULL;
}

static void named(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/mtemu-socket"};
    unlink(a.sun_path);
    int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("early %s\n", err(connect(c, (void *)&a, sizeof a)));
    printf("bind %s\n", err(bind(l, (void *)&a, sizeof a)));
    printf("refused %s\n", err(connect(c, (void *)&a, sizeof a)));
    printf("listen %s\n", err(listen(l, 5)));
    printf("connect %s\n", err(connect(c, (void *)&a, sizeof a)));
    printf("again %s\n", err(connect(c, (void *)&a, sizeof a)));
    struct sockaddr_un peer;
    socklen_t len = sizeof peer;
    int s = accept(l, (void *)&peer, &len);
    printf("accepted, %u bytes of name\n", len);
    len = sizeof peer;
    getpeername(c, (void *)&peer, &len);
    printf("peer %s\n", peer.sun_path);
    write(c, "x", 1);
    shutdown(c, SHUT_WR);
    char b[8];
    printf("read %zd %zd\n", read(s, b, 8), read(s, b, 8));
    printf("write %s\n", err(send(c, "y", 1, MSG_NOSIGNAL)));
    printf("back %zd ", write(s, "z", 1));
    printf("%zd\n", read(c, b, 8));
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    printf("wrong type %s\n", err(connect(d, (void *)&a, sizeof a)));
    unlink(a.sun_path);
    printf("gone %s\n", err(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof a)));
    struct sockaddr_un n = {.sun_family = AF_UNIX, .sun_path = "\0abstract"};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 9;
    int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0);
    printf("abstract %s\n", err(bind(x, (void *)&n, size)));
    printf("twice %s\n", err(bind(y, (void *)&n, size)));
    printf("sendto %s\n", err(sendto(y, "dgram", 5, 0, (void *)&n, size)));
    len = sizeof peer;
    printf("recvfrom %zd", recvfrom(x, b, 8, 0, (void *)&peer, &len));
    printf(" name %u\n", len);
}

static void tcp(int family) {
    int l = socket(family, SOCK_STREAM, 0), on = 1;
    struct sockaddr_storage a = {.ss_family = family};
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET) ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    printf("bind %s listen %s\n", err(bind(l, (void *)&a, len)), err(listen(l, 8)));
    getsockname(l, (void *)&a, &len);
    pthread_t t;
    pthread_create(&t, NULL, echo, (void *)(intptr_t)l);
    int c = socket(family, SOCK_STREAM, 0);
    printf("connect %s\n", err(connect(c, (void *)&a, len)));
    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    on = 0;
    socklen_t size = sizeof on;
    getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, &size);
    printf("nodelay %d\n", on);
    char buf[8192];
    for (int i = 0; i < 8192; i++) buf[i] = i * 7;
    write(c, buf, sizeof buf);
    char back[8192];
    printf("waitall %zd", recv(c, back, sizeof back, MSG_WAITALL));
    printf(" same %d\n", memcmp(buf, back, sizeof buf) == 0);
    close(c);
    int n = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int r = connect(n, (void *)&a, len);
    printf("nonblocking %s\n", r == 0 || errno == EINPROGRESS ? "fine" : err(r));
    struct pollfd p = {n, POLLOUT, 0};
    printf("poll %d", poll(&p, 1, 1000));
    printf(" %x\n", p.revents);
    int e = -1;
    size = sizeof e;
    getsockopt(n, SOL_SOCKET, SO_ERROR, &e, &size);
    printf("so_error %d\n", e);
    write(n, "ping", 4);
    p.events = POLLIN;
    poll(&p, 1, 1000);
    printf("read %zd\n", read(n, buf, sizeof buf));
    printf("empty %s\n", err(read(n, buf, sizeof buf)));
    shutdown(n, SHUT_WR);
    poll(&p, 1, 1000);
    printf("end %x %zd\n", p.revents, read(n, buf, sizeof buf));
    close(n);
    pthread_join(t, NULL);
    close(l);
    printf("closed %s\n", err(connect(socket(family, SOCK_STREAM, 0), (void *)&a, len)));
    int u = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    r = connect(u, (void *)&a, len);
    if (r < 0 && errno == EINPROGRESS) {
        p.fd = u;
        p.events = POLLOUT;
        poll(&p, 1, 1000);
        size = sizeof e;
        getsockopt(u, SOL_SOCKET, SO_ERROR, &e, &size);
        errno = e;
    }
    printf("nonblocking refused %s\n", err(-1));
}

static void udp(void) {
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t len = sizeof at;
    bind(a, (void *)&at, sizeof at);
    getsockname(a, (void *)&at, &len);
    char buf[16];
    printf("sendto %zd\n", sendto(b, "packet", 6, 0, (void *)&at, sizeof at));
    printf("sendto %zd\n", sendto(b, "", 0, 0, (void *)&at, sizeof at));
    len = sizeof from;
    printf("recv %zd", recvfrom(a, buf, 3, MSG_TRUNC, (void *)&from, &len));
    printf(" %s %u\n", inet_ntoa(from.sin_addr), len);
    printf("recv %zd\n", recv(a, buf, 3, 0));
    printf("connect %s\n", err(connect(b, (void *)&at, sizeof at)));
    printf("send %zd\n", send(b, "abc", 3, 0));
    close(a);
    send(b, "to nobody", 9, 0);
    printf("told %s\n", err(send(b, "x", 1, 0)));
    at.sin_addr.s_addr = htonl(0x01020304);
    printf("bind elsewhere %s\n", err(bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&at, sizeof at)));
}

static void events(void) {
    int e = epoll_create1(EPOLL_CLOEXEC), p[2], ev = eventfd(0, EFD_NONBLOCK);
    pipe(p);
    struct epoll_event out[8], in = {.events = EPOLLIN, .data.u64 = 1};
    printf("add %s\n", err(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in)));
    printf("twice %s\n", err(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in)));
    in.events = EPOLLIN | EPOLLET;
    in.data.u64 = 2;
    epoll_ctl(e, EPOLL_CTL_ADD, ev, &in);
    printf("nothing %d\n", epoll_wait(e, out, 8, 0));
    write(p[1], "x", 1);
    eventfd_write(ev, 1);
    printf("both %d\n", epoll_wait(e, out, 8, 0));
    int n = epoll_wait(e, out, 8, 0);
    printf("level only %d %d\n", n, (int)out[0].data.u64);
    eventfd_write(ev, 1);
    printf("edge again %d\n", epoll_wait(e, out, 8, 0));
    in.events = EPOLLIN | EPOLLONESHOT;
    in.data.u64 = 3;
    printf("mod %s\n", err(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &in)));
    n = epoll_wait(e, out, 8, 0);
    printf("oneshot %d ", n);
    printf("%d\n", epoll_wait(e, out, 8, 0));
    printf("del %s %s\n", err(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL)), err(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL)));
    int file = open("/tmp/mtemu-file", O_CREAT | O_RDWR, 0600);
    printf("file %s\n", err(epoll_ctl(e, EPOLL_CTL_ADD, file, &in)));
    printf("self %s\n", err(epoll_ctl(e, EPOLL_CTL_ADD, e, &in)));
    int e2 = epoll_create(1);
    in.events = EPOLLIN;
    printf("nested %s\n", err(epoll_ctl(e2, EPOLL_CTL_ADD, e, &in)));
    printf("circle %s\n", err(epoll_ctl(e, EPOLL_CTL_ADD, e2, &in)));
    eventfd_write(ev, 1);
    printf("through %d\n", epoll_wait(e2, out, 8, 0));
    close(ev);
    printf("closed %d\n", epoll_wait(e2, out, 8, 0));
    unlink("/tmp/mtemu-file");

    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint64_t ticks;
    printf("timer %s\n", err(read(t, &ticks, 8)));
    struct itimerspec spec = {{0, 2000000}, {0, 1000000}}, now;
    timerfd_settime(t, 0, &spec, NULL);
    struct pollfd pf = {t, POLLIN, 0};
    printf("poll %d", poll(&pf, 1, 1000));
    printf(" ticks %d\n", read(t, &ticks, 8) == 8 && ticks >= 1);
    timerfd_gettime(t, &now);
    printf("interval %ld, left %d\n", now.it_interval.tv_nsec, now.it_value.tv_nsec > 0);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int s = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct signalfd_siginfo si;
    printf("signal %s\n", err(read(s, &si, sizeof si)));
    in.events = EPOLLIN;
    epoll_ctl(e2, EPOLL_CTL_ADD, s, &in);
    union sigval v = {.sival_int = 42};
    sigqueue(getpid(), SIGUSR1, v);
    printf("epoll %d\n", epoll_wait(e2, out, 8, 1000));
    n = read(s, &si, sizeof si);
    printf("signo %u code %d int %d me %d\n", si.ssi_signo, si.ssi_code, si.ssi_int, (int)si.ssi_pid == getpid());
    pid_t child = fork();
    if (child == 0) _exit(7);
    printf("child %d\n", epoll_wait(e2, out, 8, 1000));
    read(s, &si, sizeof si);
    printf("signo %u status %d pid %d\n", si.ssi_signo, si.ssi_status, (int)si.ssi_pid == child);
    waitpid(child, NULL, 0);
}

static void blocking(void) {
    int fd[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(fd[0]);
        char buf[10000];
        long sum = 0, n;
        while ((n = read(fd[1], buf, sizeof buf)) > 0) sum += n;
        _exit(sum == 3000000 ? 3 : 4);
    }
    close(fd[1]);
    char *big = calloc(1, 3000000);
    printf("wrote %zd\n", write(fd[0], big, 3000000));
    close(fd[0]);
    int status;
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    struct timeval tv = {0, 20000};
    socketpair(AF_UNIX, SOCK_DGRAM, 0, fd);
    setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    printf("timeout %s\n", err(recv(fd[0], big, 10, 0)));
    signal(SIGPIPE, SIG_IGN);
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    write(fd[1], "unread", 6);
    close(fd[1]);
    printf("read %zd\n", read(fd[0], big, 10));
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    write(fd[0], "unread", 6);
    close(fd[1]);
    printf("reset %s\n", err(read(fd[0], big, 10)));
    printf("then %zd\n", read(fd[0], big, 10));
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    pairs();
    rights();
    named();
    tcp(AF_INET);
    tcp(AF_INET6);
    udp();
    events();
    blocking();
    printf("families %s %s\n", err(socket(AF_APPLETALK, SOCK_STREAM, 0)), err(socket(AF_INET, SOCK_STREAM, 17)));
    return 0;
}
