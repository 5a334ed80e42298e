/* SPDX-License-Identifier: MIT
 *
 * Conditions: threads of any processes wait, with a lock given away meanwhile, until another says
 * that what the lock guards has changed.
 */
#ifndef LIBSHM_COND_H
#define LIBSHM_COND_H

#include <libshm/lock.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_cond mp_cond;

struct mp_cond_opts {
	uint32_t flags; /* MP_EXISTING MP_EXCLUSIVE */
	uint32_t reserved0;
	uint64_t reserved[15]; /* zero */
};

/* Attach to the condition `name`, or create it; NULL makes an anonymous one, which lives as long as
 * some process has it open. `lock`, of any kind and of the same segment, guards what is waited for;
 * a condition belongs to one lock for its life, with another it is -EPROTO. A lock may have any
 * number of conditions. The handle keeps the lock open, whatever becomes of the lock's own handle.
 * opts: NULL for defaults. Children of mp_process_start have open what their parent has; a child
 * of a bare fork() only from its first call on: keep yours open until then. A segment has room for
 * 1024 objects.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the condition exists whole or not at all.
 * Errors:  -ENOENT -EEXIST -EPROTO -EINVAL -ENAMETOOLONG -ENOSPC -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_cond_open(mp_segment *segment, const char *name, mp_lock *lock,
			     const struct mp_cond_opts *opts, mp_cond **ret_cond);

/* Release the handle; a condition with a name stays, one without ends with the last handle of the
 * last process. NULL is allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once no other thread of the process uses the handle.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_cond *mp_cond_close(mp_cond *cond);

/* Remove the name; who has the condition open keeps it, the memory ends with the last handle.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -EPROTO -EINVAL -ENAMETOOLONG -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_cond_unlink(mp_segment *segment, const char *name);

/* The number that mp_cond_from_id turns back into a handle in any process of the segment.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
uint64_t mp_cond_id(const mp_cond *cond);

/* A handle from mp_cond_id: while the condition and its lock have their names or, anonymous ones,
 * while some process has them open. It opens the lock too, by itself. -ESTALE: one of them is gone,
 * or its name is.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing is left behind.
 * Errors:  -ESTALE -EPROTO -EINVAL -ENOMEM -ETIMEDOUT
 */
MP_MUST_USE int mp_cond_from_id(mp_segment *segment, uint64_t id, mp_cond **ret_cond);

/* Give the lock away, however often this thread has taken it; wait for a notification, at most
 * `timeout` nanoseconds; take the lock as often again. 0: notified, or somebody died: look whether
 * what you wait for is there, and wait again if it is not (mp_cond_wait_for does). MP_OWNER_DIED
 * (1): the last holder of the lock died holding it; look at what it guards. All others that wait
 * are then woken too, and return 0. -ETIMEDOUT, and with MP_NOW -EAGAIN: nobody notified this
 * thread in that time; with MP_NOW the lock is given away for a moment all the same.
 *
 * The lock is held again when it returns, also with an error, but for two: -EPERM (it was not held)
 * and -ENOTRECOVERABLE, with which it is not held: its holder died and it is one that is poisoned
 * then; take it with mp_lock_repair. Not to be called from a signal handler.
 *
 * Blocks:  until it is notified or timeout, and then until the lock is free.
 * Threads: any thread that holds the lock; of a plain lock any of the process that holds it.
 * Crash:   a waiter that dies was not waiting; if it had been notified, all others are woken. A
 *          holder that dies wakes all that wait in the conditions of its lock.
 * Errors:  -EPERM -EAGAIN -ETIMEDOUT -ENOTRECOVERABLE -EINTR -EINVAL -ENOMEM -ENOSPC -ESTALE
 */
MP_MUST_USE int mp_cond_wait(mp_cond *cond, int64_t timeout);

/* Wait until predicate(arg) is not 0. It is called with the lock held, first before anything is
 * waited for, and once more when the time is over. 0: it is not 0, and the lock is held.
 * MP_OWNER_DIED (1): the last holder of the lock died holding it; the predicate was not asked, for
 * what it looks at may be half done: mend that and wait again. -ETIMEDOUT, -EAGAIN (MP_NOW, without
 * giving the lock away), -EINTR: it still is 0. The lock is held again when it returns, but for
 * -EPERM and -ENOTRECOVERABLE, as with mp_cond_wait.
 *
 * Blocks:  until the predicate is not 0 or timeout, and then until the lock is free.
 * Threads: as mp_cond_wait.
 * Crash:   as mp_cond_wait.
 * Errors:  -EPERM -EAGAIN -ETIMEDOUT -ENOTRECOVERABLE -EINTR -EINVAL -ENOMEM -ENOSPC -ESTALE
 */
MP_MUST_USE int mp_cond_wait_for(mp_cond *cond, int (*predicate)(void *arg), void *arg,
				 int64_t timeout);

/* Wake at most `count` of the threads that wait, those that have waited longest; returns how many.
 * Nothing is stored for who comes later: if nobody waits it returns 0, and the notification is
 * counted as lost (mptop). They go on one after the other once the lock is free. One that dies
 * before it had the lock again wakes all others: no notification ends with a corpse.
 *
 * Blocks:  never.
 * Threads: as mp_cond_wait.
 * Crash:   a notifier that dies holds the lock, which wakes all that wait.
 * Errors:  -EPERM -EINVAL -ENOSPC -ESTALE
 */
MP_MUST_USE int mp_cond_notify(mp_cond *cond, int count);

/* Wake all threads that wait; returns how many.
 *
 * Blocks:  never.
 * Threads: as mp_cond_wait.
 * Crash:   as mp_cond_notify.
 * Errors:  -EPERM -EINVAL -ENOSPC -ESTALE
 */
MP_MUST_USE int mp_cond_notify_all(mp_cond *cond);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
