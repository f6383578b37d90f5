// SPDX-License-Identifier: Apache-2.0
//
// The keeper: a small single-threaded loop, the parent of everything in a project. It forks the controller and forks it
// again when it dies, clones containers from launch programs, reaps them, and keeps descriptors whose loss would be
// felt. It decides nothing.
//
// It runs in a constructor, before the Swift runtime starts (start.c). The controller is a fork of it, not an exec, so
// both share the pages of one image and a new controller starts from a pristine process (docs/decisions/002). Nothing
// here survives in the controller but its two descriptors.
//
//   controller ──K_LAUNCH, K_HOLD, K_DROP, K_RELEASE, K_PONG, K_QUIT──▶ keeper
//   controller ◀─K_LAUNCHED | K_REFUSED, K_EXITED, K_PING; after a new start K_CHILD…, K_HELD…, K_READY── keeper
//
// An exit is kept, and told again to each new controller, until K_RELEASE: none is ever lost with a controller.

#define _GNU_SOURCE 1
#include "CLaunch.h"
#include "keeper.h"
#include "linux_fault.h"
#include "linux_processors.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTROLLER_LAUNCH = 4 };

struct child {
    uint32_t id;
    int pid, pidfd, record, value, status;
    int held[KEEPER_FDS], held_count;
    bool exited, record_only;
    int64_t time;
    char name[KEEPER_NAME];
};
struct held {
    int fd;
    char name[KEEPER_NAME];
};

static struct {
    struct child **children;
    size_t child_count, child_room;
    struct held *helds;
    size_t held_count, held_room;
    int channel, signals, controller, generation;
    int network;  // made for the first container, -1 once that is there or did not come
    bool quitting, waiting_for_pong, said_silent;
    int64_t started, respawn_at, ping_at;
    int failures, last_kind, last_status;
    const char *project, *run;
} K;

// A controller that lived that long is no part of a crash loop. Nanoseconds.
static const int64_t stable = 60000000000, ping_interval = 10000000000;

static int controller_role, controller_generation;

static int64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void covey_say(const char *what, long number) {
    char line[160];
    time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    int n = snprintf(line, sizeof line, "%04d-%02d-%02dT%02d:%02d:%02dZ keeper: %s %ld\n", tm.tm_year + 1900, tm.tm_mon + 1,
        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, what, number);
    covey_bound_log(2, ENGINE_LOG_LIMIT);
    if (n > 0 && write(2, line, (size_t)n) < 0) return;
}

static void grow(void **array, size_t count, size_t *room, size_t size) {
    if (count < *room) return;
    size_t wanted = *room ? *room * 2 : 16;
    void *bigger = realloc(*array, wanted * size);
    if (!bigger) {
        covey_say("out of memory", (long)wanted);
        abort();
    }
    *array = bigger;
    *room = wanted;
}

static void tell(const struct keeper_message *m, const int *fds, int count) {
    if (K.channel < 0) return;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * (KEEPER_FDS + 1))];
        struct cmsghdr align;
    } control;
    struct iovec io = {(void *)m, sizeof *m};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1};
    if (count > 0) {
        memset(&control, 0, sizeof control);
        h.msg_control = control.bytes;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)count);
    }
    // A dead controller is noticed by its own end of life; what it missed is told to the next one.
    while (sendmsg(K.channel, &h, MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}

static void forget_child(size_t at) {
    struct child *c = K.children[at];
    if (c->pidfd >= 0) close(c->pidfd);
    if (c->record >= 0) close(c->record);
    for (int i = 0; i < c->held_count; i++) close(c->held[i]);
    free(c);
    K.children[at] = K.children[--K.child_count];
}

// The exit beside the container's records, for the case that keeper and controller both are gone when it is asked for.
static void write_record(const struct child *c) {
    if (c->record < 0) return;
    char text[200];
    int n = snprintf(text, sizeof text, "{\"pid\":%d,\"kind\":%d,\"status\":%d,\"time\":%lld}\n", c->pid, c->value, c->status, (long long)c->time);
    int fd = openat(c->record, "exit.json.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return;
    bool whole = write(fd, text, (size_t)n) == n;
    close(fd);
    if (whole) renameat(c->record, "exit.json.tmp", c->record, "exit.json");
}

static void tell_exit(const struct child *c) {
    struct keeper_message m = {.kind = K_EXITED, .id = c->id, .pid = c->pid, .value = c->value, .status = c->status, .time = c->time};
    memcpy(m.name, c->name, KEEPER_NAME);
    tell(&m, NULL, 0);
}

static void fork_controller(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        covey_say("socketpair failed", errno);
        abort();
    }
    int room = 1 << 20;
    for (int i = 0; i < 2; i++)
        if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room)) setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    K.started = now(CLOCK_MONOTONIC);
    linux_fault_call();
    pid_t pid = fork();
    if (pid == 0) {
        if (pair[1] != CONTROLLER_LAUNCH) dup3(pair[1], CONTROLLER_LAUNCH, O_CLOEXEC);
        fcntl(CONTROLLER_LAUNCH, F_SETFD, FD_CLOEXEC);
        fcntl(KEEPER_LISTENER, F_SETFD, FD_CLOEXEC);
        syscall(SYS_close_range, CONTROLLER_LAUNCH + 1, ~0u, 0);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        controller_role = 1;
        controller_generation = K.generation;
        return;
    }
    close(pair[1]);
    if (pid < 0) {
        covey_say("fork failed", errno);
        close(pair[0]);
        K.channel = -1;
        K.respawn_at = now(CLOCK_MONOTONIC) + 1000000000;
        return;
    }
    K.controller = pid;
    K.channel = pair[0];
    K.respawn_at = 0;
    K.waiting_for_pong = K.said_silent = false;
    K.ping_at = now(CLOCK_MONOTONIC) + ping_interval;
    K.generation++;
    struct keeper_message m = {0};
    for (size_t i = 0; i < K.held_count; i++) {
        m.kind = K_HELD;
        memcpy(m.name, K.helds[i].name, KEEPER_NAME);
        tell(&m, &K.helds[i].fd, 1);
    }
    for (size_t i = 0; i < K.child_count; i++) {
        struct child *c = K.children[i];
        struct keeper_message r = {.kind = K_CHILD, .id = c->id, .pid = c->pid, .held = (uint32_t)c->held_count};
        memcpy(r.name, c->name, KEEPER_NAME);
        int fds[KEEPER_FDS + 1] = {c->pidfd};
        for (int k = 0; k < c->held_count; k++) fds[k + 1] = c->held[k];
        tell(&r, fds, c->held_count + 1);
        if (c->exited) tell_exit(c);
    }
    linux_fault_call();
    m = (struct keeper_message){.kind = K_READY};
    tell(&m, NULL, 0);
    linux_fault_call();
}

// A network namespace for the first container, while the controller reads what is to be done: two thirds of a clone
// (0.7 ms) are it. None where the kernel says no: then the clone says so too.
static void make_network(void) {
    struct linux_processors p;
    if (K.controller > 0 && linux_find_others(&p)) linux_send_away(K.controller, &p);
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) return;
    if (unshare(CLONE_NEWNET) == 0) {
        K.network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        // One's own namespace is always allowed; here, nothing of the project's could be reached.
        if (setns(home, CLONE_NEWNET)) _exit(126);
    }
    close(home);
}

static void drop_network(void) {
    if (K.network >= 0) close(K.network);
    K.network = -1;
}

static bool serve(bool alive);

// For who asks while there is no controller to answer: `crashes.json` in the project's run directory.
static void record_crash(int64_t delay) {
    char path[4200], other[4200], text[200];
    int a = snprintf(path, sizeof path, "%s/%s/crashes.json", K.run, K.project);
    int b = snprintf(other, sizeof other, "%s/%s/crashes.json.tmp", K.run, K.project);
    if (a >= (int)sizeof path || b >= (int)sizeof other) return;
    int n = snprintf(text, sizeof text, "{\"failures\":%d,\"kind\":%d,\"status\":%d,\"time\":%lld,\"delay\":%lld}\n", K.failures,
        K.last_kind, K.last_status, (long long)now(CLOCK_REALTIME), (long long)delay);
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return;
    bool whole = write(fd, text, (size_t)n) == n;
    close(fd);
    if (whole) rename(other, path);
}

// A controller that was stopped, or that does nothing any more, is told of; what to do about it is a person's to decide.
static void look_after_controller(void) {
    if (now(CLOCK_MONOTONIC) < K.ping_at) return;
    K.ping_at = now(CLOCK_MONOTONIC) + ping_interval;
    drop_network();
    if (K.waiting_for_pong) {
        if (!K.said_silent) covey_say("the controller does not answer, its pid:", K.controller);
        K.said_silent = true;
        return;
    }
    struct keeper_message m = {.kind = K_PING};
    K.waiting_for_pong = true;
    tell(&m, NULL, 0);
}

// `kind` and `status` as waitid tells them.
static void controller_gone(int kind, int status) {
    // Its last words count, a K_QUIT above all.
    while (K.channel >= 0 && serve(false)) {}
    if (K.quitting) _exit(0);
    if (K.channel >= 0) close(K.channel);
    K.channel = -1;
    K.controller = -1;
    K.last_kind = kind;
    K.last_status = status;
    K.failures = now(CLOCK_MONOTONIC) - K.started > stable ? 1 : K.failures + 1;
    int64_t delay = K.failures < 3 ? 0 : 25000000ll << (K.failures < 11 ? K.failures : 11);
    // SIGKILL comes from outside and says nothing against the next one.
    int64_t most = kind == CLD_KILLED && status == SIGKILL ? 400000000 : 5000000000;
    if (delay > most) delay = most;
    covey_say(kind == CLD_EXITED ? "the controller ended with code" : "the controller was ended by signal", status);
    covey_say("starting another in milliseconds:", (long)(delay / 1000000));
    record_crash(delay);
    K.respawn_at = now(CLOCK_MONOTONIC) + delay;
}

static void reap(void) {
    for (;;) {
        siginfo_t stop = {0};
        if (waitid(P_ALL, 0, &stop, WSTOPPED | WCONTINUED | WNOHANG) || stop.si_pid == 0) break;
        if (stop.si_pid == K.controller) {
            covey_say(stop.si_code == CLD_CONTINUED ? "the controller goes on, its pid:" : "the controller was stopped, its pid:", K.controller);
            continue;
        }
        for (size_t i = 0; i < K.child_count; i++) {
            const struct child *c = K.children[i];
            if (c->pid != stop.si_pid || c->exited) continue;
            struct keeper_message m = {.kind = K_STOPPED, .id = c->id, .pid = c->pid};
            tell(&m, NULL, 0);
        }
    }
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) || info.si_pid == 0) return;
        if (info.si_pid == K.controller) {
            controller_gone(info.si_code, info.si_status);
            continue;
        }
        struct child *found = NULL;
        for (size_t i = 0; i < K.child_count; i++)
            if (K.children[i]->pid == info.si_pid && !K.children[i]->exited) found = K.children[i];
        struct child stray = {.pid = info.si_pid, .pidfd = -1, .record = -1};
        struct child *c = found ? found : &stray;  // a stray is the second child of an exec; the controller knows its pid
        c->exited = true;
        c->value = info.si_code;
        c->status = info.si_status;
        c->time = now(CLOCK_REALTIME);
        linux_fault_call();
        write_record(c);
        linux_fault_call();
        tell_exit(c);
    }
}

static void launch(const struct keeper_message *m, const char *program, size_t size, int *fds, int count) {
    struct keeper_message reply = {.kind = K_REFUSED, .id = m->id, .status = -1};
    memcpy(reply.name, m->name, KEEPER_NAME);
    const struct launch_head *head = (const void *)program;
    int bad, pidfd = -1, error = covey_launch_verify(program, size, &bad);
    int given = error ? 0 : (int)head->given_slots, record = m->flags & 1 ? given : -1;
    if (!error && count != given + (record >= 0) + (int)m->held) error = EINVAL;
    if (!error && m->held > KEEPER_FDS) error = EINVAL;
    struct child *c = error ? NULL : calloc(1, sizeof *c);
    if (!error && !c) error = ENOMEM;
    if (!error) {
        int pid = covey_launch(program, fds, NULL, 0, K.network, &pidfd);
        if (pid < 0) error = -pid;
        else {
            *c = (struct child){.id = m->id, .pid = pid, .pidfd = pidfd, .record = record >= 0 ? fds[record] : -1};
            memcpy(c->name, m->name, KEEPER_NAME);
            for (uint32_t i = 0; i < m->held; i++) {
                int at = given + (record >= 0) + (int)i;
                c->held[c->held_count++] = fds[at];
                fds[at] = -1;
            }
            if (record >= 0) fds[record] = -1;
            grow((void **)&K.children, K.child_count, &K.child_room, sizeof *K.children);
            K.children[K.child_count++] = c;
            reply.kind = K_LAUNCHED;
            reply.pid = pid;
            linux_fault_call();
            tell(&reply, &pidfd, 1);
        }
    }
    drop_network();
    if (error) {
        free(c);
        reply.value = error;
        reply.status = bad;
        tell(&reply, NULL, 0);
    }
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

// One request; false when there is none. Of a controller that is gone only what needs no answer is done.
static bool serve(bool alive) {
    static char packet[KEEPER_PACKET + sizeof(struct keeper_message)] __attribute__((aligned(8)));
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 200)];
        struct cmsghdr align;
    } control;
    struct iovec io = {packet, sizeof packet};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(K.channel, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
        // Its exit is reaped in a moment; until then there is nothing to read.
        close(K.channel);
        K.channel = -1;
        return false;
    }
    int fds[200], count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        int k = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < k; i++) fds[count++] = ((int *)CMSG_DATA(c))[i];
    }
    struct keeper_message *m = (void *)packet;
    if (n < (ssize_t)sizeof *m || h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        covey_say("a request was cut off, bytes:", (long)n);
        for (int i = 0; i < count; i++) close(fds[i]);
        return true;
    }
    linux_fault_call();
    m->name[KEEPER_NAME - 1] = 0;
    switch (m->kind) {
    case K_LAUNCH:
        // Nobody would make its links or hear how it went: the next controller launches anew.
        if (!alive) break;
        launch(m, packet + sizeof *m, (size_t)n - sizeof *m, fds, count);
        return true;
    case K_HOLD:
        if (count == 1) {
            grow((void **)&K.helds, K.held_count, &K.held_room, sizeof *K.helds);
            K.helds[K.held_count].fd = fds[0];
            memcpy(K.helds[K.held_count++].name, m->name, KEEPER_NAME);
            return true;
        }
        break;
    case K_DROP:
        for (size_t i = 0; i < K.held_count;) {
            if (strcmp(K.helds[i].name, m->name)) { i++; continue; }
            close(K.helds[i].fd);
            K.helds[i] = K.helds[--K.held_count];
        }
        break;
    case K_RELEASE:
        for (size_t i = 0; i < K.child_count; i++)
            if (K.children[i]->id == m->id && K.children[i]->exited) {
                forget_child(i);
                break;
            }
        break;
    case K_PONG:
        if (K.said_silent) covey_say("the controller answers again, its pid:", K.controller);
        K.waiting_for_pong = K.said_silent = false;
        break;
    case K_QUIT: K.quitting = true; break;
    default: covey_say("an unknown request", (long)m->kind);
    }
    for (int i = 0; i < count; i++) close(fds[i]);
    return true;
}

void covey_keep(bool launches) {
    const char *fault = covey_keeper_argument(5);
    if (fault && !strncmp(fault, "fault=", 6)) linux_fault_arm("keeper", fault + 6);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    bool given = fcntl(GIVEN_CHANNEL, F_SETFD, FD_CLOEXEC) == 0;  // before anything else takes the number
    K.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    K.channel = K.controller = K.network = -1;
    K.project = covey_keeper_argument(2);
    K.run = covey_keeper_argument(4);
    signal(SIGHUP, SIG_IGN);
    if (given) {
        // The controller that started us is no child of ours: the end of its channel is its end.
        K.channel = GIVEN_CHANNEL;
        K.started = now(CLOCK_MONOTONIC);
        K.generation = 1;
    } else {
        fork_controller();
    }
    while (!controller_role) {
        struct pollfd p[2] = {{K.signals, POLLIN, 0}, {K.channel, POLLIN, 0}};
        int64_t left = (K.respawn_at ? K.respawn_at : K.ping_at) - now(CLOCK_MONOTONIC);
        if (K.respawn_at && left <= 0) {
            fork_controller();
            continue;
        }
        // The first millisecond is the controller's and the client's, where two processors are all there are.
        int ready = poll(p, 2, launches ? 1 : left <= 0 ? 0 : (int)(left / 1000000) + 1);
        if (ready < 0) continue;
        if (launches && ready == 0) make_network();
        launches = false;
        if (p[0].revents) {
            struct signalfd_siginfo s;
            while (read(K.signals, &s, sizeof s) == sizeof s) {}
        }
        // Requests first: a release must not find its child reaped but untold.
        if (p[1].revents) serve(true);
        reap();
        if (!controller_role && K.channel < 0 && K.controller < 0 && !K.respawn_at) controller_gone(CLD_KILLED, SIGKILL);
        if (!K.respawn_at) look_after_controller();
    }
    // The controller goes on: the constructor returns and the Swift runtime starts in this fresh process.
    free(K.children);
    free(K.helds);
    prctl(PR_SET_NAME, "covey", 0, 0, 0);
}

int covey_is_controller(int *launch_socket, int *listener, int *generation) {
    *launch_socket = CONTROLLER_LAUNCH;
    *listener = KEEPER_LISTENER;
    *generation = controller_generation;
    return controller_role;
}

int covey_predecessor(int *kind, int *status, int *failures) {
    *kind = K.last_kind;
    *status = K.last_status;
    *failures = K.failures;
    return controller_role && controller_generation > 0;
}
