// SPDX-License-Identifier: Apache-2.0
//
// A socket connected to a numeric address, without name service: getaddrinfo(3) would load what the host configured.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// The socket, which may still be connecting (O_NONBLOCK), or -1 with errno; EINVAL for a text that is no address.
static inline int linux_connect_numeric(const char *address, uint16_t port, int type) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr *to = (struct sockaddr *)&four;
    socklen_t size = sizeof four;
    if (inet_pton(AF_INET, address, &four.sin_addr) != 1) {
        if (inet_pton(AF_INET6, address, &six.sin6_addr) != 1) {
            errno = EINVAL;
            return -1;
        }
        to = (struct sockaddr *)&six;
        size = sizeof six;
    }
    int fd = socket(to->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect(fd, to, size) && errno != EINPROGRESS) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}
