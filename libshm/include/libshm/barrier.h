/* SPDX-License-Identifier: MIT
 *
 * Barriers: a number of threads of any processes meet, and go on when all have come.
 */
#ifndef LIBSHM_BARRIER_H
#define LIBSHM_BARRIER_H

#include <libshm/segment.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_barrier mp_barrier;

struct mp_barrier_opts {
	uint32_t flags;   /* MP_EXISTING MP_EXCLUSIVE */
	uint32_t parties; /* how many meet; 0 only to attach: whatever it is */
	/* Called by the last who comes, before anybody goes on; below 0 breaks the barrier. It
	 * belongs to this handle: each process says what it would do. NULL: nothing. */
	int (*action)(void *arg);
	void *arg;
	uint64_t reserved[13]; /* zero */
};

/* Attach to the barrier `name`, or create it for opts.parties threads; NULL makes an anonymous one,
 * which lives as long as some process has it open. Children of mp_process_start have open what
 * their parent has; a child of a bare fork() only from its first call on: keep yours open until
 * then. A segment has room for 1024 objects; more parties than it has threads are refused.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the barrier exists whole or not at all.
 * Errors:  -ENOENT -EEXIST -EPROTO -EINVAL -ENAMETOOLONG -ENOSPC -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_barrier_open(mp_segment *segment, const char *name,
				const struct mp_barrier_opts *opts, mp_barrier **ret_barrier);

/* Release the handle; a barrier with a name stays, one without ends with the last handle of the
 * last process. NULL is allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once no other thread of the process uses the handle.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_barrier *mp_barrier_close(mp_barrier *barrier);

/* Remove the name; who has the barrier open keeps it, the memory ends with the last handle.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -EPROTO -EINVAL -ENAMETOOLONG -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_barrier_unlink(mp_segment *segment, const char *name);

/* The number that mp_barrier_from_id turns back into a handle in any process of the segment.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
uint64_t mp_barrier_id(const mp_barrier *barrier);

/* A handle from mp_barrier_id, without an action: while the barrier has its name or, an anonymous
 * one, while some process has it open. -ESTALE: it is gone, or its name is.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing is left behind.
 * Errors:  -ESTALE -EPROTO -EINVAL -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_barrier_from_id(mp_segment *segment, uint64_t id, mp_barrier **ret_barrier);

/* Wait until as many have come as there are parties. 0: all go on, each with another *ret_index
 * from 0 to parties - 1 (NULL: not wanted). Who comes last calls the action of his handle first; if
 * it fails, he gets what it returned, and the others -ENOTCONN. Whose time is over breaks the
 * barrier for all, as in Python: he gets -ETIMEDOUT, also for MP_NOW unless he comes last, the
 * others -ENOTCONN. So do a signal (-EINTR), mp_barrier_abort, mp_barrier_reset, and the death of
 * a process of which a thread waits; mp_explain() says who it was. All that can happen during the
 * action too: its result is lost then. Afterwards each wait is -ENOTCONN until mp_barrier_reset.
 * -EDEADLK: the action waits for its own barrier. More threads than parties may use a barrier; who
 * comes during the action waits for the next turn, and breaks nothing before.
 * Cost: 1 CAS, and what the sleep of those costs who come early.
 *
 * Blocks:  until all have come or timeout; MP_NOW never blocks. One party: never.
 * Threads: any thread of any attached process, at once; also for another barrier in an action.
 * Crash:   who dies in it breaks the barrier for those he kept waiting; in the action for all.
 * Errors:  -ENOTCONN -ETIMEDOUT -EINTR -EDEADLK -EINVAL -ENOSPC -ENOMEM -ESTALE (the last: only the
 *          first call of a forked child), and what the action returns
 */
MP_MUST_USE int mp_barrier_wait(mp_barrier *barrier, int64_t timeout, int *ret_index);

/* Empty it: who waits gets -ENOTCONN, and whoever comes from now on finds it whole. An action that
 * is under way goes on, and has no result.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process, at once.
 * Crash:   as before, broken, or reset.
 * Errors:  -EINVAL -ENOSPC -ESTALE (only the first call of a forked child)
 */
MP_MUST_USE int mp_barrier_reset(mp_barrier *barrier);

/* Break it: who waits, and whoever comes, gets -ENOTCONN until mp_barrier_reset. The first who
 * breaks it is the one that mp_explain() names.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process, at once.
 * Crash:   as before, or broken.
 * Errors:  -EINVAL -ENOSPC -ESTALE (only the first call of a forked child)
 */
MP_MUST_USE int mp_barrier_abort(mp_barrier *barrier);

/* How many meet.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing shared is touched.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_barrier_parties(const mp_barrier *barrier);

/* How many have come and wait for the others; all of them during the action, 0 when it is broken.
 * Cost: 1 load.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing shared is touched.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_barrier_waiting(const mp_barrier *barrier);

/* 1 if it is broken, else 0. Cost: 1 load.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing shared is touched.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_barrier_is_broken(const mp_barrier *barrier);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
