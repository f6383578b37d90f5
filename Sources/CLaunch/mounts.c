// SPDX-License-Identifier: Apache-2.0
//
// Mounts: made and changed while they hang nowhere, then attached by descriptor to a place that was found inside the root.

#include "run.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>

struct new_mount_attr {
    uint64_t set, clear, propagation, userns;
};

long op_fsmount(struct run *r, const struct launch_operation *o) {
    long fs = RAW2(NR_fsopen, text(r, o->text[0]), 1 /* FSOPEN_CLOEXEC */);
    if (fs < 0) return fs;
    const char *p = r->program + o->blob, *end = p + o->blob_size;
    long e = 0;
    while (o->blob_size && p < end && e >= 0) {
        const char *key = p, *value = key + raw_length(key) + 1;
        if (value >= end) { e = -EINVAL; break; }
        p = value + raw_length(value) + 1;
        e = *value ? RAW5(NR_fsconfig, fs, 1 /* SET_STRING */, key, value, 0) : RAW5(NR_fsconfig, fs, 0 /* SET_FLAG */, key, 0, 0);
    }
    if (e >= 0) e = RAW5(NR_fsconfig, fs, 6 /* CMD_CREATE */, 0, 0, 0);
    if (e >= 0) e = RAW3(NR_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, o->n[0]);
    RAW1(__NR_close, fs);
    if (e >= 0) put(r, o->slot, (int)e);
    return e;
}

long launch_move(int from, int to) { return RAW5(NR_move_mount, from, "", to, "", 0x4 | 0x40); }

long op_attributes(int fd, uint64_t set, uint64_t clear, uint64_t propagation, int recursive) {
    struct new_mount_attr a = {set, clear, propagation, 0};
    return RAW5(NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof a);
}

long launch_clone_tree(int from, const char *path, int recursive, int no_follow) {
    return RAW3(NR_open_tree, from, path,
        1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) | (recursive ? AT_RECURSIVE : 0) | (no_follow ? 0x100 : 0));
}

// A mount over a file of procfs would be what the kernel's and our own writes land in (CVE-2019-16884).
static long refuse_procfs(int at, long error) {
    long type[16];
    raw_zero(type, sizeof type);
    long e = RAW2(__NR_fstatfs, at, type);
    return e >= 0 && type[0] == 0x9fa0 /* PROC_SUPER_MAGIC */ ? error : e;
}

// A place that is to be covered. Where links are followed, none leads into procfs: such a place has its own name.
static long open_hidden(struct run *r, const struct launch_operation *o) {
    long at = launch_open_below(slot(r, o->slot2), text(r, o->text[0]), O_PATH, !(o->flags & 1));
    if (at < 0 || !(o->flags & 1)) return at;
    long e = refuse_procfs((int)at, -ELOOP);
    if (e >= 0) return at;
    RAW1(__NR_close, at);
    return e;
}

long op_attach(struct run *r, const struct launch_operation *o) {
    int root = slot(r, o->slot2);
    const char *path = text(r, o->text[0]);
    long to = launch_open_below(root, path, O_PATH, o->flags & 4);
    if (to == -ENOENT && o->flags & 1) to = launch_ensure_directory(root, path, 0755);
    if (to == -ENOENT && o->flags & 2) {
        to = launch_ensure_file(root, path);
        if (to >= 0) to = launch_open_below(root, path, O_PATH, o->flags & 4);
    }
    if (to < 0) return to;
    if (o->flags & 8) {
        long s = refuse_procfs((int)to, -EPERM);
        if (s < 0) {
            RAW1(__NR_close, to);
            return s;
        }
    }
    long e = launch_move(slot(r, o->slot), (int)to);
    RAW1(__NR_close, to);
    return e;
}

long op_readonly(struct run *r, const struct launch_operation *o) {
    long at = open_hidden(r, o);
    if (at == -ENOENT) return 0;
    if (at < 0) return at;
    long tree = launch_clone_tree((int)at, "", 1, 0), e = tree;
    if (e >= 0) e = op_attributes((int)tree, MOUNT_ATTR_RDONLY, 0, 0, 1);
    if (e >= 0) e = launch_move((int)tree, (int)at);
    if (tree >= 0) RAW1(__NR_close, tree);
    RAW1(__NR_close, at);
    return e;
}

long op_mask(struct run *r, const struct launch_operation *o) {
    long at = open_hidden(r, o);
    if (at == -ENOENT) return 0;
    if (at < 0) return at;
    unsigned mode, major, minor;
    long e = launch_file_type((int)at, &mode, &major, &minor);
    int directory = (mode & 0170000) == 0040000;
    int cover = slot(r, directory ? o->slot : o->slot3);
    if (e >= 0 && !directory) {
        // The cover is the real null device or nothing is covered (CVE-2025-31133).
        e = launch_file_type(cover, &mode, &major, &minor);
        if (e >= 0 && ((mode & 0170000) != 0020000 || major != 1 || minor != 3)) e = -ENODEV;
    }
    if (e >= 0 && directory && r->cover != o->slot) {
        // The empty directory itself covers the first path and is cloned from there: before 6.15 a mount that hangs nowhere
        // can't be cloned (check_mnt in __do_loopback, fs/namespace.c), and one that still does when its descriptor goes
        // makes execve(2) wait for an RCU grace period (namespace_unlock).
        e = launch_move(cover, (int)at);
        if (e >= 0) r->cover = o->slot;
    } else if (e >= 0) {
        long tree = e = launch_clone_tree(cover, "", 0, 0);
        if (tree >= 0) e = launch_move((int)tree, (int)at);
        if (tree >= 0) RAW1(__NR_close, tree);
    }
    RAW1(__NR_close, at);
    return e;
}

long op_unmount(const char *path) {
    long e;
    // Until nothing lies there: one may have been mounted on another at the same place.
    do e = RAW2(__NR_umount2, path, 2 /* MNT_DETACH */ | 8 /* UMOUNT_NOFOLLOW */);
    while (e == 0);
    // One that came with a user namespace is locked to what it lies on (mount_namespaces(7)); one that is covered is as good
    // as gone: it is no longer visible in full, which is what a new mount of its kind needs (mount_too_revealing, fs/namespace.c).
    if (e == -EINVAL || e == -EPERM) e = RAW5(__NR_mount, "tmpfs", path, "tmpfs", 1 /* MS_RDONLY */, 0);
    return e == -ENOENT || e == -ENOTDIR ? 0 : e;
}

// Into the working directory, where the mount namespace is somebody's: what is mounted at / stays there.
long op_change_root(void) {
    long e = RAW1(__NR_chroot, ".");
    return e < 0 ? e : RAW1(__NR_chdir, "/");
}

// MS_MOVE over / and chroot(2): where the root is a ramfs, which can't be pivoted away (pivot_root(2), NOTES).
long op_move_root(struct run *r, const struct launch_operation *o) {
    long e = RAW5(NR_move_mount, slot(r, o->slot), "", AT_FDCWD, "/", 0x4);
    // A root that was given lies on / already (BundleRoot): what is to be moved is where it should go.
    return e >= 0 || e == -ELOOP ? op_change_root() : e;
}
