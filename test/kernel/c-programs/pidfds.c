// Files that stand for processes, names of the system, writing back: what Linux 6.1 prints, and fchmodat2 as 6.6 has it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sys/reboot.h>
static long r(long x){ return x==-1?-errno:x; }
#define call(...) r(syscall(__VA_ARGS__))
static void *thread_stack;
static int quick(void *a){ pause(); return 0; }
int main(void){
  setvbuf(stdout,0,_IONBF,0);
  // a child by number
  int go[2]; pipe(go);
  pid_t pid=fork();
  if(!pid){ char c; close(go[1]); read(go[0],&c,1); _exit(7); }
  int fd=call(SYS_pidfd_open,pid,0);
  printf("open %d cloexec %d flags %d\n",fd>2,fcntl(fd,F_GETFD),fcntl(fd,F_GETFL)&(O_NONBLOCK|O_ACCMODE));
  struct pollfd p={fd,POLLIN,0};
  printf("poll %d\n",poll(&p,1,0));
  char b[8]; printf("read %ld write %ld\n",r(read(fd,b,8)),r(write(fd,b,8)));
  siginfo_t si; memset(&si,0,sizeof si);
  printf("waitid nohang %ld pid %d\n",r(waitid(P_PIDFD,fd,&si,WEXITED|WNOHANG)),si.si_pid);
  close(go[1]);
  printf("poll %d",poll(&p,1,-1)); printf(" %x\n",p.revents);
  printf("kill a zombie %ld\n",call(SYS_pidfd_send_signal,fd,0,0,0));
  printf("its files %ld\n",call(SYS_pidfd_getfd,fd,1,0));
  printf("waitid %ld code %d status %d\n",r(waitid(P_PIDFD,fd,&si,WEXITED)),si.si_code,si.si_status);
  printf("again %ld kill %ld\n",r(waitid(P_PIDFD,fd,&si,WEXITED)),call(SYS_pidfd_send_signal,fd,SIGTERM,0,0));
  printf("none %ld %ld %ld %ld\n",call(SYS_pidfd_open,pid,0),call(SYS_pidfd_open,0,0),call(SYS_pidfd_open,getpid(),1),call(SYS_pidfd_send_signal,1,0,0,0));
  // clone
  int cfd=-1;
  pid=syscall(SYS_clone,CLONE_PIDFD|SIGCHLD,0,&cfd,0,0);
  if(!pid){ pause(); _exit(1);}
  char path[64],line[128]; sprintf(path,"/proc/self/fdinfo/%d",cfd);
  FILE*f=fopen(path,"r"); while(fgets(line,128,f)) if(!strncmp(line,"Pid:",4)) printf("fdinfo is the child %d\n",atoi(line+4)==pid); fclose(f);
  int pf=open("/dev/null",O_RDONLY); int dup=-1;
  printf("getfd %d bad %ld flags %ld\n",(dup=call(SYS_pidfd_getfd,cfd,go[0],0))>go[0],call(SYS_pidfd_getfd,cfd,99,0),call(SYS_pidfd_getfd,cfd,go[0],1));
  char*m=mmap(0,8192,3,MAP_PRIVATE|MAP_ANONYMOUS,-1,0); memset(m,1,8192);
  struct iovec v={m,8192};
  int self=call(SYS_pidfd_open,getpid(),0);
  printf("willneed %ld dontneed %ld value %d\n",call(440,self,&v,1,3,0),call(440,self,&v,1,4,0),m[0]);
  printf("send %ld flags %ld\n",call(SYS_pidfd_send_signal,cfd,SIGTERM,0,0),call(SYS_pidfd_send_signal,cfd,SIGTERM,0,1));
  printf("waitid %ld",r(waitid(P_PIDFD,cfd,&si,WEXITED))); printf(" code %d status %d\n",si.si_code,si.si_status);
  printf("with parent_tid %ld thread %ld\n",call(SYS_clone,CLONE_PIDFD|CLONE_PARENT_SETTID|SIGCHLD,0,&cfd,0,0),call(SYS_clone,CLONE_PIDFD|CLONE_THREAD|CLONE_SIGHAND|CLONE_VM,0,&cfd,0,0));
  // clone3, non-blocking wait
  uint64_t args[8]={CLONE_PIDFD,(uintptr_t)&cfd,0,0,SIGCHLD,0,0,0};
  pid=syscall(SYS_clone3,args,64);
  if(!pid){ pause(); _exit(1);}
  fcntl(cfd,F_SETFL,O_NONBLOCK);
  printf("busy %ld\n",r(waitid(P_PIDFD,cfd,&si,WEXITED)));
  kill(pid,9); fcntl(cfd,F_SETFL,0);
  printf("waitid %ld",r(waitid(P_PIDFD,cfd,&si,WEXITED))); printf(" code %d status %d\n",si.si_code,si.si_status);
  // names
  struct utsname u; 
  printf("sethostname %ld %ld\n",r(sethostname("here",4)),r(sethostname("x",65)));
  uname(&u); printf("%s\n",u.nodename);
  if(!fork()){ printf("unshare %ld ",r(unshare(CLONE_NEWUTS))); sethostname("there",5); uname(&u); printf("%s\n",u.nodename); _exit(0);} wait(0);
  uname(&u); printf("%s ",u.nodename); f=fopen("/proc/sys/kernel/hostname","r"); fgets(line,128,f); printf("%s",line); fclose(f);
  // fchmodat2, sync_file_range, readahead
  int t=open("/tmp/f",O_RDWR|O_CREAT,0600); symlink("/tmp/f","/tmp/l"); struct stat st;
  printf("sync_file_range %ld %ld %ld readahead %ld %ld syncfs %ld %ld\n",r(sync_file_range(t,0,0,7)),r(sync_file_range(t,0,0,8)),r(sync_file_range(go[0],0,0,0)),r(readahead(t,0,100)),r(readahead(99,0,1)),r(syncfs(t)),r(syncfs(99)));
  printf("fchmodat2 %ld %ld %ld",call(452,-100,"/tmp/l",0640,0),call(452,t,"",0640,AT_EMPTY_PATH),call(452,-100,"/tmp/l",0640,0x9)); stat("/tmp/f",&st); printf(" %o\n",st.st_mode&0777);
  printf("reboot %ld %ld\n",call(SYS_reboot,1,2,3,0),call(SYS_reboot,0xfee1dead,672274793,0,0));
  printf("ni %ld %ld %ld\n",call(18,0,0,0),call(42,0,0,0),call(500));
  printf("bye\n");
  return 0;
}
