// SPDX-License-Identifier: Apache-2.0
//
// What the interpreter's parts share: the run of one program in one child, and the operations by the file they are in.
// All run between clone3(2) and execve(2): raw system calls only, results are -errno.
#pragma once
#include "CLaunch.h"
#include "raw.h"

// Nobody outside of this target calls them.
#pragma GCC visibility push(hidden)

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef O_PATH
#define O_PATH 010000000
#endif
// Numbers that every architecture has, where the headers are older than the call.
#define NR_pidfd_send_signal 424
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_clone3 435
#define NR_close_range 436
#define NR_openat2 437
#define NR_mount_setattr 442
#define NR_fchmodat2 452

struct run {
    const char *program;
    const struct launch_head *head;
    int slots[LAUNCH_SLOTS];
    int index;
    int cover; // the slot of the empty directory that covers a path already, -1 while it hangs nowhere
    int written;   // reports are written, not sent: a seccomp filter holds, or they go into a fifo
    int traced;    // steps are told
};

RAW_INLINE const char *text(struct run *r, uint32_t offset) { return offset ? r->program + offset : 0; }
RAW_INLINE int slot(struct run *r, int n) { return n < 0 ? -1 : r->slots[n]; }
// A slot that is filled again lets go of what it had.
RAW_INLINE void put(struct run *r, int n, int fd) {
    if (n < 0) return;
    if (r->slots[n] >= 0 && n >= (int)r->head->given_slots) RAW1(__NR_close, r->slots[n]);
    r->slots[n] = fd;
}

// paths.c
long launch_open(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
long launch_open_below(int root, const char *path, int flags, int no_links);
long launch_ensure_directory(int root, const char *path, unsigned mode);
long launch_ensure_file(int root, const char *path);
long launch_open_parent(int root, const char *path, const char **name);

// mounts.c
long op_fsmount(struct run *r, const struct launch_operation *o);
long launch_move(int from, int to);
long op_attributes(int fd, uint64_t set, uint64_t clear, uint64_t propagation, int recursive);
long launch_clone_tree(int from, const char *path, int recursive, int no_follow);
long op_attach(struct run *r, const struct launch_operation *o);
long op_readonly(struct run *r, const struct launch_operation *o);
long op_mask(struct run *r, const struct launch_operation *o);
long op_unmount(const char *path);
long op_change_root(void);
long op_move_root(struct run *r, const struct launch_operation *o);

// files.c
long launch_file_type(int fd, unsigned *mode, unsigned *major, unsigned *minor);
long op_mknod(struct run *r, const struct launch_operation *o);
long op_device(struct run *r, const struct launch_operation *o);
long op_write(struct run *r, const struct launch_operation *o);

// network.c
long op_netlink(struct run *r, const struct launch_operation *o);
long op_socket(struct run *r, const struct launch_operation *o);

// reports.c
void launch_tell(struct run *r, int kind, int error, int value, const int *fds, int count);
__attribute__((noreturn)) void launch_leave(int code);
long op_send(struct run *r, const struct launch_operation *o);
long launch_await(struct run *r, int32_t wanted);
long op_wait_start(struct run *r, const struct launch_operation *o);

// credentials.c
long op_capabilities(const struct launch_operation *o);
long op_bounding(uint64_t keep);
long op_ambient(uint64_t set);
long op_groups(struct run *r, const struct launch_operation *o);
long op_rlimit(const struct launch_operation *o);
long op_seccomp(struct run *r, const struct launch_operation *o);

// streams.c
long op_terminal(struct run *r, const struct launch_operation *o);
long op_duplicate(struct run *r, const struct launch_operation *o);
long op_close_others(struct run *r, uint64_t first);

// processes.c
long op_clone(struct run *r, uint64_t flags);
void op_init(struct run *r);
long op_reset_signals(void);
long op_chdir(const char *path);
long op_hook(struct run *r, const struct launch_operation *o);

// launch.c
__attribute__((noreturn)) void launch_run(struct run *r);

// apart.c
int launch_prepare_apart(const struct run *r, int *text);
void launch_go_apart(const struct run *r, int binary, int text);

// binary.c
long launch_check_foreign(const char *path, bool loaders);

// execution.c
long launch_executable(const char *path);
long op_stub(struct run *r, const struct launch_operation *o);
long op_exec(struct run *r, const struct launch_operation *o);
long op_find(struct run *r, const struct launch_operation *o);

#pragma GCC visibility pop
