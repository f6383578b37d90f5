// SPDX-License-Identifier: Apache-2.0
//
// What a process has of its own: its environment, a global of C's that Swift 6 can't read safely by itself, and
// shared libraries (dlopen(3)).
#pragma once
#include <dlfcn.h>
#include <unistd.h>

static inline char **linux_environ(void) { return environ; }
