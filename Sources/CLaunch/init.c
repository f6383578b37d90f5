// SPDX-License-Identifier: Apache-2.0
//
// The tiny init of `init: true`: pid 1 reaps whatever ends, passes signals on to the one real child, and ends as it ends.
//
// It is a program of its own: the code of one section of this binary behind an ELF head, in a sealed memfd that pid 1
// executes (elf(5), memfd_create(2), execveat(2)). A copy of the keeper would show the host's paths in /proc/1/cmdline, and
// /proc/1/exe would be the host's binary, in reach of a container that may trace (CVE-2019-5736). Code in the section may
// therefore use nothing that lies outside: no data, no string, no function that is not inlined.

#include "init.h"
#include "raw.h"
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#define NR_close_range 436
#define MFD_CLOEXEC_ 1u
#define MFD_ALLOW_SEALING_ 2u
#define MFD_EXEC_ 16u
#define F_ADD_SEALS_ 1033
#define SEALS_ALL 15  // F_SEAL_SEAL, _SHRINK, _GROW, _WRITE
#define PR_SET_NAME_ 15

#define IN_PROGRAM __attribute__((section("covey_init"), used, noinline, visibility("hidden")))

// All signals are blocked; those that came before are pending.
RAW_INLINE _Noreturn void look_after(long child) {
    uint64_t all = ~0ull;
    for (;;) {
        siginfo_t info;
        raw_zero(&info, sizeof info);
        long s = RAW4(__NR_rt_sigtimedwait, &all, &info, 0, 8);
        if (s == SIGCHLD) {
            int status;
            long pid;
            while ((pid = RAW4(__NR_wait4, -1, &status, 1 /* WNOHANG */, 0)) > 0)
                if (pid == child) {
                    int signal = status & 0x7f;
                    RAW1(__NR_exit_group, signal ? 128 + signal : status >> 8 & 0xff);
                }
        } else if (s > 0) {
            RAW2(__NR_kill, child, s);
        }
    }
}

// argv: init PID. The stack is as execve(2) leaves it: the count, then the strings' addresses.
IN_PROGRAM _Noreturn void covey_init_main(const long *stack) {
    const char *digits = (const char *)stack[2];
    long child = 0;
    while (*digits) child = child * 10 + (*digits++ - '0');
    uint64_t name = 0x74696e69;  // "init"
    RAW5(__NR_prctl, PR_SET_NAME_, &name, 0, 0, 0);
    look_after(child);
}

__asm__(
    ".pushsection covey_init,\"ax\",@progbits\n"
    ".globl covey_init_entry\n.hidden covey_init_entry\n.balign 16\ncovey_init_entry:\n"
#if defined(__x86_64__)
    "\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall covey_init_main\n\tud2\n"
#else
    "\tmov x0, sp\n\tbl covey_init_main\n\tbrk #1\n"
#endif
    ".popsection\n");

extern const char covey_init_entry[] __attribute__((visibility("hidden")));
// Named by the linker after the section.
extern const char __start_covey_init[] __attribute__((visibility("hidden")));
extern const char __stop_covey_init[] __attribute__((visibility("hidden")));

enum { CODE_AT = 256 };
static const uint64_t base = 0x400000;

// Only on failure does it return; then the copy of the keeper is the init.
static void execute_program(long child) {
    struct {
        Elf64_Ehdr file;
        Elf64_Phdr code, stack;
    } head;
    char space[CODE_AT];
    uint64_t size = (uint64_t)(__stop_covey_init - __start_covey_init);
    raw_zero(&head, sizeof head);
    raw_zero(space, sizeof space);
    head.file = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
#if defined(__x86_64__)
        .e_machine = EM_X86_64,
#else
        .e_machine = EM_AARCH64,
#endif
        .e_version = EV_CURRENT,
        .e_entry = base + CODE_AT + (uint64_t)(covey_init_entry - __start_covey_init),
        .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
    head.code = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = base, .p_paddr = base,
        .p_filesz = CODE_AT + size, .p_memsz = CODE_AT + size, .p_align = 0x1000};
    head.stack = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16};
    raw_copy(space, &head, sizeof head);

    char digits[20], *at = digits + sizeof digits;
    *--at = 0;
    do *--at = (char)('0' + child % 10);
    while (child /= 10);
    const char *argv[] = {"init", at, 0}, *none[] = {0};
    long fd = RAW2(__NR_memfd_create, "init", MFD_CLOEXEC_ | MFD_ALLOW_SEALING_ | MFD_EXEC_);
    // Before Linux 6.3 there is no MFD_EXEC, and each memfd may be executed.
    if (fd == -22) fd = RAW2(__NR_memfd_create, "init", MFD_CLOEXEC_ | MFD_ALLOW_SEALING_);
    if (fd < 0) return;
    if (RAW3(__NR_write, fd, space, CODE_AT) == CODE_AT
        && RAW3(__NR_write, fd, __start_covey_init, size) == (long)size
        && RAW3(__NR_fcntl, fd, F_ADD_SEALS_, SEALS_ALL) == 0)
        RAW5(__NR_execveat, fd, "", argv, none, AT_EMPTY_PATH);
    RAW1(__NR_close, fd);
}

void covey_be_init(long child) {
    RAW3(NR_close_range, 0, ~0u, 0);
    execute_program(child);
    look_after(child);
}
