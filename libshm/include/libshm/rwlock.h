/* SPDX-License-Identifier: MIT
 *
 * Read-write locks between threads of any processes: many read or one writes, and the death of
 * either is survived.
 */
#ifndef LIBSHM_RWLOCK_H
#define LIBSHM_RWLOCK_H

#include <libshm/lock.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_rwlock mp_rwlock;

struct mp_rwlock_opts {
	uint32_t on_owner_death; /* enum mp_owner_death, of writers; 0: report, or what is there */
	uint32_t flags;          /* MP_EXISTING MP_EXCLUSIVE */
	uint64_t reserved[15]; /* zero */
};

/* Attach to the read-write lock `name`, or create it; NULL makes an anonymous one, which lives as
 * long as some process has it open. opts: NULL for defaults. Children of mp_process_start have open
 * what their parent has; a child of a bare fork() only from its first call on: keep yours open
 * until then. It takes 4.5 KiB; a segment has room for 1024 objects.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the lock exists whole or not at all.
 * Errors:  -ENOENT -EEXIST -EPROTO -EINVAL -ENAMETOOLONG -ENOSPC -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_rwlock_open(mp_segment *segment, const char *name,
			       const struct mp_rwlock_opts *opts, mp_rwlock **ret_rwlock);

/* Release the handle; a lock with a name stays, one without ends with the last handle of the last
 * process. What this process still reads or writes with its last handle is given back as if it had
 * died. NULL is allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once no other thread of the process uses the handle.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_rwlock *mp_rwlock_close(mp_rwlock *rwlock);

/* Remove the name; who has the lock open keeps it, the memory ends with the last handle.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -EPROTO -EINVAL -ENAMETOOLONG -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_rwlock_unlink(mp_segment *segment, const char *name);

/* The number that mp_rwlock_from_id turns back into a handle in any process of the segment.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
uint64_t mp_rwlock_id(const mp_rwlock *rwlock);

/* A handle from mp_rwlock_id: while the lock has its name or, an anonymous one, while some process
 * has it open. -ESTALE: it is gone, or its name is.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing is left behind.
 * Errors:  -ESTALE -EPROTO -EINVAL -ENOMEM -ETIMEDOUT
 */
MP_MUST_USE int mp_rwlock_from_id(mp_segment *segment, uint64_t id, mp_rwlock **ret_rwlock);

/* Read beside others that read, waiting at most `timeout` nanoseconds for who writes. A thread that
 * reads may do it again, and never waits then: each counts. A writer that waits holds back who
 * comes new; at most the one that is in and the next one go before a reader that waits.
 * MP_OWNER_DIED (1): you read, and the last writer died inside; only the first one in after him is
 * told, reader or writer, and the next one again if that one dies inside. Where no reader may see
 * what a dead writer left: MP_OWNER_POISON. -EDEADLK: this thread writes. -EOVERFLOW: it reads
 * 4294967295 times. Cost: 1 CAS on a line that is this thread's own.
 *
 * Blocks:  until nobody writes or timeout; MP_NOW never blocks. Nobody writes: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   a reader that dies gives back its share and is reported to nobody.
 * Errors:  -EAGAIN -ETIMEDOUT -EDEADLK -EOVERFLOW -ENOTRECOVERABLE -EINTR -EINVAL -ENOSPC
 */
MP_MUST_USE int mp_rwlock_acquire_read(mp_rwlock *rwlock, int64_t timeout);

/* Write, alone, waiting at most `timeout` nanoseconds for who reads or writes. MP_OWNER_DIED (1):
 * you write, and the last writer died inside; look at what it guards. -EDEADLK: this thread writes
 * already, or reads: give that back first, two that did it together would wait for each other.
 * Cost: 1 CAS and a look at the word of each thread of the segment.
 *
 * Blocks:  until nobody reads or writes or timeout; MP_NOW never blocks. Free: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   one that dies inside is reported to the next one in; before that it leaves nothing.
 * Errors:  -EAGAIN -ETIMEDOUT -EDEADLK -ENOTRECOVERABLE -EINTR -EINVAL -ENOSPC
 */
MP_MUST_USE int mp_rwlock_acquire_write(mp_rwlock *rwlock, int64_t timeout);

/* Give back what this thread holds, one share of reading or the writing. After a writer all readers
 * that wait are in at once, before any other writer. Cost: 1 CAS when nobody waits.
 *
 * Blocks:  never. Nobody waits: no system call.
 * Threads: the one that acquired it.
 * Crash:   released or not; a writer that dies here is reported only before it is.
 * Errors:  -EPERM (others hold it) -EOVERFLOW (nobody does) -EINVAL
 */
MP_MUST_USE int mp_rwlock_release(mp_rwlock *rwlock);

/* Take a poisoned lock to repair what it guards: returns MP_OWNER_DIED, this thread writes; the
 * release makes the lock normal again, a death before it poisons it again.
 *
 * Blocks:  never.
 * Threads: any; one of them gets it.
 * Crash:   poisoned again.
 * Errors:  -EINVAL (it is not poisoned)
 */
MP_MUST_USE int mp_rwlock_repair(mp_rwlock *rwlock);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
