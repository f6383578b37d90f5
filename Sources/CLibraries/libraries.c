// SPDX-License-Identifier: Apache-2.0
#include "CLibraries.h"
#include "table.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const char *library_open_table(const char *file, const char *const *symbols, void **into, int count) {
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) return file;
    for (int i = 0; i < count; i++) {
        into[i] = dlsym(library, symbols[i]);
        if (!into[i]) return symbols[i];
    }
    return NULL;
}

#define COUNT(list) ((int)(sizeof(list) / sizeof((list)[0])))

// ---- zlib

static struct {
    int (*inflate_init)(struct library_z_stream *, int, const char *, int);
    int (*inflate)(struct library_z_stream *, int);
    int (*inflate_reset)(struct library_z_stream *);
    int (*inflate_end)(struct library_z_stream *);
    int (*deflate_init)(struct library_z_stream *, int, int, int, int, int, const char *, int);
    int (*deflate)(struct library_z_stream *, int);
    int (*deflate_end)(struct library_z_stream *);
} zlib;
static const char *zlib_missing;
static pthread_once_t zlib_once = PTHREAD_ONCE_INIT;

static void zlib_load(void) {
    static const char *const symbols[] = {
        "inflateInit2_", "inflate", "inflateReset", "inflateEnd", "deflateInit2_", "deflate", "deflateEnd",
    };
    _Static_assert(sizeof zlib == sizeof symbols, "one symbol for each call");
    void *found[COUNT(symbols)];
    zlib_missing = library_open_table("libz.so.1", symbols, found, COUNT(symbols));
    if (!zlib_missing) memcpy(&zlib, found, sizeof zlib);
}

const char *library_zlib_open(void) {
    pthread_once(&zlib_once, zlib_load);
    return zlib_missing;
}
// zlib compares only the first digit of the version with its own (zlib.h, "inflateInit2").
static const char zlib_version[] = "1.2.11";
int library_inflate_begin(struct library_z_stream *stream) {
    return zlib.inflate_init(stream, 15 + 16, zlib_version, (int)sizeof *stream);
}
int library_inflate(struct library_z_stream *stream) { return zlib.inflate(stream, 0); }
int library_inflate_reset(struct library_z_stream *stream) { return zlib.inflate_reset(stream); }
void library_inflate_end(struct library_z_stream *stream) { zlib.inflate_end(stream); }
int library_deflate_begin(struct library_z_stream *stream, int level) {
    return zlib.deflate_init(stream, level, 8, 15 + 16, 8, 0, zlib_version, (int)sizeof *stream);
}
int library_deflate(struct library_z_stream *stream, int finish) { return zlib.deflate(stream, finish ? 4 : 0); }
void library_deflate_end(struct library_z_stream *stream) { zlib.deflate_end(stream); }

// ---- zstd

struct zstd_in { const void *bytes; size_t size, position; };
struct zstd_out { void *bytes; size_t size, position; };
static struct {
    void *(*create)(void);
    size_t (*free)(void *);
    size_t (*decompress)(void *, struct zstd_out *, struct zstd_in *);
    unsigned (*is_error)(size_t);
    const char *(*error_name)(size_t);
    size_t (*set)(void *, int, int);
} zstd;
static const char *zstd_missing;
static pthread_once_t zstd_once = PTHREAD_ONCE_INIT;

static void zstd_load(void) {
    static const char *const symbols[] = {
        "ZSTD_createDStream", "ZSTD_freeDStream", "ZSTD_decompressStream", "ZSTD_isError", "ZSTD_getErrorName",
        "ZSTD_DCtx_setParameter",
    };
    _Static_assert(sizeof zstd == sizeof symbols, "one symbol for each call");
    void *found[COUNT(symbols)];
    zstd_missing = library_open_table("libzstd.so.1", symbols, found, COUNT(symbols));
    if (!zstd_missing) memcpy(&zstd, found, sizeof zstd);
}

const char *library_zstd_open(void) {
    pthread_once(&zstd_once, zstd_load);
    return zstd_missing;
}
void *library_zstd_begin(int window_log) {
    void *context = zstd.create();
    // 100 is ZSTD_d_windowLogMax (zstd.h; stable since 1.4.0).
    if (context && zstd.is_error(zstd.set(context, 100, window_log))) {
        zstd.free(context);
        return NULL;
    }
    return context;
}
void library_zstd_end(void *context) { zstd.free(context); }
const char *library_zstd_step(
    void *context, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, size_t *hint, int *greedy) {
    struct zstd_out o = {out, out_size, *out_position};
    struct zstd_in i = {in, in_size, *in_position};
    size_t result = zstd.decompress(context, &o, &i);
    // Error 16, frameParameter_windowTooLarge; pinned since 1.3.1 (zstd_errors.h).
    *greedy = result == (size_t)-16;
    if (zstd.is_error(result)) return zstd.error_name(result);
    *out_position = o.position;
    *in_position = i.position;
    *hint = result;
    return NULL;
}

// ---- xz

// lzma_stream of lzma/base.h; its layout is part of liblzma's soname.
struct xz_stream {
    const uint8_t *next_in;
    size_t avail_in;
    uint64_t total_in;
    uint8_t *next_out;
    size_t avail_out;
    uint64_t total_out;
    const void *allocator;
    void *internal;
    void *reserved_pointers[4];
    uint64_t reserved_numbers[2];
    size_t reserved_sizes[2];
    int reserved_enums[2];
};
enum { XZ_OK = 0, XZ_STREAM_END = 1, XZ_MEMORY = 5, XZ_MEMORY_LIMIT = 6, XZ_BUFFER = 10 };
enum { XZ_RUN = 0, XZ_FINISH = 3, XZ_CONCATENATED = 8 };

static struct {
    int (*begin)(struct xz_stream *, uint64_t, uint32_t);
    int (*code)(struct xz_stream *, int);
    void (*end)(struct xz_stream *);
} xz;
static const char *xz_missing;
static pthread_once_t xz_once = PTHREAD_ONCE_INIT;

static void xz_load(void) {
    static const char *const symbols[] = {"lzma_stream_decoder", "lzma_code", "lzma_end"};
    _Static_assert(sizeof xz == sizeof symbols, "one symbol for each call");
    void *found[COUNT(symbols)];
    xz_missing = library_open_table("liblzma.so.5", symbols, found, COUNT(symbols));
    if (!xz_missing) memcpy(&xz, found, sizeof xz);
}

const char *library_xz_open(void) {
    pthread_once(&xz_once, xz_load);
    return xz_missing;
}
void *library_xz_begin(uint64_t memory) {
    struct xz_stream *stream = calloc(1, sizeof *stream);
    // `xz -9` needs 65 MiB to unpack; a header may ask for 4 GiB.
    if (stream && xz.begin(stream, memory, XZ_CONCATENATED) != XZ_OK) {
        free(stream);
        return NULL;
    }
    return stream;
}
void library_xz_end(void *context) {
    xz.end(context);
    free(context);
}
const char *library_xz_step(
    void *context, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *greedy) {
    struct xz_stream *stream = context;
    stream->next_in = (const uint8_t *)in + *in_position;
    stream->avail_in = in_size - *in_position;
    stream->next_out = (uint8_t *)out + *out_position;
    stream->avail_out = out_size - *out_position;
    int result = xz.code(stream, last ? XZ_FINISH : XZ_RUN);
    *in_position = in_size - stream->avail_in;
    *out_position = out_size - stream->avail_out;
    *ended = result == XZ_STREAM_END;
    *greedy = result == XZ_MEMORY_LIMIT;
    switch (result) {
    case XZ_OK:
    case XZ_STREAM_END: return NULL;
    case XZ_BUFFER: return last ? "it is truncated" : NULL;
    case XZ_MEMORY: return "out of memory";
    case XZ_MEMORY_LIMIT: return "it asks for too much memory";
    default: return "invalid data";
    }
}

// ---- bzip2

// bz_stream of bzlib.h; its layout is part of the soname.
struct bzip2_stream {
    const char *next_in;
    unsigned avail_in;
    unsigned total_in[2];
    char *next_out;
    unsigned avail_out;
    unsigned total_out[2];
    void *state;
    void *alloc, *free, *opaque;
};
enum { BZIP2_OK = 0, BZIP2_STREAM_END = 4, BZIP2_MEMORY = -3 };
struct bzip2_context {
    struct bzip2_stream stream;
    int in_member;
};

static struct {
    int (*begin)(struct bzip2_stream *, int, int);
    int (*step)(struct bzip2_stream *);
    int (*end)(struct bzip2_stream *);
} bzip2;
static const char *bzip2_missing;
static pthread_once_t bzip2_once = PTHREAD_ONCE_INIT;

static void bzip2_load(void) {
    static const char *const symbols[] = {"BZ2_bzDecompressInit", "BZ2_bzDecompress", "BZ2_bzDecompressEnd"};
    _Static_assert(sizeof bzip2 == sizeof symbols, "one symbol for each call");
    void *found[COUNT(symbols)];
    bzip2_missing = library_open_table("libbz2.so.1.0", symbols, found, COUNT(symbols));
    if (!bzip2_missing) memcpy(&bzip2, found, sizeof bzip2);
}

const char *library_bzip2_open(void) {
    pthread_once(&bzip2_once, bzip2_load);
    return bzip2_missing;
}
void *library_bzip2_begin(void) {
    struct bzip2_context *context = calloc(1, sizeof *context);
    if (context && bzip2.begin(&context->stream, 0, 0) != BZIP2_OK) {
        free(context);
        return NULL;
    }
    if (context) context->in_member = 1;
    return context;
}
void library_bzip2_end(void *opaque) {
    struct bzip2_context *context = opaque;
    if (context->in_member) bzip2.end(&context->stream);
    free(context);
}
const char *library_bzip2_step(
    void *opaque, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *greedy) {
    *greedy = 0; // 3.7 MB at most (bzip2(1), MEMORY MANAGEMENT)
    struct bzip2_context *context = opaque;
    struct bzip2_stream *stream = &context->stream;
    size_t given = in_size - *in_position, room = out_size - *out_position;
    *ended = 0;
    if (!context->in_member) {
        if (!given) {
            *ended = last;
            return NULL;
        }
        // pbzip2 and `cat a.bz2 b.bz2` write several members.
        memset(stream, 0, sizeof *stream);
        if (bzip2.begin(stream, 0, 0) != BZIP2_OK) return "out of memory";
        context->in_member = 1;
    }
    if (given > UINT_MAX) given = UINT_MAX;
    if (room > UINT_MAX) room = UINT_MAX;
    stream->next_in = (const char *)in + *in_position;
    stream->avail_in = (unsigned)given;
    stream->next_out = (char *)out + *out_position;
    stream->avail_out = (unsigned)room;
    int result = bzip2.step(stream);
    *in_position += given - stream->avail_in;
    *out_position += room - stream->avail_out;
    if (result == BZIP2_STREAM_END) {
        bzip2.end(stream);
        context->in_member = 0;
        *ended = last && *in_position == in_size;
        return NULL;
    }
    if (result == BZIP2_MEMORY) return "out of memory";
    if (result != BZIP2_OK) return "invalid data";
    // Nothing left to read, room to write, and still within a member.
    return last && *in_position == in_size && stream->avail_out > 0 ? "it is truncated" : NULL;
}

// ---- libcrypto

static struct {
    void *(*create)(void);
    void (*free)(void *);
    const void *(*sha256)(void);
    int (*begin)(void *, const void *, void *);
    int (*update)(void *, const void *, size_t);
    int (*finish)(void *, uint8_t *, unsigned *);
} crypto;
static const char *crypto_missing;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;

static void crypto_load(void) {
    static const char *const symbols[] = {
        "EVP_MD_CTX_new", "EVP_MD_CTX_free", "EVP_sha256", "EVP_DigestInit_ex", "EVP_DigestUpdate",
        "EVP_DigestFinal_ex",
    };
    _Static_assert(sizeof crypto == sizeof symbols, "one symbol for each call");
    void *found[COUNT(symbols)];
    crypto_missing = library_open_table("libcrypto.so.3", symbols, found, COUNT(symbols));
    if (!crypto_missing) memcpy(&crypto, found, sizeof crypto);
}

const char *library_crypto_open(void) {
    pthread_once(&crypto_once, crypto_load);
    return crypto_missing;
}
void *library_sha256_begin(void) {
    void *context = crypto.create();
    if (context && crypto.begin(context, crypto.sha256(), NULL) != 1) {
        crypto.free(context);
        return NULL;
    }
    return context;
}
int library_sha256_update(void *context, const void *bytes, size_t count) {
    return crypto.update(context, bytes, count) == 1;
}
int library_sha256_finish(void *context, uint8_t *digest) {
    int ok = !digest || crypto.finish(context, digest, NULL) == 1;
    crypto.free(context);
    return ok;
}
