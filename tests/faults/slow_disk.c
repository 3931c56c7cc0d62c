/* A disk that takes 50 ms for each fsync and fdatasync of the process that this is preloaded into. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void take_time(void)
{
    struct timespec left = {0, 50 * 1000 * 1000};
    while (nanosleep(&left, &left)) {
    }
}

int fdatasync(int fd)
{
    take_time();
    return syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    take_time();
    return syscall(SYS_fsync, fd);
}
