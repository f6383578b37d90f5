// SPDX-License-Identifier: Apache-2.0
//
// The interpreter. It runs in the child of clone3(2), a copy of a process that may have had threads, so: raw system
// calls only, no allocation, no libc (a lock another thread held at the clone stays locked for ever). It decides
// nothing: an operation that fails is reported with its index and errno, and the child ends.

#include "CLaunch.h"
#include "init.h"
#include "raw.h"
#include "stub.h"
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/in.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <linux/un.h>
#include <signal.h>
#include <sys/socket.h>

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef O_PATH
#define O_PATH 010000000
#endif
#define MNT_DETACH_ 2
#define NR_pidfd_send_signal 424
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_clone3 435
#define NR_close_range 436
#define NR_openat2 437
#define NR_mount_setattr 442
#define NR_fchmodat2 452

struct run {
    const char *program;
    const struct launch_head *head;
    int slots[LAUNCH_SLOTS];
    int index;
};

struct new_mount_attr {
    uint64_t set, clear, propagation, userns;
};

static const char *text(struct run *r, uint32_t offset) { return offset ? r->program + offset : 0; }
static int slot(struct run *r, int n) { return n < 0 ? -1 : r->slots[n]; }
// A slot that is filled again lets go of what it had.
static void put(struct run *r, int n, int fd) {
    if (n < 0) return;
    if (r->slots[n] >= 0 && n >= (int)r->head->given_slots) RAW1(__NR_close, r->slots[n]);
    r->slots[n] = fd;
}

static void report(struct run *r, int kind, int error, int value, const int *fds, int count) {
    struct launch_report m = {kind, r->index, error, value, 0};
    struct iovec io = {&m, sizeof m};
    struct msghdr h;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 8)];
        struct cmsghdr align;
    } control;
    raw_zero(&h, sizeof h);
    h.msg_iov = &io;
    h.msg_iovlen = 1;
    if (count > 0) {
        raw_zero(&control, sizeof control);
        h.msg_control = control.bytes;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        raw_copy(control.bytes + CMSG_LEN(0), fds, sizeof(int) * (size_t)count);
    }
    RAW3(__NR_sendmsg, r->slots[r->head->sync_slot], &h, MSG_NOSIGNAL);
}

static __attribute__((noreturn)) void leave(int code) {
    for (;;) RAW1(__NR_exit_group, code);
}

static long open_in(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    long fd;
    int tries = 0;
    // EAGAIN: a rename raced with a `..` under RESOLVE_IN_ROOT (openat2(2)).
    do fd = RAW4(NR_openat2, directory, path, &how, sizeof how);
    while ((fd == -EAGAIN || fd == -EINTR) && ++tries < 128);
    return fd;
}

// A path inside the root of `root`; symbolic links stay inside, or are refused.
static long open_below(int root, const char *path, int flags, int no_links) {
    while (*path == '/') path++;
    return open_in(root, *path ? path : ".", (uint64_t)flags, 0, no_links ? RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS : RESOLVE_IN_ROOT);
}

// Walks to `path` below `root`, making each missing directory; gives an O_PATH descriptor of the last.
static long ensure_directory(int root, const char *path, unsigned mode) {
    char part[4096];
    long here = open_in(root, ".", O_PATH | O_DIRECTORY, 0, 0);
    size_t n = 0;
    while (here >= 0) {
        while (*path == '/') path++;
        if (!*path) return here;
        // The prefix so far is walked anew from the root each time, so that links on the way stay inside.
        while (*path && *path != '/') {
            if (n + 2 >= sizeof part) {
                RAW1(__NR_close, here);
                return -ENAMETOOLONG;
            }
            part[n++] = *path++;
        }
        part[n] = 0;
        long next = open_below(root, part, O_PATH | O_DIRECTORY, 0);
        if (next == -ENOENT) {
            size_t start = n;
            while (start > 0 && part[start - 1] != '/') start--;
            long made = RAW3(__NR_mkdirat, here, part + start, mode);
            if (made < 0 && made != -EEXIST) {
                RAW1(__NR_close, here);
                return made;
            }
            next = open_below(root, part, O_PATH | O_DIRECTORY, 0);
        }
        RAW1(__NR_close, here);
        here = next;
        part[n++] = '/';
    }
    return here;
}

static long ensure_file(int root, const char *path) {
    char parent[4096];
    size_t n = raw_length(path), cut = n;
    while (cut > 0 && path[cut - 1] != '/') cut--;
    if (n >= sizeof parent) return -ENAMETOOLONG;
    raw_copy(parent, path, cut);
    parent[cut] = 0;
    long directory = ensure_directory(root, parent, 0755);
    if (directory < 0) return directory;
    long fd = RAW4(__NR_openat, directory, path + cut, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    RAW1(__NR_close, directory);
    if (fd < 0) return fd;
    RAW1(__NR_close, fd);
    return 0;
}

static long fsmount_(struct run *r, const struct launch_operation *o) {
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

static long move(int from, int to) { return RAW5(NR_move_mount, from, "", to, "", 0x4 | 0x40); }

static long attach(struct run *r, const struct launch_operation *o) {
    int root = slot(r, o->slot2);
    const char *path = text(r, o->text[0]);
    long to = open_below(root, path, O_PATH, o->flags & 4);
    if (to == -ENOENT && o->flags & 1) to = ensure_directory(root, path, 0755);
    if (to == -ENOENT && o->flags & 2) {
        to = ensure_file(root, path);
        if (to >= 0) to = open_below(root, path, O_PATH, o->flags & 4);
    }
    if (to < 0) return to;
    if (o->flags & 8) {
        // A mount over a file of procfs would be what the kernel's and our own writes land in (CVE-2019-16884).
        long type[16];
        raw_zero(type, sizeof type);
        long s = RAW2(__NR_fstatfs, to, type);
        if (s >= 0 && type[0] == 0x9fa0 /* PROC_SUPER_MAGIC */) s = -EPERM;
        if (s < 0) {
            RAW1(__NR_close, to);
            return s;
        }
    }
    long e = move(slot(r, o->slot), (int)to);
    RAW1(__NR_close, to);
    return e;
}

static long remount_attributes(int fd, uint64_t set, uint64_t clear, uint64_t propagation, int recursive) {
    struct new_mount_attr a = {set, clear, propagation, 0};
    return RAW5(NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof a);
}

static long clone_tree(int from, const char *path, int recursive, int no_follow) {
    return RAW3(NR_open_tree, from, path,
        1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) | (recursive ? AT_RECURSIVE : 0) | (no_follow ? 0x100 : 0));
}

static long readonly_path(struct run *r, const struct launch_operation *o) {
    long at = open_below(slot(r, o->slot2), text(r, o->text[0]), O_PATH, 1);
    if (at == -ENOENT) return 0;
    if (at < 0) return at;
    long tree = clone_tree((int)at, "", 1, 0), e = tree;
    if (e >= 0) e = remount_attributes((int)tree, MOUNT_ATTR_RDONLY, 0, 0, 1);
    if (e >= 0) e = move((int)tree, (int)at);
    if (tree >= 0) RAW1(__NR_close, tree);
    RAW1(__NR_close, at);
    return e;
}

// The kernel's stat in the form both architectures share.
static long file_type(int fd, unsigned *mode, unsigned *major, unsigned *minor) {
    struct statx s;
    raw_zero(&s, sizeof s);
    long e = RAW5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &s);
    *mode = s.stx_mode;
    *major = s.stx_rdev_major;
    *minor = s.stx_rdev_minor;
    return e;
}

static long mask_path(struct run *r, const struct launch_operation *o) {
    long at = open_below(slot(r, o->slot2), text(r, o->text[0]), O_PATH, 1);
    if (at == -ENOENT) return 0;
    if (at < 0) return at;
    unsigned mode, major, minor;
    long e = file_type((int)at, &mode, &major, &minor);
    int cover = slot(r, (mode & 0170000) == 0040000 ? o->slot : o->slot3);
    if (e >= 0 && (mode & 0170000) != 0040000) {
        // The cover is the real null device or nothing is covered (CVE-2025-31133).
        e = file_type(cover, &mode, &major, &minor);
        if (e >= 0 && ((mode & 0170000) != 0020000 || major != 1 || minor != 3)) e = -ENODEV;
    }
    if (e >= 0) {
        long tree = clone_tree(cover, "", 0, 0);
        // Before 6.15 a mount that hangs nowhere can't be cloned: the empty directory itself covers the first path,
        // and is then cloned from there (check_mnt in __do_loopback, fs/namespace.c).
        e = tree == -EINVAL ? move(cover, (int)at) : tree < 0 ? tree : move((int)tree, (int)at);
        if (tree >= 0) RAW1(__NR_close, tree);
    }
    RAW1(__NR_close, at);
    return e;
}

static long write_file(struct run *r, const struct launch_operation *o) {
    int below = slot(r, o->slot2);
    const char *path = text(r, o->text[0]);
    // A path below a descriptor is one of the kernel's own files: no link, no other mount on the way (CVE-2025-52881).
    long fd = below >= 0 ? open_in(below, path, O_WRONLY, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)
                         : open_in(AT_FDCWD, path, O_WRONLY, 0, 0);
    if (fd == -ENOENT && o->flags & 1) return 0;
    long e = fd;
    if (fd >= 0) {
        e = RAW3(__NR_write, fd, r->program + o->blob, o->blob_size);
        RAW1(__NR_close, fd);
    }
    return o->flags & 2 ? 0 : e;
}

static long netlink(struct run *r, const struct launch_operation *o) {
    static char copy[32768], reply[8192];
    long s = RAW3(__NR_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, o->n[0]), e = 0;
    if (s < 0) return s;
    if (o->blob_size > sizeof copy) { RAW1(__NR_close, s); return -EMSGSIZE; }
    raw_copy(copy, r->program + o->blob, o->blob_size);
    unsigned link = 0;
    if (o->text[0]) {
        struct ifreq q;
        raw_zero(&q, sizeof q);
        const char *name = text(r, o->text[0]);
        size_t n = raw_length(name);
        raw_copy(q.ifr_name, name, n < IFNAMSIZ - 1 ? n : IFNAMSIZ - 1);
        long d = RAW3(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (d < 0) e = d;
        else {
            e = RAW3(__NR_ioctl, d, SIOCGIFINDEX, &q);
            RAW1(__NR_close, d);
            link = (unsigned)q.ifr_ifindex;
        }
    }
    int expected = 0;
    for (uint32_t at = 0; e >= 0 && at < o->blob_size;) {
        struct nlmsghdr *h = (struct nlmsghdr *)(copy + at);
        if (h->nlmsg_flags & NLM_F_ACK) expected++;
        // ifinfomsg and ifaddrmsg both have the link's index 4 bytes in.
        if (link && h->nlmsg_len >= NLMSG_HDRLEN + 8) {
            unsigned *index = (unsigned *)(copy + at + NLMSG_HDRLEN + 4);
            if (*index == 0xffffffffu) *index = link;
        }
        at += NLMSG_ALIGN(h->nlmsg_len);
    }
    if (e >= 0) e = RAW(__NR_sendto, s, copy, o->blob_size, 0, 0, 0);
    while (e >= 0 && expected > 0) {
        long n = RAW(__NR_recvfrom, s, reply, sizeof reply, 0, 0, 0);
        if (n == -EINTR) continue;
        if (n <= 0) { e = n ? n : -EPIPE; break; }
        for (long at = 0; at + (long)sizeof(struct nlmsghdr) <= n;) {
            struct nlmsghdr *h = (struct nlmsghdr *)(reply + at);
            if (h->nlmsg_type == NLMSG_ERROR) {
                int code = ((struct nlmsgerr *)(reply + at + NLMSG_HDRLEN))->error;
                expected--;
                if (code < 0 && e >= 0) e = code;
            }
            if (h->nlmsg_len < sizeof *h) break;
            at += NLMSG_ALIGN(h->nlmsg_len);
        }
    }
    RAW1(__NR_close, s);
    return e;
}

static long socket_(struct run *r, const struct launch_operation *o) {
    long s = RAW3(__NR_socket, AF_INET, (long)o->n[0] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return s;
    struct sockaddr_in a;
    raw_zero(&a, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = (uint32_t)o->n[1];
    a.sin_port = (uint16_t)((o->n[2] & 0xff) << 8 | (o->n[2] >> 8 & 0xff));
    long e = RAW3(__NR_bind, s, &a, sizeof a);
    if (e >= 0 && o->n[0] == SOCK_STREAM) e = RAW2(__NR_listen, s, 64);
    if (e < 0) {
        RAW1(__NR_close, s);
        return e;
    }
    put(r, o->slot, (int)s);
    return 0;
}

static long send_slots(struct run *r, const struct launch_operation *o) {
    int fds[8], count = 0;
    for (uint32_t i = 0; i < o->blob_size; i += 4) {
        int32_t s;
        raw_copy(&s, r->program + o->blob + i, 4);
        fds[count++] = r->slots[s];
    }
    report(r, REPORT_TAG, 0, (int)o->n[0], fds, count);
    return 0;
}

static long await_tag(struct run *r, int32_t wanted) {
    int32_t tag = -1;
    long n;
    // read(2), which also filters that refuse sockets let through.
    do n = RAW3(__NR_read, slot(r, r->head->sync_slot), &tag, sizeof tag);
    while (n == -EINTR);
    // Nobody there any more, or a no: the child was not wanted.
    if (n != sizeof tag || tag != wanted) leave(127);
    return 0;
}

static long clone_again(struct run *r, uint64_t flags) {
    // CLONE_PARENT: the keeper becomes its parent, and the exit signal is inherited (clone(2)). Plain clone(2), because
    // the default seccomp profile answers ENOSYS to clone3(2).
    long pid = RAW5(__NR_clone, CLONE_PARENT | flags, 0, 0, 0, 0);
    if (pid <= 0) return pid;
    report(r, REPORT_BORN, 0, (int)pid, 0, 0);
    leave(0);
}

// Becomes pid 1's program (init.c); the rest of this one runs in its only child.
static void be_init(struct run *r) {
    uint64_t all = ~0ull, old;
    RAW4(__NR_rt_sigprocmask, SIG_BLOCK, &all, &old, 8);
    long child = RAW5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        RAW4(__NR_rt_sigprocmask, SIG_SETMASK, &old, 0, 8);
        return;
    }
    if (child < 0) {
        report(r, REPORT_FAILED, (int)-child, 0, 0, 0);
        leave(127);
    }
    covey_be_init(child);
}

static long capabilities(const struct launch_operation *o) {
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

static long bounding(uint64_t keep) {
    for (int c = 0; c < 64; c++) {
        if (keep >> c & 1) continue;
        long e = RAW5(__NR_prctl, PR_CAPBSET_DROP, c, 0, 0, 0);
        if (e == -EINVAL) return 0;  // past the last capability this kernel has
        if (e < 0) return e;
    }
    return 0;
}

static long pty(struct run *r, const struct launch_operation *o) {
    long master = open_below(slot(r, o->slot2), "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 1);
    if (master < 0) return master;
    int unlock = 0;
    long e = RAW3(__NR_ioctl, master, TIOCSPTLCK, &unlock);
    if (e < 0) return e;
    long slave = RAW3(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) return slave;
    if (o->n[0] && o->n[1]) {
        unsigned short size[4] = {(unsigned short)o->n[0], (unsigned short)o->n[1], 0, 0};
        RAW3(__NR_ioctl, slave, TIOCSWINSZ, size);
    }
    put(r, o->slot, (int)master);
    put(r, o->slot3, (int)slave);
    return 0;
}

static long reset_signals(void) {
    // The kernel's own struct sigaction: handler, flags, restorer, mask; all zero is SIG_DFL.
    uint64_t action[4] = {0, 0, 0, 0}, none = 0;
    for (int s = 1; s <= 64; s++)
        if (s != SIGKILL && s != SIGSTOP) RAW4(__NR_rt_sigaction, s, action, 0, 8);
    return RAW4(__NR_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
}

static long change_directory(const char *path) {
    static char where[4096];
    long e = RAW1(__NR_chdir, path);
    if (e < 0) return e;
    e = RAW2(__NR_getcwd, where, sizeof where);
    // "(unreachable)…": a directory outside this root (CVE-2024-21626).
    if (e >= 0 && where[0] != '/') return -ENOENT;
    return e;
}

static long close_others(struct run *r, uint64_t first) {
    unsigned from = first > 3 ? (unsigned)first : 3;
    for (;;) {
        unsigned next = ~0u;
        for (int i = 0; i < LAUNCH_SLOTS; i++)
            if (r->slots[i] >= (int)from && (unsigned)r->slots[i] < next) next = (unsigned)r->slots[i];
        if (next > from) {
            long e = RAW3(NR_close_range, from, next == ~0u ? ~0u : next - 1, 0);
            if (e < 0) return e;
        }
        if (next == ~0u) return 0;
        from = next + 1;
    }
}

static long duplicate(struct run *r, const struct launch_operation *o) {
    long fd = slot(r, o->slot);
    if (o->slot < 0 && o->flags & 1) {
        fd = open_below(slot(r, o->slot2), "/dev/null", O_RDWR, 1);
        if (fd < 0) return fd;
    }
    if (fd == (long)o->n[0]) return RAW3(__NR_fcntl, fd, F_SETFD, 0);
    return RAW3(__NR_dup3, fd, o->n[0], 0);
}

static long groups(struct run *r, const struct launch_operation *o) {
    return RAW2(__NR_setgroups, o->blob_size / 4, o->blob_size ? r->program + o->blob : 0);
}

static long seccomp(struct run *r, const struct launch_operation *o) {
    struct sock_fprog p = {(unsigned short)(o->blob_size / 8), (struct sock_filter *)(r->program + o->blob)};
    long fd = RAW3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, o->n[0] | (o->slot >= 0 ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0), &p);
    if (fd < 0 || o->slot < 0) return fd;
    put(r, o->slot, (int)fd);
    // The filter holds already: write(2) is the one call made under it, the parent fetches the descriptor itself.
    struct launch_report m = {REPORT_TAG, r->index, 0, (int)o->n[1], (int)fd};
    fd = RAW3(__NR_write, r->slots[r->head->sync_slot], &m, sizeof m);
    return fd < 0 ? fd : await_tag(r, (int32_t)o->n[1]);
}

static long rlimit(const struct launch_operation *o) {
    uint64_t limit[2] = {o->n[1], o->n[2]}, now[2];
    long e = RAW4(__NR_prlimit64, 0, o->n[0], limit, 0);
    if (e != -EPERM || !(o->flags & 1)) return e;
    e = RAW4(__NR_prlimit64, 0, o->n[0], 0, now);
    if (e < 0) return e;
    if (limit[1] > now[1]) limit[1] = now[1];
    if (limit[0] > limit[1]) limit[0] = limit[1];
    return RAW4(__NR_prlimit64, 0, o->n[0], limit, 0);
}

static long executable(const char *path) {
    struct statx s;
    long e = RAW5(__NR_statx, AT_FDCWD, path, 0, STATX_TYPE, &s);
    return e < 0 ? e : (s.stx_mode & 0170000) == 0040000 ? -EACCES : RAW3(__NR_faccessat, AT_FDCWD, path, 1 /* X_OK */);
}

// The stub's own image in memory nobody can write any more. MFD_EXEC is of Linux 6.3.
static long make_stub(struct run *r, const struct launch_operation *o) {
    static char image[1024];
    size_t size = (size_t)(covey_stub_end - covey_stub), words = (size_t)(covey_stub_words - covey_stub);
    if (size > sizeof image) return -ENOMEM;
    long fd = RAW2(__NR_memfd_create, "stub", 1 | 2 | 0x10 /* MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC */);
    if (fd == -EINVAL) fd = RAW2(__NR_memfd_create, "stub", 1 | 2);
    if (fd == -ENOSYS || fd == -EACCES || fd == -EPERM) return 0;
    if (fd < 0) return fd;
    int32_t numbers[2] = {r->slots[r->head->sync_slot], (int32_t)r->head->operation_count - 1};
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

static long exec_(struct run *r, const struct launch_operation *o) {
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
    long e = -ENOENT;
    p = candidates;
    for (uint64_t i = 0; i < o->n[0]; i++, p += raw_length(p) + 1) {
        long x;
        if (stub < 0) {
            x = RAW3(__NR_execve, p, pointers + 1, environment);
        } else {
            x = executable(p);
            if (x >= 0) {
                pointers[0] = p;
                RAW3(__NR_fcntl, sync, F_SETFD, 0);
                x = RAW5(__NR_execveat, stub, "", pointers, environment, AT_EMPTY_PATH);
                RAW3(__NR_fcntl, sync, F_SETFD, FD_CLOEXEC);
                // A filter of the user's own that knows no execveat(2): it is theirs to say what may be executed how.
                if (x == -EPERM || x == -ENOSYS) x = RAW3(__NR_execve, p, pointers + 1, environment);
            }
        }
        if (x != -ENOENT && x != -ENOTDIR) e = x;
        if (x != -ENOENT && x != -ENOTDIR && x != -EACCES) break;
    }
    return e;
}

// MS_MOVE over / and chroot(2): where the root is a ramfs, which can't be pivoted away (pivot_root(2), NOTES).
static long move_root(struct run *r, const struct launch_operation *o) {
    long e = RAW5(NR_move_mount, slot(r, o->slot), "", AT_FDCWD, "/", 0x4);
    if (e >= 0) e = RAW1(__NR_chroot, ".");
    return e < 0 ? e : RAW1(__NR_chdir, "/");
}

// The last name of a path and an open directory that has it, both inside the root; makes missing parents.
static long open_parent(int root, const char *path, const char **name) {
    char parent[4096];
    size_t n = raw_length(path), cut = n;
    while (cut > 0 && path[cut - 1] != '/') cut--;
    if (cut >= sizeof parent) return -ENAMETOOLONG;
    if (cut == n) return -EINVAL;
    raw_copy(parent, path, cut);
    parent[cut] = 0;
    *name = path + cut;
    return ensure_directory(root, parent, 0755);
}

static long device(struct run *r, const struct launch_operation *o) {
    const char *name = 0;
    long directory = open_parent(slot(r, o->slot2), text(r, o->text[0]), &name);
    if (directory < 0) return directory;
    unsigned major = (unsigned)(o->n[1] >> 8 & 0xfff), minor = (unsigned)((o->n[1] & 0xff) | (o->n[1] >> 12 & 0xfff00));
    long e = RAW4(__NR_mknodat, directory, name, o->n[0], o->n[1]);
    if (e == -EPERM && o->flags & 1) {
        // In a user namespace of its own no device can be made: the host's is mounted there.
        long fd = RAW4(__NR_openat, directory, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        long tree = fd < 0 ? fd : clone_tree(AT_FDCWD, text(r, o->text[1]), 0, 0);
        e = tree < 0 ? tree : move((int)tree, (int)fd);
        if (tree >= 0) RAW1(__NR_close, tree);
        if (fd >= 0) RAW1(__NR_close, fd);
        RAW1(__NR_close, directory);
        return e;
    }
    long node = e >= 0 || e == -EEXIST ? open_in((int)directory, name, O_PATH | O_NOFOLLOW, 0, 0) : e;
    if (e == -EEXIST && node >= 0) {
        unsigned mode, there_major, there_minor;
        e = file_type((int)node, &mode, &there_major, &there_minor);
        if (e >= 0 && ((mode & 0170000) != (o->n[0] & 0170000) || ((mode & 0170000) != 0010000 && (major != there_major || minor != there_minor))))
            e = -EEXIST;
    }
    if (node < 0) e = node;
    if (e >= 0) e = RAW5(__NR_fchownat, node, "", o->n[2] >> 32, o->n[2] & 0xffffffffu, AT_EMPTY_PATH);
    // chmod(2) follows no link here: the node was just seen to be none, in a directory that only this process has.
    if (e >= 0) e = RAW3(__NR_fchmodat, directory, name, o->n[0] & 07777);
    if (node >= 0) RAW1(__NR_close, node);
    RAW1(__NR_close, directory);
    return e;
}

static long ambient(uint64_t set) {
    for (int c = 0; c < 64; c++) {
        if (!(set >> c & 1)) continue;
        long e = RAW5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
        if (e < 0) return e;
    }
    return 0;
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

static long hook(struct run *r, const struct launch_operation *o) {
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
        if (e >= 0) e = RAW3(__NR_execve, path, pointers, environment);
        report(r, REPORT_FAILED, (int)-e, 0, 0, 0);
        leave(127);
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
    report(r, REPORT_FAILED, 0, status, 0, 0);
    leave(127);
}

static long wait_start(int fifo) {
    char byte;
    long n;
    do n = RAW3(__NR_read, fifo, &byte, 1);
    while (n == -EINTR);
    return n == 1 ? 0 : n < 0 ? n : -EPIPE;
}

static long find(struct run *r, const struct launch_operation *o) {
    const char *p = r->program + o->blob;
    long e = -ENOENT;
    for (uint64_t i = 0; i < o->n[0]; i++, p += raw_length(p) + 1) {
        long x = executable(p);
        if (x >= 0) return 0;
        if (x != -ENOENT && x != -ENOTDIR) e = x;
    }
    return e;
}

static long step(struct run *r, const struct launch_operation *o) {
    long fd;
    switch (o->code) {
    case L_PROPAGATION: return RAW5(__NR_mount, 0, text(r, o->text[0]), 0, o->n[0], 0);
    case L_FSMOUNT: return fsmount_(r, o);
    case L_OPEN_TREE:
        fd = clone_tree(o->slot2 < 0 ? AT_FDCWD : slot(r, o->slot2), o->text[0] ? text(r, o->text[0]) : "", o->flags & 1, o->flags & 2);
        if (fd >= 0) put(r, o->slot, (int)fd);
        return fd;
    case L_MOUNT_ATTR: return remount_attributes(slot(r, o->slot), o->n[0], o->n[1], o->n[2], o->flags & 1);
    case L_ATTACH: return attach(r, o);
    case L_ATTACH_HOST: return RAW5(NR_move_mount, slot(r, o->slot), "", AT_FDCWD, text(r, o->text[0]), 0x4);
    case L_LEGACY_MOUNT:
        fd = RAW5(__NR_mount, text(r, o->text[0]), text(r, o->text[1]), text(r, o->text[2]), o->n[0], o->blob_size ? r->program + o->blob : 0);
        if (fd < 0) return fd;
        fd = open_in(AT_FDCWD, text(r, o->text[1]), O_PATH | O_DIRECTORY, 0, 0);
        if (fd >= 0) put(r, o->slot, (int)fd);
        return fd;
    case L_READONLY_PATH: return readonly_path(r, o);
    case L_MASK_PATH: return mask_path(r, o);
    case L_MKNOD:
        if (o->flags & 1) RAW3(__NR_unlinkat, slot(r, o->slot), text(r, o->text[0]), 0);
        fd = RAW4(__NR_mknodat, slot(r, o->slot), text(r, o->text[0]), o->n[0], o->n[1]);
        if (fd >= 0 && o->flags & 1)
            fd = RAW5(__NR_fchownat, slot(r, o->slot), text(r, o->text[0]), o->n[2] & 0xffffffff, o->n[2] >> 32, 0x100);
        return fd < 0 ? fd : RAW3(__NR_fchmodat, slot(r, o->slot), text(r, o->text[0]), o->n[0] & 07777);
    case L_MKDIR:
        fd = RAW3(__NR_mkdirat, slot(r, o->slot), text(r, o->text[0]), o->n[0]);
        return fd == -EEXIST ? 0 : fd;
    case L_SYMLINK:
        fd = RAW3(__NR_symlinkat, text(r, o->text[0]), slot(r, o->slot), text(r, o->text[1]));
        return fd == -EEXIST ? 0 : fd;
    case L_ENSURE_DIRECTORY:
        fd = ensure_directory(slot(r, o->slot2), text(r, o->text[0]), (unsigned)o->n[0]);
        if (fd >= 0) RAW1(__NR_close, fd);
        return fd;
    case L_OPEN:
        fd = open_in(o->slot2 < 0 ? AT_FDCWD : slot(r, o->slot2), text(r, o->text[0]), o->n[0], o->n[1], o->n[2]);
        if (fd >= 0) put(r, o->slot, (int)fd);
        return fd;
    case L_WRITE: return write_file(r, o);
    case L_PIVOT:
        fd = RAW1(__NR_fchdir, slot(r, o->slot));
        if (o->flags & 1) return fd < 0 ? fd : move_root(r, o);
        if (fd >= 0) fd = RAW2(__NR_pivot_root, ".", ".");  // pivot_root(2), NOTES: no put_old needed
        if (fd >= 0) fd = RAW2(__NR_umount2, ".", MNT_DETACH_);
        if (fd >= 0) fd = RAW1(__NR_chdir, "/");
        return fd;
    case L_HOSTNAME: return RAW2(o->flags & 1 ? __NR_setdomainname : __NR_sethostname, text(r, o->text[0]), raw_length(text(r, o->text[0])));
    case L_NETLINK: return netlink(r, o);
    case L_SOCKET: return socket_(r, o);
    case L_SEND: return send_slots(r, o);
    case L_TELL: report(r, REPORT_TAG, 0, (int)o->n[0], 0, 0); return 0;
    case L_AWAIT: return await_tag(r, (int32_t)o->n[0]);
    case L_JOIN: return RAW2(__NR_setns, slot(r, o->slot), o->n[0]);
    case L_CLONE: return clone_again(r, o->n[0]);
    case L_RLIMIT: return rlimit(o);
    case L_UMASK: RAW1(__NR_umask, o->n[0]); return 0;
    case L_GROUPS: return groups(r, o);
    case L_IDENTITY:
        fd = RAW3(__NR_setresgid, o->n[1], o->n[1], o->n[1]);
        return fd < 0 ? fd : RAW3(__NR_setresuid, o->n[0], o->n[0], o->n[0]);
    case L_BOUNDING: return bounding(o->n[0]);
    case L_CAPABILITIES: return capabilities(o);
    case L_KEEP_CAPABILITIES: return RAW5(__NR_prctl, PR_SET_KEEPCAPS, o->n[0], 0, 0, 0);
    case L_SETSID: return RAW0(__NR_setsid);
    case L_PTY: return pty(r, o);
    case L_CONTROLLING_TTY: return RAW3(__NR_ioctl, slot(r, o->slot), TIOCSCTTY, 0);
    case L_RESET_SIGNALS: return reset_signals();
    case L_NO_NEW_PRIVILEGES: return RAW5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case L_SECCOMP: return seccomp(r, o);
    case L_DUMPABLE: return RAW5(__NR_prctl, PR_SET_DUMPABLE, o->n[0], 0, 0, 0);
    case L_PARENT_DEATH: return RAW5(__NR_prctl, PR_SET_PDEATHSIG, o->n[0], 0, 0, 0);
    case L_CHDIR: return change_directory(text(r, o->text[0]));
    case L_DUPLICATE: return duplicate(r, o);
    case L_CLOSE_OTHERS: return close_others(r, o->n[0]);
    case L_CLOSE_ON_EXEC: return RAW3(NR_close_range, o->n[0], ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    case L_INIT: be_init(r); return 0;
    case L_EXEC: return exec_(r, o);
    case L_EXIT: leave((int)o->n[0]);
    case L_DEVICE: return device(r, o);
    case L_AMBIENT: return ambient(o->n[0]);
    case L_KEYRING:
        fd = RAW2(__NR_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, text(r, o->text[0]));
        return fd == -ENOSYS || fd == -EPERM || fd == -EDQUOT ? 0 : fd;
    case L_SCHEDULER: return RAW3(__NR_sched_setattr, 0, r->program + o->blob, 0);
    case L_IO_PRIORITY: return RAW3(__NR_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, o->n[0]);
    case L_AFFINITY: return RAW3(__NR_sched_setaffinity, 0, o->blob_size, r->program + o->blob);
    case L_PERSONALITY: return RAW1(__NR_personality, o->n[0]);
    case L_HOOK: return hook(r, o);
    case L_WAIT_START: return wait_start(slot(r, o->slot));
    case L_FIND: return find(r, o);
    case L_OWNER:
        fd = RAW3(__NR_fchown, slot(r, o->slot), o->n[0], o->n[1]);
        return o->flags & 1 ? 0 : fd;
    case L_STUB: return make_stub(r, o);
    case L_UNSHARE: return RAW1(__NR_unshare, o->n[0]);
    case L_WRITE_SLOT: return RAW3(__NR_write, slot(r, o->slot), r->program + o->blob, o->blob_size);
    }
    return -EINVAL;
}

static __attribute__((noreturn)) void interpret(struct run *r) {
    const struct launch_operation *o = (const struct launch_operation *)(r->program + r->head->operations);
    for (uint32_t i = 0; i < r->head->operation_count; i++) {
        r->index = (int)i;
        long e = step(r, o + i);
        if (e < 0) {
            report(r, REPORT_FAILED, (int)-e, 0, 0, 0);
            leave(127);
        }
    }
    leave(0);
}

int covey_launch(const void *program, const int *given, int *pidfd) {
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
    long pid = RAW2(NR_clone3, &a, sizeof a);
    if (pid == 0) interpret(&r);
    if (home >= 0) {
        // One's own namespace is always allowed; whoever can't come back must clone nothing more.
        if (RAW2(__NR_setns, home, CLONE_NEWPID) < 0) leave(126);
        RAW1(__NR_close, home);
    }
    return (int)pid;
}
