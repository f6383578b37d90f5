// SPDX-License-Identifier: Apache-2.0
//
// Terminal and standard streams, and the descriptors that go no further.

#include "run.h"
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>

long op_terminal(struct run *r, const struct launch_operation *o) {
    long master = launch_open_below(slot(r, o->slot2), "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 1);
    if (master < 0) return master;
    int unlock = 0;
    long e = RAW3(__NR_ioctl, master, TIOCSPTLCK, &unlock);
    if (e < 0) return e;
    long slave = RAW3(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) return slave;
    if (o->n[0] && o->n[1]) {
        unsigned short size[4] = {(unsigned short)o->n[0], (unsigned short)o->n[1], 0, 0};
        RAW3(__NR_ioctl, slave, TIOCSWINSZ, size);
    }
    put(r, o->slot, (int)master);
    put(r, o->slot3, (int)slave);
    return 0;
}

long op_duplicate(struct run *r, const struct launch_operation *o) {
    long fd = slot(r, o->slot);
    if (o->slot < 0 && o->flags & 1) {
        fd = launch_open_below(slot(r, o->slot2), "/dev/null", O_RDWR, 1);
        if (fd < 0) return fd;
    }
    if (fd == (long)o->n[0]) return RAW3(__NR_fcntl, fd, F_SETFD, 0);
    return RAW3(__NR_dup3, fd, o->n[0], 0);
}

long op_close_others(struct run *r, uint64_t first) {
    unsigned from = first > 3 ? (unsigned)first : 3;
    for (;;) {
        unsigned next = ~0u;
        for (int i = 0; i < LAUNCH_SLOTS; i++)
            if (r->slots[i] >= (int)from && (unsigned)r->slots[i] < next) next = (unsigned)r->slots[i];
        if (next > from) {
            long e = RAW3(NR_close_range, from, next == ~0u ? ~0u : next - 1, 0);
            if (e < 0) return e;
        }
        if (next == ~0u) return 0;
        from = next + 1;
    }
}
