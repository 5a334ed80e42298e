/* SPDX-License-Identifier: MIT
 *
 * Sleepers that should be awake though nobody died. Knows: attention, watching, mpd's bell in each
 * segment, when to look and when to rest. Does not know: what a sleeper waits for (recover.h).
 *
 * Who rings one of several sleepers sets attention and rings mpd's bell: mpd looks each 4 ms and
 * rings the next where nothing moves. While anybody sleeps mpd looks now and then, about once a
 * second where all is quiet: who should ring may be stopped. A segment without sleepers costs
 * nothing.
 */
#ifndef MPD_DOCTOR_H
#define MPD_DOCTOR_H

#include "segment.h"

void doctor_begin(struct segment *segment);
void doctor_end(struct segment *segment); /* also one that was never begun */

#endif
