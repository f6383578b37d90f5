// SPDX-License-Identifier: Apache-2.0
//
// Sockets. glibc's address parameters are transparent unions, which Swift cannot pass; these take plain values.
// IPv4 addresses and ports are in host order.
#pragma once

// Connects a netlink socket to the kernel, so that it hears nothing from another process.
static inline int linux_connect_netlink(int fd) {
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}
// A port of its own: the kernel leaves out of a multicast the sockets that have the sender's, and its own is 0.
static inline int linux_bind_netlink(int fd) {
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}
static inline struct sockaddr_in linux_inet_address(uint32_t address, uint16_t port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
    return a;
}
static inline int linux_bind_inet(int fd, uint32_t address, uint16_t port) {
    struct sockaddr_in a = linux_inet_address(address, port);
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}
static inline int linux_connect_inet(int fd, uint32_t address, uint16_t port) {
    struct sockaddr_in a = linux_inet_address(address, port);
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}
static inline int linux_socket_name_inet(int fd, uint32_t *address, uint16_t *port) {
    struct sockaddr_in a = {0};
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n)) return -1;
    *address = ntohl(a.sin_addr.s_addr);
    *port = ntohs(a.sin_port);
    return 0;
}
static inline int linux_connect_inet6(int fd, const uint8_t address[16], uint16_t port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&a.sin6_addr, address, 16);
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}
// An address given as text, with an optional %zone, and 0 when it is none.
static inline int linux_parse_inet6(const char *text, uint8_t address[16]) {
    return inet_pton(AF_INET6, text, address) == 1;
}
static inline ssize_t linux_send_to_inet(int fd, const void *bytes, size_t length, uint32_t address, uint16_t port, int flags) {
    struct sockaddr_in a = linux_inet_address(address, port);
    return sendto(fd, bytes, length, flags | MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof a);
}
static inline ssize_t linux_receive_from_inet(int fd, void *bytes, size_t capacity, uint32_t *address, uint16_t *port, int flags) {
    struct sockaddr_in a = {0};
    socklen_t size = sizeof a;
    ssize_t n = recvfrom(fd, bytes, capacity, flags, (struct sockaddr *)&a, &size);
    if (n >= 0) {
        *address = ntohl(a.sin_addr.s_addr);
        *port = ntohs(a.sin_port);
    }
    return n;
}
static inline ssize_t linux_send(int fd, const void *bytes, size_t length, int flags) {
    return send(fd, bytes, length, flags | MSG_NOSIGNAL);
}
static inline ssize_t linux_receive(int fd, void *bytes, size_t capacity, int flags) {
    return recv(fd, bytes, capacity, flags);
}
static inline int linux_set_socket_int(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value);
}
// SO_ERROR of a socket whose connect is under way; -1 when it can't be read.
static inline int linux_socket_error(int fd) {
    int error = 0;
    socklen_t n = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) ? -1 : error;
}
static inline ssize_t linux_getrandom(void *bytes, size_t length) { return syscall(SYS_getrandom, bytes, length, 0); }
