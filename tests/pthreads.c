/* The yardstick of bench_cores.py: threads that compute until a common moment.

   pthreads COUNT SECONDS prints three numbers in seconds: CPU time of all threads, their time in the run queue (0 where
   the system does not tell), and wall time from the first begin to the last end. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MOST 64

struct share {
    double begin_s, end_s, cpu_s, delay_s;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_there = PTHREAD_COND_INITIALIZER;
static int expected, there;
static double seconds, stop_s;

static double now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double delay(void) {
    unsigned long long run_ns = 0, delay_ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "r");
    if (file == NULL)
        return 0.0;
    if (fscanf(file, "%llu %llu", &run_ns, &delay_ns) != 2)
        delay_ns = 0;
    fclose(file);
    return (double)delay_ns / 1e9;
}

static void wait_for_all(void) {
    pthread_mutex_lock(&lock);
    if (++there == expected) {
        stop_s = now(CLOCK_MONOTONIC) + seconds;
        pthread_cond_broadcast(&all_there);
    }
    while (there < expected)
        pthread_cond_wait(&all_there, &lock);
    pthread_mutex_unlock(&lock);
}

static void *compute(void *given) {
    struct share *mine = given;
    volatile uint64_t sum = 0;
    wait_for_all();
    mine->delay_s = delay();
    mine->begin_s = now(CLOCK_MONOTONIC);
    mine->cpu_s = now(CLOCK_THREAD_CPUTIME_ID);
    do
        for (int turn = 0; turn < 100000; turn++)
            sum += (uint64_t)turn * (uint64_t)turn;
    while (now(CLOCK_MONOTONIC) < stop_s);
    mine->cpu_s = now(CLOCK_THREAD_CPUTIME_ID) - mine->cpu_s;
    mine->end_s = now(CLOCK_MONOTONIC);
    mine->delay_s = delay() - mine->delay_s;
    return NULL;
}

int main(int count, char **words) {
    static struct share shares[MOST];
    static pthread_t threads[MOST];
    double cpu_s = 0, delay_s = 0, begin_s = 0, end_s = 0;
    if (count != 3 || (expected = atoi(words[1])) < 1 || expected > MOST || (seconds = atof(words[2])) <= 0)
        return 2;
    for (int n = 0; n < expected; n++)
        if (pthread_create(&threads[n], NULL, compute, &shares[n]) != 0)
            return 1;
    for (int n = 0; n < expected; n++) {
        pthread_join(threads[n], NULL);
        cpu_s += shares[n].cpu_s;
        delay_s += shares[n].delay_s;
        if (n == 0 || shares[n].begin_s < begin_s)
            begin_s = shares[n].begin_s;
        if (shares[n].end_s > end_s)
            end_s = shares[n].end_s;
    }
    printf("%.9f %.9f %.9f\n", cpu_s, delay_s, end_s - begin_s);
    return 0;
}
