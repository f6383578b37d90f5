// SPDX-License-Identifier: Apache-2.0
//
// Signatures by libcrypto (OpenSSL 3): keys are made from their numbers through OSSL_PARAM (EVP_PKEY_fromdata(3),
// EVP_PKEY-RSA(7), EVP_PKEY-EC(7)), signed with by EVP_DigestSign(3). libcrypto erases a key's secret numbers when it is freed, and
// its BIGNUMs by BN_clear_free(3); not what it was given them in, which is erased here.
#define _GNU_SOURCE
#include "CLibraries.h"
#include "table.h"

#include <pthread.h>
#include <string.h>

enum { EVP_ED25519 = 1087, EVP_KEYPAIR = 0x87 };

// OSSL_PARAM(3); the last has no name.
struct parameter {
    const char *name;
    unsigned type;
    void *data;
    size_t size, returned;
};

static struct {
    void *(*raw_key)(int, void *, const uint8_t *, size_t);
    int (*raw_public)(const void *, uint8_t *, size_t *);
    void (*key_free)(void *);
    void *(*context)(void *, const char *, const char *);
    void (*context_free)(void *);
    int (*from_data_begin)(void *);
    int (*from_data)(void *, void **, int, void *);
    void *(*build)(void);
    void (*build_free)(void *);
    int (*push_number)(void *, const char *, const void *);
    int (*push_text)(void *, const char *, const char *, size_t);
    int (*push_octets)(void *, const char *, const void *, size_t);
    struct parameter *(*to_parameters)(void *);
    void (*parameters_free)(struct parameter *);
    void *(*number)(const uint8_t *, int, void *);
    void (*number_free)(void *);
    void *(*digest_create)(void);
    void (*digest_free)(void *);
    int (*sign_begin)(void *, void **, const void *, void *, void *);
    int (*sign)(void *, uint8_t *, size_t *, const uint8_t *, size_t);
    const void *(*sha256)(void);
    const void *(*sha384)(void);
    const void *(*sha512)(void);
    void (*errors_clear)(void);
} crypto;
static const char *missing;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    static const char *const symbols[] = {
        "EVP_PKEY_new_raw_private_key", "EVP_PKEY_get_raw_public_key", "EVP_PKEY_free", "EVP_PKEY_CTX_new_from_name", "EVP_PKEY_CTX_free",
        "EVP_PKEY_fromdata_init", "EVP_PKEY_fromdata", "OSSL_PARAM_BLD_new", "OSSL_PARAM_BLD_free",
        "OSSL_PARAM_BLD_push_BN", "OSSL_PARAM_BLD_push_utf8_string", "OSSL_PARAM_BLD_push_octet_string",
        "OSSL_PARAM_BLD_to_param", "OSSL_PARAM_free", "BN_bin2bn", "BN_clear_free", "EVP_MD_CTX_new",
        "EVP_MD_CTX_free", "EVP_DigestSignInit", "EVP_DigestSign", "EVP_sha256", "EVP_sha384", "EVP_sha512",
        "ERR_clear_error",
    };
    _Static_assert(sizeof crypto == sizeof symbols, "one symbol for each call");
    void *found[sizeof symbols / sizeof *symbols];
    missing = library_open_table("libcrypto.so.3", symbols, found, sizeof symbols / sizeof *symbols);
    if (!missing) memcpy(&crypto, found, sizeof crypto);
}

const char *library_signing_open(void) {
    pthread_once(&once, load);
    return missing;
}

void *library_key_ed25519(const void *seed, const uint8_t *point) {
    void *key = crypto.raw_key(EVP_ED25519, NULL, seed, 32);
    // Of the seed alone; a file whose public half is another's would sign what nobody can verify.
    uint8_t own[32];
    size_t size = sizeof own;
    if (key && crypto.raw_public(key, own, &size) == 1 && size == sizeof own && !memcmp(own, point, size)) return key;
    crypto.key_free(key);
    crypto.errors_clear();
    return NULL;
}

// A key of the kind out of what was pushed, which is freed.
static void *key_from(const char *kind, void *build) {
    void *key = NULL;
    struct parameter *parameters = crypto.to_parameters(build);
    void *context = crypto.context(NULL, kind, NULL);
    if (!parameters || !context || crypto.from_data_begin(context) != 1 ||
        crypto.from_data(context, &key, EVP_KEYPAIR, parameters) != 1)
        key = NULL;
    crypto.context_free(context);
    for (struct parameter *each = parameters; each && each->name; each++) explicit_bzero(each->data, each->size);
    crypto.parameters_free(parameters);
    crypto.build_free(build);
    crypto.errors_clear();
    return key;
}

void *library_key_rsa(
    const uint8_t *n, size_t n_size, const uint8_t *e, size_t e_size, const void *d, size_t d_size) {
    if (n_size > 2048 || e_size > 2048 || d_size > 2048) return NULL;
    void *numbers[] = {
        crypto.number(n, (int)n_size, NULL), crypto.number(e, (int)e_size, NULL), crypto.number(d, (int)d_size, NULL),
    };
    static const char *const names[] = {"n", "e", "d"};
    void *build = crypto.build(), *key = NULL;
    int ok = build != NULL;
    for (int i = 0; i < 3; i++) ok = ok && numbers[i] && crypto.push_number(build, names[i], numbers[i]) == 1;
    if (ok) key = key_from("RSA", build);
    else crypto.build_free(build);
    for (int i = 0; i < 3; i++) crypto.number_free(numbers[i]);
    return key;
}

void *library_key_ec(
    const char *group, const uint8_t *point, size_t point_size, const void *d, size_t d_size) {
    if (d_size > 2048) return NULL;
    void *number = crypto.number(d, (int)d_size, NULL);
    void *build = crypto.build(), *key = NULL;
    if (build && number && crypto.push_text(build, "group", group, 0) == 1 &&
        crypto.push_octets(build, "pub", point, point_size) == 1 && crypto.push_number(build, "priv", number) == 1)
        key = key_from("EC", build);
    else
        crypto.build_free(build);
    crypto.number_free(number);
    return key;
}

void library_key_free(void *key) { crypto.key_free(key); }

int library_key_sign(
    void *key, int digest, const uint8_t *bytes, size_t count, uint8_t *signature, size_t *signature_size) {
    const void *algorithm = NULL;
    switch (digest) {
    case 0: break;
    case 256: algorithm = crypto.sha256(); break;
    case 384: algorithm = crypto.sha384(); break;
    case 512: algorithm = crypto.sha512(); break;
    default: return 0;
    }
    void *context = crypto.digest_create();
    int done = context && crypto.sign_begin(context, NULL, algorithm, NULL, key) == 1 &&
               crypto.sign(context, signature, signature_size, bytes, count) == 1;
    crypto.digest_free(context);
    crypto.errors_clear();
    return done;
}
