/* SPDX-License-Identifier: MIT
 *
 * Long walks in pieces. Knows: how many looks a turn has left, where a walk goes on. Does not know:
 * what is walked over, who takes turns.
 *
 * Who has others to serve, mpd, walks over what a hostile client made as large as it could: it
 * counts its looks, not the time, so that a slow machine stops at the same places. Both structures
 * are in private memory; who dies between two pieces leaves what one leaves who dies between two
 * steps of the same walk.
 */
#ifndef LIBSHM_TURN_H
#define LIBSHM_TURN_H

#include "cc.h"

#include <stdbool.h>
#include <stdint.h>

/* A step may take so many at most, with all that its walks take on the way to it: each turn has as
 * many, or the walk would never go on. */
#define TURN_STEP_MAX 8192

struct turn {
	uint64_t looks_left;
};

struct walk {
	struct turn *turn; /* NULL: all at once */
	uint32_t at;       /* the first that was not walked over yet */
};

/* False: not in this turn. Nothing of it is left for smaller steps either, which would come before
 * the one they follow. */
static inline bool turn_take(struct turn *turn, uint32_t looks)
{
	if (likely(!turn))
		return true;
	if (turn->looks_left < looks) {
		turn->looks_left = 0;
		return false;
	}
	turn->looks_left -= looks;
	return true;
}

#endif
