// SPDX-License-Identifier: Apache-2.0
//
// Decompressors that are stepped through a stream, behind one face: zstd, xz (liblzma), bzip2. Their windows are windows.c's.
#include "CLibraries.h"
#include "table.h"
#include "windows.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Why a step failed that gives a text; the caller's words are better where it can say more.
static const char *no_room(const struct library_windows *windows, int *why) {
    *why = windows->error ? windows->error : ENOMEM;
    return "no room for its window";
}

// ---- zstd

struct zstd_in { const void *bytes; size_t size, position; };
struct zstd_out { void *bytes; size_t size, position; };
// ZSTD_customMem of zstd.h.
struct zstd_memory {
    void *(*take)(void *, size_t);
    void (*give)(void *, void *);
    void *opaque;
};
struct zstd_context {
    void *stream;
    struct library_windows windows;
    int is_between_frames;
};

static struct {
    void *(*create)(struct zstd_memory);
    size_t (*free)(void *);
    size_t (*decompress)(void *, struct zstd_out *, struct zstd_in *);
    unsigned (*is_error)(size_t);
    const char *(*error_name)(size_t);
    size_t (*set)(void *, int, int);
} zstd;
static const char *zstd_missing;
static pthread_once_t zstd_once = PTHREAD_ONCE_INIT;

static void zstd_load(void) {
    // The first is of the part that zstd.h calls not yet stable; it is as it was since 1.0 (2016), and exported by all of them.
    static const char *const symbols[] = {
        "ZSTD_createDStream_advanced", "ZSTD_freeDStream", "ZSTD_decompressStream", "ZSTD_isError", "ZSTD_getErrorName",
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
void *library_zstd_begin(uint64_t window, size_t memory, const char *directory) {
    struct zstd_context *context = calloc(1, sizeof *context);
    if (!context) return NULL;
    // The next power of two, from zstd's least to its most (zstd.h, ZSTD_WINDOWLOG_MIN and _MAX_64).
    int log = 10;
    while (log < 31 && (uint64_t)1 << log < window) log++;
    if (library_windows_begin(&context->windows, memory, directory)) {
        struct zstd_memory own = {library_windows_take, library_windows_give, &context->windows};
        context->stream = zstd.create(own);
        // 100 is ZSTD_d_windowLogMax (zstd.h; stable since 1.4.0).
        if (context->stream && !zstd.is_error(zstd.set(context->stream, 100, log))) return context;
    }
    library_zstd_end(context);
    return NULL;
}
void library_zstd_end(void *opaque) {
    struct zstd_context *context = opaque;
    if (context->stream) zstd.free(context->stream);
    library_windows_end(&context->windows);
    free(context);
}
const char *library_zstd_step(
    void *opaque, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *why) {
    struct zstd_context *context = opaque;
    *why = 0;
    *ended = 0;
    if (context->is_between_frames && *in_position == in_size) {
        *ended = last;
        return NULL;
    }
    struct zstd_out o = {out, out_size, *out_position};
    struct zstd_in i = {in, in_size, *in_position};
    size_t result = zstd.decompress(context->stream, &o, &i);
    library_windows_settle(&context->windows);
    // Errors 16 and 64, frameParameter_windowTooLarge and memory_allocation; pinned since 1.3.1 (zstd_errors.h).
    if (result == (size_t)-64) return no_room(&context->windows, why);
    if (result == (size_t)-16) *why = library_window_too_large;
    if (zstd.is_error(result)) return zstd.error_name(result);
    *out_position = o.position;
    *in_position = i.position;
    context->is_between_frames = result == 0;
    *ended = last && result == 0 && i.position == in_size;
    // Nothing left to read, room to write, and still within a frame.
    return last && result != 0 && i.position == in_size && o.position < out_size ? "it is truncated" : NULL;
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
// lzma_allocator of lzma/base.h.
struct xz_memory {
    void *(*take)(void *, size_t, size_t);
    void (*give)(void *, void *);
    void *opaque;
};
struct xz_context {
    struct xz_stream stream;
    struct xz_memory memory;
    struct library_windows windows;
};

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
static void *xz_take(void *windows, size_t count, size_t size) {
    return size && count > SIZE_MAX / size ? NULL : library_windows_take(windows, count * size);
}

void *library_xz_begin(uint64_t window, size_t memory, const char *directory) {
    struct xz_context *context = calloc(1, sizeof *context);
    if (!context) return NULL;
    if (library_windows_begin(&context->windows, memory, directory)) {
        context->memory = (struct xz_memory){xz_take, library_windows_give, &context->windows};
        context->stream.allocator = &context->memory;
        // What it needs beside its window is below a megabyte (xz(1), "Memory usage").
        if (xz.begin(&context->stream, window + (1 << 20), XZ_CONCATENATED) == XZ_OK) return context;
    }
    library_xz_end(context);
    return NULL;
}
void library_xz_end(void *opaque) {
    struct xz_context *context = opaque;
    xz.end(&context->stream);
    library_windows_end(&context->windows);
    free(context);
}
const char *library_xz_step(
    void *opaque, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *why) {
    struct xz_context *context = opaque;
    struct xz_stream *stream = &context->stream;
    stream->next_in = (const uint8_t *)in + *in_position;
    stream->avail_in = in_size - *in_position;
    stream->next_out = (uint8_t *)out + *out_position;
    stream->avail_out = out_size - *out_position;
    int result = xz.code(stream, last ? XZ_FINISH : XZ_RUN);
    library_windows_settle(&context->windows);
    *in_position = in_size - stream->avail_in;
    *out_position = out_size - stream->avail_out;
    *ended = result == XZ_STREAM_END;
    *why = result == XZ_MEMORY_LIMIT ? library_window_too_large : 0;
    switch (result) {
    case XZ_OK:
    case XZ_STREAM_END: return NULL;
    case XZ_BUFFER: return last ? "it is truncated" : NULL;
    case XZ_MEMORY: return no_room(&context->windows, why);
    case XZ_MEMORY_LIMIT: return "its window is too large";
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
    void *(*alloc)(void *, int, int);
    void (*free)(void *, void *);
    void *opaque;
};
enum { BZIP2_OK = 0, BZIP2_STREAM_END = 4, BZIP2_MEMORY = -3 };
struct bzip2_context {
    struct bzip2_stream stream;
    struct library_windows windows;
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
static void *bzip2_take(void *windows, int count, int size) {
    return library_windows_take(windows, (size_t)count * (size_t)size);
}

static int bzip2_begin_member(struct bzip2_context *context) {
    context->stream = (struct bzip2_stream){.alloc = bzip2_take, .free = library_windows_give, .opaque = &context->windows};
    context->in_member = bzip2.begin(&context->stream, 0, 0) == BZIP2_OK;
    return context->in_member;
}

// What it takes, 3.7 MB at most (bzip2(1), "Memory management"), no limit is on.
void *library_bzip2_begin(uint64_t window, size_t memory, const char *directory) {
    (void)window;
    struct bzip2_context *context = calloc(1, sizeof *context);
    if (!context) return NULL;
    if (library_windows_begin(&context->windows, memory, directory) && bzip2_begin_member(context)) return context;
    library_bzip2_end(context);
    return NULL;
}
void library_bzip2_end(void *opaque) {
    struct bzip2_context *context = opaque;
    if (context->in_member) bzip2.end(&context->stream);
    library_windows_end(&context->windows);
    free(context);
}
const char *library_bzip2_step(
    void *opaque, void *out, size_t out_size, size_t *out_position, const void *in, size_t in_size,
    size_t *in_position, int last, int *ended, int *why) {
    *why = 0;
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
        if (!bzip2_begin_member(context)) return no_room(&context->windows, why);
    }
    if (given > UINT_MAX) given = UINT_MAX;
    if (room > UINT_MAX) room = UINT_MAX;
    stream->next_in = (const char *)in + *in_position;
    stream->avail_in = (unsigned)given;
    stream->next_out = (char *)out + *out_position;
    stream->avail_out = (unsigned)room;
    int result = bzip2.step(stream);
    library_windows_settle(&context->windows);
    *in_position += given - stream->avail_in;
    *out_position += room - stream->avail_out;
    if (result == BZIP2_STREAM_END) {
        bzip2.end(stream);
        context->in_member = 0;
        *ended = last && *in_position == in_size;
        return NULL;
    }
    if (result == BZIP2_MEMORY) return no_room(&context->windows, why);
    if (result != BZIP2_OK) return "invalid data";
    // Nothing left to read, room to write, and still within a member.
    return last && *in_position == in_size && stream->avail_out > 0 ? "it is truncated" : NULL;
}
