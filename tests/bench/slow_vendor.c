/* A Skarabee that says OK to everything after so many milliseconds: slow_vendor MILLISECONDS [FILE].

   With a FILE it writes there when each request was received, in microseconds of CLOCK_MONOTONIC.
   In C, a thread a connection: on a machine of few cores what it takes is taken from the calls. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 16384

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n{\"Message\":\"\",\"Status\":\"OK\"}";
static struct timespec pause_time;
static FILE *receipts;

/* Reads one request, which has no body; whether it came. */
static int request_came(int sock)
{
    char text[REQUEST];
    size_t used = 0;
    while (used < sizeof text) {
        ssize_t got = read(sock, text + used, sizeof text - used);
        if (got <= 0)
            return 0;
        used += got;
        if (used >= 4 && !memcmp(text + used - 4, "\r\n\r\n", 4))
            return 1;
    }
    return 0;
}

static void *session(void *given)
{
    int sock = (int)(intptr_t)given;
    struct timespec now;
    while (request_came(sock)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (receipts)
            fprintf(receipts, "%lld\n", now.tv_sec * 1000000LL + now.tv_nsec / 1000);
        if (pause_time.tv_sec || pause_time.tv_nsec)
            nanosleep(&pause_time, NULL);
        if (write(sock, answer, sizeof answer - 1) < 0)
            break;
    }
    close(sock);
    return NULL;
}

int main(int count, char **words)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_attr_t detached;
    pthread_t thread;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    double milliseconds = count > 1 ? atof(words[1]) : 0;

    signal(SIGPIPE, SIG_IGN);
    pause_time.tv_sec = milliseconds / 1000;
    pause_time.tv_nsec = (milliseconds - pause_time.tv_sec * 1000.0) * 1e6;
    if (count > 2 && *words[2]) {
        if (!(receipts = fopen(words[2], "w")))
            return 1;
        setvbuf(receipts, NULL, _IOLBF, BUFSIZ);
    }
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted ones inherit it */
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024))
        return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int sock = accept(listener, NULL, NULL);
        if (sock >= 0 && pthread_create(&thread, &detached, session, (void *)(intptr_t)sock))
            close(sock);
    }
}
