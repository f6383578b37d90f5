// SPDX-License-Identifier: Apache-2.0
//
// The last step: the container's program, by way of the stub. An exec's program runs in a second process, which a pid
// namespace is entered by; the stub makes it, so that none of the container's processes ever sees one that still is us.

#include "run.h"
#include "stub.h"
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>

long launch_executable(const char *path) {
    struct statx s;
    long e = RAW5(__NR_statx, AT_FDCWD, path, 0, STATX_TYPE, &s);
    return e < 0 ? e : (s.stx_mode & 0170000) == 0040000 ? -EACCES : RAW3(__NR_faccessat, AT_FDCWD, path, 1 /* X_OK */);
}

// The stub's own image in memory nobody can write any more. MFD_EXEC is of Linux 6.3.
long op_stub(struct run *r, const struct launch_operation *o) {
    static char image[1024];
    size_t size = (size_t)(covey_stub_end - covey_stub), words = (size_t)(covey_stub_words - covey_stub);
    if (size > sizeof image) return -ENOMEM;
    long fd = RAW2(__NR_memfd_create, "stub", 1 | 2 | 0x10 /* MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC */);
    if (fd == -EINVAL) fd = RAW2(__NR_memfd_create, "stub", 1 | 2);
    if (fd == -ENOSYS || fd == -EACCES || fd == -EPERM) return 0;
    if (fd < 0) return fd;
    int32_t numbers[3] = {r->slots[r->head->sync_slot], (int32_t)r->head->operation_count - 1, (int32_t)o->n[0]};
    raw_copy(image, covey_stub, size);
    raw_copy(image + words, numbers, sizeof numbers);
    long e = RAW3(__NR_write, fd, image, size);
    if (e >= 0) e = RAW3(__NR_fcntl, fd, 1033 /* F_ADD_SEALS */, 0xf);
    if (e < 0) {
        RAW1(__NR_close, fd);
        return e;
    }
    put(r, o->slot, (int)fd);
    return 0;
}

// What the stub does when it is asked for a second process (stub.c), where there is no stub.
static long second_process(struct run *r, unsigned wanted) {
    if (!(wanted & LAUNCH_SECOND)) return 0;
    long e = op_clone(r, 0);
    if (e >= 0) e = RAW0(__NR_setsid);
    if (e >= 0 && wanted & LAUNCH_TERMINAL) e = RAW3(__NR_ioctl, 0, TIOCSCTTY, 0);
    return e;
}

// Without the stub: what is executed must not be us.
static long execute(const struct launch_operation *o, const char *path, const char **arguments, const char **environment) {
    long e = o->flags & LAUNCH_UNCHECKED ? 0 : launch_check_foreign(path, !(o->flags & LAUNCH_SHALLOW));
    return e < 0 ? e : RAW3(__NR_execve, path, arguments, environment);
}

long op_exec(struct run *r, const struct launch_operation *o) {
    static const char *pointers[16384];
    const char *p = r->program + o->blob, *candidates = p;
    for (uint64_t i = 0; i < o->n[0]; i++) p += raw_length(p) + 1;
    uint64_t k = 1;  // the first is the stub's: what it is to execute
    for (uint64_t i = 0; i < o->n[1]; i++, p += raw_length(p) + 1) pointers[k++] = p;
    pointers[k++] = 0;
    const char **environment = pointers + k;
    for (uint64_t i = 0; i < o->n[2]; i++, p += raw_length(p) + 1) pointers[k++] = p;
    pointers[k] = 0;
    int stub = slot(r, o->slot), sync = slot(r, r->head->sync_slot);
    // execvp(3)'s rule over candidates made by the planner: the last refusal that says something wins.
    long e = stub < 0 ? second_process(r, o->flags) : 0;
    if (e < 0) return e;
    e = -ENOENT;
    p = candidates;
    for (uint64_t i = 0; i < o->n[0]; i++, p += raw_length(p) + 1) {
        long x;
        if (stub < 0) {
            x = execute(o, p, pointers + 1, environment);
        } else {
            x = launch_executable(p);
            if (x >= 0) {
                pointers[0] = p;
                RAW3(__NR_fcntl, sync, F_SETFD, 0);
                x = RAW5(__NR_execveat, stub, "", pointers, environment, AT_EMPTY_PATH);
                RAW3(__NR_fcntl, sync, F_SETFD, FD_CLOEXEC);
                // A filter of the user's own that knows no execveat(2): it is theirs to say what may be executed how.
                if (x == -EPERM || x == -ENOSYS) {
                    stub = -1;
                    x = second_process(r, o->flags);
                    if (x >= 0) x = execute(o, p, pointers + 1, environment);
                }
            }
        }
        if (x != -ENOENT && x != -ENOTDIR) e = x;
        if (x != -ENOENT && x != -ENOTDIR && x != -EACCES) break;
    }
    return e;
}

long op_find(struct run *r, const struct launch_operation *o) {
    const char *p = r->program + o->blob;
    long e = -ENOENT;
    for (uint64_t i = 0; i < o->n[0]; i++, p += raw_length(p) + 1) {
        long x = launch_executable(p);
        if (x >= 0) return 0;
        if (x != -ENOENT && x != -ENOTDIR) e = x;
    }
    return e;
}
