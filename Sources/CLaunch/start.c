// SPDX-License-Identifier: Apache-2.0
//
// How a keeper begins. An `up` plants a seed in a constructor, before the Swift runtime starts: a fork that goes on to
// main, warms up there (WarmUp.swift) while the client reads its files, and waits on a socket. When the client finds that
// the project has no controller, the seed clones the keeper into its cgroup, so that nobody waits for an exec, the loader
// (1.5 ms, measured) and the first use of everything. A command that planted none executes this binary again with argv[0]
// "covey-keeper". Both begin cleanly.
//
// A controller that lost its keeper starts another as its sibling.
//
//   covey up ──fork──▶ seed ──clone3 into the cgroup──▶ keeper ──fork──▶ controller
//
// The keeper's life is keeper.c.

#define _GNU_SOURCE 1
#include "CLaunch.h"
#include "binary.h"
#include "keeper.h"
#include "linux_processors.h"
#include "raw.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ORDER_BYTES = 32768, ORDER_FDS = 3 };

enum { SEED_SOCKET = 3 };

static int seed = -1, seed_pid;
static bool is_seed;
static char **born_argv, **born_environment;
static int keeper_argc;
static char **keeper_argv;

// A clean start: nothing of the first `up`'s shell may live as long as the project does.
static void clean_start(int argc, char **argv) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    umask(022);
    if (chdir("/")) covey_say("chdir failed", errno);
    setpriority(PRIO_PROCESS, 0, 0);
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    // No process of ours is traceable or its /proc readable from inside a container (CVE-2016-9962); inherited over clone.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NAME, "covey-keeper", 0, 0, 0);
    // Out of the reach of the out-of-memory killer where we may.
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "-900", 4) < 0 && write(fd, "0", 1) < 0) covey_say("oom_score_adj failed", errno);
        close(fd);
    }
    // Each argument from the sixth on is a cgroup file; 0 moves the writer without the wait a pid costs on v1.
    for (int i = 5; i < argc; i++) {
        if (argv[i][0] != '/') continue;
        fd = open(argv[i], O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) < 0) covey_say("cannot enter a cgroup, errno", errno);
        if (fd >= 0) close(fd);
    }
}


// What `ps` shows, and nothing of the client's environment: the keeper's own copy of the arguments where PR_SET_MM(2const)
// is allowed (CAP_SYS_RESOURCE), otherwise one text over the strings on the stack, which /proc/PID/cmdline shows as far as
// its first zero when the arguments' last one is overwritten (setproctitle(3); fs/proc/base.c, get_mm_proctitle).
static void show_arguments(char *arguments, size_t size, char **argv, char **environment) {
    char *from = argv[0], *to = from;
    for (char **a = argv; *a; a++)
        if (*a == to) to += strlen(*a) + 1;
    for (char **e = environment; *e; e++)
        if (*e == to) to += strlen(*e) + 1;
    // Secrets of the client's environment must not live as long as the project.
    memset(from, 0, (size_t)(to - from));
    unsigned long start = (unsigned long)arguments, end = start + size;
    // The heap lies below the stack, where both are now: in this order a start is never above its end.
    if (!prctl(PR_SET_MM, PR_SET_MM_ARG_START, start, 0, 0) && !prctl(PR_SET_MM, PR_SET_MM_ARG_END, end, 0, 0)
        && !prctl(PR_SET_MM, PR_SET_MM_ENV_START, end - 1, 0, 0) && !prctl(PR_SET_MM, PR_SET_MM_ENV_END, end - 1, 0, 0))
        return;
    for (size_t i = 0; i + 1 < size && from + i + 1 < to; i++) from[i] = arguments[i] ? arguments[i] : ' ';
}

// In the keeper that was cloned by a seed; returns in its controllers.
static void grow_keeper(char *arguments, size_t size, char **shown, char **environment, int listener, int log) {
    static char *none[] = {NULL};
    int argc = 0;
    char **argv = calloc(64, sizeof *argv);
    char *copy = malloc(size);
    if (!argv || !copy) _exit(126);
    memcpy(copy, arguments, size);
    for (char *at = copy; at < copy + size && argc < 63; at += strlen(at) + 1) argv[argc++] = at;
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || dup2(listener, 3) < 0) _exit(126);
    syscall(SYS_close_range, 4, ~0u, 0);
    show_arguments(copy, size, shown, environment);
    environ = none;
    keeper_argc = argc;
    keeper_argv = argv;
    clean_start(argc, argv);
    covey_keep(true);
}

int covey_is_seed(void) { return is_seed; }

// The seed waits for one order, carries it out, ends.
void covey_wait_for_order(void) {
    static char arguments[ORDER_BYTES];
    union {
        char bytes[CMSG_SPACE(sizeof(int) * ORDER_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec io = {arguments, sizeof arguments};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t size;
    do size = recvmsg(SEED_SOCKET, &h, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    if (size <= 0 || !c || h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) _exit(0);
    int fds[ORDER_FDS], count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)count);
    // 0 to 2 are free: what came in there moves up, for the keeper's own.
    for (int i = 0; i < count; i++) fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
    struct clone_args a = {.flags = count == 3 ? CLONE_INTO_CGROUP : 0, .exit_signal = SIGCHLD, .cgroup = count == 3 ? (uint64_t)fds[2] : 0};
    long pid = syscall(SYS_clone3, &a, sizeof a);
    if (pid == 0) {
        is_seed = false;
        seed_pid = 0;
        return grow_keeper(arguments, (size_t)size, born_argv, born_environment, fds[0], fds[1]);
    }
    int32_t answer = pid < 0 ? -errno : (int32_t)pid;
    send(SEED_SOCKET, &answer, sizeof answer, MSG_NOSIGNAL);
    _exit(0);
}

static void plant_seed(char **argv, char **environment) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return;
    pid_t client = getpid();
    struct linux_processors p;
    bool leaves = linux_find_others(&p);
    seed_pid = fork();
    // Both do it: either may run first. The keeper may use all, whatever its seed may (clean_start).
    if (leaves && seed_pid >= 0) linux_send_away(seed_pid, &p);
    if (seed_pid == 0) {
        // Whatever it is at when the client ends, it ends too; not so a keeper, which does not inherit this (clone(2)).
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() != client || dup2(pair[1], SEED_SOCKET) < 0) _exit(126);
        // Its own descriptors are the socket alone.
        for (int fd = 0; fd < SEED_SOCKET; fd++) close(fd);
        syscall(SYS_close_range, SEED_SOCKET + 1, ~0u, 0);
        is_seed = true;
        born_argv = argv;
        born_environment = environment;
        return;
    }
    close(pair[1]);
    seed = pair[0];
    if (seed_pid > 0) return;
    close(seed);
    seed = -1;
}

void covey_end_seed(bool waits) {
    if (seed >= 0) {
        close(seed);
        seed = -1;
        kill(seed_pid, SIGKILL);
    }
    if (!waits || seed_pid <= 0) return;
    waitpid(seed_pid, NULL, 0);
    seed_pid = 0;
}

// When the command ends nothing of it is left, a seed neither: that it would end by its parent's death is a moment later.
__attribute__((destructor)) static void await_seed(void) {
    if (!is_seed) covey_end_seed(true);
}

// argv of a keeper: covey-keeper VERSION PROJECT ROOT RUN [fault=FILE] [CGROUP FILE…]
__attribute__((constructor(101))) static void begin(int argc, char **argv, char **environment) {
    covey_know_binary(argv);
    if (argc == 2 && !strcmp(argv[0], "covey-launch")) covey_launch_apart(argv[1]);
    if (argc >= 5 && !strcmp(argv[0], "covey-keeper")) {
        keeper_argc = argc;
        keeper_argv = argv;
        clean_start(argc, argv);
        return covey_keep(false);
    }
    // The OCI runtime has no keeper, whatever its containers are called.
    const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
    if (argc > 1 && (!strcmp(argv[1], "oci") || !strcmp(name ? name + 1 : argv[0], "covey-oci"))) return;
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "up")) return plant_seed(argv, environment);
}

const char *covey_keeper_argument(int index) {
    return index < keeper_argc ? keeper_argv[index] : NULL;
}

// The seed's keeper; 0 when there is no seed or it could not.
static int order_keeper(char *const argv[], int listener, int log, int cgroup) {
    static char arguments[ORDER_BYTES];
    if (seed < 0) return 0;
    size_t size = 0;
    for (int i = 0; argv[i]; i++) {
        size_t length = strlen(argv[i]) + 1;
        if (i > 62 || size + length > sizeof arguments) return 0;
        memcpy(arguments + size, argv[i], length);
        size += length;
    }
    int fds[ORDER_FDS] = {listener, log, cgroup};
    size_t count = cgroup >= 0 ? 3 : 2;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * ORDER_FDS)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec io = {arguments, size};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    int32_t answer = 0;
    if (sendmsg(seed, &h, MSG_NOSIGNAL) < 0 || recv(seed, &answer, sizeof answer, 0) != sizeof answer) answer = 0;
    close(seed);
    seed = -1;
    waitpid(seed_pid, NULL, 0);
    seed_pid = 0;
    return answer > 0 ? answer : 0;
}

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
    int grown = channel >= 0 ? 0 : order_keeper(argv, listener, log, cgroup);
    if (grown) return grown;
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
