// SPDX-License-Identifier: Apache-2.0
//
// Fault points: a seam of the survival tests (Tests/bench/survival), armed by COVEY_FAULT=FILE when a client or a keeper
// starts. A process of ours counts the points it passes; at the n-th that FILE asks for it removes FILE and kills itself
// with SIGKILL, so that every moment of a command can be struck in turn, and the same one again.
//
//   FILE: "WHO KIND N": client, controller or keeper; call or operation; from 1. Written anew it counts anew; without
//   FILE nothing is counted. FILE.no-exit-record: PIDFD_GET_INFO tells no exits, as before Linux 6.15.
//
// Not armed, a point costs a look at one word.
#pragma once
#include <stdbool.h>

extern int linux_fault_armed;

// From here on this process is `who`; `path` is copied, NULL keeps the one it was armed with.
void linux_fault_arm(const char *who, const char *path);
// The path it was armed with; NULL when it was not.
const char *linux_fault_path(void);
void linux_fault_reached(const char *kind);
// PIDFD_GET_INFO is not to be believed.
bool linux_fault_hides_exits(void);

// A system call of ours, in Kernel's `retrying` and at the steps of the keeper.
static inline void linux_fault_call(void) {
    if (__builtin_expect(linux_fault_armed, 0)) linux_fault_reached("call");
}

// An operation of a plan begins or has ended; in a client, news of one.
static inline void linux_fault_operation(void) {
    if (__builtin_expect(linux_fault_armed, 0)) linux_fault_reached("operation");
}
