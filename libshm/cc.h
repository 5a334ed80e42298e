/* SPDX-License-Identifier: MIT
 *
 * Compiler words. Knows: gcc and clang attributes. Does not know: anything of the project.
 */
#ifndef LIBSHM_CC_H
#define LIBSHM_CC_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define MP_EXPORT __attribute__((visibility("default")))
#define cold __attribute__((cold, noinline))
#define noinline_ __attribute__((noinline))
#define always_inline inline __attribute__((always_inline))
#define must_use __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define aligned_to(n) __attribute__((aligned(n)))
#define unused_ __attribute__((unused))

/* Thread-local words the fast path reads: one instruction, also inside the shared library. */
#define tls_fast __attribute__((tls_model("initial-exec")))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE 64

/* The address the public entry will return to: the call site that tools show. */
#define call_site() ((uint64_t)(uintptr_t)__builtin_return_address(0))

#endif
