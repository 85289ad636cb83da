// The kernel log, and file systems without contents: what Linux 6.1 prints.
#include <stdio.h>
#include <errno.h>
#include <sys/klog.h>
#include <sys/statfs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static long r(long x){return x==-1?-errno:x;}
int main(){ char b[65536]; long n=r(klogctl(3,b,sizeof b)); printf("%d %d %d\n",n>0,b[0]=='<',b[n-1]=='\n'); long m=r(klogctl(3,b,n-1)); printf("less %d whole %d\n",m<n,b[0]=='<'); printf("%ld %ld %ld %ld %ld\n",r(klogctl(3,0,5)),r(klogctl(3,b,-1)),r(klogctl(99,0,0)),r(klogctl(8,0,9)),r(klogctl(8,0,7)));
 printf("clear %ld then %ld\n",r(klogctl(5,0,0)),r(klogctl(3,b,sizeof b))); printf("unread %d read %d\n",r(klogctl(9,0,0))>0,r(klogctl(2,b,sizeof b))>0);
 struct statfs s; statfs("/proc",&s); printf("%lx %ld ",(long)s.f_type,(long)s.f_blocks); statfs("/proc/self/status",&s); printf("%lx ",(long)s.f_type); statfs("/sys",&s); printf("%lx %ld\n",(long)s.f_type,(long)s.f_blocks);
 setuid(1); printf("nobody %ld\n",r(klogctl(5,0,0))); }
