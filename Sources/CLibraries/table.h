// SPDX-License-Identifier: Apache-2.0
#pragma once

// Opens a library and finds its symbols: the first name that can't be found, or NULL. `into` receives one pointer for each.
const char *library_open_table(const char *file, const char *const *symbols, void **into, int count);

#define COUNT(list) ((int)(sizeof(list) / sizeof((list)[0])))
