/* SPDX-License-Identifier: MIT
 *
 * Child processes: start, join, end. Only the process that started a child joins it and has its
 * exit code; a fork of that process may ask whether it runs, wait for its fd and signal it.
 */
#ifndef LIBSHM_PROCESS_H
#define LIBSHM_PROCESS_H

#include <libshm/segment.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_process mp_process;

struct mp_process_opts {
	const char *name; /* NULL: "Process-<n>", with the parent's numbers before it */
	uint32_t flags;   /* reserved: 0 */
	uint32_t reserved0;
	uint64_t reserved[14]; /* zero */
};

/* Fork a child that attaches to `segment`, runs fn(arg) and exits with what it returns. Handles of
 * the parent are good in it, also when the parent closes its own as soon as this returns; it owns
 * none of its locks. stdin is /dev/null, stdio is flushed once.
 * ret_process: NULL if the child need not be joined by name (it is still reaped at its end).
 *
 * Blocks:  until the child is attached.
 * Threads: any.
 * Crash:   a parent that dies leaves the child running, once it is attached.
 * Errors:  -ENOMEM -EAGAIN (the limit of processes) -ENOSPC -EMFILE -EINVAL -ENAMETOOLONG
 *          -ECHILD (it died before it was attached) -ESTALE -ETIMEDOUT (both: see libshm/base.h)
 */
MP_MUST_USE int mp_process_start(mp_segment *segment, const struct mp_process_opts *opts,
				 int (*fn)(void *arg), void *arg, mp_process **ret_process);

/* Wait for the child's end; 0 once it has ended, however. Its slot in the segment is free then.
 *
 * Blocks:  until it ends or timeout; MP_NOW never blocks.
 * Threads: any.
 * Crash:   -
 * Errors:  -EAGAIN -ETIMEDOUT -ECHILD (no child of this process, or reaped by somebody else)
 *          -ENOMEM -EINVAL
 */
MP_MUST_USE int mp_process_join(mp_process *process, int64_t timeout);

/* The exit code: the lowest 8 bits (0 to 255) of what fn returned or gave to exit(), or -N when
 * signal N ended it.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   -
 * Errors:  -EBUSY (still running) -ECHILD -EINVAL
 */
MP_MUST_USE int mp_process_exitcode(mp_process *process, int *ret_exitcode);

/* 1 while it runs, else 0.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   -
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_process_is_alive(mp_process *process);

/* Ask it to end (SIGTERM). Nothing it shares is corrupted. No effect once it ended.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   its locks are reported, its messages go back.
 * Errors:  -EPERM -ECHILD (no child of this process, and its fd was closed) -ENOSYS -EINVAL
 */
MP_MUST_USE int mp_process_terminate(mp_process *process);

/* End it (SIGKILL). Nothing it shares is corrupted. No effect once it ended.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   its locks are reported, its messages go back.
 * Errors:  -EPERM -ECHILD (no child of this process, and its fd was closed) -ENOSYS -EINVAL
 */
MP_MUST_USE int mp_process_kill(mp_process *process);

/* Its process id.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   -
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_process_pid(const mp_process *process);

/* Its pidfd: readable once it ended. The process handle owns it.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   -
 * Errors:  -ENOSYS -EINVAL
 */
MP_MUST_USE int mp_process_fd(const mp_process *process);

/* Its name. The handle owns the text.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   -
 * Errors:  none.
 */
const char *mp_process_name(const mp_process *process);

/* Free the handle of a child that has ended; a running one is kept (its handle is returned),
 * otherwise NULL. NULL is allowed.
 *
 * Blocks:  never.
 * Threads: any, once no other thread uses the handle.
 * Crash:   -
 * Errors:  none.
 */
mp_process *mp_process_close(mp_process *process);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
