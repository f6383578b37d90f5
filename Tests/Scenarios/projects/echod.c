// SPDX-License-Identifier: Apache-2.0
//
// echod udp|tcp PORT [TEXT]: sends back each datagram, or TEXT to whoever connects. The static busybox of Debian has
// no server that speaks UDP; the scenarios put this into their image.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count < 3) return 2;
    int udp = !strcmp(words[1], "udp"), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))}, peer;
    int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&address, sizeof address)) return 1;
    if (!udp && listen(fd, 5)) return 1;
    for (;;) {
        char data[2000];
        socklen_t length = sizeof peer;
        if (udp) {
            ssize_t size = recvfrom(fd, data, sizeof data, 0, (void *)&peer, &length);
            if (size >= 0) sendto(fd, data, size, 0, (void *)&peer, length);
        } else {
            int client = accept(fd, NULL, NULL);
            const char *text = count > 3 ? words[3] : "";
            if (write(client, text, strlen(text)) < 0) return 1;
            close(client);
        }
    }
}
