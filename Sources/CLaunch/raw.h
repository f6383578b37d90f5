// SPDX-License-Identifier: Apache-2.0
//
// Raw system calls for the child side: results are -errno, nothing of libc is touched.
#pragma once
#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

// Inlined without optimisation too: init.c runs where no function of ours is.
#define RAW_INLINE static inline __attribute__((always_inline))

RAW_INLINE long raw6(long n, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return r;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "Covey runs on x86-64 and arm64"
#endif
}
#define RAW(n, a, b, c, d, e, f) raw6((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define RAW0(n) RAW(n, 0, 0, 0, 0, 0, 0)
#define RAW1(n, a) RAW(n, a, 0, 0, 0, 0, 0)
#define RAW2(n, a, b) RAW(n, a, b, 0, 0, 0, 0)
#define RAW3(n, a, b, c) RAW(n, a, b, c, 0, 0, 0)
#define RAW4(n, a, b, c, d) RAW(n, a, b, c, d, 0, 0)
#define RAW5(n, a, b, c, d, e) RAW(n, a, b, c, d, e, 0)

RAW_INLINE size_t raw_length(const char *s) {
    size_t n = 0;
    while (s[n]) n++;
    return n;
}
RAW_INLINE void raw_copy(void *to, const void *from, size_t n) {
    volatile unsigned char *t = to;  // volatile: the compiler must not make it a call of memcpy
    const unsigned char *f = from;
    while (n--) *t++ = *f++;
}
RAW_INLINE void raw_zero(void *to, size_t n) {
    volatile unsigned char *t = to;
    while (n--) *t++ = 0;
}
