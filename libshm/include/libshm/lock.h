/* SPDX-License-Identifier: MIT
 *
 * Locks between threads of any processes that survive the death of their holder.
 */
#ifndef LIBSHM_LOCK_H
#define LIBSHM_LOCK_H

#include <libshm/segment.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_lock mp_lock;

enum mp_lock_kind {
	MP_LOCK_CHECKED = 1,  /* default: only the owner releases, acquiring twice is -EDEADLK */
	MP_LOCK_PLAIN = 2,    /* any thread may release (Python's Lock) */
	MP_LOCK_RECURSIVE = 3 /* the owner may acquire again (Python's RLock) */
};

enum mp_owner_death {
	MP_OWNER_REPORT = 1, /* default: the next acquire returns MP_OWNER_DIED */
	MP_OWNER_POISON = 2  /* acquires return -ENOTRECOVERABLE until mp_lock_repair */
};

struct mp_lock_opts {
	uint32_t kind;           /* enum mp_lock_kind; 0: checked, or whatever is there */
	uint32_t on_owner_death; /* enum mp_owner_death; 0: report, or whatever is there */
	uint32_t flags;          /* MP_EXISTING MP_EXCLUSIVE */
	uint32_t reserved0;
	uint32_t fair; /* 1: nobody who waits is overtaken; 0: 64 times, or whatever is there */
	uint32_t reserved1;
	uint64_t reserved[13]; /* zero */
};

/* Who holds a lock. pid and tid are those of the holder's own namespace; a plain lock is held by a
 * process, tid then is the thread that used the first one. */
struct mp_who {
	uint32_t pid; /* 0: of another PID namespace, where the numbers mean other processes */
	uint32_t tid; /* then 0 too */
	uint32_t slot; /* of the thread in the segment */
	uint32_t reserved0;
	char name[64]; /* of the process in the segment */
};

/* Attach to the lock `name`, or create it; NULL makes an anonymous one, which lives as long as some
 * process has it open. opts: NULL for defaults. Children of mp_process_start have open what their
 * parent has; a child of a bare fork() only from its first call on: keep yours open until then. A
 * segment has room for 1024 objects.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the lock exists whole or not at all.
 * Errors:  -ENOENT -EEXIST -EPROTO -EINVAL -ENAMETOOLONG -ENOSPC -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_lock_open(mp_segment *segment, const char *name,
			     const struct mp_lock_opts *opts, mp_lock **ret_lock);

/* Release the handle; a lock with a name stays, one without ends with the last handle of the last
 * process. NULL is allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once no other thread of the process uses the handle.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_lock *mp_lock_close(mp_lock *lock);

/* Remove the name; who has the lock open keeps it, the memory ends with the last handle.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -EPROTO -EINVAL -ENAMETOOLONG -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_lock_unlink(mp_segment *segment, const char *name);

/* The number that mp_lock_from_id turns back into a handle in any process of the segment.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
uint64_t mp_lock_id(const mp_lock *lock);

/* A handle from mp_lock_id: while the lock has its name or, an anonymous one, while some process
 * has it open. -ESTALE: it is gone, or its name is.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing is left behind.
 * Errors:  -ESTALE -EPROTO -EINVAL -ENOMEM -ETIMEDOUT
 */
MP_MUST_USE int mp_lock_from_id(mp_segment *segment, uint64_t id, mp_lock **ret_lock);

/* Take the lock, waiting at most `timeout` nanoseconds. MP_OWNER_DIED (1): you hold it and the
 * previous holder died holding it; look at what it guards. Cost: 1 CAS when free.
 * Who waits is overtaken by at most 64 later ones, at a lock opened with opts.fair by none; one who
 * does not run for 5 ms when its turn has come is passed over. -EAGAIN: it is held, or is the turn
 * of another.
 *
 * Blocks:  until it is free or timeout; MP_NOW never blocks. Fast path: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   a holder that dies is reported to the next; a waiter that dies leaves nothing.
 * Errors:  -EAGAIN -ETIMEDOUT -EDEADLK -ENOTRECOVERABLE -EINTR -EINVAL -ENOSPC
 */
MP_MUST_USE int mp_lock_acquire(mp_lock *lock, int64_t timeout);

/* Give the lock back, and wake one waiter. Cost: 1 CAS when nobody waits.
 *
 * Blocks:  never. Fast path: no system call.
 * Threads: its owner; of a plain lock any.
 * Crash:   released or not; in both cases the next acquirer gets it.
 * Errors:  -EPERM -EOVERFLOW -EINVAL
 */
MP_MUST_USE int mp_lock_release(mp_lock *lock);

/* Who holds it now.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   a dead holder is named until the lock was recovered.
 * Errors:  -ENOENT (nobody holds it) -EINVAL
 */
MP_MUST_USE int mp_lock_owner(mp_lock *lock, struct mp_who *ret_who);

/* 1 if somebody holds it, else 0.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   as mp_lock_owner.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_lock_is_locked(mp_lock *lock);

/* Take a poisoned lock to repair what it guards: returns MP_OWNER_DIED with the lock held; the
 * release makes it normal again, a death before it poisons it again.
 *
 * Blocks:  never.
 * Threads: any; one of them gets it.
 * Crash:   poisoned again.
 * Errors:  -EINVAL (it is not poisoned)
 */
MP_MUST_USE int mp_lock_repair(mp_lock *lock);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
