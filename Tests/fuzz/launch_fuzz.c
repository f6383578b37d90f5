// SPDX-License-Identifier: Apache-2.0
//
// The entry libFuzzer calls: bytes become a launch program. What the verifier lets through is run by the interpreter itself,
// whose system calls end here: each reads all that the kernel would read, and answers what the input says. So a byte read
// outside of the program, a slot that is none or a table that is too small is seen by the sanitizers. `Tests/fuzz/launch`
// builds and runs this.

#include "CLaunch.h"
#include "init.h"
#include <asm/unistd.h>
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t *answers;
static size_t answer_count, answer_at;
static long calls;
static jmp_buf end;
static volatile unsigned long sum;

static uint8_t answer(void) { return answer_count ? answers[answer_at++ % answer_count] : 0; }

static void read_bytes(const void *from, size_t n) {
    for (size_t i = 0; i < n; i++) sum += ((const unsigned char *)from)[i];
}
static void read_text(long at) {
    if (at) sum += strlen((const char *)at);
}
static void read_vector(long at) {
    for (const char *const *p = (const char *const *)at; p && *p; p++) read_text((long)*p);
}
static void fill(long to, size_t n) {
    for (size_t i = 0; to && i < n; i++) ((unsigned char *)to)[i] = answer();
}

_Noreturn void covey_be_init(long child) {
    (void)child;
    longjmp(end, 1);
}

// Stands where raw.h has the call's instruction.
long fuzz_call(long n, long a, long b, long c, long d, long e, long f) {
    (void)f;
    if (++calls > 20000) longjmp(end, 1);
    switch (n) {
    case __NR_exit_group: longjmp(end, 1);
    case 435 /* clone3 */: return 0;
    case __NR_mount: read_text(a), read_text(b), read_text(c); if (e) read_text(e); break;
    case __NR_write: read_bytes((void *)b, (size_t)c); break;
    case __NR_sendto: read_bytes((void *)b, (size_t)c); break;
    case __NR_sendmsg: {
        const struct msghdr *h = (const struct msghdr *)b;
        for (size_t i = 0; i < h->msg_iovlen; i++) read_bytes(h->msg_iov[i].iov_base, h->msg_iov[i].iov_len);
        read_bytes(h->msg_control, h->msg_controllen);
        return 20;
    }
    case __NR_read:
        fill(b, (size_t)c);
        // The tag that is waited for comes now and then; a program that waits for ever is none of our interest.
        return answer() & 3 ? c : 0;
    case __NR_recvfrom: {
        size_t room = (size_t)c < 256 ? (size_t)c : 256;
        fill(b, room);
        return (long)room - answer() % 64;
    }
    case __NR_getcwd: fill(a, 16); ((char *)a)[15] = 0; return 16;
    case __NR_statx: read_text(b); fill(e, 64); break;
    case __NR_fstatfs: fill(b, 16); break;
    case __NR_execve: read_text(a), read_vector(b), read_vector(c); return -ENOENT;
    case __NR_execveat: read_text(b), read_vector(c), read_vector(d); return -EPERM;
    case __NR_openat: case __NR_faccessat: case __NR_mkdirat: case __NR_mknodat: case __NR_unlinkat: case __NR_fchownat: case __NR_fchmodat:
    case 437 /* openat2 */: case 428 /* open_tree */: read_text(b); if (n == 437) read_bytes((void *)c, (size_t)d); break;
    case 429 /* move_mount */: read_text(b), read_text(d); break;
    case __NR_symlinkat: read_text(a), read_text(c); break;
    case 430 /* fsopen */: read_text(a); break;
    case 431 /* fsconfig */: if (c) read_text(c); if (d) read_text(d); break;
    case 442 /* mount_setattr */: read_bytes((void *)d, (size_t)e); break;
    case __NR_pivot_root: read_text(a), read_text(b); break;
    case __NR_chdir: case __NR_chroot: case __NR_umount2: read_text(a); break;
    case __NR_sethostname: case __NR_setdomainname: read_bytes((void *)a, (size_t)b); break;
    case __NR_setgroups: read_bytes((void *)b, (size_t)a * 4); break;
    case __NR_seccomp: {
        struct program { unsigned short count; const void *filter; } *p = (struct program *)c;
        read_bytes(p->filter, (size_t)p->count * 8);
        break;
    }
    case __NR_sched_setattr: { uint32_t size; memcpy(&size, (void *)b, 4); read_bytes((void *)b, size > 4096 ? 4 : size); break; }
    case __NR_sched_setaffinity: read_bytes((void *)c, (size_t)b); break;
    case __NR_prlimit64: if (c) read_bytes((void *)c, 16); fill(d, d ? 16 : 0); break;
    case __NR_memfd_create: read_text(a); break;
    case __NR_wait4: fill(b, 4); break;
    case __NR_clone: return answer() & 1 ? 0 : 4000;
    }
    // Mostly success with a small number, as a descriptor is; now and then a refusal.
    static const int refusals[] = {ENOENT, EEXIST, EPERM, EACCES, EINVAL, ENOSYS, EAGAIN, EINTR};
    uint8_t x = answer();
    return x < 24 ? -refusals[x % 8] : 3 + x % 40;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    // The last bytes are the answers; the rest is the program, of exactly its size on the heap.
    size_t count = data[0] < size ? data[0] : size - 1;
    int whole = data[1] & 1;
    size_t length = size - 2 > count ? size - 2 - count : size - 2;
    answers = data + size - count;
    answer_count = count, answer_at = 0, calls = 0;
    char *program = malloc(length ? length : 1);
    memcpy(program, data + 2, length);
    if (whole && length >= sizeof(struct launch_head)) {
        // What a mutation seldom gets right by itself.
        struct launch_head *h = (struct launch_head *)program;
        h->magic = LAUNCH_MAGIC, h->version = LAUNCH_VERSION, h->size = (uint32_t)length;
        h->operations = sizeof *h, h->given_slots = 8, h->sync_slot = 0;
        size_t most = (length - sizeof *h) / sizeof(struct launch_operation);
        if (h->operation_count > most) h->operation_count = (uint32_t)(h->operation_count % (most + 1));
    }
    int bad = -1, given[LAUNCH_SLOTS], pidfd = -1;
    for (int i = 0; i < LAUNCH_SLOTS; i++) given[i] = 100 + i;
    int verdict = covey_launch_verify(program, length, &bad);
    if (verdict != 0 && verdict != EINVAL) abort();
    if (verdict == 0 && !setjmp(end)) covey_launch(program, given, NULL, 0, -1, &pidfd);
    free(program);
    return 0;
}
