// SPDX-License-Identifier: Apache-2.0
//
// Between start.c, which makes a process a keeper, and keeper.c, which is its life.
#pragma once

// In a process whose beginning is clean and whose descriptor 3 is the listener: keeps until the project is down, and
// returns in each controller.
void covey_keep(void);

// For engine.log: what went wrong and a number that says how.
void covey_say(const char *what, long number);
