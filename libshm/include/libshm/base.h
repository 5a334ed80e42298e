/* SPDX-License-Identifier: MIT
 *
 * The grammar of every call: time, flags, errors.
 *
 * Functions return int: < 0 is -errno and nothing happened, >= 0 is success. errno is never
 * touched. Out-parameters come last, are called ret_*, and stay untouched on failure; one that is
 * NULL is -EINVAL unless its call says that it may be. So is a handle or a slot that is NULL; asked
 * for a name or an id, it has "" and 0. Unknown flags and reserved fields that are not zero are
 * -EINVAL.
 *
 * A thread becomes part of a segment with its first call on it, a forked child with its own first
 * call; that one call may also fail with -ENOSPC (no slot left), -ENOMEM, -ESTALE (what the child
 * inherited was freed meanwhile) or -ETIMEDOUT (a process that stands still is opening an object,
 * and has for 10 s). A wait fails with -EINVAL if $MP_WAIT_ENGINE names no engine, and
 * with -ENOSYS, -EPERM or what else the kernel says if it asks for one that is refused.
 */
#ifndef LIBSHM_BASE_H
#define LIBSHM_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#if defined(__GNUC__)
#define MP_MUST_USE __attribute__((warn_unused_result))
#else
#define MP_MUST_USE
#endif

/* Timeouts are relative nanoseconds on the monotonic clock; negative means MP_NOW. */
#define MP_NOW INT64_C(0)
#define MP_FOREVER INT64_MAX
#define MP_USEC(n) ((int64_t)(n) * 1000)
#define MP_MSEC(n) ((int64_t)(n) * 1000000)
#define MP_SEC(n) ((int64_t)(n) * 1000000000)

#define MP_OK(result) ((result) >= 0)

/* Flags of every open. 0: attach to the object of that name, or create it. */
enum mp_open_flags {
	MP_EXISTING = 1,     /* it must exist: -ENOENT */
	MP_EXCLUSIVE = 2,    /* it must be new: -EEXIST */
	MP_KEEP = 4,         /* segments: outlives its clients until it is unlinked */
	MP_INTERRUPTIBLE = 8, /* segments: a signal ends a wait with -EINTR */
	MP_NO_SPAWN = 16,    /* segments: never start an mpd: -ECONNREFUSED */
	MP_READ_ONLY = 32    /* segments: not in this version, -ENOTSUP */
};

/* From acquire: you hold it, and the previous holder died holding it. */
#define MP_OWNER_DIED 1

/* Flag of a message: somebody else had taken it before and did not finish. */
#define MP_REDELIVERED 1u

/* The name of an error, as a short sentence; never NULL.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none; an unknown number gets a sentence of its own.
 */
const char *mp_strerror(int error);

/* This thread's last failure as one sentence: the object, its owner, what to do; never NULL, kept
 * until this thread's next failure. One printable line: what is no visible character in a name is
 * shown as \xNN. The library owns the text.
 *
 * Blocks:  never.
 * Threads: any; each has its own.
 * Crash:   nothing shared is touched.
 * Errors:  none; "nothing has failed in this thread" before the first.
 */
const char *mp_explain(void);

/* Version of the library, "0.1.0". The library owns the text.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
const char *mp_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
