// SPDX-License-Identifier: Apache-2.0
//
// Mounts that are attached nowhere (fsopen(2), fsconfig(2), fsmount(2); Linux 5.2). Constants are written out, as
// <linux/mount.h> and <sys/mount.h> exclude each other on glibc before 2.37.
#pragma once
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
