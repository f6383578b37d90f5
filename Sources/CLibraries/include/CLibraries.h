// SPDX-License-Identifier: Apache-2.0
//
// The call tables of libraries that are opened with dlopen(3) the first time they are needed, so that nothing is
// needed to build and a process that unpacks nothing loads nothing. The prototypes are declared here, after the
// libraries' stable interfaces: zlib 1.2 (soname 1), zstd 1.4 (soname 1), OpenSSL 3 (soname 3).
//
// Each `library_…_open` gives NULL, or the name of the file or symbol that is missing; it may be called from any
// thread and often. The other functions may be called only after their library's open gave NULL.
#pragma once

#include <stddef.h>
#include <stdint.h>

// z_stream of zlib.h; its layout is part of zlib's soname.
struct library_z_stream {
    const uint8_t *next_in;
    unsigned avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *msg;
    void *state;
    void *(*zalloc)(void *, unsigned, unsigned);
    void (*zfree)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
};

enum { library_z_ok = 0, library_z_stream_end = 1, library_z_buffer_error = -5 };

const char *library_zlib_open(void);
// Reads gzip members only (window bits 15 + 16).
int library_inflate_begin(struct library_z_stream *stream);
int library_inflate(struct library_z_stream *stream);
int library_inflate_reset(struct library_z_stream *stream);
void library_inflate_end(struct library_z_stream *stream);
// Writes one gzip member.
int library_deflate_begin(struct library_z_stream *stream, int level);
int library_deflate(struct library_z_stream *stream, int finish);
void library_deflate_end(struct library_z_stream *stream);

const char *library_zstd_open(void);
void *library_zstd_begin(void);
void library_zstd_end(void *context);
// Advances `*in_position` and `*out_position`. Gives NULL or zstd's name of the error; `*hint` is 0 at a frame's end.
const char *library_zstd_step(
    void *context, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, size_t *hint);

const char *library_crypto_open(void);
void *library_sha256_begin(void);
int library_sha256_update(void *context, const void *bytes, size_t count);
// Writes 32 bytes and frees the context; `digest` may be NULL to only free it.
int library_sha256_finish(void *context, uint8_t *digest);
