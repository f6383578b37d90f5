// SPDX-License-Identifier: Apache-2.0
//
// Our own binary on the host, and that no program of a container is it (CVE-2019-5736): executed inside, with a loader of
// the image's, it would be opened by way of /proc/self/exe and written to once we are gone. Between us and a container's
// program there is the stub (stub.c). Where there can be none, what is executed is held against the binary here, a
// script's interpreter and a program's loader too. Whoever exchanges a file between that look and the execve(2) is stopped by
// `covey_seal`, or by apart.c where a keeper launches: the binary of a process that was executed from a read-only mount is
// written to by nobody.

#define _GNU_SOURCE 1
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "binary.h"
#include "run.h"

#define SCRIPT_LINE 256  // BINPRM_BUF_SIZE of the kernel: all of a script's first line it looks at

static struct {
    dev_t device;
    ino_t inode;
    bool known, read_only, again;
    char *const *argv;
} own;

void covey_know_binary(char *const argv[]) {
    struct stat s;
    struct statvfs v;
    own.argv = argv;
    own.known = stat("/proc/self/exe", &s) == 0;
    if (own.known) {
        own.device = s.st_dev;
        own.inode = s.st_ino;
    }
    own.read_only = statvfs("/proc/self/exe", &v) == 0 && (v.f_flag & ST_RDONLY);
    // What execveat(2) calls a program that has no path.
    const char *name = (const char *)getauxval(AT_EXECFN);
    own.again = name && !strncmp(name, "/dev/fd/", 8);
}

int covey_read_only_binary(void) {
    if (own.read_only || own.again) return -1;
    struct { uint64_t set, clear, propagation, users; } attributes = {1 /* MOUNT_ATTR_RDONLY */, 0, 1 << 18 /* MS_PRIVATE */, 0};
    long fd = RAW3(NR_open_tree, AT_FDCWD, "/proc/self/exe", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
    if (fd < 0) return (int)fd;
    long e = RAW5(NR_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
    if (e >= 0) return (int)fd;
    RAW1(__NR_close, fd);
    return (int)e;
}

int covey_seal(void) {
    if (own.read_only || own.again || !own.argv) return 0;
    int fd = covey_read_only_binary();
    if (fd < 0) return fd;
    long e = RAW5(__NR_execveat, fd, "", own.argv, environ, AT_EMPTY_PATH);
    RAW1(__NR_close, fd);
    return (int)e;
}

bool covey_has_stub(void) {
    long fd = RAW2(__NR_memfd_create, "stub", MFD_CLOEXEC | 0x10 /* MFD_EXEC */);
    if (fd == -EINVAL) return true;  // before Linux 6.3, where all are executable
    if (fd >= 0) RAW1(__NR_close, fd);
    return fd >= 0;
}

static bool is_own(const struct stat *s) { return !own.known || (s->st_dev == own.device && s->st_ino == own.inode); }

// Opens what is there and no device, and looks whether it is our binary; -EACCES then, 0 for what is no file.
static long open_foreign(const char *path) {
    struct stat s;
    long fd = RAW4(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
    if (fd < 0) return fd;
    long e = RAW2(__NR_fstat, fd, &s);
    RAW1(__NR_close, fd);
    if (e < 0) return e;
    if (is_own(&s)) return -EACCES;
    if (!S_ISREG(s.st_mode)) return 0;
    fd = RAW4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    // It may be executed and not read; and only root could write to our binary.
    if (fd == -EACCES && RAW0(__NR_geteuid) != 0) return 0;
    if (fd < 0) return fd;
    e = RAW2(__NR_fstat, fd, &s);
    if (e >= 0 && is_own(&s)) e = -EACCES;
    if (e >= 0) return fd;
    RAW1(__NR_close, fd);
    return e;
}

// The loader (PT_INTERP) of the program behind `fd`, whose first bytes these are, must not be us either: the kernel opens it
// while /proc/self/exe still is the one who executes (load_elf_binary). Of 32 bits ours could not be loaded; what is no
// sound program the kernel refuses, or has no loader for.
static long check_loader(int fd, const char *bytes, long count) {
    static char path[4096];  // PATH_MAX, as the kernel takes it
    Elf64_Ehdr head;
    if (count < (long)sizeof head) return 0;
    raw_copy(&head, bytes, sizeof head);
    static const unsigned char magic[5] = {0x7f, 'E', 'L', 'F', ELFCLASS64};
    for (int i = 0; i < 5; i++)
        if (head.e_ident[i] != magic[i]) return 0;
    if (head.e_phentsize != sizeof(Elf64_Phdr)) return 0;
    for (uint64_t i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr part;
        long n = RAW4(__NR_pread64, fd, &part, sizeof part, head.e_phoff + i * sizeof part);
        if (n != (long)sizeof part) return n < 0 ? n : 0;
        if (part.p_type != PT_INTERP) continue;
        // The kernel takes the first, too.
        if (part.p_filesz < 2 || part.p_filesz > sizeof path) return 0;
        n = RAW4(__NR_pread64, fd, path, part.p_filesz, part.p_offset);
        if (n != (long)part.p_filesz || path[n - 1]) return n < 0 ? n : 0;
        long loader = open_foreign(path);
        if (loader > 0) RAW1(__NR_close, loader);
        // What is not there is the kernel's to say.
        return loader == -EACCES ? loader : 0;
    }
    return 0;
}

long launch_check_foreign(const char *path, bool loaders) {
    static char line[SCRIPT_LINE], interpreter[SCRIPT_LINE + 1];
    // As many interpreters of interpreters as the kernel takes (fs/exec.c), and one more.
    for (int depth = 0; depth < 7; depth++) {
        long fd = open_foreign(path);
        if (fd <= 0) return fd;
        long count = RAW3(__NR_read, fd, line, sizeof line), at = 2, length = 0;
        long e = loaders && count > 0 ? check_loader((int)fd, line, count) : 0;
        RAW1(__NR_close, fd);
        if (count < 0 || e < 0) return count < 0 ? count : e;
        if (count < 3 || line[0] != '#' || line[1] != '!') return 0;
        while (at < count && (line[at] == ' ' || line[at] == '\t')) at++;
        for (; at < count && line[at] && line[at] != ' ' && line[at] != '\t' && line[at] != '\n'; at++)
            interpreter[length++] = line[at];
        interpreter[length] = 0;
        if (length == 0) return 0;
        path = interpreter;
    }
    return -ELOOP;
}
