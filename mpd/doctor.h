/* SPDX-License-Identifier: MIT
 *
 * Sleepers that were rung and did not act. Knows: attention, mpd's bell in each segment, when to
 * look and when to stop looking. Does not know: what a sleeper waits for (recover.h).
 *
 * Who rings one of several sleepers sets attention and rings mpd's bell. While there is attention
 * mpd looks each 4 ms and rings the next where nothing moves; a quiet segment costs no wake-up.
 */
#ifndef MPD_DOCTOR_H
#define MPD_DOCTOR_H

#include "segment.h"

void doctor_begin(struct segment *segment);
void doctor_end(struct segment *segment); /* also one that was never begun */

#endif
