// SPDX-License-Identifier: Apache-2.0
//
// The memory that decompressors keep their windows in. How large a window is, a stream's writer chose: 8 MiB for zstd and xz as they
// are mostly used, 64 MiB for `xz -9`, 128 MiB for `zstd --long`; and a zstd stream's later frames may want more than its first.
// All streams of the process that are read at once have one amount of memory together. What is above it lies in a file without a
// name, mapped, so that the kernel may write it to the disk instead of keeping it.
//
// What a process has mapped of a file counts as its memory until it lets go of it, which it does again and again: a page
// that is wanted once more is still in the page cache nearly always, and costs a fault.
#define _GNU_SOURCE
#include "table.h"
#include "windows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Smaller ones are tables and heads, which do not grow with anything.
enum { least_window = 512 << 10 };
// What a stream may have mapped of its files between two steps.
enum { most_mapped = 4 << 20 };

// What all streams of the process have in memory.
static _Atomic size_t in_memory;

int library_windows_begin(struct library_windows *windows, size_t memory, const char *directory) {
    memset(windows, 0, sizeof *windows);
    windows->memory = memory;
    windows->directory = strdup(directory);
    return windows->directory != NULL;
}

void library_windows_end(struct library_windows *windows) { free(windows->directory); }

static int fits_in_memory(size_t size, size_t most) {
    size_t now = atomic_load(&in_memory);
    do {
        if (size > most || now > most - size) return 0;
    } while (!atomic_compare_exchange_weak(&in_memory, &now, now + size));
    return 1;
}

// 0, or errno.
static int map_file(struct library_window *window, const char *directory) {
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    // All of its room now: a page that the disk has none for is a SIGBUS when it is written (mmap(2)).
    int error = posix_fallocate(fd, 0, (off_t)window->size);
    if (!error) {
        window->address = mmap(NULL, window->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (window->address == MAP_FAILED) error = errno;
        // A look at one byte would map two megabytes, where the file system's pages are as large; refused where there are none.
        else madvise(window->address, window->size, MADV_NOHUGEPAGE);
    }
    close(fd);
    return error;
}

void *library_windows_take(void *opaque, size_t size) {
    struct library_windows *windows = opaque;
    if (size < least_window) return malloc(size);
    struct library_window *free_one = NULL;
    for (int i = 0; i < COUNT(windows->taken); i++)
        if (!windows->taken[i].address) free_one = &windows->taken[i];
    if (!free_one) return NULL;
    struct library_window window = {.size = size};
    if (fits_in_memory(size, windows->memory)) {
        window.address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (window.address == MAP_FAILED) {
            windows->error = errno;
            atomic_fetch_sub(&in_memory, size);
            return NULL;
        }
    } else {
        window.is_on_disk = 1;
        windows->error = map_file(&window, windows->directory);
        if (windows->error) return NULL;
    }
    *free_one = window;
    return window.address;
}

void library_windows_give(void *opaque, void *address) {
    struct library_windows *windows = opaque;
    if (!address) return;
    for (int i = 0; i < COUNT(windows->taken); i++) {
        struct library_window *window = &windows->taken[i];
        if (window->address != address) continue;
        munmap(window->address, window->size);
        if (!window->is_on_disk) atomic_fetch_sub(&in_memory, window->size);
        memset(window, 0, sizeof *window);
        return;
    }
    free(address);
}

// Bytes of files that the process has mapped and looked at (proc_pid_statm(5), "shared"); -1 where it can't be told.
static long mapped_bytes(void) {
    char text[128];
    long pages = -1;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t count = read(fd, text, sizeof text - 1);
    close(fd);
    if (count <= 0) return -1;
    text[count] = 0;
    return sscanf(text, "%*d %*d %ld", &pages) == 1 ? pages * sysconf(_SC_PAGESIZE) : -1;
}

void library_windows_settle(struct library_windows *windows) {
    int is_on_disk = 0;
    for (int i = 0; i < COUNT(windows->taken); i++) is_on_disk |= windows->taken[i].is_on_disk;
    if (!is_on_disk) return;
    long now = mapped_bytes();
    if (now >= 0 && now - windows->mapped < most_mapped) return;
    for (int i = 0; i < COUNT(windows->taken); i++)
        if (windows->taken[i].is_on_disk) madvise(windows->taken[i].address, windows->taken[i].size, MADV_DONTNEED);
    windows->mapped = mapped_bytes();
}
