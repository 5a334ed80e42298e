/* SPDX-License-Identifier: MIT
 *
 * Semaphores: a number of permits that threads of any processes take and give.
 */
#ifndef LIBSHM_SEM_H
#define LIBSHM_SEM_H

#include <libshm/segment.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_sem mp_sem;

/* Anonymous permits (the default, as in POSIX and Python) belong to nobody: any thread may release,
 * also what it never acquired, and a death adds and removes none. Owned permits belong to the
 * process that acquired them: any of its threads may release them, nobody else can, and when it
 * dies, or closes its last handle, they come back, each once. */
struct mp_sem_opts {
	uint32_t initial; /* permits in the beginning */
	uint32_t maximum; /* more than 0: no release may exceed it; 0: 2147483647 */
	uint32_t owned;   /* 1: permits are owned; then initial is 1 to 4096, maximum 0 or that */
	uint32_t flags;   /* MP_EXISTING MP_EXCLUSIVE */
	uint32_t reserved0;
	uint32_t reserved1;
	uint64_t reserved[13]; /* zero */
};

/* Attach to the semaphore `name`, or create it; NULL makes an anonymous one, which lives as long as
 * some process has it open. opts: NULL for defaults. Children of mp_process_start have open what
 * their parent has; a child of a bare fork() only from its first call on: keep yours open until
 * then. A segment has room for 1024 objects.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the semaphore exists whole or not at all.
 * Errors:  -ENOENT -EEXIST -EPROTO -EINVAL -ENAMETOOLONG -ENOSPC -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_sem_open(mp_segment *segment, const char *name, const struct mp_sem_opts *opts,
			    mp_sem **ret_sem);

/* Release the handle; a semaphore with a name stays, one without ends with the last handle of the
 * last process. With the last handle of a process the permits that it owns come back. NULL is
 * allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once no other thread of the process uses the handle.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_sem *mp_sem_close(mp_sem *sem);

/* Remove the name; who has the semaphore open keeps it, the memory ends with the last handle.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -EPROTO -EINVAL -ENAMETOOLONG -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_sem_unlink(mp_segment *segment, const char *name);

/* The number that mp_sem_from_id turns back into a handle in any process of the segment.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
uint64_t mp_sem_id(const mp_sem *sem);

/* A handle from mp_sem_id: while the semaphore has its name or, an anonymous one, while some
 * process has it open. -ESTALE: it is gone, or its name is.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing is left behind.
 * Errors:  -ESTALE -EPROTO -EINVAL -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_sem_from_id(mp_segment *segment, uint64_t id, mp_sem **ret_sem);

/* Take one permit; waits while there is none, at most `timeout` nanoseconds. -EAGAIN of an owned
 * semaphore: each permit was held when it was looked at, one after the other.
 * Cost: 1 CAS when one is free.
 *
 * Blocks:  until one is released or timeout; MP_NOW never blocks. One is free: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   anonymous: who dies has taken it or has not, and it does not come back. Owned: it comes
 *          back, once.
 * Errors:  -EAGAIN -ETIMEDOUT -EINTR -EINVAL -ENOSPC
 */
MP_MUST_USE int mp_sem_acquire(mp_sem *sem, int64_t timeout);

/* Give n permits, at least 1, all of them or none. -EOVERFLOW: there would be more than the
 * maximum; -EPERM: the permits are owned and this process does not hold so many. As many of those
 * who wait are woken, the one who has waited longest first. Cost: 1 CAS; owned: 1, of several 2 n.
 *
 * Blocks:  never. Without waiters: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   anonymous: all n are given or none. Owned: all that the dead one held come back.
 * Errors:  -EOVERFLOW -EPERM -EINVAL -ENOSPC
 */
MP_MUST_USE int mp_sem_release(mp_sem *sem, int n);

/* How many permits are free; others may take and give them meanwhile. Cost: 1 load; owned: a load
 * for each permit.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process, at once; also from a signal handler.
 * Crash:   nothing shared is touched.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_sem_value(const mp_sem *sem);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
