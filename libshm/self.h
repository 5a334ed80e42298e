/* SPDX-License-Identifier: MIT
 *
 * This thread in this segment. Knows: the thread's slot, its private arena cache and park, forks.
 * Does not know: objects.
 *
 * A self lives in memory that the kernel wipes in a forked child (MADV_WIPEONFORK): there `seg`
 * reads NULL, the fast path misses, and the slow path makes the child a client of its own. So a
 * fork costs the fast path nothing.
 */
#ifndef LIBSHM_SELF_H
#define LIBSHM_SELF_H

#include "arena.h"
#include "park.h"
#include "seg.h"

struct self {
	struct seg *seg; /* the key; NULL after a fork */
	uint64_t who;    /* this thread in lock words */
	uint32_t thread;
	uint32_t client;
	uint32_t client_generation;
	struct shm_thread *shared;
	struct arena_cache cache;
	struct park *park;
	const struct park_ops *engine;
	uint32_t spin_failures;
	uint32_t spin_skips;
	uint32_t polls; /* tries in vain without waiting */
	const void *guess_of; /* a semaphore, and what was seen of it last (sem_internal.h) */
	uint64_t guess;
	struct self *next; /* of the same thread, in another segment */
	struct self_node *node;
};

/* What must outlive a fork to be given back in the child: selves are wiped there. */
struct self_node {
	struct self *self;
	struct park *park;
	const struct park_ops *engine;
	struct self_node *next;
};

extern _Thread_local struct self *self_latest tls_fast;

int self_find(struct seg *seg, struct self **ret_self);

/* This thread in `seg`; makes it a participant on its first use (a slot, no system call later).
 * 0, -ENOSPC (more threads than the segment has slots), -errno of attaching after a fork; leaves a
 * sentence. */
static inline int self_get(struct seg *seg, struct self **ret_self)
{
	struct self *latest = self_latest;

	if (likely(latest && latest->seg == seg)) {
		*ret_self = latest;
		return 0;
	}
	return self_find(seg, ret_self);
}

/* The same without becoming one: NULL where this thread has not taken part yet. Safe in a signal
 * handler. */
static inline struct self *self_peek(const struct seg *seg)
{
	struct self *latest = self_latest;

	return latest && latest->seg == seg ? latest : NULL;
}

/* This process takes part, also if it was forked meanwhile. Safe in a signal handler, but for the
 * first call of a forked child. 0 or -errno of attaching after a fork, with a sentence. */
int self_join(struct seg *seg);

/* What all threads and forks of this process need; before the first segment. `after_fork` is called
 * in each forked child while it has one thread. 0 or -ENOMEM, then it may be tried again. */
int self_prepare(void (*after_fork)(void));

/* Every thread of this process leaves the segment (detach). */
void self_forget_all(struct seg *seg);

/* Has no other thread of this process a part in the segment? */
bool self_is_alone(const struct seg *seg);

/* After a fork, in the child: give back the parent's threads' memory and descriptors. */
void self_drop_inherited(struct seg *seg);

/* The identity that stands for this whole process in the word of a plain lock, which any of its
 * threads may release: a thread slot without a thread, taken on first use, swept with the client.
 * 0 or -ENOSPC, with a sentence. After self_get. */
int self_anchor(struct seg *seg, uint64_t *ret_who);

/* This thread's park, made on its first sleep. 0 or -errno. */
int self_park(struct self *me);

/* Differs in every forked child. */
uint64_t self_fork_epoch(void);

#endif
