// SPDX-License-Identifier: Apache-2.0
//
// Device nodes, and the kernel's own files that are written to.

#include "run.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>

// The kernel's stat in the form both architectures share.
long launch_file_type(int fd, unsigned *mode, unsigned *major, unsigned *minor) {
    struct statx s;
    raw_zero(&s, sizeof s);
    long e = RAW5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE, &s);
    *mode = s.stx_mode;
    *major = s.stx_rdev_major;
    *minor = s.stx_rdev_minor;
    return e;
}

// A node of exactly this mode. Its name may lead elsewhere right afterwards, so no chmod(2) by name follows.
static long make_node(int directory, const char *name, uint64_t mode, uint64_t number) {
    long old = RAW1(__NR_umask, 0), e = RAW4(__NR_mknodat, directory, name, mode, number);
    RAW1(__NR_umask, old);
    return e;
}

long op_mknod(struct run *r, const struct launch_operation *o) {
    int directory = slot(r, o->slot);
    const char *name = text(r, o->text[0]);
    if (o->flags & 1) RAW3(__NR_unlinkat, directory, name, 0);
    long e = make_node(directory, name, o->n[0], o->n[1]);
    if (e >= 0 && o->flags & 1)
        e = RAW5(__NR_fchownat, directory, name, o->n[2] & 0xffffffff, o->n[2] >> 32, 0x100 /* AT_SYMLINK_NOFOLLOW */);
    return e;
}

// In a user namespace of its own no device can be made: the host's is mounted there.
static long mount_device(int directory, const char *name, const char *source) {
    long e = RAW4(__NR_openat, directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (e >= 0) RAW1(__NR_close, e);
    else if (e != -EEXIST) return e;
    // What is there is looked at, never opened: it may be a fifo, or another device.
    long at = launch_open(directory, name, O_PATH | O_NOFOLLOW, 0, 0);
    long tree = at < 0 ? at : launch_clone_tree(AT_FDCWD, source, 0, 0);
    e = tree < 0 ? tree : launch_move((int)tree, (int)at);
    if (tree >= 0) RAW1(__NR_close, tree);
    if (at >= 0) RAW1(__NR_close, at);
    return e;
}

// The mode of a node that was there before, by its descriptor: fchmodat2(2) of Linux 6.6, or a new node.
static long set_mode(int directory, const char *name, int node, uint64_t mode, uint64_t number) {
    long e = RAW4(NR_fchmodat2, node, "", mode & 07777, AT_EMPTY_PATH);
    if (e != -ENOSYS) return e;
    e = RAW3(__NR_unlinkat, directory, name, 0);
    return e < 0 ? e : make_node(directory, name, mode, number);
}

long op_device(struct run *r, const struct launch_operation *o) {
    const char *name = 0;
    long directory = launch_open_parent(slot(r, o->slot2), text(r, o->text[0]), &name);
    if (directory < 0) return directory;
    unsigned major = (unsigned)(o->n[1] >> 8 & 0xfff), minor = (unsigned)((o->n[1] & 0xff) | (o->n[1] >> 12 & 0xfff00));
    long e = make_node((int)directory, name, o->n[0], o->n[1]);
    if (e == -EPERM && o->flags & 1) {
        e = mount_device((int)directory, name, text(r, o->text[1]));
        RAW1(__NR_close, directory);
        return e;
    }
    // From here on by descriptor: others may be at work in this directory (CVE-2025-31133).
    long node = e >= 0 || e == -EEXIST ? launch_open((int)directory, name, O_PATH | O_NOFOLLOW, 0, 0) : e;
    unsigned mode = 0, there_major, there_minor;
    e = node < 0 ? node : launch_file_type((int)node, &mode, &there_major, &there_minor);
    if (e >= 0 && ((mode & 0170000) != (o->n[0] & 0170000) || ((mode & 0170000) != 0010000 && (major != there_major || minor != there_minor))))
        e = -EEXIST;
    if (e >= 0 && (mode & 07777) != (o->n[0] & 07777)) e = set_mode((int)directory, name, (int)node, o->n[0], o->n[1]);
    if (e >= 0) e = RAW5(__NR_fchownat, node, "", o->n[2] >> 32, o->n[2] & 0xffffffffu, AT_EMPTY_PATH);
    if (node >= 0) RAW1(__NR_close, node);
    RAW1(__NR_close, directory);
    return e;
}

long op_write(struct run *r, const struct launch_operation *o) {
    int below = slot(r, o->slot2);
    const char *path = text(r, o->text[0]);
    // A path below a descriptor is one of the kernel's own files: no link, no other mount on the way (CVE-2025-52881).
    long fd = below >= 0 ? launch_open(below, path, O_WRONLY, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)
                         : launch_open(AT_FDCWD, path, O_WRONLY, 0, 0);
    if (fd == -ENOENT && o->flags & 1) return 0;
    long e = fd;
    if (fd >= 0) {
        e = RAW3(__NR_write, fd, r->program + o->blob, o->blob_size);
        RAW1(__NR_close, fd);
    }
    return o->flags & 2 ? 0 : e;
}
