// SPDX-License-Identifier: Apache-2.0
//
// What the process may do: capabilities, groups, limits, and the filter of its system calls.

#include "run.h"
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

long op_capabilities(const struct launch_operation *o) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    for (int i = 0; i < 2; i++) {
        d[i].effective = (uint32_t)(o->n[0] >> (32 * i));
        d[i].permitted = (uint32_t)(o->n[1] >> (32 * i));
        d[i].inheritable = (uint32_t)(o->n[2] >> (32 * i));
    }
    long e = RAW5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return e < 0 ? e : RAW2(__NR_capset, &h, d);
}

long op_bounding(uint64_t keep) {
    for (int c = 0; c < 64; c++) {
        if (keep >> c & 1) continue;
        long e = RAW5(__NR_prctl, PR_CAPBSET_DROP, c, 0, 0, 0);
        if (e == -EINVAL) return 0;  // past the last capability this kernel has
        if (e < 0) return e;
    }
    return 0;
}

long op_ambient(uint64_t set) {
    for (int c = 0; c < 64; c++) {
        if (!(set >> c & 1)) continue;
        long e = RAW5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
        if (e < 0) return e;
    }
    return 0;
}

long op_groups(struct run *r, const struct launch_operation *o) {
    return RAW2(__NR_setgroups, o->blob_size / 4, o->blob_size ? r->program + o->blob : 0);
}

long op_rlimit(const struct launch_operation *o) {
    uint64_t limit[2] = {o->n[1], o->n[2]}, now[2];
    long e = RAW4(__NR_prlimit64, 0, o->n[0], limit, 0);
    if (e != -EPERM || !(o->flags & 1)) return e;
    e = RAW4(__NR_prlimit64, 0, o->n[0], 0, now);
    if (e < 0) return e;
    if (limit[1] > now[1]) limit[1] = now[1];
    if (limit[0] > limit[1]) limit[0] = limit[1];
    return RAW4(__NR_prlimit64, 0, o->n[0], limit, 0);
}

long op_seccomp(struct run *r, const struct launch_operation *o) {
    struct sock_fprog p = {(unsigned short)(o->blob_size / 8), (struct sock_filter *)(r->program + o->blob)};
    long fd = RAW3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, o->n[0] | (o->slot >= 0 ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0), &p);
    if (fd < 0) return fd;
    r->written = 1;
    r->traced &= o->flags & 1;
    if (o->slot < 0) return fd;
    put(r, o->slot, (int)fd);
    // The filter holds already: write(2) is the one call made under it, the parent fetches the descriptor itself.
    struct launch_report m = {REPORT_TAG, r->index, 0, (int)o->n[1], (int)fd};
    fd = RAW3(__NR_write, r->slots[r->head->sync_slot], &m, sizeof m);
    return fd < 0 ? fd : launch_await(r, (int32_t)o->n[1]);
}
