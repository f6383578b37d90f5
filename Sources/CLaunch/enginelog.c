// SPDX-License-Identifier: Apache-2.0
//
// engine.log is bounded: beyond a size its text becomes engine.log.1, in place of the one before, and it begins anew.
// Keeper and controller both hold it open for appending, and a new controller inherits the keeper's descriptor: so the text
// is copied and the file cut, never renamed. What the other one writes between the copy and the cut is lost, a line at most.

#include "CLaunch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static bool copy(const char *from, const char *to) {
    char fresh[PATH_MAX + 8];
    snprintf(fresh, sizeof fresh, "%s.tmp", to);
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = in < 0 ? -1 : open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t n = -1;
    if (out >= 0)
        while ((n = sendfile(out, in, NULL, 1 << 20)) > 0) {}
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    if (n == 0 && rename(fresh, to) == 0) return true;
    if (out >= 0) unlink(fresh);
    return false;
}

void covey_bound_log(int log, long long limit) {
    struct stat s;
    if (fstat(log, &s) || !S_ISREG(s.st_mode) || s.st_size <= limit) return;
    char link[32], path[PATH_MAX], older[PATH_MAX + 2];
    snprintf(link, sizeof link, "/proc/self/fd/%d", log);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n > 0 && s.st_nlink > 0) {
        path[n] = 0;
        snprintf(older, sizeof older, "%s.1", path);
        // A full disk: room counts for more than what was said long ago.
        if (!copy(path, older)) unlink(older);
    }
    if (ftruncate(log, 0)) return;
}
