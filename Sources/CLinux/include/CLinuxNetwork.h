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
static inline int linux_bind_inet6(int fd, const uint8_t address[16], uint16_t port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&a.sin6_addr, address, 16);
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}
// The port a socket is bound to, or -1.
static inline int linux_socket_port_inet6(int fd) {
    struct sockaddr_in6 a = {0};
    socklen_t n = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &n) ? -1 : ntohs(a.sin6_port);
}
// How a datagram came, so that the answer goes the same way: the sender, and the address it was sent to (ipv6(7),
// IPV6_RECVPKTINFO, which must be on).
#define LINUX_INET6_WAY (sizeof(struct sockaddr_in6) + sizeof(struct in6_pktinfo))
static inline int linux_inet6_way_size(void) { return LINUX_INET6_WAY; }
static inline ssize_t linux_receive_from_inet6(int fd, void *bytes, size_t capacity, uint8_t *way, int flags) {
    union { char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))]; struct cmsghdr align; } control;
    struct sockaddr_in6 *sender = (void *)way;
    struct iovec io = {bytes, capacity};
    memset(way, 0, LINUX_INET6_WAY);
    struct msghdr h = {.msg_name = sender, .msg_namelen = sizeof *sender, .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(fd, &h, flags);
    if (n < 0) return n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) memcpy(way + sizeof *sender, CMSG_DATA(c), sizeof(struct in6_pktinfo));
    return n;
}
static inline ssize_t linux_send_to_inet6(int fd, const void *bytes, size_t length, const uint8_t *way, int flags) {
    union { char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))]; struct cmsghdr align; } control;
    struct iovec io = {(void *)bytes, length};
    memset(&control, 0, sizeof control);
    struct msghdr h = {.msg_name = (void *)way, .msg_namelen = sizeof(struct sockaddr_in6), .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo));
    memcpy(CMSG_DATA(c), way + sizeof(struct sockaddr_in6), sizeof(struct in6_pktinfo));
    return sendmsg(fd, &h, flags | MSG_NOSIGNAL);
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
