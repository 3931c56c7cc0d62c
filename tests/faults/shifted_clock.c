/* Sets the wall clock of the process that this is preloaded into: by as many seconds as the file that
 * SHIFTED_CLOCK names holds (a long, in this machine's byte order) at the moment of each look at it.
 * The steady clocks stay. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static const volatile long *seconds;
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void set_up(void)
{
    int fd = open(getenv("SHIFTED_CLOCK"), O_RDONLY | O_CLOEXEC);
    seconds = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, fd, 0);
    real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (seconds == MAP_FAILED || !real_gettime)
        abort();
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!real_gettime) /* another library's constructor */
        set_up();
    int failed = real_gettime(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *seconds;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}
