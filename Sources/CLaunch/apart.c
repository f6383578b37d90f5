// SPDX-License-Identifier: Apache-2.0
//
// A child that is executed anew, from a read-only mount of our binary, before it runs its launch program: a keeper's, whose own
// binary can be written to, where no stub will stand between it and the container's program. Whatever that program is led to
// by /proc/self/exe in the moment of its execution is then written to by nobody (CVE-2019-5736); binary.c only looks before.
//
// The program and the numbers of its descriptors lie in a memory file. What can't be done so is done as ever: the look remains.

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "binary.h"
#include "run.h"

// A memory file of the program with its descriptors' numbers behind it, or -errno.
static long write_down(const struct run *r) {
    long fd = RAW2(__NR_memfd_create, "launch", MFD_CLOEXEC | 8 /* MFD_NOEXEC_SEAL, Linux 6.3 */);
    if (fd == -EINVAL) fd = RAW2(__NR_memfd_create, "launch", MFD_CLOEXEC);
    if (fd < 0) return fd;
    const size_t slots = sizeof *r->slots * r->head->given_slots;
    if (RAW3(__NR_write, fd, r->program, r->head->size) == (long)r->head->size && RAW3(__NR_write, fd, r->slots, slots) == (long)slots)
        return fd;
    RAW1(__NR_close, fd);
    return -ENOSPC;
}

int launch_prepare_apart(const struct run *r, int *text) {
    static int binary = -1;
    *text = -1;
    if (!(r->head->flags & LAUNCH_APART) && covey_has_stub()) return -1;
    // An execve(2) before the identity maps are written would cost the right to all that comes (user_namespaces(7)).
    if (r->head->clone_flags & 0x10000000 /* CLONE_NEWUSER */) return -1;
    if (binary < 0) binary = covey_read_only_binary();
    if (binary < 0) return -1;
    *text = (int)write_down(r);
    return *text < 0 ? -1 : binary;
}

void launch_go_apart(const struct run *r, int binary, int text) {
    char number[12];
    int at = sizeof number - 1;
    number[at] = 0;
    for (int n = text; n > 0 || at == sizeof number - 1; n /= 10) number[--at] = (char)('0' + n % 10);
    const char *arguments[] = {"covey-launch", number + at, 0}, *environment[] = {0};
    for (uint32_t i = 0; i < r->head->given_slots; i++) RAW3(__NR_fcntl, r->slots[i], F_SETFD, 0);
    RAW3(__NR_fcntl, text, F_SETFD, 0);
    RAW5(__NR_execveat, binary, "", arguments, environment, AT_EMPTY_PATH);
    for (uint32_t i = 0; i < r->head->given_slots; i++) RAW3(__NR_fcntl, r->slots[i], F_SETFD, FD_CLOEXEC);
    RAW1(__NR_close, text);
}

void covey_launch_apart(const char *number) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    struct run r = {.index = -1};
    struct stat s;
    int text = atoi(number), bad;
    if (fstat(text, &s) || s.st_size < (off_t)sizeof *r.head) _exit(126);
    r.program = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, text, 0);
    if (r.program == MAP_FAILED) _exit(126);
    r.head = (const struct launch_head *)r.program;
    const size_t size = r.head->size;
    if (size > (size_t)s.st_size || covey_launch_verify(r.program, size, &bad)) _exit(126);
    if ((size_t)s.st_size - size != sizeof *r.slots * r.head->given_slots) _exit(126);
    for (uint32_t i = 0; i < LAUNCH_SLOTS; i++) r.slots[i] = -1;
    raw_copy(r.slots, r.program + size, (size_t)s.st_size - size);
    for (uint32_t i = 0; i < r.head->given_slots; i++) fcntl(r.slots[i], F_SETFD, FD_CLOEXEC);
    close(text);
    launch_run(&r);
}
