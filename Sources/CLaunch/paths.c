// SPDX-License-Identifier: Apache-2.0
//
// Paths inside a container's root, walked with openat2(2): a link there, whoever made it and whenever, leads to a place in
// the root or nowhere.

#include "run.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

long launch_open(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    long fd;
    int tries = 0;
    // EAGAIN: a rename raced with a `..` under RESOLVE_IN_ROOT (openat2(2)).
    do fd = RAW4(NR_openat2, directory, path, &how, sizeof how);
    while ((fd == -EAGAIN || fd == -EINTR) && ++tries < 128);
    return fd;
}

// A path inside the root of `root`; symbolic links stay inside, or are refused.
long launch_open_below(int root, const char *path, int flags, int no_links) {
    while (*path == '/') path++;
    return launch_open(root, *path ? path : ".", (uint64_t)flags, 0, no_links ? RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS : RESOLVE_IN_ROOT);
}

// Walks to `path` below `root`, making each missing directory; gives an O_PATH descriptor of the last.
long launch_ensure_directory(int root, const char *path, unsigned mode) {
    char part[4096];
    long here = launch_open(root, ".", O_PATH | O_DIRECTORY, 0, 0);
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
        long next = launch_open_below(root, part, O_PATH | O_DIRECTORY, 0);
        if (next == -ENOENT) {
            size_t start = n;
            while (start > 0 && part[start - 1] != '/') start--;
            long made = RAW3(__NR_mkdirat, here, part + start, mode);
            if (made < 0 && made != -EEXIST) {
                RAW1(__NR_close, here);
                return made;
            }
            next = launch_open_below(root, part, O_PATH | O_DIRECTORY, 0);
        }
        RAW1(__NR_close, here);
        here = next;
        part[n++] = '/';
    }
    return here;
}

// The last name of a path and an open directory that has it, both inside the root; makes missing parents.
long launch_open_parent(int root, const char *path, const char **name) {
    char parent[4096];
    size_t n = raw_length(path), cut = n;
    while (cut > 0 && path[cut - 1] != '/') cut--;
    if (cut >= sizeof parent) return -ENAMETOOLONG;
    if (cut == n) return -EINVAL;
    raw_copy(parent, path, cut);
    parent[cut] = 0;
    *name = path + cut;
    return launch_ensure_directory(root, parent, 0755);
}

// A file that is there already, of whatever kind, is not opened: it may be a fifo, or a device.
long launch_ensure_file(int root, const char *path) {
    const char *name = 0;
    long directory = launch_open_parent(root, path, &name);
    if (directory < 0) return directory;
    long fd = RAW4(__NR_openat, directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    RAW1(__NR_close, directory);
    if (fd >= 0) RAW1(__NR_close, fd);
    return fd == -EEXIST ? 0 : fd;
}
