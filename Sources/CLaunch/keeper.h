// SPDX-License-Identifier: Apache-2.0
//
// Between start.c, which makes a process a keeper, and keeper.c, which is its life.
#pragma once
#include <stdbool.h>

// In a process whose beginning is clean and whose descriptor 3 is the listener: keeps until the project is down, and
// returns in each controller. `launches`: an `up` began it, whose first container comes in a moment.
void covey_keep(bool launches);

// For engine.log: what went wrong and a number that says how.
void covey_say(const char *what, long number);
