// SPDX-License-Identifier: Apache-2.0
//
// What a process has of its own: its environment, a global of C's that Swift 6 can't read safely by itself, its
// capabilities, and shared libraries (dlopen(3)).
#pragma once
#include <dlfcn.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static inline char **linux_environ(void) { return environ; }
static inline const char *linux_getenv(const char *name) { return getenv(name); }

// capget(2), version 3: two words of 32 bits for each set. -1 with errno.
static inline int linux_effective_capabilities(uint64_t *set) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, words)) return -1;
    *set = words[0].effective | (uint64_t)words[1].effective << 32;
    return 0;
}

// PR_CAPBSET_READ(2const): EINVAL beyond the last one this kernel knows.
static inline uint64_t linux_bounding_capabilities(void) {
    uint64_t set = 0;
    for (int bit = 0; bit < 64; bit++) {
        int held = prctl(PR_CAPBSET_READ, bit, 0, 0, 0);
        if (held < 0) break;
        set |= (uint64_t)held << bit;
    }
    return set;
}

// uname(2)'s release, at most `size` - 1 bytes and a zero.
static inline void linux_release(char *text, size_t size) {
    struct utsname name;
    if (uname(&name)) name.release[0] = 0;
    strncpy(text, name.release, size - 1);
    text[size - 1] = 0;
}

// Ends as whoever writes to a pipe without a reader does, also where SIGPIPE is ignored.
static inline void linux_end_by_pipe(void) {
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}
