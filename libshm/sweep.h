/* SPDX-License-Identifier: MIT
 *
 * One participant being swept. Knows: who it is, and whether it is still his turn. Does not know:
 * the order of a sweep (recover.c), what an object has to repair (its own file).
 */
#ifndef LIBSHM_SWEEP_H
#define LIBSHM_SWEEP_H

#include "seg.h"
#include "turn.h"

/* A whole client that died, one that leaves (by itself, while its slot is LIVE), or one thread of a
 * client that lives on. */
struct sweep {
	struct seg *seg;
	uint32_t client;
	uint32_t generation;
	uint64_t who;   /* the one thread, or 0: all of the client */
	bool is_leaving; /* its own process does it and uses nothing of it any more */
	uint64_t died_ns;

	/* Where it goes on: in pieces by mpd, all at once by everybody else. */
	uint32_t stage;      /* of the order (recover.c) */
	struct walk walk;    /* over that stage's table, */
	struct walk inside;  /* and over what one row of it names */
};

/* Does the process itself give up what is its own? Then nobody else sweeps the same. */
static inline bool sweep_is_own(const struct sweep *sweep)
{
	return sweep->who || sweep->is_leaving;
}

/* Is that thread being swept? */
bool sweep_has_thread(const struct sweep *sweep, uint64_t who);

/* Asked after a word was read and before it is changed: false means the slot was swept by another
 * and may have a new owner, so the word may be his. */
bool sweep_is_current(const struct sweep *sweep);

#endif
