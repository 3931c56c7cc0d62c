/* A disk on which a write to a WAL hangs for as long as the file named by HANG_WHILE is there. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_wal(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 4 && memcmp(path + length - 4, "-wal", 4) == 0;
}

static void hang(int fd)
{
    const char *while_there = getenv("HANG_WHILE");
    struct timespec moment = {0, 5 * 1000 * 1000};
    if (while_there == NULL || access(while_there, F_OK) != 0 || !is_wal(fd)) {
        return;
    }
    while (access(while_there, F_OK) == 0) {
        nanosleep(&moment, NULL);
    }
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    hang(fd);
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    hang(fd);
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}
