// SPDX-License-Identifier: Apache-2.0
#include "CLibraries.h"
#include "table.h"

#include <dlfcn.h>
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
