// Threads: mutexes, condition variables, thread-local storage, cancellation, robust and timed waits.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter;
static int ready;
static __thread long local = 5;
static sem_t semaphore;

static void *worker(void *arg) {
  local += (long)arg;
  for (int i = 0; i < 3000; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
  }
  pthread_barrier_wait(&barrier);
  pthread_mutex_lock(&mutex);
  ready++;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  return (void *)local;
}
static void *sleeper(void *arg) {
  (void)arg;
  for (;;) pause();
}
static pthread_mutex_t robust;
static void *dies(void *arg) {
  (void)arg;
  pthread_mutex_lock(&robust);
  return NULL;
}
static void *floats(void *arg) {
  double x = (long)arg;
  for (int i = 0; i < 20000; i++) x = x * 1.0000001 + 0.5;
  return (void *)(long)x;
}

int main(void) {
  pthread_t threads[6];
  pthread_barrier_init(&barrier, NULL, 6);
  for (long i = 0; i < 6; i++) pthread_create(&threads[i], NULL, worker, (void *)i);
  pthread_mutex_lock(&mutex);
  while (ready < 6) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < 6; i++) {
    void *result;
    pthread_join(threads[i], &result);
    printf("%ld ", (long)result);
  }
  printf("counter %ld\n", counter);
  for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, floats, (void *)i);
  for (int i = 0; i < 4; i++) {
    void *result;
    pthread_join(threads[i], &result);
    printf("%ld ", (long)result);
  }
  printf("floats\n");
  pthread_create(&threads[0], NULL, sleeper, NULL);
  pthread_cancel(threads[0]);
  void *result;
  pthread_join(threads[0], &result);
  printf("cancelled %d\n", result == PTHREAD_CANCELED);
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 10000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  pthread_mutex_lock(&mutex);
  printf("timed wait: %s\n", strerror(pthread_cond_timedwait(&condition, &mutex, &until)));
  pthread_mutex_unlock(&mutex);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &attributes);
  pthread_create(&threads[0], NULL, dies, NULL);
  pthread_join(threads[0], NULL);
  printf("robust: %s\n", strerror(pthread_mutex_lock(&robust)));
  sem_init(&semaphore, 0, 2);
  sem_wait(&semaphore);
  sem_wait(&semaphore);
  printf("sem: %d %s\n", sem_trywait(&semaphore), strerror(errno));
  return 0;
}
