// SPDX-License-Identifier: Apache-2.0
//
// Somebody inside a container who wants out: says what it was born with, watches those who join, flips names while others
// mount, and asks for what is not its own. It says what it got; the scenarios judge.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int link_of(const char *path, char *to) {
    ssize_t n = readlink(path, to, 4095);
    to[n < 0 ? 0 : n] = 0;
    return n >= 0;
}

// Its descriptors, capabilities that others could inherit, groups and where it is.
static int born(void) {
    char line[4096], path[64], to[4096];
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (link_of(path, to)) printf("fd %d %s\n", fd, to);
    }
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "CapInh", 6) || !strncmp(line, "CapAmb", 6) || !strncmp(line, "Groups", 6) || !strncmp(line, "Uid", 3)) {
            for (char *p = line; *p; p++)
                if (*p == '\t') *p = ' ';
            fputs(line, stdout);
        }
    printf("cwd %s\n", getcwd(line, sizeof line) ? line : "?");
    return 0;
}

// Looks at every process that comes: whatever of it is not of this container is told. Ends when the file `stop` is there.
static int watch(const char *stop, const char *told) {
    struct stat own, root;
    char path[128], to[4096];
    long seen = 0, rounds = 0;
    FILE *out = fopen(told, "we");
    stat("/", &root);
    if (!out) return 1;
    while (rounds++ % 64 || access(stop, F_OK)) {
        DIR *all = opendir("/proc");
        for (struct dirent *d; all && (d = readdir(all));) {
            int pid = atoi(d->d_name);
            if (pid <= 1 || pid == getpid()) continue;
            snprintf(path, sizeof path, "/proc/%d/exe", pid);
            if (link_of(path, to) && strncmp(to, "/bin/", 5)) {
                // Neither a program of this container's, nor gone.
                if (strncmp(to, "/memfd:stub", 11)) fprintf(out, "exe %s\n", to);
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                // What was opened may be the program that came after.
                snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
                if (fd >= 0 && link_of(path, to) && strncmp(to, "/bin/", 5) && strncmp(to, "/memfd:stub", 11)) fprintf(out, "read %s\n", to);
                if (fd >= 0) close(fd);
                seen++;
            }
            snprintf(path, sizeof path, "/proc/%d/root", pid);
            if (!stat(path, &own) && (own.st_dev != root.st_dev || own.st_ino != root.st_ino)) fprintf(out, "root\n");
            snprintf(path, sizeof path, "/proc/%d/cwd", pid);
            if (!stat(path, &own) && own.st_dev != root.st_dev) fprintf(out, "cwd\n");
            for (int fd = 0; fd < 40; fd++) {
                snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
                if (!link_of(path, to) || stat(path, &own)) continue;
                if ((S_ISDIR(own.st_mode) || S_ISREG(own.st_mode)) && own.st_dev != root.st_dev && strncmp(to, "/memfd:stub", 11)
                    && strncmp(to, "/proc", 5))
                    fprintf(out, "fd %s\n", to);
            }
        }
        if (all) closedir(all);
    }
    fprintf(out, "seen %ld\n", seen);
    fclose(out);
    return 0;
}

// Exchanges the names of each pair until the file `stop` is there; how often stands in the file `count`.
static int flip(const char *stop, const char *count, char **pairs, int names) {
    int fd = open(count, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    char text[32];
    for (long n = 0; n < 100000000; n++) {
        for (int i = 0; i + 1 < names; i += 2)
            if (renameat2(AT_FDCWD, pairs[i], AT_FDCWD, pairs[i + 1], RENAME_EXCHANGE) && errno != ENOENT && errno != EBUSY)
                return perror("renameat2"), 1;
        if (n % 256) continue;
        if (pwrite(fd, text, (size_t)sprintf(text, "%ld\n", n), 0) < 0 || !access(stop, F_OK)) return 0;
    }
    return 0;
}

static void got(const char *what, long result) { printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "granted"); }

static long write_to(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    long n = write(fd, text, strlen(text));
    close(fd);
    return n;
}

// What no container has without asking for it.
static int ask(void) {
    got("AF_ALG", socket(38, SOCK_SEQPACKET, 0));
    got("AF_VSOCK", socket(40, SOCK_STREAM, 0));
    got("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS));
    got("cgroup-namespace", unshare(CLONE_NEWCGROUP));
    got("cgroup-v1", mount("cgroup", "/tmp", "cgroup", 0, "memory"));
    got("cgroup-v2", mount("cgroup", "/tmp", "cgroup2", 0, NULL));
    got("procfs", mount("proc", "/tmp", "proc", 0, NULL));
    got("remount", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    got("unmask", umount2("/proc/kcore", MNT_DETACH));
    got("release_agent", write_to("/sys/fs/cgroup/memory/release_agent", "/x"));
    got("cgroup.procs", write_to("/sys/fs/cgroup/cgroup.procs", "0"));
    got("sysrq", write_to("/proc/sysrq-trigger", "h"));
    got("core_pattern", write_to("/proc/sys/kernel/core_pattern", "|/x"));
    got("uevent_helper", write_to("/sys/kernel/uevent_helper", "/x"));
    got("kcore", open("/proc/kcore", O_RDONLY) < 0 ? -1 : read(open("/proc/kcore", O_RDONLY), (char[8]){0}, 8) > 0 ? 0 : (errno = ENODATA, -1));
    got("interrupts", read(open("/proc/interrupts", O_RDONLY), (char[8]){0}, 8) > 0 ? 0 : (errno = ENODATA, -1));
    // The disk beneath us, made anew.
    struct stat root;
    stat("/etc/hosts", &root);
    unlink("/tmp/disk");
    if (!mknod("/tmp/disk", S_IFBLK | 0600, root.st_dev)) got("disk", open("/tmp/disk", O_RDONLY));
    else got("disk", -1);
    got("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, "\x08\0\0\0\x01\0\0\0\0\0\0\0", O_RDONLY));
    got("bpf", syscall(SYS_bpf, 0, NULL, 0));
    got("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    got("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
    got("userfaultfd", syscall(SYS_userfaultfd, 0));
    got("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
    got("setns", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
    got("pivot_root", syscall(SYS_pivot_root, "/", "/"));
    return 0;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "born")) return born();
    if (!strcmp(what, "watch") && count == 4) return watch(words[2], words[3]);
    if (!strcmp(what, "flip") && count >= 6) return flip(words[2], words[3], words + 4, count - 4);
    if (!strcmp(what, "ask")) return ask();
    return 2;
}
