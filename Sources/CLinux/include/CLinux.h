// SPDX-License-Identifier: Apache-2.0
//
// Kernel calls, constants and layouts that Swift's Glibc module hides. Names are the kernel's with a `linux_`
// prefix; every function returns what the system call returns, with errno set. No policy here.
#pragma once
#define _GNU_SOURCE 1

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stddef.h>
#include <spawn.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <regex.h>
#include <sched.h>
#include <termios.h>
#include <unistd.h>
#include "CLinuxNetwork.h"
#include "linux_aside.h"
#include "linux_bpf.h"
#include "linux_connect.h"
#include "linux_pages.h"
#include "linux_threads.h"
#include "linux_process.h"
#include "linux_processors.h"
#include "linux_fault.h"
#include "linux_fork.h"

#include "linux_fsmount.h"
#include "linux_quota.h"

static inline int linux_errno(void) { return errno; }

static inline int linux_openat(int dirfd, const char *path, int flags, unsigned mode) {
    return openat(dirfd, path, flags, mode);
}
static inline int linux_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}
static inline int linux_renameat2(int from, const char *a, int to, const char *b, unsigned flags) {
    return (int)syscall(SYS_renameat2, from, a, to, b, flags);
}
static inline int linux_ioctl_int(int fd, unsigned long request, int value) { return ioctl(fd, request, value); }
static inline int linux_ioctl_ptr(int fd, unsigned long request, void *pointer) { return ioctl(fd, request, pointer); }
static inline int linux_fcntl_int(int fd, int command, int value) { return fcntl(fd, command, value); }
static inline int linux_pipe2(int fds[2], int flags) { return pipe2(fds, flags); }
static inline int linux_eventfd(unsigned initial, int flags) { return eventfd(initial, flags); }
static inline int linux_memfd_create(const char *name, unsigned flags) { return (int)syscall(SYS_memfd_create, name, flags); }
static inline int linux_timerfd_create(int clock, int flags) { return timerfd_create(clock, flags); }
static inline int linux_timerfd_settime_ns(int fd, int64_t first_ns, int64_t interval_ns) {
    struct itimerspec t = {.it_value = {first_ns / 1000000000, first_ns % 1000000000},
                           .it_interval = {interval_ns / 1000000000, interval_ns % 1000000000}};
    return timerfd_settime(fd, 0, &t, NULL);
}
static inline int linux_signalfd(const int *signals, int count, int flags) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    return signalfd(-1, &set, flags);
}
static inline int linux_block_signals(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    return sigprocmask(SIG_BLOCK, &set, NULL);
}
static inline int linux_epoll_create1(int flags) { return epoll_create1(flags); }
static inline int linux_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll, operation, fd, &e);
}
// `events` and `data` receive up to `capacity` entries.
static inline int linux_epoll_wait(int epoll, uint32_t *events, uint64_t *data, int capacity, int timeout_ms) {
    struct epoll_event found[64];
    int n = epoll_wait(epoll, found, capacity < 64 ? capacity : 64, timeout_ms);
    for (int i = 0; i < n; i++) {
        events[i] = found[i].events;
        data[i] = found[i].data.u64;
    }
    return n;
}
static inline int linux_accept4(int fd, int flags) { return accept4(fd, NULL, NULL, flags); }
static inline int linux_socket(int family, int type, int protocol) { return socket(family, type, protocol); }
static inline int linux_socketpair(int family, int type, int protocol, int fds[2]) { return socketpair(family, type, protocol, fds); }
static inline ssize_t linux_splice(int in, int64_t *in_offset, int out, int64_t *out_offset, size_t length, unsigned flags) {
    return splice(in, in_offset, out, out_offset, length, flags);
}
static inline ssize_t linux_copy_file_range(int in, int64_t *in_offset, int out, int64_t *out_offset, size_t length) {
    return copy_file_range(in, in_offset, out, out_offset, length, 0);
}
static inline int linux_unshare(int flags) { return unshare(flags); }
static inline int linux_setns(int fd, int flags) { return setns(fd, flags); }
static inline int linux_pidfd_open(int pid, unsigned flags) { return (int)syscall(434, pid, flags); }
static inline int linux_pidfd_send_signal(int pidfd, int signal) { return (int)syscall(424, pidfd, signal, NULL, 0); }
static inline int linux_close_range(unsigned first, unsigned last, unsigned flags) { return (int)syscall(436, first, last, flags); }
static inline int linux_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    return mount(source, target, type, flags, data);
}
static inline int linux_umount2(const char *target, int flags) { return umount2(target, flags); }
static inline int linux_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    return prctl(option, a, b, c, d);
}
// memset(3) that no compiler takes away.
static inline void linux_erase(void *bytes, size_t count) { explicit_bzero(bytes, count); }
static inline int linux_syncfs(int fd) { return syncfs(fd); }
static inline int linux_begin_writeback(int fd, int64_t offset, int64_t count) {
    return sync_file_range(fd, offset, count, SYNC_FILE_RANGE_WRITE);
}
static inline int linux_mknodat(int dirfd, const char *path, unsigned mode, uint64_t device) { return mknodat(dirfd, path, mode, device); }
static inline uint64_t linux_makedev(unsigned major_, unsigned minor_) { return makedev(major_, minor_); }
static inline unsigned linux_major(uint64_t device) { return major(device); }
static inline unsigned linux_minor(uint64_t device) { return minor(device); }
static inline int linux_flock(int fd, int operation) { return flock(fd, operation); }
static inline int64_t linux_statfs_type(int fd) {
    struct statfs s;
    return fstatfs(fd, &s) ? -1 : (int64_t)s.f_type;
}
static inline int linux_prlimit(int pid, int resource, const struct rlimit *new_, struct rlimit *old) {
    return prlimit(pid, (enum __rlimit_resource)resource, new_, old);
}
static inline int linux_wifexited(int status) { return WIFEXITED(status); }
static inline int linux_wexitstatus(int status) { return WEXITSTATUS(status); }
static inline int linux_wtermsig(int status) { return WTERMSIG(status); }

// sendmsg(2) and recvmsg(2) with descriptors beside the bytes (unix(7), SCM_RIGHTS).
// Returns bytes moved; `*fd_count` is in: capacity, out: received. Received descriptors are close-on-exec.
static inline ssize_t linux_send_fds(int fd, const void *bytes, size_t length, const int *fds, int fd_count, int flags) {
    char control[CMSG_SPACE(sizeof(int) * 64)];
    struct iovec io = {(void *)bytes, length};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    if (fd_count > 64) {
        errno = EINVAL;
        return -1;
    }
    if (fd_count > 0) {
        memset(control, 0, sizeof control);
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)fd_count);
    }
    return sendmsg(fd, &m, flags | MSG_NOSIGNAL);
}
static inline ssize_t linux_receive_fds(int fd, void *bytes, size_t capacity, int *fds, int *fd_count, int flags, int *message_flags) {
    char control[CMSG_SPACE(sizeof(int) * 64)];
    struct iovec io = {bytes, capacity};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int room = *fd_count;
    *fd_count = 0;
    ssize_t n = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC);
    if (n < 0) return n;
    if (message_flags) *message_flags = m.msg_flags;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)), *got = (int *)CMSG_DATA(c);
        for (int i = 0; i < count; i++) {
            if (*fd_count < room) fds[(*fd_count)++] = got[i];
            else close(got[i]);
        }
    }
    return n;
}
// The peer of a connected unix socket: 0 and its pid and uid, or -1.
static inline int linux_peer(int fd, int *pid, unsigned *uid) {
    struct ucred u;
    socklen_t n = sizeof u;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n)) return -1;
    *pid = u.pid;
    *uid = u.uid;
    return 0;
}
// bind(2) and connect(2) of a unix socket to a path; ENAMETOOLONG when it does not fit sun_path.
static inline int linux_unix_address(struct sockaddr_un *a, const char *path) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof a->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(a->sun_path, path);
    return 0;
}
static inline int linux_unix_bind(int fd, const char *path) {
    struct sockaddr_un a;
    return linux_unix_address(&a, path) ? -1 : bind(fd, (struct sockaddr *)&a, sizeof a);
}
static inline int linux_unix_connect(int fd, const char *path) {
    struct sockaddr_un a;
    return linux_unix_address(&a, path) ? -1 : connect(fd, (struct sockaddr *)&a, sizeof a);
}
// An abstract name is all of the address's length that follows a NUL (unix(7)).
static inline int linux_unix_connect_abstract(int fd, const char *name) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    if (n >= sizeof a.sun_path) { errno = ENAMETOOLONG; return -1; }
    memcpy(a.sun_path + 1, name, n);
    return connect(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}
// pidfd_getfd(2), Linux 5.6: a duplicate of another process's descriptor.
static inline int linux_pidfd_getfd(int pidfd, int fd) { return (int)syscall(438, pidfd, fd, 0); }
