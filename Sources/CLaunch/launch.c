// SPDX-License-Identifier: Apache-2.0
//
// The interpreter. It runs in the child of clone3(2), a copy of a process that may have had threads, so: raw system
// calls only, no allocation, no libc (a lock another thread held at the clone stays locked for ever). It decides
// nothing: an operation that fails is reported with its index and errno, and the child ends. What the operations do
// stands in the files that run.h lists.

#include "run.h"
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>

#define MNT_DETACH_ 2

static long step(struct run *r, const struct launch_operation *o) {
    long fd;
    switch (o->code) {
    case L_PROPAGATION: return RAW5(__NR_mount, 0, text(r, o->text[0]), 0, o->n[0], 0);
    case L_FSMOUNT: return op_fsmount(r, o);
    case L_OPEN_TREE:
        fd = launch_clone_tree(o->slot2 < 0 ? AT_FDCWD : slot(r, o->slot2), o->text[0] ? text(r, o->text[0]) : "", o->flags & 1, o->flags & 2);
        if (fd >= 0) put(r, o->slot, (int)fd);
        return fd;
    case L_MOUNT_ATTR: return op_attributes(slot(r, o->slot), o->n[0], o->n[1], o->n[2], o->flags & 1);
    case L_ATTACH: return op_attach(r, o);
    case L_ATTACH_HOST: return RAW5(NR_move_mount, slot(r, o->slot), "", AT_FDCWD, text(r, o->text[0]), 0x4);
    case L_LEGACY_MOUNT:
        fd = RAW5(__NR_mount, text(r, o->text[0]), text(r, o->text[1]), text(r, o->text[2]), o->n[0], o->blob_size ? r->program + o->blob : 0);
        if (fd < 0) return fd;
        fd = launch_open(AT_FDCWD, text(r, o->text[1]), O_PATH | O_DIRECTORY, 0, 0);
        if (fd >= 0) put(r, o->slot, (int)fd);
        return fd;
    case L_READONLY_PATH: return op_readonly(r, o);
    case L_MASK_PATH: return op_mask(r, o);
    case L_MKNOD: return op_mknod(r, o);
    case L_MKDIR:
        fd = RAW3(__NR_mkdirat, slot(r, o->slot), text(r, o->text[0]), o->n[0]);
        return fd == -EEXIST ? 0 : fd;
    case L_SYMLINK:
        fd = RAW3(__NR_symlinkat, text(r, o->text[0]), slot(r, o->slot), text(r, o->text[1]));
        return fd == -EEXIST ? 0 : fd;
    case L_ENSURE_DIRECTORY:
        fd = launch_ensure_directory(slot(r, o->slot2), text(r, o->text[0]), (unsigned)o->n[0]);
        if (fd >= 0) RAW1(__NR_close, fd);
        return fd;
    case L_OPEN:
        fd = launch_open(o->slot2 < 0 ? AT_FDCWD : slot(r, o->slot2), text(r, o->text[0]), o->n[0], o->n[1], o->n[2]);
        if (fd >= 0) put(r, o->slot, (int)fd);
        return fd;
    case L_WRITE: return op_write(r, o);
    case L_PIVOT:
        fd = RAW1(__NR_fchdir, slot(r, o->slot));
        if (fd >= 0 && o->flags & 2) return op_change_root();
        if (o->flags & 1) return fd < 0 ? fd : op_move_root(r, o);
        if (fd >= 0) fd = RAW2(__NR_pivot_root, ".", ".");  // pivot_root(2), NOTES: no put_old needed
        if (fd >= 0) fd = RAW2(__NR_umount2, ".", MNT_DETACH_);
        if (fd >= 0) fd = RAW1(__NR_chdir, "/");
        return fd;
    case L_HOSTNAME: return RAW2(o->flags & 1 ? __NR_setdomainname : __NR_sethostname, text(r, o->text[0]), raw_length(text(r, o->text[0])));
    case L_NETLINK: return op_netlink(r, o);
    case L_SOCKET: return op_socket(r, o);
    case L_SEND: return op_send(r, o);
    case L_TELL: launch_tell(r, REPORT_TAG, 0, (int)o->n[0], 0, 0); return 0;
    case L_AWAIT: return launch_await(r, (int32_t)o->n[0]);
    case L_JOIN: return RAW2(__NR_setns, slot(r, o->slot), o->n[0]);
    case L_CLONE: return op_clone(r, o->n[0]);
    case L_RLIMIT: return op_rlimit(o);
    case L_UMASK: RAW1(__NR_umask, o->n[0]); return 0;
    case L_GROUPS: return op_groups(r, o);
    case L_IDENTITY:
        fd = RAW3(__NR_setresgid, o->n[1], o->n[1], o->n[1]);
        return fd < 0 ? fd : RAW3(__NR_setresuid, o->n[0], o->n[0], o->n[0]);
    case L_BOUNDING: return op_bounding(o->n[0]);
    case L_CAPABILITIES: return op_capabilities(o);
    case L_KEEP_CAPABILITIES: return RAW5(__NR_prctl, PR_SET_KEEPCAPS, o->n[0], 0, 0, 0);
    case L_SETSID: return RAW0(__NR_setsid);
    case L_PTY: return op_terminal(r, o);
    case L_CONTROLLING_TTY: return RAW3(__NR_ioctl, slot(r, o->slot), TIOCSCTTY, 0);
    case L_RESET_SIGNALS: return op_reset_signals();
    case L_NO_NEW_PRIVILEGES: return RAW5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case L_SECCOMP: return op_seccomp(r, o);
    case L_DUMPABLE: return RAW5(__NR_prctl, PR_SET_DUMPABLE, o->n[0], 0, 0, 0);
    case L_PARENT_DEATH: return RAW5(__NR_prctl, PR_SET_PDEATHSIG, o->n[0], 0, 0, 0);
    case L_CHDIR: return op_chdir(text(r, o->text[0]));
    case L_DUPLICATE: return op_duplicate(r, o);
    case L_CLOSE_OTHERS: return op_close_others(r, o->n[0]);
    case L_CLOSE_ON_EXEC: return RAW3(NR_close_range, o->n[0], ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    case L_INIT: op_init(r); return 0;
    case L_EXEC: return op_exec(r, o);
    case L_EXIT: launch_leave((int)o->n[0]);
    case L_DEVICE: return op_device(r, o);
    case L_AMBIENT: return op_ambient(o->n[0]);
    case L_KEYRING:
        fd = RAW2(__NR_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, text(r, o->text[0]));
        return fd == -ENOSYS || fd == -EPERM || fd == -EDQUOT ? 0 : fd;
    case L_SCHEDULER: return RAW3(__NR_sched_setattr, 0, r->program + o->blob, 0);
    case L_IO_PRIORITY: return RAW3(__NR_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, o->n[0]);
    case L_AFFINITY: return RAW3(__NR_sched_setaffinity, 0, o->blob_size, r->program + o->blob);
    case L_PERSONALITY: return RAW1(__NR_personality, o->n[0]);
    case L_HOOK: return op_hook(r, o);
    case L_WAIT_START: return op_wait_start(r, o);
    case L_FIND: return op_find(r, o);
    case L_OWNER:
        fd = RAW3(__NR_fchown, slot(r, o->slot), o->n[0], o->n[1]);
        return o->flags & 1 ? 0 : fd;
    case L_STUB: return op_stub(r, o);
    case L_UNSHARE: return RAW1(__NR_unshare, o->n[0]);
    case L_UNMOUNT: return op_unmount(text(r, o->text[0]));
    case L_WRITE_SLOT: return RAW3(__NR_write, slot(r, o->slot), r->program + o->blob, o->blob_size);
    }
    return -EINVAL;
}

__attribute__((noreturn)) void launch_run(struct run *r) {
    r->cover = -1;
    r->written = 0;
    r->traced = (r->head->flags & LAUNCH_TRACED) != 0;
    const struct launch_operation *o = (const struct launch_operation *)(r->program + r->head->operations);
    // It has served: a directory of the host's goes no further (CVE-2024-21626).
    if (r->head->cgroup_slot >= 0) {
        RAW1(__NR_close, r->slots[r->head->cgroup_slot]);
        r->slots[r->head->cgroup_slot] = -1;
    }
    for (uint32_t i = 0; i < r->head->operation_count; i++) {
        r->index = (int)i;
        if (r->traced) launch_tell(r, REPORT_STEP, 0, 0, 0, 0);
        long e = step(r, o + i);
        if (e < 0) {
            launch_tell(r, REPORT_FAILED, (int)-e, 0, 0, 0);
            launch_leave(127);
        }
    }
    launch_leave(0);
}

int covey_launch(const void *program, const int *given, const int *peers, size_t peer_count, int network, int *pidfd) {
    struct run r;
    r.program = program;
    r.head = program;
    r.index = -1;
    for (int i = 0; i < LAUNCH_SLOTS; i++) r.slots[i] = i < (int)r.head->given_slots ? given[i] : -1;
    struct clone_args a;
    raw_zero(&a, sizeof a);
    a.flags = r.head->clone_flags | CLONE_PIDFD;
    a.pidfd = (uint64_t)(uintptr_t)pidfd;
    a.exit_signal = SIGCHLD;
    if (r.head->cgroup_slot >= 0) {
        a.flags |= CLONE_INTO_CGROUP;
        a.cgroup = (uint64_t)given[r.head->cgroup_slot];
    }
    // A pid namespace is entered by birth alone: ours for children is changed for this one clone (setns(2)).
    long home = -1;
    if (r.head->pid_namespace_slot >= 0) {
        home = RAW4(__NR_openat, AT_FDCWD, "/proc/self/ns/pid", O_RDONLY | O_CLOEXEC, 0);
        if (home < 0) return (int)home;
        long e = RAW2(__NR_setns, given[r.head->pid_namespace_slot], CLONE_NEWPID);
        if (e < 0) {
            RAW1(__NR_close, home);
            return (int)e;
        }
    }
    int text, binary = launch_prepare_apart(&r, &text);
    // Entered for this one clone as well. Not for a child that others see at once: it begins with nothing but its own.
    long outside = -1;
    if (network >= 0 && home < 0 && (a.flags & (CLONE_NEWNET | CLONE_NEWUSER)) == CLONE_NEWNET) {
        outside = RAW4(__NR_openat, AT_FDCWD, "/proc/self/ns/net", O_RDONLY | O_CLOEXEC, 0);
        if (outside >= 0 && RAW2(__NR_setns, network, CLONE_NEWNET) < 0) {
            RAW1(__NR_close, outside);
            outside = -1;
        }
        if (outside >= 0) a.flags &= ~(uint64_t)CLONE_NEWNET;
    }
    long pid = RAW2(NR_clone3, &a, sizeof a);
    if (pid == 0) {
        for (size_t i = 0; i < peer_count; i++) RAW1(__NR_close, peers[i]);
        if (outside >= 0) RAW1(__NR_close, outside);
        if (network >= 0) RAW1(__NR_close, network);
        if (binary >= 0) launch_go_apart(&r, binary, text);
        launch_run(&r);
    }
    if (text >= 0) RAW1(__NR_close, text);
    if (outside >= 0) {
        if (RAW2(__NR_setns, outside, CLONE_NEWNET) < 0) launch_leave(126);
        RAW1(__NR_close, outside);
    }
    if (home >= 0) {
        // One's own namespace is always allowed; whoever can't come back must clone nothing more.
        if (RAW2(__NR_setns, home, CLONE_NEWPID) < 0) launch_leave(126);
        RAW1(__NR_close, home);
    }
    return (int)pid;
}
