// SPDX-License-Identifier: Apache-2.0
//
// Two tasks of ours that are to work side by side, kept out of each other's way. A scheduler may leave a new task where its
// parent runs, though a processor is idle: seen with Linux 6.18 on a guest of two processors, where a clone and its parent took
// turns for as long as both had work. So one is sent to another processor, and may then use all of them again. Never a
// container's: what was asked for a task stays with all that it starts (sched_setaffinity(2)).
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// More processors than those: tasks stay where they are (sched_getaffinity(2), EINVAL).
#define LINUX_PROCESSORS 1024

struct linux_processors {
    uint64_t own[LINUX_PROCESSORS / 64];    // those that the caller may use
    uint64_t others[LINUX_PROCESSORS / 64]; // without the one that it runs on
};

// False where there is none but this.
static inline bool linux_find_others(struct linux_processors *p) {
    unsigned processor;
    *p = (struct linux_processors){0};
    if (syscall(SYS_getcpu, &processor, NULL, NULL) || processor >= LINUX_PROCESSORS) return false;
    if (syscall(SYS_sched_getaffinity, 0, sizeof p->own, p->own) < 0) return false;
    bool found = false;
    for (unsigned i = 0; i < LINUX_PROCESSORS / 64; i++) {
        p->others[i] = p->own[i];
        if (i == processor / 64) p->others[i] &= ~(UINT64_C(1) << processor % 64);
        found |= p->others[i] != 0;
    }
    return found;
}

// A task that waits for its turn is moved without being stopped. 0 is the caller, for which a thread of the kernel does it.
static inline void linux_send_away(pid_t task, const struct linux_processors *p) {
    if (syscall(SYS_sched_setaffinity, task, sizeof p->others, p->others) == 0)
        syscall(SYS_sched_setaffinity, task, sizeof p->own, p->own);
}
