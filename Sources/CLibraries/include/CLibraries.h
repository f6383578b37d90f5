// SPDX-License-Identifier: Apache-2.0
//
// The call tables of libraries that are opened with dlopen(3) the first time they are needed, so that nothing is
// needed to build and a process that unpacks nothing loads nothing. The prototypes are declared here, after the
// libraries' stable interfaces: zlib 1.2 (soname 1), zstd 1.4 (soname 1), xz 5.2 (soname 5), bzip2 1.0, OpenSSL 3
// (soname 3).
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

// zstd, xz (liblzma) and bzip2, alike. A context reads all frames or members of a stream.
// `begin`: `window`: bytes, a larger one is refused. `memory`: what the windows of all streams of the process may have together;
// what is above lies in `directory`, in files without a name.
// `step` advances the positions, and gives NULL or what is wrong. `last`: no input follows what is given. `*ended` is set at the
// stream's end. `*why` is 0 where the stream is damaged, or library_window_too_large, or the errno of why its window found no room.
enum { library_window_too_large = -1 };
const char *library_zstd_open(void);
void *library_zstd_begin(uint64_t window, size_t memory, const char *directory);
void library_zstd_end(void *context);
const char *library_zstd_step(
    void *context, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *why);
const char *library_xz_open(void);
void *library_xz_begin(uint64_t window, size_t memory, const char *directory);
void library_xz_end(void *context);
const char *library_xz_step(
    void *context, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *why);
const char *library_bzip2_open(void);
void *library_bzip2_begin(uint64_t window, size_t memory, const char *directory);
void library_bzip2_end(void *context);
const char *library_bzip2_step(
    void *context, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *why);

const char *library_crypto_open(void);
void *library_sha256_begin(void);
int library_sha256_update(void *context, const void *bytes, size_t count);
// Writes 32 bytes and frees the context; `digest` may be NULL to only free it.
int library_sha256_finish(void *context, uint8_t *digest);

// Signatures, of libcrypto too. A key is made from its numbers, most significant byte first; NULL for what is none. What is secret of
// them is erased with the key.
const char *library_signing_open(void);
// 32 bytes each; NULL too where the point is another seed's.
void *library_key_ed25519(const void *seed, const uint8_t *point);
void *library_key_rsa(
    const uint8_t *n, size_t n_size, const uint8_t *e, size_t e_size, const void *d, size_t d_size);
// `group`: OpenSSL's name of the curve.
void *library_key_ec(
    const char *group, const uint8_t *point, size_t point_size, const void *d, size_t d_size);
void library_key_free(void *key);
// `digest`: bits of SHA-2, 0 for a kind of key that hashes by itself. `*signature_size`: the room, then what was written.
// 1 when it was signed.
int library_key_sign(
    void *key, int digest, const uint8_t *bytes, size_t count, uint8_t *signature, size_t *signature_size);

// ---- libcurl (soname 4): one HTTP exchange at a time, its connections kept between them. No policy: no redirect is
// followed, nothing is tried again. A handle belongs to one thread at a time.

struct library_http;

const char *library_curl_open(void);
struct library_http *library_http_make(void);
void library_http_free(struct library_http *http);
// Forgets the last exchange and its options.
void library_http_reset(struct library_http *http);
// Options by curl's numbers (curl.h, CURLOPT_…); 0 when curl took it.
int library_http_set_text(struct library_http *http, int option, const char *text);
int library_http_set_number(struct library_http *http, int option, long number);
// A header line `Name: value`; 0 when there was memory for it.
int library_http_add_header(struct library_http *http, const char *line);
// The request's body: `length` bytes of a file from `offset`, or of memory that stays until the exchange's end.
void library_http_send_file(struct library_http *http, int fd, int64_t offset, int64_t length);
void library_http_send_bytes(struct library_http *http, const void *bytes, int64_t length);
// Begins the exchange; 0 when it could.
int library_http_start(struct library_http *http);
// Lets the exchange go on, for at most so many milliseconds when there is nothing to do. True until it has ended.
int library_http_step(struct library_http *http, int milliseconds);
// curl's code once it has ended, 0 for success, and curl's words for it.
int library_http_result(const struct library_http *http);
const char *library_http_error(const struct library_http *http);
// The last response's status line and headers, complete or not.
const char *library_http_head(const struct library_http *http, size_t *length, int *complete);
// What has come of the body and was not taken; valid until the next step.
const void *library_http_body(const struct library_http *http, size_t *length);
void library_http_take(struct library_http *http, size_t length);
// Bytes sent and received so far, bodies and headers.
int64_t library_http_moved(const struct library_http *http);
int64_t library_http_sent(const struct library_http *http);
