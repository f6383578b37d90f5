// SPDX-License-Identifier: Apache-2.0
//
// bpf(2): loading a program and attaching it to a cgroup.
#pragma once
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int linux_bpf_load(uint32_t type, uint32_t attach_type, const uint64_t *instructions, uint32_t count) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.prog_type = type;
    a.expected_attach_type = attach_type;
    a.insns = (uint64_t)(uintptr_t)instructions;
    a.insn_cnt = count;
    a.license = (uint64_t)(uintptr_t)"Apache-2.0";
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a);
}
static inline int linux_bpf_attach(int target, int program, uint32_t attach_type, uint32_t flags) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.target_fd = (uint32_t)target;
    a.attach_bpf_fd = (uint32_t)program;
    a.attach_type = attach_type;
    a.attach_flags = flags;
    return (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &a, sizeof a);
}
// The number of programs attached to the target itself, or -1.
static inline int linux_bpf_attached(int target, uint32_t attach_type) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.query.target_fd = (uint32_t)target;
    a.query.attach_type = attach_type;
    if (syscall(SYS_bpf, BPF_PROG_QUERY, &a, sizeof a)) return -1;
    return (int)a.query.prog_cnt;
}
