/* SPDX-License-Identifier: MIT
 *
 * The event count: announce, re-check, sleep, ring, hand on. Knows: wait sets, doorbells, tokens.
 * Does not know: any kernel interface (park.h), what a condition means (its is_ready).
 *
 * Shared memory is the only truth; a wake is a hint. docs/waiting.md has the interleavings.
 */
#ifndef LIBSHM_WAIT_H
#define LIBSHM_WAIT_H

#include "self.h"

/* One condition of one object. */
struct wait_point {
	struct shm_waiters *set;
	uint64_t record;                /* object offset | enum wait_condition */
	bool (*is_ready)(void *object); /* one seq_cst look at a word the publisher RMWs last */
	/* After the announcement, instead of is_ready: may also mark the object's word. Or NULL. */
	bool (*mark)(void *object);
	/* The client slot whose death could make it ready, SLOT_NONE if there is none. Or NULL. */
	uint32_t (*blocker)(void *object);
	void *object;
	/* Waits so far for the same thing: the first takes a ticket, the rest keep it. */
	uint32_t turns;
	/* The record says so from the first wait to wait_end(), not only while one lasts. */
	bool keeps_record;
};

/* Wait until `point` may be ready: spin, announce, re-check, sleep. 0: try again now.
 * -ETIMEDOUT, -EINTR: a wake that was spent on this thread has been handed on. */
int wait_until(struct self *me, struct wait_point *point, int64_t deadline_ns);

/* Who keeps his record has it or gives up. seq_cst: before a look at what was promised to him. */
void wait_end(struct self *me);

/* What any other error of wait_until() means and what to do, for a sentence. */
const char *wait_trouble(int error);

/* After a seq_cst publish: ring the one who waited longest. */
void wait_wake_one_slow(struct seg *seg, struct self *me, struct shm_waiters *set);
void wait_wake_all(struct seg *seg, struct self *me, struct shm_waiters *set);

/* Who waited longest of those whose kept record is `record`, awake or asleep; SLOT_NONE: there is
 * none. Looks at each thread slot. */
uint32_t wait_oldest_of_record(struct seg *seg, uint64_t record);
bool wait_has_record(struct seg *seg, uint32_t thread, uint64_t record);

/* Ring that one. False: its bit is not in the set, so it is awake, was rung, or is gone. */
bool wait_wake_thread(struct seg *seg, struct self *me, struct shm_waiters *set, uint32_t thread);

/* Ring one doorbell. True if the kernel woke somebody or nobody had to be woken. */
bool wait_ring(struct seg *seg, uint32_t thread);

static inline bool wait_has_sleepers(struct shm_waiters *set)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < ARRAY_LEN(set->leaf); i++)
		any |= load_seqcst(&set->leaf[i]);
	return any != 0;
}

static inline void wait_wake_one(struct seg *seg, struct self *me, struct shm_waiters *set)
{
	if (unlikely(wait_has_sleepers(set)))
		wait_wake_one_slow(seg, me, set);
}

#endif
