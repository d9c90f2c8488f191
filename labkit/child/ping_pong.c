/* The yardstick of ping_pong.py: two sides that hand four bytes to and fro through two pipes, as `perf bench sched pipe`.

   ping_pong threads|processes LOOPS makes so many round trips, and prints nothing: who started it reads what it used. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int there[2], back[2];
static long loops;

static void hand_over(int into, int out, int first) {
    int ball = 0;
    for (long n = 0; n < loops; n++) {
        if (first && write(out, &ball, sizeof ball) != sizeof ball)
            _exit(1);
        if (read(into, &ball, sizeof ball) != sizeof ball)
            _exit(1);
        if (!first && write(out, &ball, sizeof ball) != sizeof ball)
            _exit(1);
    }
}

static void *far_side(void *unused) {
    (void)unused;
    hand_over(there[0], back[1], 0);
    return NULL;
}

static int beside_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, far_side, NULL) != 0)
        return 1;
    hand_over(back[0], there[1], 1);
    return pthread_join(thread, NULL) != 0;
}

static int beside_process(void) {
    int status = 1;
    pid_t pid = fork();
    if (pid < 0)
        return 1;
    if (pid == 0) {
        far_side(NULL);
        _exit(0);
    }
    hand_over(back[0], there[1], 1);
    return waitpid(pid, &status, 0) != pid || status != 0;
}

int main(int count, char **words) {
    if (count != 3 || (loops = atol(words[2])) < 1)
        return 2;
    if (pipe(there) != 0 || pipe(back) != 0)
        return 1;
    return strcmp(words[1], "threads") == 0 ? beside_thread() : beside_process();
}
