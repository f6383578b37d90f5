// SPDX-License-Identifier: Apache-2.0
//
// CLaunch: what runs between clone3(2) and execve(2), and the keeper loop. Nothing else.
//
// A launch program is a flat buffer: head, operations, data. Operations refer to data by offset and to descriptors
// by slot. Swift writes it (LaunchPlanning), `covey_launch_verify` checks it before the clone, the interpreter runs it
// in the child with raw system calls only: no libc, no allocation, no decision.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAUNCH_MAGIC 0x314c5643u  // "CVL1"
#define LAUNCH_VERSION 2u
#define LAUNCH_SLOTS 512
#define LAUNCH_OPERATIONS 16384
#define LAUNCH_LARGEST (16u << 20)

// Offsets count from the start of the buffer; 0 is "none".
struct launch_head {
    uint32_t magic, version, size, operation_count;
    uint32_t operations;   // offset of the first operation
    int32_t sync_slot;     // socket to the one who launches: reports go up, permissions come down
    int32_t cgroup_slot;   // directory for CLONE_INTO_CGROUP, or -1
    uint32_t given_slots;  // slots 0..given_slots-1 come filled with descriptors
    uint64_t clone_flags;
    int32_t pid_namespace_slot;  // given: the child is born in this pid namespace (a pidfd or an nsfs file), or -1
    uint32_t flags;  // LAUNCH_TRACED, LAUNCH_APART
};

// In the head: each operation is told (REPORT_STEP) before it is done, until nobody hears or the filter lets no word through;
// in a process that was executed anew from a read-only binary (apart.c).
enum { LAUNCH_TRACED = 1, LAUNCH_APART = 2 };

struct launch_operation {
    uint32_t code;
    int32_t slot, slot2, slot3;  // -1: none
    uint32_t text[3];            // NUL-terminated, offset or 0
    uint32_t blob, blob_size;
    uint32_t flags;
    uint64_t n[3];
};

enum launch_code {
    L_PROPAGATION = 1,  // mount(NULL, text0, NULL, n0): change propagation of the whole tree
    L_FSMOUNT,          // slot = fsopen(text0) + options in blob ("key\0value\0"…, empty value: flag), attributes n0
    L_OPEN_TREE,        // slot = clone of the mount at text0 (from slot2 or the host's root); flags 1: recursive, 2: no link followed
    L_MOUNT_ATTR,       // mount_setattr(slot, set n0, clear n1, propagation n2); flags 1: recursive
    L_ATTACH,           // move_mount(slot → text0 in root slot2); flags 1: make a missing directory, 2: make a missing file, 4: refuse links, 8: refuse a place in procfs
    L_ATTACH_HOST,      // move_mount(slot → text0 on the host), before the pivot
    L_LEGACY_MOUNT,     // mount(text0, text1, text2, n0, blob) on the host, then slot = O_PATH of text1
    L_READONLY_PATH,    // text0 in root slot2 becomes a read-only mount of itself; missing is fine; flags 1: links are followed, but not into procfs
    L_MASK_PATH,        // text0 in root slot2 is hidden by the empty directory slot or the null device slot3; missing is fine; flags 1 likewise
    L_MKNOD,            // mknodat(slot, text0, n0, n1), then chmod n0 against the umask; flags 1: in place of what is there, owned by n2 (gid << 32 | uid)
    L_MKDIR,            // mkdirat(slot, text0, n0), existing is fine
    L_SYMLINK,          // symlinkat(text0, slot, text1), existing is fine
    L_ENSURE_DIRECTORY, // text0 in root slot2 and its parents, made where missing; mode n0
    L_OPEN,             // slot = openat2(slot2, text0, flags n0, mode n1, resolve n2)
    L_WRITE,            // blob into text0 below slot2 (or the host's root); flags 1: missing is fine, 2: no error counts
    L_PIVOT,            // the root of slot becomes /, the old one is detached; flags 1: by moving it over / and chroot(2), 2: by chroot(2) alone
    L_HOSTNAME,         // sethostname(text0); flags 1: setdomainname
    L_NETLINK,          // blob is netlink messages for protocol n0; text0: link whose index replaces 0xffffffff
    L_SOCKET,           // slot = socket bound to 127.0.0.11-like address n1 (network order), port n2; n0: SOCK_STREAM or SOCK_DGRAM
    L_SEND,             // sends the descriptors of the slots listed in blob (int32 each) up, with tag n0
    L_TELL,             // sends tag n0 up
    L_AWAIT,            // waits for tag n0 from above; anything else ends the child
    L_JOIN,             // setns(slot, n0)
    L_CLONE,            // the rest runs in a new child of the same parent, with CLONE_* n0; this process reports it and ends
    L_RLIMIT,           // resource n0, soft n1, hard n2; flags 1: lowered to what is allowed when refused
    L_UMASK,            // n0
    L_GROUPS,           // blob is uint32 gids
    L_IDENTITY,         // setresgid(n1), setresuid(n0)
    L_BOUNDING,         // drops every capability not in n0 from the bounding set
    L_CAPABILITIES,     // effective n0, permitted n1, inheritable n2; ambient cleared
    L_KEEP_CAPABILITIES,// PR_SET_KEEPCAPS n0
    L_SETSID,           //
    L_PTY,              // in root slot2: slot = master, slot3 = slave; n0 rows, n1 columns
    L_CONTROLLING_TTY,  // slot
    L_RESET_SIGNALS,    // all dispositions default, mask empty
    L_NO_NEW_PRIVILEGES,
    L_SECCOMP,          // blob is struct sock_filter[], SECCOMP_FILTER_FLAG_* n0; with a slot its listener goes there and the number is told with tag n1; flags 1: it lets write(2) through
    L_DUMPABLE,         // PR_SET_DUMPABLE n0
    L_PARENT_DEATH,     // PR_SET_PDEATHSIG n0
    L_CHDIR,            // text0, then getcwd must give an absolute path
    L_DUPLICATE,        // dup2(slot → descriptor n0); flags 1: slot -1 means /dev/null of root slot2
    L_CLOSE_OTHERS,     // closes every descriptor that is in no slot, above 2 and from n0 on
    L_CLOSE_ON_EXEC,    // close_range(n0, ~0, CLOEXEC)
    L_INIT,             // becomes a tiny init: the rest runs in its only child
    L_EXEC,             // blob: n0 candidate paths, n1 arguments, n2 environment strings, each NUL-terminated; by way of the stub in slot; flags LAUNCH_SECOND…: what the stub was asked for, LAUNCH_UNCHECKED…
    L_EXIT,             // n0
    L_DEVICE,           // node text0 in root slot2: mode and type n0, device n1, owner n2 (uid << 32 | gid); the same node being there is fine; flags 1: text1 of the host is mounted there when it can't be made
    L_AMBIENT,          // raises the capabilities in n0 into the ambient set
    L_KEYRING,          // a session keyring of its own, named text0; a kernel without keys is fine
    L_SCHEDULER,        // blob is struct sched_attr
    L_IO_PRIORITY,      // n0 for ioprio_set(2)
    L_AFFINITY,         // blob is a mask of processors
    L_PERSONALITY,      // n0
    L_HOOK,             // runs blob (path, n0 arguments, n1 environment strings) with slot as its input, n2 ms at most; its end must be a success; flags LAUNCH_UNCHECKED…
    L_WAIT_START,       // reads one byte from the fifo slot; flags 1: what fails from then on is told into it, for whoever wrote that byte
    L_FIND,             // one of the n0 paths in blob must be a file that may be executed
    L_OWNER,            // fchown(slot, n0, n1); flags 1: no error counts
    L_WRITE_SLOT,       // blob into slot
    L_UNSHARE,          // CLONE_* n0
    L_STUB,             // slot = the stub (stub.c), for L_EXEC; where the kernel has no such memory the slot stays empty; n0 LAUNCH_SECOND…
    L_UNMOUNT,          // what is mounted at text0 of the host, with all beneath, goes or is hidden by an empty tmpfs; a missing one is fine
    L_CODES
};

// In L_STUB and L_EXEC: the program runs in a new child of the same parent, a session of its own, whose terminal is
// descriptor 0. As L_CLONE and L_SETSID, but after the binary is left.
enum { LAUNCH_SECOND = 1, LAUNCH_TERMINAL = 2 };

// In L_EXEC and L_HOOK: what is executed is not held against our own binary (it is a program of the host's, or under a filter
// that lets nobody look), or its loader is not (a filter without pread(2)).
enum { LAUNCH_UNCHECKED = 4, LAUNCH_SHALLOW = 8 };

// What the child says, one packet each.
struct launch_report {
    enum { REPORT_FAILED = 1, REPORT_BORN, REPORT_TAG, REPORT_STEP } kind;
    int32_t operation;  // index of the operation
    int32_t error;      // errno of REPORT_FAILED
    int32_t value;      // pid of REPORT_BORN, tag of REPORT_TAG, a hook's wait status of REPORT_FAILED
    int32_t detail;     // REPORT_TAG of a seccomp listener: its descriptor in the child
};

// 0, or EINVAL with the operation that is wrong (-1: the head).
int covey_launch_verify(const void *program, size_t size, int *bad_operation);

// Clones a child that runs a verified program with these slots (given_slots descriptors).
// Returns the pid and its pidfd, or -errno. The caller keeps its descriptors; the child closes the `peers` of its sync
// socket before all else, so that it hears of the end of the one who launches it. A program that wants a network namespace of
// its own is born in `network`, where that is one, instead of making it.
int covey_launch(const void *program, const int *given, const int *peers, size_t peer_count, int network, int *pidfd);

// Such a network namespace, made while the caller goes on; one at a time. `covey_end_network` waits for it and returns its
// descriptor, which is the caller's to close, or -errno: then the clone is to make one, and says why it can't.
void covey_begin_network(void);
int covey_end_network(void);

// Executes this process anew from a read-only mount of its binary, where it was not: binary.c says why. Returns only where
// nothing is to do, or -errno where it can't be.
int covey_seal(void);

// Whether memory may be executed, which the stub lies in (vm.memfd_noexec, proc_sys_vm(5)).
bool covey_has_stub(void);

// ---- the keeper

// A file's name (NAME_MAX), a word before it and a port after it.
#define KEEPER_NAME 320
#define KEEPER_FDS 60
#define KEEPER_PACKET (160u << 10)

enum keeper_kind {
    // controller → keeper
    K_LAUNCH = 1,  // program in the bytes; descriptors: its slots, then (flags & 1) the record directory, then `held` more kept until K_RELEASE
    K_HOLD,        // keep the descriptor under `name`
    K_DROP,        // forget `name`
    K_RELEASE,     // the exit of child `id` is dealt with: forget it
    K_QUIT,        // leave; the controller leaves too
    K_PONG,        // the answer to K_PING
    // keeper → controller
    K_LAUNCHED = 101,  // pid, its pidfd beside
    K_REFUSED,         // value: errno, status: operation
    K_EXITED,          // status as waitid gives it: value = CLD_*, status = code or signal
    K_CHILD,           // replay: a child that runs, pidfd and its held descriptors beside
    K_HELD,            // replay: a descriptor kept under `name`
    K_READY,           // end of the replay
    K_PING,            // are you there?
    K_STOPPED          // a child was stopped by a signal, or goes on after it
};

struct keeper_message {
    uint32_t kind, id;
    int32_t pid, value, status;
    uint32_t flags, held;
    int64_t time;  // realtime nanoseconds of an exit
    char name[KEEPER_NAME];
};

// Descriptors a keeper is born with; GIVEN_CHANNEL: of a controller that lost the keeper before it.
enum { KEEPER_LISTENER = 3, GIVEN_CHANNEL = 4 };

// Starts a keeper that runs this binary: argv[0] is "covey-keeper". `listener` and `log` become its 3 and 1, 2; it is
// born in the v2 cgroup whose directory is `cgroup` (-1: where the caller is). A controller that lost its keeper gives
// its new `channel` (else -1): it stays the controller, and what it starts is its sibling. Returns the pid or -errno.
int covey_start_keeper(char *const argv[], int listener, int log, int cgroup, int channel);

// In the process that may become the project's keeper; it has nothing to do but `covey_wait_for_order`, which returns in
// controllers alone.
int covey_is_seed(void);

// In a client that found a controller: its seed is not needed. `waits` until it is gone, which takes a moment.
void covey_end_seed(bool waits);
void covey_wait_for_order(void);

// In a keeper and its controllers: the keeper's argv[index]; NULL beyond the last, and in any other process.
const char *covey_keeper_argument(int index);

// What engine.log may grow to; as much lies in engine.log.1.
#define ENGINE_LOG_LIMIT (4ll << 20)

// When the file behind `log` is larger than `limit` bytes: its text becomes PATH.1, and it is cut to nothing. For a file all
// holders of which write with O_APPEND.
void covey_bound_log(int log, long long limit);

// In the controller: the descriptors it was born with, and how often it was started before. False in any other process.
int covey_is_controller(int *launch_socket, int *listener, int *generation);

// In the controller: how the one before ended (CLD_*, code or signal), and how many ended in a row without a minute of
// peace between. False for a keeper's first.
int covey_predecessor(int *kind, int *status, int *failures);
