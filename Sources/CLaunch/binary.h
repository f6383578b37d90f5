// SPDX-License-Identifier: Apache-2.0
#pragma once

// First of all, while /proc is the host's: which file this process was executed from.
void covey_know_binary(char *const argv[]);
