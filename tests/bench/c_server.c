/* The baseline: a FastAGI server in C that sets one variable and does nothing else.  Threads wait in accept(). */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 128
#define BLOCK 65536

static int listener;
static const char command[] = "SET VARIABLE BARESTATUS \"OK\"\n";

/* Reads until what has come ends with `end`; whether it did. */
static int read_to(int sock, char *text, const char *end)
{
    size_t used = 0, tail = strlen(end);
    while (used < BLOCK) {
        ssize_t got = read(sock, text + used, BLOCK - used);
        if (got <= 0)
            return 0;
        used += got;
        if (used >= tail && !memcmp(text + used - tail, end, tail))
            return 1;
    }
    return 0;
}

static void *serve(void *unused)
{
    static __thread char text[BLOCK];
    for (;;) {
        int sock = accept(listener, NULL, NULL);
        if (sock < 0)
            continue;
        if (read_to(sock, text, "\n\n") && write(sock, command, sizeof command - 1) > 0)
            read_to(sock, text, "\n");
        close(sock);
    }
    return unused;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_t thread;
    int on = 1;

    signal(SIGPIPE, SIG_IGN);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted ones inherit it */
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024))
        return 1;
    for (int n = 0; n < THREADS; n++)
        if (pthread_create(&thread, NULL, serve, NULL))
            return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    pause();
    return 0;
}
