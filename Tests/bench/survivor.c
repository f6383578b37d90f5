// SPDX-License-Identifier: Apache-2.0
//
// survivor: what runs in the containers of Tests/bench/survival, and what watches them from outside. Static, libc alone.
//
//   survivor write BYTES_PER_SECOND COUNT_FILE   numbered lines of 100 bytes on standard output, until SIGTERM; then the
//                                                number of the last is in COUNT_FILE
//   survivor ask NAME REPORT_FILE                a DNS question each 20 ms, until SIGTERM; "ASKED UNANSWERED SLOWEST_MS" so far
//                                                is in REPORT_FILE. A question is unanswered after five seconds.
//   survivor follow LOG_DIRECTORY STREAM STOP    reads the log segments while they are written and holds every line
//                                                against its number. Once STOP exists and is the end's number, ends when
//                                                that line was read: 0 and "LINES", or 1 and what is wrong.
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100 };
static volatile sig_atomic_t ending;

static void end(int signal) {
    (void)signal;
    ending = 1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void nap(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static int report(const char *path, const char *text) {
    char temporary[500];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *f = fopen(temporary, "w");
    if (!f) return 1;
    fputs(text, f);
    return fclose(f) || rename(temporary, path);
}

static void make_line(char *line, long number) {
    char head[LINE];
    memset(line, 'x', LINE);
    int n = snprintf(head, sizeof head, "%012ld ", number);
    memcpy(line, head, (size_t)n);
    line[LINE - 1] = '\n';
}

static int write_lines(double rate, const char *count_file) {
    static char block[LINE * 640];
    double started = now(), sent = 0;
    long number = 0;
    while (!ending) {
        for (size_t i = 0; i < sizeof block; i += LINE) make_line(block + i, ++number);
        // A signal may cut a write short; the block is finished all the same.
        for (size_t done = 0; done < sizeof block;) {
            ssize_t n = write(1, block + done, sizeof block - done);
            if (n < 0 && errno != EINTR) return 2;
            if (n > 0) done += (size_t)n;
        }
        sent += sizeof block;
        double ahead = sent / rate - (now() - started);
        // A pipe that nobody emptied is not made up for: the rate is a rate.
        if (ahead < -0.5) started = now() - sent / rate;
        if (ahead > 0) nap(ahead);
    }
    char text[40];
    snprintf(text, sizeof text, "%ld\n", number);
    return report(count_file, text);
}

static int ask(const char *name, const char *report_file) {
    long asked = 0, unanswered = 0;
    double slowest = 0;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(0x7f00000b)}};
    while (!ending) {
        unsigned char query[300] = {0}, answer[512];
        uint16_t id = (uint16_t)(asked + 1);
        query[0] = (unsigned char)(id >> 8), query[1] = (unsigned char)id, query[2] = 1, query[5] = 1;
        size_t at = 12, length = strlen(name);
        query[at++] = (unsigned char)length;
        memcpy(query + at, name, length);
        at += length + 1;
        query[at + 1] = 1, query[at + 3] = 1;
        at += 4;
        int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        double sent = now();
        int answered = 0;
        if (s < 0 || sendto(s, query, at, 0, (struct sockaddr *)&server, sizeof server) < 0) perror("ask");
        while (!answered && now() - sent < 5) {
            struct pollfd p = {s, POLLIN, 0};
            if (poll(&p, 1, 100) <= 0) continue;
            ssize_t n = recv(s, answer, sizeof answer, 0);
            // An answer with an address: no error code, one record at least.
            answered = n > 12 && answer[0] == query[0] && answer[1] == query[1] && !(answer[3] & 15) && answer[7];
            if (n > 12 && !answered) break;
        }
        close(s);
        asked++;
        if (now() - sent > slowest) slowest = now() - sent;
        if (!answered) {
            unanswered++;
            fprintf(stderr, "question %ld: no answer in %.3f s\n", asked, now() - sent);
        }
        char text[100];
        snprintf(text, sizeof text, "%ld %ld %.0f\n", asked, unanswered, slowest * 1000);
        if (report(report_file, text)) return 1;
        nap(0.02);
    }
    return 0;
}

static int follow(const char *directory, const char *stream, const char *stop) {
    static char bytes[1 << 20];
    size_t kept = 0;
    long number = 0, wanted = -1;
    int segment = 0, fd = -1;
    double quiet = now();
    for (;;) {
        char path[500], next[500];
        if (fd < 0) {
            snprintf(path, sizeof path, "%s/%s.%d", directory, stream, segment);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0 && errno != ENOENT) return perror(path), 1;
        }
        // Asked before the read: what is in this segment then is all of it.
        snprintf(next, sizeof next, "%s/%s.%d", directory, stream, segment + 1);
        int finished = fd >= 0 && access(next, F_OK) == 0;
        ssize_t n = fd < 0 ? 0 : read(fd, bytes + kept, sizeof bytes - kept);
        if (n < 0) return perror(path), 1;
        if (n > 0) quiet = now();
        kept += (size_t)n;
        size_t at = 0;
        for (; kept - at >= LINE; at += LINE) {
            char right[LINE];
            make_line(right, ++number);
            if (memcmp(bytes + at, right, LINE)) {
                fprintf(stderr, "%s/%s.%d: instead of line %ld there is: %.40s\n", directory, stream, segment, number, bytes + at);
                return 1;
            }
        }
        memmove(bytes, bytes + at, kept - at);
        kept -= at;
        if (n == 0 && finished) {
            close(fd);
            fd = -1;
            segment++;
            continue;
        }
        if (n == 0) {
            FILE *f = fopen(stop, "r");
            if (f) {
                if (fscanf(f, "%ld", &wanted) != 1) wanted = -1;
                fclose(f);
            }
            if (wanted >= 0 && number == wanted && kept == 0) return printf("%ld\n", number), 0;
            if (wanted >= 0 && (number > wanted || now() - quiet > 20)) {
                fprintf(stderr, "%s/%s: %ld lines were written, %ld are there, and %zu bytes\n", directory, stream, wanted, number, kept);
                return 1;
            }
            nap(0.05);
        }
    }
}

int main(int argc, char **argv) {
    struct sigaction a = {.sa_handler = end};
    sigaction(SIGTERM, &a, NULL);
    if (argc == 4 && !strcmp(argv[1], "write")) return write_lines(atof(argv[2]), argv[3]);
    if (argc == 4 && !strcmp(argv[1], "ask")) return ask(argv[2], argv[3]);
    if (argc == 5 && !strcmp(argv[1], "follow")) return follow(argv[2], argv[3], argv[4]);
    fprintf(stderr, "survivor: see its source\n");
    return 2;
}
