// SPDX-License-Identifier: Apache-2.0
//
// How a keeper is started, by a client or by a controller that lost its own: without a copy of the starter's memory, and
// with nothing of the starter's but the descriptors it is given.

#define _GNU_SOURCE 1
#include "CLaunch.h"
#include "raw.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

// What the keeper's first moments need, on the starter's stack.
struct start {
    char *const *argv;
    int input, output, listener, channel;
};

// In the child, in the starter's memory (CLONE_VM) while the starter waits (CLONE_VFORK): raw calls only.
static _Noreturn void become_keeper(const struct start *s) {
    static char *const none[] = {NULL};
    RAW0(__NR_setsid);
    if (RAW3(__NR_dup3, s->input, 0, 0) < 0 || RAW3(__NR_dup3, s->output, 1, 0) < 0 || RAW3(__NR_dup3, s->output, 2, 0) < 0
        || RAW3(__NR_dup3, s->listener, KEEPER_LISTENER, 0) < 0 || (s->channel >= 0 && RAW3(__NR_dup3, s->channel, GIVEN_CHANNEL, 0) < 0)
        || RAW3(__NR_close_range, s->channel >= 0 ? GIVEN_CHANNEL + 1 : GIVEN_CHANNEL, ~0u, 0) < 0)
        RAW1(__NR_exit_group, 126);
    // A failure shows as a connection nobody accepts; the client says where the log is.
    RAW3(__NR_execve, "/proc/self/exe", s->argv, none);
    for (;;) RAW1(__NR_exit_group, 127);
}

// clone3(2) with CLONE_VM must not return on the starter's stack: the child calls its function on its own.
static long clone_on_stack(const struct clone_args *a, void (*function)(const struct start *), const struct start *argument) {
#if defined(__x86_64__)
    long r;
    register void (*call)(const struct start *) __asm__("r8") = function;
    register const struct start *with __asm__("r9") = argument;
    __asm__ volatile(
        "syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tmov %%r9, %%rdi\n\tcall *%%r8\n\tud2\n1:"
        : "=a"(r)
        : "a"(__NR_clone3), "D"(a), "S"(sizeof *a), "r"(call), "r"(with)
        : "rcx", "r11", "memory");
    return r;
#else
    register long number __asm__("x8") = __NR_clone3;
    register long r __asm__("x0") = (long)a;
    register long size __asm__("x1") = sizeof *a;
    register void (*call)(const struct start *) __asm__("x9") = function;
    register const struct start *with __asm__("x10") = argument;
    __asm__ volatile("svc 0\n\tcbnz x0, 1f\n\tmov x29, xzr\n\tmov x0, x10\n\tblr x9\n\tbrk 1\n1:"
                     : "+r"(r)
                     : "r"(number), "r"(size), "r"(call), "r"(with)
                     : "memory");
    return r;
#endif
}

int covey_start_keeper(char *const argv[], int listener, int log, int cgroup, int channel) {
    static _Alignas(16) char stack[16384];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return -errno;
    // Above 10, so that no dup3 in the child overwrites another's source.
    struct start s = {.argv = argv, .listener = fcntl(listener, F_DUPFD_CLOEXEC, 10), .output = fcntl(log, F_DUPFD_CLOEXEC, 10),
        .input = fcntl(null, F_DUPFD_CLOEXEC, 10), .channel = channel >= 0 ? fcntl(channel, F_DUPFD_CLOEXEC, 10) : -1};
    // Without a copy of the starter's page tables: half a millisecond of an `up`.
    // A keeper started by a controller is no child of it: nothing of one's end is the other's. CLONE_PARENT takes the
    // starter's exit signal and must be given none (clone(2)).
    struct clone_args a = {.flags = CLONE_VM | CLONE_VFORK | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0) | (channel >= 0 ? CLONE_PARENT : 0),
        .exit_signal = channel >= 0 ? 0 : SIGCHLD,
        .stack = (uint64_t)(uintptr_t)stack, .stack_size = sizeof stack, .cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0};
    // A handler of the starter's must not run in the child, which shares its memory.
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    long pid = clone_on_stack(&a, (void (*)(const struct start *))become_keeper, &s);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(null);
    if (s.listener >= 0) close(s.listener);
    if (s.output >= 0) close(s.output);
    if (s.input >= 0) close(s.input);
    if (s.channel >= 0) close(s.channel);
    return (int)pid;
}
