/* SPDX-License-Identifier: MIT
 *
 * What mpd may be doing when it is killed: a table. Knows: each request, and each other thing that
 * happens to mpd; what there must be when it is over, whoever died meanwhile. Does not know: when
 * mpd is killed.
 *
 * A new one is a row, a function that does it, asking again until it is answered, and if need be
 * one that prepares it.
 */
#ifndef TESTS_SYS_MPD_SCENARIOS_H
#define TESTS_SYS_MPD_SCENARIOS_H

#include "mpd_world.h"

struct scenario {
	const char *name;
	void (*prepare)(struct world *world); /* nobody is killed yet; NULL: nothing to do */
	void (*act)(struct world *world);
	enum registry_state target; /* what there is of it afterwards */
	unsigned clients;           /* of the target */
	bool is_start;              /* it kills mpd itself: the next one's start is meant */
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

#endif
