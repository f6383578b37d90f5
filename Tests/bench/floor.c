// SPDX-License-Identifier: Apache-2.0
//
// floor: how fast this kernel lets anybody bring N containers up, and take them down again.
//
//   floor up N ROOTFS WORK     bridge, then N containers set up in parallel; returns when all have exec'ed
//   floor down WORK            SIGTERM to all, wait, links, cgroups, directories; returns when nothing is left
//   floor run ROOTFS           one container of /bin/true with ROOTFS as its root, to its end: what an OCI runtime's `run` does
//   floor sweep                removes the cgroups that runs killed an hour ago or earlier left
//   floor time COMMAND…        whole-process wall time of a command, in milliseconds (spawn to reaped)
//
// A bare C program with the work a container needs and nothing else: no YAML, no state files, no log capture, no
// name service, no nf_tables, no seccomp. Tests/bench/stack measures Covey against it, in turn, in one run.
// Each container: mount, pid, uts, ipc, cgroup and net namespaces; overlay root; /proc, /dev, /dev/pts, /dev/shm,
// /dev/mqueue; memory, cpu and pids cgroups; a veth into the bridge with address and default route.
//
// The orders are the fastest known: nobody waits for a child before all are cloned; each veth is made right after
// its clone with the peer placed by IFLA_NET_NS_PID; on cgroup v1 the child writes 0 to `tasks` (a parent that
// writes `cgroup.procs` pays an RCU grace period), on v2 CLONE_INTO_CGROUP; one RTM_DELLINK by link group ends all
// links in one grace period. Run it as root in a network namespace of its own.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 500, GROUP = 0x0f1002 };
// Another one where the bench runs with real-time priority (common.bash).
#ifndef CPU_CONTROLLER
#define CPU_CONTROLLER "cpu"
#endif
static const char *const controllers[] = {"memory", CPU_CONTROLLER, "pids"};
static const char *const service[] = {
    "/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done", NULL};
static const char *const environment[] = {"PATH=/bin", NULL};

static _Noreturn void die(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(99);
}
static void makedir(const char *path) {
    if (mkdir(path, 0755) && errno != EEXIST) die(path);
}
static void put_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) die(path);
    close(fd);
}

// ---- rtnetlink(7), one request and its answer at a time

struct request {
    struct nlmsghdr header;
    char body[1024];
};
static struct rtattr *add(struct request *q, int type, const void *data, int length) {
    struct rtattr *a = (void *)((char *)q + NLMSG_ALIGN(q->header.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(length);
    if (length) memcpy(RTA_DATA(a), data, length);
    q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}
static void end(struct request *q, struct rtattr *a) { a->rta_len = (char *)q + q->header.nlmsg_len - (char *)a; }
static struct request begin(int type, int flags, int fixed) {
    struct request q = {0};
    q.header.nlmsg_len = NLMSG_LENGTH(fixed);
    q.header.nlmsg_type = type;
    q.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    return q;
}
static int open_netlink(void) {
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (s < 0) die("netlink socket");
    return s;
}
static int ask(int s, struct request *q) {
    char answer[4096];
    if (send(s, q, q->header.nlmsg_len, 0) < 0) die("netlink send");
    if (recv(s, answer, sizeof answer, 0) < 0) die("netlink recv");
    struct nlmsghdr *h = (void *)answer;
    struct nlmsgerr *e = NLMSG_DATA(h);
    errno = h->nlmsg_type == NLMSG_ERROR ? -e->error : 0;
    return errno ? -1 : 0;
}
static void must(int s, struct request *q, const char *what) {
    if (ask(s, q)) die(what);
}
static void link_up(int s, int index) {
    struct request q = begin(RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
    struct ifinfomsg *i = NLMSG_DATA(&q.header);
    i->ifi_index = index;
    i->ifi_flags = i->ifi_change = IFF_UP;
    must(s, &q, "link up");
}
static void address(int s, int index, uint32_t host_order) {
    struct request q = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ifaddrmsg));
    struct ifaddrmsg *m = NLMSG_DATA(&q.header);
    m->ifa_family = AF_INET;
    m->ifa_prefixlen = 16;
    m->ifa_index = index;
    uint32_t a = htonl(host_order);
    add(&q, IFA_LOCAL, &a, 4);
    add(&q, IFA_ADDRESS, &a, 4);
    must(s, &q, "address");
}
static void default_route(int s, uint32_t gateway) {
    struct request q = begin(RTM_NEWROUTE, NLM_F_CREATE, sizeof(struct rtmsg));
    struct rtmsg *m = NLMSG_DATA(&q.header);
    m->rtm_family = AF_INET;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_STATIC;
    m->rtm_type = RTN_UNICAST;
    uint32_t a = htonl(gateway);
    add(&q, RTA_GATEWAY, &a, 4);
    must(s, &q, "default route");
}
static const uint32_t gateway = 10u << 24 | 199u << 16 | 1;

static int make_bridge(int s) {
    struct request q = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    struct ifinfomsg *i = NLMSG_DATA(&q.header);
    i->ifi_flags = i->ifi_change = IFF_UP;
    int group = GROUP;
    add(&q, IFLA_IFNAME, "floor0", 7);
    add(&q, IFLA_GROUP, &group, 4);
    struct rtattr *info = add(&q, IFLA_LINKINFO, 0, 0);
    add(&q, IFLA_INFO_KIND, "bridge", 6);
    end(&q, info);
    must(s, &q, "bridge");
    int index = if_nametoindex("floor0");
    address(s, index, gateway);
    return index;
}
static void make_veth(int s, int bridge, int number, pid_t peer) {
    struct request q = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    struct ifinfomsg *i = NLMSG_DATA(&q.header);
    i->ifi_flags = i->ifi_change = IFF_UP;
    char name[16];
    int group = GROUP;
    snprintf(name, sizeof name, "floor%d", number + 1);
    add(&q, IFLA_IFNAME, name, strlen(name) + 1);
    add(&q, IFLA_MASTER, &bridge, 4);
    add(&q, IFLA_GROUP, &group, 4);
    struct rtattr *info = add(&q, IFLA_LINKINFO, 0, 0);
    add(&q, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = add(&q, IFLA_INFO_DATA, 0, 0), *other = add(&q, VETH_INFO_PEER, 0, 0);
    q.header.nlmsg_len += NLMSG_ALIGN(sizeof(struct ifinfomsg));
    add(&q, IFLA_IFNAME, "eth0", 5);
    add(&q, IFLA_NET_NS_PID, &peer, 4);
    end(&q, other);
    end(&q, data);
    end(&q, info);
    must(s, &q, "veth");
}

// ---- cgroups: `coveyfloor-ID/K` in v2 or in three v1 hierarchies; ID is the work directory's, so that two runs at
// once do not meet

static int unified(void) {
    struct statfs f;
    return statfs("/sys/fs/cgroup", &f) == 0 && f.f_type == CGROUP2_SUPER_MAGIC;
}
static unsigned long work_id;
static void know_work(const char *work) {
    struct stat status;
    if (stat(work, &status)) die(work);
    work_id = status.st_ino;
}
static int cgroup_path(char *to, size_t size, int v2, int controller, int number, const char *file) {
    int n = snprintf(to, size, "/sys/fs/cgroup%s%s/coveyfloor-%lu", v2 ? "" : "/",
                     v2 ? "" : controllers[controller], work_id);
    if (number >= 0) n += snprintf(to + n, size - n, "/%d", number);
    return n + snprintf(to + n, size - n, "%s%s", *file ? "/" : "", file);
}
static void remove_cgroup(const char *path) {
    // A group counts as busy until the last zombie in it has been let go: for as short as that, again.
    for (int tries = 0; rmdir(path) && tries < 40000; tries++) {
        if (errno != EBUSY) die(path);
        usleep(50);
    }
}

// ---- one container's own side

// /proc, /dev and what is in it below the working directory, which becomes the root.
static void furnish(void) {
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)) die("/proc");
    if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")) die("/dev");
    static const struct {
        const char *path;
        int major, minor;
    } nodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
                 {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
    umask(0);
    for (unsigned k = 0; k < sizeof nodes / sizeof *nodes; k++)
        if (mknod(nodes[k].path, S_IFCHR | 0666, makedev(nodes[k].major, nodes[k].minor))) die(nodes[k].path);
    makedir("dev/pts"), makedir("dev/shm"), makedir("dev/mqueue");
    if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"))
        die("/dev/pts");
    if (symlink("pts/ptmx", "dev/ptmx") || symlink("/proc/self/fd", "dev/fd")) die("links in /dev");
    if (mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=65536k")) die("/dev/shm");
    if (mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)) die("/dev/mqueue");
    if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")) die("pivot_root");
    umask(022);
}
static void enter_root(const char *rootfs, const char *work, int number) {
    char path[300], options[1200];
    snprintf(path, sizeof path, "%s/%d/m", work, number);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/%d/u,workdir=%s/%d/w", rootfs, work, number, work,
             number);
    if (mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) die("private mounts");
    if (mount("overlay", path, "overlay", 0, options)) die("overlay");
    if (chdir(path)) die(path);
    furnish();
}
static _Noreturn void container(const char *rootfs, const char *work, int number, int v2, int veth_is_there) {
    char path[300], byte;
    for (int c = 0; !v2 && c < 3; c++) {
        cgroup_path(path, sizeof path, 0, c, number, "tasks");
        put_text(path, "0");
    }
    if (unshare(CLONE_NEWCGROUP)) die("cgroup namespace");
    static const char *const parts[] = {"", "/m", "/u", "/w"};
    for (int k = 0; k < 4; k++) {
        snprintf(path, sizeof path, "%s/%d%s", work, number, parts[k]);
        makedir(path);
    }
    enter_root(rootfs, work, number);
    if (sethostname("floor", 5)) die("sethostname");
    if (read(veth_is_there, &byte, 1) != 1) die("waiting for the veth");
    int s = open_netlink(), index = if_nametoindex("eth0");
    link_up(s, 1);
    address(s, index, gateway + 1 + number);
    link_up(s, index);
    default_route(s, gateway);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0), dup2(null, 1), dup2(null, 2);
    if (null > 2) close(null);
    execve(service[0], (char **)service, (char **)environment);
    _exit(98);
}

// ---- up and down

static int up(int count, const char *rootfs, const char *work) {
    if (count < 1 || count > MOST) return fprintf(stderr, "floor: 1 to %d containers\n", MOST), 2;
    char path[300];
    pid_t pids[MOST];
    int v2 = unified(), all_execed[2], s = open_netlink();
    makedir(work);
    know_work(work);
    int bridge = make_bridge(s);
    for (int c = 0; c < (v2 ? 1 : 3); c++) {
        cgroup_path(path, sizeof path, v2, c, -1, "");
        makedir(path);
    }
    if (v2) cgroup_path(path, sizeof path, 1, 0, -1, "cgroup.subtree_control"), put_text(path, "+memory +cpu +pids");
    if (pipe2(all_execed, O_CLOEXEC)) die("pipe");
    for (int k = 0; k < count; k++) {
        int veth[2], group = -1;
        if (pipe2(veth, O_CLOEXEC)) die("pipe");
        for (int c = 0; c < (v2 ? 1 : 3); c++) {
            cgroup_path(path, sizeof path, v2, c, k, "");
            makedir(path);
        }
        struct clone_args a = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
                               .exit_signal = SIGCHLD};
        if (v2) {
            if ((group = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) die(path);
            a.flags |= CLONE_INTO_CGROUP;
            a.cgroup = group;
        }
        pids[k] = syscall(SYS_clone3, &a, sizeof a);
        if (pids[k] < 0) die("clone3");
        if (pids[k] == 0) {
            close(veth[1]);
            container(rootfs, work, k, v2, veth[0]);
        }
        if (group >= 0) close(group);
        close(veth[0]);
        make_veth(s, bridge, k, pids[k]);  // while the child mounts
        if (write(veth[1], "x", 1) != 1) die("veth made");
        close(veth[1]);
    }
    close(all_execed[1]);
    char byte;
    if (read(all_execed[0], &byte, 1) != 0) die("exec");  // end of file: the last copy was closed by an exec
    for (int k = 0, state; k < count; k++)
        if (waitpid(pids[k], &state, WNOHANG)) return fprintf(stderr, "floor: container %d ended\n", k), 1;
    snprintf(path, sizeof path, "%s/pids", work);
    FILE *f = fopen(path, "w");
    if (!f) die(path);
    for (int k = 0; k < count; k++) fprintf(f, "%d\n", pids[k]);
    if (fclose(f)) die(path);
    return 0;
}
static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}
static int down(const char *work) {
    char path[300];
    struct pollfd ends[MOST];
    int count = 0, left, pid, v2 = unified();
    know_work(work);
    snprintf(path, sizeof path, "%s/pids", work);
    FILE *f = fopen(path, "r");
    if (!f) die(path);
    for (; count < MOST && fscanf(f, "%d", &pid) == 1; count++) {
        ends[count] = (struct pollfd){.fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
        if (ends[count].fd >= 0) syscall(SYS_pidfd_send_signal, ends[count].fd, SIGTERM, 0, 0);
    }
    fclose(f);
    for (left = count; left > 0;) {
        int ready = poll(ends, count, 20);
        if (ready < 0) die("poll");
        left = 0;
        for (int k = 0; k < count; k++) {
            if (ends[k].fd >= 0 && ends[k].revents) close(ends[k].fd), ends[k].fd = -1;
            left += ends[k].fd >= 0;
            // The first of a pid namespace does not get a signal it has no handler for yet (pid_namespaces(7)): a
            // shell that has only just been exec'ed is asked again.
            if (ready == 0 && ends[k].fd >= 0) syscall(SYS_pidfd_send_signal, ends[k].fd, SIGTERM, 0, 0);
        }
    }
    int s = open_netlink(), group = GROUP;
    struct request q = begin(RTM_DELLINK, 0, sizeof(struct ifinfomsg));
    add(&q, IFLA_GROUP, &group, 4);
    must(s, &q, "links by group");
    if (if_nametoindex("floor0")) return fprintf(stderr, "floor: a link is left\n"), 1;
    for (int c = 0; c < (v2 ? 1 : 3); c++) {
        for (int k = 0; k < count; k++) {
            cgroup_path(path, sizeof path, v2, c, k, "");
            remove_cgroup(path);
        }
        cgroup_path(path, sizeof path, v2, c, -1, "");
        remove_cgroup(path);
    }
    if (nftw(work, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT)) die(work);
    return 0;
}

// ---- one container to its end, in a cgroup of each hierarchy

static int run(const char *rootfs) {
    static const char *const program[] = {"/bin/true", NULL};
    struct stat status;
    if (stat(rootfs, &status)) die(rootfs);
    glob_t groups;
    char path[300];
    int v2 = unified();
    if (glob(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/*", GLOB_ONLYDIR, 0, &groups)) die("/sys/fs/cgroup");
    size_t count = 0;
    for (size_t k = 0; k < groups.gl_pathc; k++) {
        snprintf(path, sizeof path, "%s/cgroup.procs", groups.gl_pathv[k]);
        if (access(path, F_OK)) continue;  // a directory where nothing is mounted
        groups.gl_pathv[count++] = groups.gl_pathv[k];
        snprintf(path, sizeof path, "%s/coveyfloor-%lu", groups.gl_pathv[k], (unsigned long)status.st_ino);
        makedir(path);
    }
    struct clone_args a = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
                           .exit_signal = SIGCHLD};
    pid_t pid = syscall(SYS_clone3, &a, sizeof a);
    if (pid < 0) die("clone3");
    if (pid == 0) {
        for (size_t k = 0; k < count; k++) {
            snprintf(path, sizeof path, "%s/tasks", groups.gl_pathv[k]);
            int legacy = !access(path, F_OK);
            snprintf(path, sizeof path, "%s/coveyfloor-%lu/%s", groups.gl_pathv[k], (unsigned long)status.st_ino,
                     !legacy ? "cgroup.procs" : "tasks");
            // A cpuset takes nobody before it has processors; the bare program leaves it.
            int fd = open(path, O_WRONLY | O_CLOEXEC);
            if (fd < 0 || (write(fd, "0", 1) < 0 && errno != ENOSPC)) die(path);
            close(fd);
        }
        if (unshare(CLONE_NEWCGROUP)) die("cgroup namespace");
        if (mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) die("private mounts");
        if (mount(rootfs, rootfs, 0, MS_BIND, 0) || chdir(rootfs)) die(rootfs);
        if (mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, 0)) die("/sys");
        furnish();
        if (sethostname("floor", 5)) die("sethostname");
        link_up(open_netlink(), 1);
        execve(program[0], (char **)program, (char **)environment);
        _exit(98);
    }
    int state;
    if (waitpid(pid, &state, 0) < 0) die("wait");
    for (size_t k = 0; k < count; k++) {
        snprintf(path, sizeof path, "%s/coveyfloor-%lu", groups.gl_pathv[k], (unsigned long)status.st_ino);
        remove_cgroup(path);
    }
    return WIFEXITED(state) ? WEXITSTATUS(state) : 1;
}

// ---- sweep

static int is_stale(const char *path) {
    char file[400], line[16];
    struct stat status;
    snprintf(file, sizeof file, "%s/cgroup.procs", path);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 1 : read(fd, line, sizeof line);
    if (fd >= 0) close(fd);
    // Another run's groups are empty for a moment too.
    return n == 0 && !stat(path, &status) && status.st_ctime + 3600 < time(0);
}
static int sweep(void) {
    static const char *const patterns[] = {
        "/sys/fs/cgroup/coveyfloor-*/*/", "/sys/fs/cgroup/*/coveyfloor-*/*/", "/sys/fs/cgroup/coveyfloor-*/",
        "/sys/fs/cgroup/*/coveyfloor-*/",
    };
    for (int i = 0; i < 4; i++) {
        glob_t found;
        if (glob(patterns[i], GLOB_ONLYDIR, 0, &found)) continue;
        for (size_t k = 0; k < found.gl_pathc; k++)
            if (is_stale(found.gl_pathv[k])) rmdir(found.gl_pathv[k]);
        globfree(&found);
    }
    return 0;
}

// ---- time

static int timed(char **command) {
    struct timespec a, b;
    pid_t pid;
    int state;
    clock_gettime(CLOCK_MONOTONIC, &a);
    int error = posix_spawnp(&pid, command[0], 0, 0, command, environ);
    if (error) return fprintf(stderr, "floor: %s: %s\n", command[0], strerror(error)), 2;
    if (waitpid(pid, &state, 0) < 0) die("wait");
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.3f\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

int main(int count, char **words) {
    if (count == 5 && !strcmp(words[1], "up")) return up(atoi(words[2]), words[3], words[4]);
    if (count == 3 && !strcmp(words[1], "down")) return down(words[2]);
    if (count == 3 && !strcmp(words[1], "run")) return run(words[2]);
    if (count == 2 && !strcmp(words[1], "nothing")) return 0;
    if (count == 2 && !strcmp(words[1], "sweep")) return sweep();
    if (count > 2 && !strcmp(words[1], "time")) return timed(words + 2);
    return fprintf(stderr, "usage: floor up N ROOTFS WORK | down WORK | run ROOTFS | sweep | nothing | time COMMAND…\n"), 2;
}
