// SPDX-License-Identifier: Apache-2.0
//
// libcurl's multi interface as a stream that is pulled: the exchange moves only within library_http_step, and a body
// that nobody takes pauses it, so that memory is bounded. Numbers and layouts are those of curl.h, which are part of
// the soname.
#include "CLibraries.h"
#include "table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    option_write_data = 10001, option_read_data = 10009, option_error_buffer = 10010, option_http_header = 10023,
    option_header_data = 10029, option_write = 20011, option_read = 20012, option_header = 20079,
    option_seek = 20167, option_seek_data = 10168, option_no_signal = 99, option_buffer_size = 98,
    option_in_file_size = 30115, option_follow = 52, option_http_version = 84, version_1_1 = 2,
    option_protocols = 181, protocols_http_https = 3, option_suppress_connect_headers = 265, message_done = 1, pause_continue = 0,
    write_pause = 0x10000001, read_abort = 0x10000000, global_all = 3,
};
enum { body_room = 512 << 10, chunk = 128 << 10, head_room = 128 << 10 };

struct message { int kind; void *easy; union { void *pointer; int result; } data; };

static struct {
    int (*global_init)(long);
    void *(*easy_init)(void);
    void (*easy_cleanup)(void *);
    void (*easy_reset)(void *);
    int (*easy_setopt)(void *, int, ...);
    int (*easy_pause)(void *, int);
    const char *(*easy_strerror)(int);
    void *(*multi_init)(void);
    int (*multi_cleanup)(void *);
    int (*multi_add)(void *, void *);
    int (*multi_remove)(void *, void *);
    int (*multi_perform)(void *, int *);
    int (*multi_poll)(void *, void *, unsigned, int, int *);
    struct message *(*multi_read)(void *, int *);
    void *(*list_append)(void *, const char *);
    void (*list_free)(void *);
} curl;
static const char *curl_missing;
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_load(void) {
    static const char *const symbols[] = {
        "curl_global_init", "curl_easy_init", "curl_easy_cleanup", "curl_easy_reset", "curl_easy_setopt",
        "curl_easy_pause", "curl_easy_strerror", "curl_multi_init", "curl_multi_cleanup", "curl_multi_add_handle",
        "curl_multi_remove_handle", "curl_multi_perform", "curl_multi_poll", "curl_multi_info_read",
        "curl_slist_append", "curl_slist_free_all",
    };
    enum { count = sizeof symbols / sizeof symbols[0] };
    _Static_assert(sizeof curl == sizeof symbols, "one symbol for each call");
    void *found[count];
    curl_missing = library_open_table("libcurl.so.4", symbols, found, count);
    if (curl_missing) return;
    memcpy(&curl, found, sizeof curl);
    if (curl.global_init(global_all)) curl_missing = "curl_global_init";
}

const char *library_curl_open(void) {
    pthread_once(&curl_once, curl_load);
    return curl_missing;
}

struct library_http {
    void *easy, *multi, *headers;
    int added, ended, paused, result;
    char error[256];
    uint8_t *body;
    size_t body_start, body_end;
    char *head;
    size_t head_length;
    int head_complete, status;
    int file;
    const uint8_t *bytes;
    int64_t offset, length, sent, received;
};

static size_t take_body(char *bytes, size_t size, size_t count, void *context) {
    struct library_http *http = context;
    size_t length = size * count;
    if (http->body_start == http->body_end) http->body_start = http->body_end = 0;
    if (http->body_end + length > body_room) {
        memmove(http->body, http->body + http->body_start, http->body_end - http->body_start);
        http->body_end -= http->body_start;
        http->body_start = 0;
    }
    if (http->body_end + length > body_room) {
        http->paused = 1;
        return write_pause;
    }
    memcpy(http->body + http->body_end, bytes, length);
    http->body_end += length;
    http->received += (int64_t)length;
    return length;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context) {
    struct library_http *http = context;
    size_t length = size * count;
    http->received += (int64_t)length;
    // Each response begins with its status line; a 1xx one is followed by another (RFC 9110, 15.2).
    if (length >= 5 && !memcmp(bytes, "HTTP/", 5)) {
        http->head_length = 0;
        http->head_complete = 0;
        const char *space = memchr(bytes, ' ', length);
        http->status = space && space + 1 < bytes + length ? space[1] : 0;
    }
    if (http->head_length + length > head_room) return 0;
    memcpy(http->head + http->head_length, bytes, length);
    http->head_length += length;
    if (length <= 2 && (bytes[0] == '\r' || bytes[0] == '\n') && http->status != '1') http->head_complete = 1;
    return length;
}

static size_t give_body(char *into, size_t size, size_t count, void *context) {
    struct library_http *http = context;
    int64_t left = http->length - http->sent, room = (int64_t)(size * count);
    if (room > left) room = left;
    if (room == 0) return 0;
    if (http->bytes) {
        memcpy(into, http->bytes + http->sent, (size_t)room);
    } else {
        ssize_t got;
        do got = pread(http->file, into, (size_t)room, http->offset + http->sent);
        while (got < 0 && errno == EINTR);
        if (got <= 0) return read_abort;
        room = got;
    }
    http->sent += room;
    return (size_t)room;
}

static int seek_body(void *context, int64_t offset, int origin) {
    struct library_http *http = context;
    if (origin != SEEK_SET || offset < 0 || offset > http->length) return 1;
    http->sent = offset;
    return 0;
}

struct library_http *library_http_make(void) {
    struct library_http *http = calloc(1, sizeof *http);
    if (!http) return NULL;
    http->easy = curl.easy_init();
    http->multi = curl.multi_init();
    http->body = malloc(body_room);
    http->head = malloc(head_room);
    http->file = -1;
    if (!http->easy || !http->multi || !http->body || !http->head) {
        library_http_free(http);
        return NULL;
    }
    library_http_reset(http);
    return http;
}

static void leave(struct library_http *http) {
    if (http->added) curl.multi_remove(http->multi, http->easy);
    http->added = 0;
}

void library_http_free(struct library_http *http) {
    leave(http);
    if (http->easy) curl.easy_cleanup(http->easy);
    if (http->multi) curl.multi_cleanup(http->multi);
    if (http->headers) curl.list_free(http->headers);
    free(http->body);
    free(http->head);
    free(http);
}

void library_http_reset(struct library_http *http) {
    leave(http);
    curl.easy_reset(http->easy);
    if (http->headers) curl.list_free(http->headers);
    http->headers = NULL;
    http->ended = http->paused = http->result = http->head_complete = http->status = 0;
    http->error[0] = 0;
    http->body_start = http->body_end = http->head_length = 0;
    http->file = -1;
    http->bytes = NULL;
    http->offset = http->length = http->sent = http->received = 0;
    void *easy = http->easy;
    curl.easy_setopt(easy, option_write, take_body);
    curl.easy_setopt(easy, option_write_data, http);
    curl.easy_setopt(easy, option_header, take_header);
    curl.easy_setopt(easy, option_header_data, http);
    curl.easy_setopt(easy, option_read, give_body);
    curl.easy_setopt(easy, option_read_data, http);
    curl.easy_setopt(easy, option_seek, seek_body);
    curl.easy_setopt(easy, option_seek_data, http);
    curl.easy_setopt(easy, option_error_buffer, http->error);
    curl.easy_setopt(easy, option_no_signal, 1L);
    curl.easy_setopt(easy, option_buffer_size, (long)chunk);
    curl.easy_setopt(easy, option_follow, 0L);
    curl.easy_setopt(easy, option_http_version, (long)version_1_1);
    curl.easy_setopt(easy, option_protocols, (long)protocols_http_https);
    // What a proxy answers to CONNECT is no answer of the server's (since 7.54.0).
    curl.easy_setopt(easy, option_suppress_connect_headers, 1L);
}

int library_http_set_text(struct library_http *http, int option, const char *text) {
    return curl.easy_setopt(http->easy, option, text);
}
int library_http_set_number(struct library_http *http, int option, long number) {
    return curl.easy_setopt(http->easy, option, number);
}
int library_http_add_header(struct library_http *http, const char *line) {
    void *more = curl.list_append(http->headers, line);
    if (!more) return 1;
    http->headers = more;
    return 0;
}

void library_http_send_file(struct library_http *http, int fd, int64_t offset, int64_t length) {
    http->file = fd;
    http->offset = offset;
    http->length = length;
    curl.easy_setopt(http->easy, option_in_file_size, length);
}
void library_http_send_bytes(struct library_http *http, const void *bytes, int64_t length) {
    http->bytes = bytes;
    http->length = length;
    curl.easy_setopt(http->easy, option_in_file_size, length);
}

int library_http_start(struct library_http *http) {
    curl.easy_setopt(http->easy, option_http_header, http->headers);
    int result = curl.multi_add(http->multi, http->easy);
    http->added = !result;
    return result;
}

int library_http_step(struct library_http *http, int milliseconds) {
    if (http->ended) return 0;
    if (http->paused && http->body_start == http->body_end) {
        http->paused = 0;
        curl.easy_pause(http->easy, pause_continue);
    }
    int running = 0, result = curl.multi_perform(http->multi, &running);
    int left;
    for (struct message *message; (message = curl.multi_read(http->multi, &left));) {
        if (message->kind != message_done) continue;
        http->ended = 1;
        http->result = message->data.result;
    }
    if (result && !http->ended) {
        http->ended = 1;
        // CURLE_FAILED_INIT: the multi handle itself refuses.
        http->result = 2;
    }
    if (http->ended) {
        leave(http);
        return 0;
    }
    if (http->body_start == http->body_end) curl.multi_poll(http->multi, NULL, 0, milliseconds, NULL);
    return 1;
}

int library_http_result(const struct library_http *http) { return http->result; }
const char *library_http_error(const struct library_http *http) {
    return http->error[0] ? http->error : curl.easy_strerror(http->result);
}
const char *library_http_head(const struct library_http *http, size_t *length, int *complete) {
    *length = http->head_length;
    *complete = http->head_complete;
    return http->head;
}
const void *library_http_body(const struct library_http *http, size_t *length) {
    *length = http->body_end - http->body_start;
    return http->body + http->body_start;
}
void library_http_take(struct library_http *http, size_t length) { http->body_start += length; }
int64_t library_http_moved(const struct library_http *http) { return http->sent + http->received; }
int64_t library_http_sent(const struct library_http *http) { return http->sent; }
