// SPDX-License-Identifier: Apache-2.0
//
// Project quotas: which project a directory is of (ioctl_fsgetxattr(2)), and what a project may use (quotactl(2), by
// descriptor since Linux 5.14). Structures are written out: <linux/fs.h> and <sys/mount.h> exclude each other on old glibc.
#pragma once
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct linux_fsxattr { uint32_t flags, extent, extents, project, cow; unsigned char pad[8]; };
struct linux_dqblk { uint64_t hard, soft, used, ihard, isoft, iused, btime, itime; uint32_t valid; };

static inline int linux_get_project(int fd, uint32_t *project) {
    struct linux_fsxattr a = {0};
    int r = ioctl(fd, 0x801c581fUL /* FS_IOC_FSGETXATTR */, &a);
    *project = a.project;
    return r;
}
// What is made in the directory from now on is of that project too (FS_XFLAG_PROJINHERIT).
static inline int linux_set_project(int fd, uint32_t project) {
    struct linux_fsxattr a = {0};
    if (ioctl(fd, 0x801c581fUL, &a)) return -1;
    a.project = project;
    a.flags |= 0x200;
    return ioctl(fd, 0x401c5820UL /* FS_IOC_FSSETXATTR */, &a);
}
// quotactl_fd(2), PRJQUOTA is 2; bytes.
static inline int linux_get_project_quota(int fd, uint32_t project, uint64_t *used, uint64_t *limit) {
    struct linux_dqblk q = {0};
    int r = (int)syscall(443, fd, 0x800007u << 8 | 2 /* Q_GETQUOTA */, project, &q);
    *used = q.used;
    *limit = q.hard * 1024;
    return r;
}
static inline int linux_set_project_quota(int fd, uint32_t project, uint64_t limit) {
    struct linux_dqblk q = {.hard = limit / 1024, .soft = limit / 1024, .valid = 1 /* QIF_BLIMITS */};
    return (int)syscall(443, fd, 0x800008u << 8 | 2 /* Q_SETQUOTA */, project, &q);
}
