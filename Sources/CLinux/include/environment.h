// SPDX-License-Identifier: Apache-2.0
//
// The process's environment: a global of C's that Swift 6 can't read safely by itself.
#pragma once
#include <unistd.h>

static inline char **linux_environ(void) { return environ; }
