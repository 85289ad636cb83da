// Random calls on pseudo-terminals and mounts, with hostile pointers, sizes and flags: children do what they can, the parent
// kills what is left of each and says "done".
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sched.h>
#include <sys/syscall.h>
static uint64_t s; static uint64_t rnd(void){ s^=s<<13; s^=s>>7; s^=s<<17; return s*0x2545F4914F6CDD1DULL; }
static const unsigned R[]={0x5401,0x5402,0x5403,0x5404,0x5409,0x540a,0x540b,0x540c,0x540d,0x540e,0x540f,0x5410,0x5411,0x5412,0x5413,0x5414,0x541b,0x5422,0x5424,0x5425,0x5429,0x802c542a,0x402c542b,0x402c542c,0x402c542d,0x80045430,0x40045431,0x80045439,0x80045440,0x5441,0x5421};
int main(int c,char**v){ char*buf=mmap(0,65536,3,MAP_PRIVATE|MAP_ANONYMOUS,-1,0);
 for(int i=0;i<atoi(v[1]);i++){ pid_t p=fork(); if(!p){ s=i*0x9E3779B97F4A7C15ULL+77; for(int j=0;j<8;j++)rnd(); alarm(2); if(rnd()&1) setsid(); int fd[8],n=0; mkdir("/tmp/m",0755);
  for(int k=0;k<2;k++){ int m=posix_openpt(O_RDWR|(rnd()&1?O_NOCTTY:0)); int z=0; ioctl(m,0x40045431,&z); char nm[64]; ptsname_r(m,nm,64); fd[n++]=m; fd[n++]=open(nm,O_RDWR|(rnd()&1?O_NOCTTY:0)); }
  for(int k=0;k<n;k++) if(rnd()&1) fcntl(fd[k],F_SETFL,O_NONBLOCK);
  for(int k=0;k<60;k++){ int f=fd[rnd()%n]; for(int j=0;j<64;j++) buf[j]=rnd()%4?rnd()%40:rnd(); uint64_t arg=rnd()%4==0?rnd()>>(rnd()%64):rnd()%3==0?rnd()%8:(uintptr_t)buf;
   switch(rnd()%12){ case 0: case 1: case 2: case 3: ioctl(f,R[rnd()%31],arg); break; case 4: read(f,rnd()%8?buf:(char*)arg,rnd()%2000); break; case 5: case 6: write(f,buf,rnd()%600); break; case 7: close(f); { int z=0,m=fd[0]; } break; case 8: if(fork()==0){ alarm(2); setpgid(0,0); read(f,buf,10); write(f,buf,10); tcsetpgrp(f,getpid()); _exit(0);} break; case 9: { struct pollfd q={f,7}; poll(&q,1,0);} break;
    case 10: mount(rnd()%2?"x":(char*)arg,"/tmp/m",rnd()%8?"tmpfs":"proc",rnd()%4?0:rnd(),rnd()%3?(void*)(rnd()%2?"size=1k,huge=always":"mode=7,size=9999999999999g"):(void*)arg); break; case 11: syscall(39,"/tmp/m",rnd()%16); break; } }
  _exit(0);} int w; { int t=0; while(waitpid(p,&w,WNOHANG)==0 && t++<60) usleep(50000);} kill(-1,9); while(waitpid(-1,&w,0)>0); }
 puts("done"); return 0; }
