/* SPDX-License-Identifier: MIT
 *
 * A barrier's handle. Knows: what barrier.c, its parts and tests share. Does not know: anything
 * else.
 */
#ifndef LIBSHM_BARRIER_INTERNAL_H
#define LIBSHM_BARRIER_INTERNAL_H

#include "barrierword.h"
#include "object.h"

#include <libshm/barrier.h>

struct mp_barrier {
	struct object_handle handle;
	struct shm_barrier *shared;
	uint32_t parties; /* a copy: nobody can forge it afterwards */
	int (*action)(void *arg);
	void *arg;
};

extern const struct object_type barrier_type;

/* barrier_break.c: the first who breaks a generation decides why it is broken. True: `who` did; it
 * was noted who it is, and who waits was rung. */
bool barrier_break(struct seg *seg, struct self *me, struct shm_barrier *shared,
		   uint32_t generation, enum barrier_state why);
/* The same on behalf of a dead thread, from exactly that word. False: *word is another. */
bool barrier_break_for(struct seg *seg, struct shm_barrier *shared, uint64_t *word,
		       enum barrier_state why, uint64_t who);
/* A word that says broken: note who broke it, while his slot tells, if nobody has. */
void barrier_note_breaker(struct seg *seg, struct shm_barrier *shared, uint64_t word);
/* -ENOTCONN with a sentence: that generation is broken, and by whom. */
int barrier_explain_broken(const mp_barrier *barrier, uint32_t generation) cold;

/* Ring all who wait; after a seq_cst CAS. */
void barrier_ring_all(struct seg *seg, struct self *me, struct shm_barrier *shared);

#endif
