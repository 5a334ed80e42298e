/* SPDX-License-Identifier: MIT
 *
 * Deaths being repaired, in pieces. Knows: which segments have a repair under way, how much of it
 * is done in one turn of the loop. Does not know: who died (reaper.h), what a repair is
 * (recover.h).
 *
 * A segment's clients may make its repair as long as its memory is large, and mpd serves others
 * too: each turn of the loop looks at so many words at most, then at who has asked for something
 * meanwhile. Where it goes on is in mpd's own memory; an mpd that dies leaves slots that say DEAD,
 * and the next one begins with those.
 */
#ifndef MPD_SWEEPER_H
#define MPD_SWEEPER_H

#include "segment.h"

#include "libshm/turn.h"

/* Words looked at in a turn: some milliseconds at most. */
#define SWEEPER_LOOKS 65536

/* The client is dead: say so and sweep it, at once as far as this turn allows. */
void sweeper_bury(struct segment *segment, uint32_t client, uint32_t generation);
/* The same for every slot that says DEAD already, and look who sleeps though he should not. */
void sweeper_add(struct segment *segment);
/* Only free what nobody holds any more. */
void sweeper_free(struct segment *segment);
void sweeper_end(struct segment *segment); /* also one that was never added */

#endif
