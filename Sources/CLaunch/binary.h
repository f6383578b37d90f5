// SPDX-License-Identifier: Apache-2.0
#pragma once

// First of all, while /proc is the host's: which file this process was executed from.
void covey_know_binary(char *const argv[]);

// A descriptor to execute this binary by from a read-only mount of its own; -1 where it was executed from one, or -errno.
int covey_read_only_binary(void);

// In a process that was executed for one launch program alone (apart.c), which lies in this descriptor; does not return.
void covey_launch_apart(const char *number);
