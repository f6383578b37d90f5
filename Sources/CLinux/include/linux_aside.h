// SPDX-License-Identifier: Apache-2.0
//
// One send(2) on a thread of its own, for a datagram that the kernel works on for long inside the call: a transaction of
// nf_tables takes one to two milliseconds. The thread touches nothing but what is given here.
#pragma once
#include "linux_processors.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>

struct linux_aside {
    pthread_t thread;
    int fd;
    const void *bytes;
    size_t length;
    ssize_t sent;
    bool leaves; // there is another processor
    struct linux_processors processors;
    int error;
};

static inline void *linux_aside_run(void *given) {
    struct linux_aside *aside = (struct linux_aside *)given;
    if (aside->leaves) linux_send_away(0, &aside->processors);
    do aside->sent = send(aside->fd, aside->bytes, aside->length, MSG_NOSIGNAL);
    while (aside->sent < 0 && errno == EINTR);
    aside->error = aside->sent < 0 ? errno : 0;
    return NULL;
}

// 0, or the errno for which no thread began. `aside` and the bytes stay where they are until linux_aside_join.
static inline int linux_aside_begin(struct linux_aside *aside) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    // The kernel has its own stack for what takes room.
    pthread_attr_setstacksize(&attributes, 64 << 10);
    aside->leaves = linux_find_others(&aside->processors);
    int error = pthread_create(&aside->thread, &attributes, linux_aside_run, aside);
    // Both do it: either may run first.
    if (error == 0 && aside->leaves) pthread_setaffinity_np(aside->thread, sizeof aside->processors.others, (const cpu_set_t *)aside->processors.others);
    pthread_attr_destroy(&attributes);
    return error;
}

static inline void linux_aside_join(struct linux_aside *aside) { pthread_join(aside->thread, NULL); }
