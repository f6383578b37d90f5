// SPDX-License-Identifier: Apache-2.0
//
// Mounts that are attached nowhere (fsopen(2), fsconfig(2), fsmount(2); Linux 5.2). Constants are written out, as
// <linux/mount.h> and <sys/mount.h> exclude each other on glibc before 2.37.
#pragma once
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int linux_fsopen(const char *type) { return (int)syscall(430, type, 1 /* FSOPEN_CLOEXEC */); }
static inline int linux_fsconfig_string(int fd, const char *key, const char *value) {
    return (int)syscall(431, fd, 1 /* FSCONFIG_SET_STRING */, key, value, 0);
}
static inline int linux_fsconfig_flag(int fd, const char *key) {
    return (int)syscall(431, fd, 0 /* FSCONFIG_SET_FLAG */, key, (void *)0, 0);
}
static inline int linux_fsconfig_create(int fd) {
    return (int)syscall(431, fd, 6 /* FSCONFIG_CMD_CREATE */, (void *)0, (void *)0, 0);
}
static inline int linux_fsmount(int fd) { return (int)syscall(432, fd, 1 /* FSMOUNT_CLOEXEC */, 0); }
// A copy of the mount at a path, attached nowhere (open_tree(2), OPEN_TREE_CLONE, Linux 5.2).
static inline int linux_open_tree_clone(const char *path, int recursive) {
    return (int)syscall(428, -100 /* AT_FDCWD */, path, 1 | 02000000 | (recursive ? 0x8000 : 0));
}
// Attaches such a mount at an open path (move_mount(2), both by descriptor alone).
static inline int linux_move_mount(int mount, int target) {
    return (int)syscall(429, mount, "", target, "", 0x04 | 0x40);
}
// mount_setattr(2), Linux 5.12: MOUNT_ATTR_* to set, and private propagation, of the mount and all beneath it.
static inline int linux_mount_set_private(int mount, uint64_t attributes) {
    struct { uint64_t set, clear, propagation, userns; } a = {attributes, 0, 1 << 18 /* MS_PRIVATE */, 0};
    return (int)syscall(442, mount, "", 0x1000 | 0x8000, &a, sizeof a);
}
// 1 when the open path is where a mount begins (statx(2), STATX_ATTR_MOUNT_ROOT, Linux 5.8), 0 when not, -1 on an error
// or when the kernel can't tell.
static inline int linux_is_mount_root(int fd) {
    struct statx s;
    if (statx(fd, "", 0x1000 /* AT_EMPTY_PATH */, 0, &s)) return -1;
    if (!(s.stx_attributes_mask & 0x2000)) return -1;
    return (s.stx_attributes & 0x2000) != 0;
}
// mount_setattr(2) in full: MOUNT_ATTR_* to set and to clear, MS_* propagation, a user namespace for MOUNT_ATTR_IDMAP.
static inline int linux_mount_setattr(int mount, int recursive, uint64_t set, uint64_t clear, uint64_t propagation, int userns) {
    struct { uint64_t set, clear, propagation, userns; } a = {set, clear, propagation, userns < 0 ? 0 : (uint64_t)userns};
    return (int)syscall(442, mount, "", 0x1000 | (recursive ? 0x8000 : 0), &a, sizeof a);
}
// The number of the mount an open path lies in: one that is never used again (STATX_MNT_ID_UNIQUE, Linux 6.8), before that
// one that may be (STATX_MNT_ID, Linux 5.8); 0 when it can't be told.
static inline uint64_t linux_mount_number(int fd) {
    struct statx s;
    if (statx(fd, "", 0x1000 /* AT_EMPTY_PATH */, 0x4000 | 0x1000, &s) || !(s.stx_mask & (0x4000 | 0x1000))) return 0;
    return s.stx_mnt_id;
}
// Whether a mount of that number is somewhere in our mount namespace: statmount(2), Linux 6.8; before that it can't be told
// and counts as none.
static inline int linux_has_mount(uint64_t number) {
    struct { uint32_t size, spare; uint64_t mount, mask; } request = {24, 0, number, 0};
    uint64_t answer[128];
    return syscall(457, &request, answer, sizeof answer, 0) == 0;
}
