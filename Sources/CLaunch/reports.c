// SPDX-License-Identifier: Apache-2.0
//
// What the child and the one who launched it say to each other.

#include "run.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

void launch_tell(struct run *r, int kind, int error, int value, const int *fds, int count) {
    struct launch_report m = {kind, r->index, error, value, 0};
    struct iovec io = {&m, sizeof m};
    // write(2), which also filters that refuse sockets let through: a program needs it as well. Before the filter the other
    // one, for which the death of who listens is no signal.
    if (r->written && count == 0) {
        RAW3(__NR_write, r->slots[r->head->sync_slot], &m, sizeof m);
        return;
    }
    struct msghdr h;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 8)];
        struct cmsghdr align;
    } control;
    raw_zero(&h, sizeof h);
    h.msg_iov = &io;
    h.msg_iovlen = 1;
    if (count > 0) {
        raw_zero(&control, sizeof control);
        h.msg_control = control.bytes;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        raw_copy(control.bytes + CMSG_LEN(0), fds, sizeof(int) * (size_t)count);
    }
    RAW3(__NR_sendmsg, r->slots[r->head->sync_slot], &h, MSG_NOSIGNAL);
}

__attribute__((noreturn)) void launch_leave(int code) {
    for (;;) RAW1(__NR_exit_group, code);
}

long op_send(struct run *r, const struct launch_operation *o) {
    int fds[8], count = 0;
    for (uint32_t i = 0; i < o->blob_size; i += 4) {
        int32_t s;
        raw_copy(&s, r->program + o->blob + i, 4);
        fds[count++] = r->slots[s];
    }
    launch_tell(r, REPORT_TAG, 0, (int)o->n[0], fds, count);
    return 0;
}

long launch_await(struct run *r, int32_t wanted) {
    int32_t tag = -1;
    long n;
    // read(2), which also filters that refuse sockets let through.
    do n = RAW3(__NR_read, slot(r, r->head->sync_slot), &tag, sizeof tag);
    while (n == -EINTR);
    // Nobody there any more, or a no: the child was not wanted.
    if (n != sizeof tag || tag != wanted) launch_leave(127);
    return 0;
}

long op_wait_start(struct run *r, const struct launch_operation *o) {
    char byte;
    long n;
    int fifo = slot(r, o->slot);
    do n = RAW3(__NR_read, fifo, &byte, 1);
    while (n == -EINTR);
    if (n != 1) return n < 0 ? n : -EPIPE;
    r->traced = 0;  // whoever made it has gone
    if (!(o->flags & 1)) return 0;
    // Whoever starts it has the fifo open until its last reader is gone, and reads then what it was told. By the socket's
    // number, which the stub knows as well.
    r->written = 1;
    return RAW3(__NR_dup3, fifo, slot(r, r->head->sync_slot), O_CLOEXEC);
}
