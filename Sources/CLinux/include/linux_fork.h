// SPDX-License-Identifier: Apache-2.0
//
// A child that goes on with this program, for work that may never come back from the kernel. Only for a process whose
// threads hold no lock at the fork (fork(2): the child has the calling thread alone).
#pragma once
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// As fork(2). The child has descriptors 0 to 2, and `kept` as 3; it ends with its parent.
static inline pid_t linux_fork_alone(int kept) {
    pid_t parent = getpid(), child = fork();
    if (child) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Its parent may have ended before it asked to be told.
    if (getppid() != parent || (kept != 3 && dup2(kept, 3) != 3) || syscall(SYS_close_range, 4u, ~0u, 0)) _exit(125);
    return 0;
}
