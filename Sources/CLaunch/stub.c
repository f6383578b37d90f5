// SPDX-License-Identifier: Apache-2.0
//
// The stub: the program a launched child is for the moment between us and the container's own program. It lies in sealed
// memory, so that /proc/self/exe, which a container's file can name (as its program, or behind `#!`), never leads to our
// binary on the host (CVE-2019-5736). It executes argv[0] with the rest as arguments, for an exec in a second process that
// it makes; what fails it says on the sync socket as the interpreter would, and ends.
//
// A whole ELF file of one page-mapped segment, position-independent, without libc. The three words at its end are
// filled in for each launch.

#include "CLaunch.h"
#include "stub.h"

#if defined(__x86_64__)
#define MACHINE "62"
#define CODE \
    "  mov (%rsp), %rcx\n"                    /* argc */ \
    "  lea 8(%rsp), %rbx\n"                   /* argv */ \
    "  lea 8(%rbx,%rcx,8), %rbp\n"            /* envp */ \
    "  mov covey_stub_words(%rip), %edi\n"    /* fcntl(sync, F_SETFD, FD_CLOEXEC) */ \
    "  mov $2, %esi\n  mov $1, %edx\n  mov $72, %eax\n  syscall\n" \
    "  cmp $-9, %rax\n  je 1f\n"            /* EBADF: started by itself, by a file that names it */ \
    "  mov covey_stub_words+8(%rip), %r12d\n  test %r12d, %r12d\n  je 3f\n" \
    "  mov $0x8000, %edi\n  xor %esi, %esi\n  xor %edx, %edx\n  xor %r10d, %r10d\n  xor %r8d, %r8d\n" \
    "  mov $56, %eax\n  syscall\n"          /* clone(CLONE_PARENT) */ \
    "  test %rax, %rax\n  js 4f\n  je 2f\n" \
    "  sub $32, %rsp\n  movl $2, (%rsp)\n  movl $0, 8(%rsp)\n  mov %eax, 12(%rsp)\n  xor %r13d, %r13d\n  jmp 5f\n" \
    "2:  mov $112, %eax\n  syscall\n"       /* setsid() */ \
    "  test $2, %r12d\n  je 3f\n" \
    "  xor %edi, %edi\n  mov $0x540e, %esi\n  xor %edx, %edx\n  mov $16, %eax\n  syscall\n" /* ioctl(0, TIOCSCTTY, 0) */ \
    "  test %rax, %rax\n  js 4f\n" \
    "3:  mov (%rbx), %rdi\n  lea 8(%rbx), %rsi\n  mov %rbp, %rdx\n  mov $59, %eax\n  syscall\n" /* execve */ \
    "4:  neg %eax\n  sub $32, %rsp\n  movl $1, (%rsp)\n  mov %eax, 8(%rsp)\n  movl $0, 12(%rsp)\n  mov $127, %r13d\n" \
    "5:  mov covey_stub_words+4(%rip), %ecx\n  mov %ecx, 4(%rsp)\n  movl $0, 16(%rsp)\n" /* write(sync, report) */ \
    "  mov covey_stub_words(%rip), %edi\n  mov %rsp, %rsi\n  mov $20, %edx\n  mov $1, %eax\n  syscall\n" \
    "  mov %r13d, %edi\n  jmp 6f\n" \
    "1:  mov $127, %edi\n6:  mov $231, %eax\n  syscall\n  hlt\n"
#elif defined(__aarch64__)
#define MACHINE "183"
#define CODE \
    "  ldr x19, [sp]\n  add x20, sp, #8\n  add x21, x20, x19, lsl #3\n  add x21, x21, #8\n" \
    "  ldr w0, covey_stub_words\n  mov x1, #2\n  mov x2, #1\n  mov x8, #25\n  svc #0\n  cmn x0, #9\n  b.eq 1f\n" \
    "  ldr w22, covey_stub_words+8\n  cbz w22, 3f\n" \
    "  mov x0, #0x8000\n  mov x1, #0\n  mov x2, #0\n  mov x3, #0\n  mov x4, #0\n  mov x8, #220\n  svc #0\n" \
    "  tbnz x0, #63, 4f\n  cbz x0, 2f\n" \
    "  sub sp, sp, #32\n  mov w4, #2\n  str w4, [sp]\n  str wzr, [sp, #8]\n  str w0, [sp, #12]\n  mov w23, #0\n  b 5f\n" \
    "2:  mov x8, #157\n  svc #0\n  tbz w22, #1, 3f\n" \
    "  mov x0, #0\n  mov x1, #0x540e\n  mov x2, #0\n  mov x8, #29\n  svc #0\n  tbnz x0, #63, 4f\n" \
    "3:  ldr x0, [x20]\n  add x1, x20, #8\n  mov x2, x21\n  mov x8, #221\n  svc #0\n" \
    "4:  neg w3, w0\n  sub sp, sp, #32\n  mov w4, #1\n  str w4, [sp]\n  str w3, [sp, #8]\n  str wzr, [sp, #12]\n  mov w23, #127\n" \
    "5:  ldr w4, covey_stub_words+4\n  str w4, [sp, #4]\n  str wzr, [sp, #16]\n" \
    "  ldr w0, covey_stub_words\n  mov x1, sp\n  mov x2, #20\n  mov x8, #64\n  svc #0\n  mov w0, w23\n  b 6f\n" \
    "1:  mov x0, #127\n6:  mov x8, #94\n  svc #0\n"
#endif

// elf(5): header, one PT_LOAD and a PT_GNU_STACK that asks for no executable stack, then the code.
__asm__(
    ".pushsection .rodata\n.balign 16\n.globl covey_stub\n.globl covey_stub_words\n.globl covey_stub_end\n"
    "covey_stub:\n"
    "  .byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0\n  .zero 8\n"
    "  .short 2, " MACHINE "\n  .long 1\n  .quad 0x400000 + covey_stub_entry - covey_stub\n"
    "  .quad 64, 0\n  .long 0\n  .short 64, 56, 2, 64, 0, 0\n"
    "  .long 1, 5\n  .quad 0, 0x400000, 0x400000, covey_stub_end - covey_stub, covey_stub_end - covey_stub, 0x1000\n"
    "  .long 0x6474e551, 6\n  .quad 0, 0, 0, 0, 0, 16\n"
    "covey_stub_entry:\n" CODE
    ".balign 8\ncovey_stub_words:\n  .long 0, 0, 0, 0\n"
    "covey_stub_end:\n.popsection\n");
