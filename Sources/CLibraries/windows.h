// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>

// What one stream has taken for its window and what belongs to it. The stream's own thread alone touches it.
struct library_windows {
    char *directory;
    size_t memory;
    // errno of why a window could not be had; 0 while all could.
    int error;
    // Bytes of files mapped by the process when this last let go of its own.
    long mapped;
    struct library_window {
        void *address;
        size_t size;
        int is_on_disk;
    } taken[8];
};

int library_windows_begin(struct library_windows *windows, size_t memory, const char *directory);
void library_windows_end(struct library_windows *windows);
// An allocator as zstd, liblzma and bzip2 take one, for a `struct library_windows`.
void *library_windows_take(void *windows, size_t size);
void library_windows_give(void *windows, void *address);
// To be called after each step: what is on the disk and was looked at goes back there.
void library_windows_settle(struct library_windows *windows);
