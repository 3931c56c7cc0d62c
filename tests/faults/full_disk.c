/* A disk on which no file of a PostgreSQL's tables grows for as long as the file named by FULL_WHILE is there.
   Its WAL still does: without room for that PostgreSQL stops all of itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int has_no_room(int fd, off_t end)
{
    const char *while_there = getenv("FULL_WHILE");
    char link[64], path[4096];
    struct stat file;
    if (while_there == NULL || access(while_there, F_OK) != 0) {
        return 0;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = '\0';
    return strstr(path, "/base/") != NULL && fstat(fd, &file) == 0 && end > file.st_size;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    if (has_no_room(fd, offset + (off_t)count)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int number, off_t offset)
{
    off_t end = offset;
    for (int i = 0; i < number; i++) {
        end += pieces[i].iov_len;
    }
    if (has_no_room(fd, end)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwritev, fd, pieces, number, offset, 0);
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    if (has_no_room(fd, offset + length)) {
        return ENOSPC;
    }
    return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}
