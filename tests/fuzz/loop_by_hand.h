/* SPDX-License-Identifier: MIT
 *
 * mpd's event loop, turned by hand: what is readable is served now, timers fire when told to.
 * Stands in for mpd/loop.c and its engines. Knows: loop.h. Does not know: who waits for what.
 */
#ifndef TESTS_FUZZ_LOOP_BY_HAND_H
#define TESTS_FUZZ_LOOP_BY_HAND_H

/* Until nothing is ready any more. */
void loop_turn(void);

/* Whatever waits for a time. */
void loop_fire_timers(void);

#endif
