// SPDX-License-Identifier: Apache-2.0
//
// Further processes on the way to the container's program: the second one of an exec, an init's child, hooks.

#include "init.h"
#include "run.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>

long op_clone(struct run *r, uint64_t flags) {
    // CLONE_PARENT: the keeper becomes its parent, and the exit signal is inherited (clone(2)). Plain clone(2), because
    // the default seccomp profile answers ENOSYS to clone3(2).
    long pid = RAW5(__NR_clone, CLONE_PARENT | flags, 0, 0, 0, 0);
    if (pid <= 0) return pid;
    launch_tell(r, REPORT_BORN, 0, (int)pid, 0, 0);
    launch_leave(0);
}

// Becomes pid 1's program (init.c); the rest of this one runs in its only child.
void op_init(struct run *r) {
    uint64_t all = ~0ull, old;
    RAW4(__NR_rt_sigprocmask, SIG_BLOCK, &all, &old, 8);
    long child = RAW5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        RAW4(__NR_rt_sigprocmask, SIG_SETMASK, &old, 0, 8);
        return;
    }
    if (child < 0) {
        launch_tell(r, REPORT_FAILED, (int)-child, 0, 0, 0);
        launch_leave(127);
    }
    covey_be_init(child);
}

long op_reset_signals(void) {
    // The kernel's own struct sigaction: handler, flags, restorer, mask; all zero is SIG_DFL.
    uint64_t action[4] = {0, 0, 0, 0}, none = 0;
    for (int s = 1; s <= 64; s++)
        if (s != SIGKILL && s != SIGSTOP) RAW4(__NR_rt_sigaction, s, action, 0, 8);
    return RAW4(__NR_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
}

long op_chdir(const char *path) {
    static char where[4096];
    long e = RAW1(__NR_chdir, path);
    if (e < 0) return e;
    e = RAW2(__NR_getcwd, where, sizeof where);
    // "(unreachable)…": a directory outside this root (CVE-2024-21626).
    if (e >= 0 && where[0] != '/') return -ENOENT;
    return e;
}

// Blob → argv and envp; gives the first string.
static const char *vectors(struct run *r, const struct launch_operation *o, const char **pointers, const char ***environment) {
    const char *p = r->program + o->blob, *path = p;
    uint64_t k = 0;
    p += raw_length(p) + 1;
    for (uint64_t i = 0; i < o->n[0]; i++, p += raw_length(p) + 1) pointers[k++] = p;
    pointers[k++] = 0;
    *environment = pointers + k;
    for (uint64_t i = 0; i < o->n[1]; i++, p += raw_length(p) + 1) pointers[k++] = p;
    pointers[k] = 0;
    return path;
}

long op_hook(struct run *r, const struct launch_operation *o) {
    static const char *pointers[4096];
    const char **environment;
    const char *path = vectors(r, o, pointers, &environment);
    int pidfd = -1, status = 0;
    // clone(2), not clone3(2): the filter may hold already.
    long pid = RAW3(__NR_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd);
    if (pid < 0) return pid;
    if (pid == 0) {
        RAW3(__NR_lseek, slot(r, o->slot), 0, 0);
        long e = RAW3(__NR_dup3, slot(r, o->slot), 0, 0);
        if (e >= 0) e = RAW3(NR_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
        if (e >= 0 && !(o->flags & LAUNCH_UNCHECKED)) e = launch_check_foreign(path, !(o->flags & LAUNCH_SHALLOW));
        if (e >= 0) e = RAW3(__NR_execve, path, pointers, environment);
        launch_tell(r, REPORT_FAILED, (int)-e, 0, 0, 0);
        launch_leave(127);
    }
    struct pollfd_ { int fd; short events, revents; } wait = {pidfd, 1 /* POLLIN */, 0};
    int64_t limit[2] = {(int64_t)(o->n[2] / 1000), (int64_t)(o->n[2] % 1000) * 1000000};
    long n;
    do n = RAW5(__NR_ppoll, &wait, 1, o->n[2] ? limit : 0, 0, 0);
    while (n == -EINTR);
    if (n == 0) RAW4(NR_pidfd_send_signal, pidfd, SIGKILL, 0, 0);
    do n = RAW4(__NR_wait4, pid, &status, 0, 0);
    while (n == -EINTR);
    RAW1(__NR_close, pidfd);
    if (wait.revents == 0) return -ETIMEDOUT;
    if (status == 0) return 0;
    launch_tell(r, REPORT_FAILED, 0, status, 0, 0);
    launch_leave(127);
}
