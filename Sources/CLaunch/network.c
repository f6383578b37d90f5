// SPDX-License-Identifier: Apache-2.0
//
// A container's network from inside: netlink messages the planner wrote, and the sockets of its name service.

#include "run.h"
#include <errno.h>
#include <linux/if.h>
#include <linux/in.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/socket.h>

long op_netlink(struct run *r, const struct launch_operation *o) {
    static char copy[32768], reply[8192];
    long s = RAW3(__NR_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, o->n[0]), e = 0;
    if (s < 0) return s;
    if (o->blob_size > sizeof copy) { RAW1(__NR_close, s); return -EMSGSIZE; }
    raw_copy(copy, r->program + o->blob, o->blob_size);
    unsigned link = 0;
    if (o->text[0]) {
        struct ifreq q;
        raw_zero(&q, sizeof q);
        const char *name = text(r, o->text[0]);
        size_t n = raw_length(name);
        raw_copy(q.ifr_name, name, n < IFNAMSIZ - 1 ? n : IFNAMSIZ - 1);
        long d = RAW3(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (d < 0) e = d;
        else {
            e = RAW3(__NR_ioctl, d, SIOCGIFINDEX, &q);
            RAW1(__NR_close, d);
            link = (unsigned)q.ifr_ifindex;
        }
    }
    int expected = 0;
    for (uint32_t at = 0; e >= 0 && at < o->blob_size;) {
        struct nlmsghdr *h = (struct nlmsghdr *)(copy + at);
        if (h->nlmsg_flags & NLM_F_ACK) expected++;
        // ifinfomsg and ifaddrmsg both have the link's index 4 bytes in.
        if (link && h->nlmsg_len >= NLMSG_HDRLEN + 8) {
            unsigned *index = (unsigned *)(copy + at + NLMSG_HDRLEN + 4);
            if (*index == 0xffffffffu) *index = link;
        }
        at += NLMSG_ALIGN(h->nlmsg_len);
    }
    if (e >= 0) e = RAW(__NR_sendto, s, copy, o->blob_size, 0, 0, 0);
    while (e >= 0 && expected > 0) {
        long n = RAW(__NR_recvfrom, s, reply, sizeof reply, 0, 0, 0);
        if (n == -EINTR) continue;
        if (n <= 0) { e = n ? n : -EPIPE; break; }
        for (long at = 0; at + (long)sizeof(struct nlmsghdr) <= n;) {
            struct nlmsghdr *h = (struct nlmsghdr *)(reply + at);
            if (h->nlmsg_type == NLMSG_ERROR) {
                int code = ((struct nlmsgerr *)(reply + at + NLMSG_HDRLEN))->error;
                expected--;
                if (code < 0 && e >= 0) e = code;
            }
            if (h->nlmsg_len < sizeof *h || h->nlmsg_len > n - at) break;
            at += NLMSG_ALIGN(h->nlmsg_len);
        }
    }
    RAW1(__NR_close, s);
    return e;
}

long op_socket(struct run *r, const struct launch_operation *o) {
    long s = RAW3(__NR_socket, AF_INET, (long)o->n[0] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return s;
    struct sockaddr_in a;
    raw_zero(&a, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = (uint32_t)o->n[1];
    a.sin_port = (uint16_t)((o->n[2] & 0xff) << 8 | (o->n[2] >> 8 & 0xff));
    long e = RAW3(__NR_bind, s, &a, sizeof a);
    if (e >= 0 && o->n[0] == SOCK_STREAM) e = RAW2(__NR_listen, s, 64);
    if (e < 0) {
        RAW1(__NR_close, s);
        return e;
    }
    put(r, o->slot, (int)s);
    return 0;
}
