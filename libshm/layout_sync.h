/* SPDX-License-Identifier: MIT
 *
 * The shared bytes of what threads only meet at: they carry no data. Included by layout_objects.h
 * only. Knows: where each word is and who writes it. Does not know: the operations (event.c,
 * sem.c).
 */
#ifndef LIBSHM_LAYOUT_SYNC_H
#define LIBSHM_LAYOUT_SYNC_H

/* An event.
 *
 *   word   bit 0: set; the rest counts how often it became set. One CAS is the whole of a change.
 *   waits  how often somebody found it not set and had to wait
 */
#define EVENT_SET UINT64_C(1)
#define EVENT_EPOCH UINT64_C(2)
struct shm_event {
	struct shm_object object;
	aligned_to(CACHE_LINE) atom64 word;
	atom64 waits;
	atom64 wait_ns; /* sum of them */
	uint64_t reserved[5];
	struct shm_waiters waiters;
};
static_assert(sizeof(struct shm_event) == 192, "event");
MP_FIELD(shm_event, 64, 8, word);
MP_FIELD(shm_event, 128, 64, waiters);

/* A condition. Who waits says so in the slot of its thread (condword.h).
 *
 *   writer: the holder of the lock, but wait_ns (any), waiters (wait.c)
 *   lock      the id of the lock it belongs to; constant
 *   waits     how many have begun: the next ticket
 *   notified  how many were ended by a notification
 *   lost      notifications while nobody waited
 *   members   threads whose entry may name it: all that wait do; the sweep takes a dead one's bit
 *   waiters   those of them that sleep
 */
struct shm_cond {
	struct shm_object object;
	aligned_to(CACHE_LINE) atom64 lock;
	atom64 waits;
	atom64 wait_ns; /* sum of them */
	atom64 notified;
	atom64 lost;
	uint64_t reserved[3];
	struct shm_waiters members;
	struct shm_waiters waiters;
};
static_assert(sizeof(struct shm_cond) == 256, "condition");
MP_FIELD(shm_cond, 64, 8, lock);
MP_FIELD(shm_cond, 128, 64, members);
MP_FIELD(shm_cond, 192, 64, waiters);
/* A semaphore.
 *
 *   word      semword.h: permits and flags of an anonymous one, flags alone of an owned one
 *   initial   constant: permits in the beginning; of an owned one also the number of its cells
 *   maximum   constant: as it was asked for, 0 is none in particular
 *   owned     constant: 1 if permits are held by processes
 *   cells     constant: reference of the cells of an owned one (semword.h), a word for each permit
 *   waits     how often somebody found no permit and had to wait
 *   returned  permits given back in the name of dead processes, and of such as closed their handles
 */
struct shm_sem {
	struct shm_object object;
	aligned_to(CACHE_LINE) atom64 word;
	atom32 initial;
	atom32 maximum;
	atom32 owned;
	atom32 reserved0;
	atom64 cells;
	atom64 waits;
	atom64 wait_ns; /* sum of them */
	atom64 returned;
	uint64_t reserved[1];
	struct shm_waiters waiters;
};
static_assert(sizeof(struct shm_sem) == 192, "semaphore");
MP_FIELD(shm_sem, 64, 8, word);
MP_FIELD(shm_sem, 88, 8, cells);
MP_FIELD(shm_sem, 128, 64, waiters);

/* A barrier.
 *
 *   word        barrierword.h: generation, who has come, outcome. One CAS is the whole of a change.
 *   parties     the maker, before the directory says LIVE
 *   breaks      +1 or more for each generation that ended broken, before the word leaves it: who is
 *               later than the history tells finds it as it was, then his was not broken
 *   broke_by    generation 24, reason 4, pid 22 of the last that was broken: for people. Whoever
 *   broke_name  finds it missing may write it, as long as the word names the thread; both lag
 *   after a crash: the word is true; broke_by may be of an earlier generation
 */
struct shm_barrier {
	struct shm_object object;
	aligned_to(CACHE_LINE) atom64 word;
	atom32 parties;
	atom32 reserved0;
	uint64_t reserved1[6];
	struct shm_waiters waiters;
	aligned_to(CACHE_LINE) atom64 waits;
	atom64 wait_ns; /* sum of them */
	atom64 breaks;
	atom64 broke_by;
	uint64_t reserved2[4];
	atom64 broke_name[NAME_BYTES / 8];
};
static_assert(sizeof(struct shm_barrier) == 320, "barrier");
MP_FIELD(shm_barrier, 64, 8, word);
MP_FIELD(shm_barrier, 128, 64, waiters);
MP_FIELD(shm_barrier, 192, 8, waits);

/* A read-write lock.
 *
 *   word     rwword.h: who writes or is about to, flags
 *   entered  owner of the word only: himself from when no reader is in until he lets go, else 0.
 *            A dead owner that had not entered has changed nothing
 *   writes   owner of the word only: how often somebody was in to write
 *   reader   rwword.h: one word for each thread slot. Slots 0 .. 63 have a line each, the others
 *            share them, so that readers do not disturb each other and a writer looks at few lines
 *   died_*   as in a lock
 */
#define RWLOCK_LINES 64
struct shm_rwlock {
	struct shm_object object;
	/* Line 1: read by all, written by writers. */
	aligned_to(CACHE_LINE) atom64 word;
	atom64 entered;
	atom64 writes;
	atom32 on_owner_death;
	atom32 reserved0;
	atom64 reserved1[4];
	/* Line 2: slow paths. */
	aligned_to(CACHE_LINE) atom64 read_waits;
	atom64 write_waits;
	atom64 wait_ns; /* sum of them */
	atom64 deaths;
	atom64 died_who;
	atom64 died_ns;
	atom32 died_pid;
	atom32 reserved2;
	atom64 reserved3;
	struct shm_waiters readers;  /* for the word to be free, or to be admitted */
	struct shm_waiters writers;  /* for the word to be free */
	struct shm_waiters draining; /* its owner, for the readers to leave */
	aligned_to(CACHE_LINE) atom64 reader[RWLOCK_LINES][THREADS_MAX / RWLOCK_LINES];
};
static_assert(sizeof(struct shm_rwlock) == 384 + RWLOCK_LINES * CACHE_LINE, "read-write lock");
MP_FIELD(shm_rwlock, 64, 8, word);
MP_FIELD(shm_rwlock, 192, 64, readers);
MP_FIELD(shm_rwlock, 384, 4096, reader);

static inline atom64 *rwlock_reader(struct shm_rwlock *rwlock, uint32_t thread)
{
	return &rwlock->reader[thread % RWLOCK_LINES][thread / RWLOCK_LINES];
}

#endif
