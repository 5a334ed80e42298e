/* SPDX-License-Identifier: MIT
 *
 * What mpd may be doing when it, its supervisor or both are killed: a table. Knows: each request,
 * and each other thing that happens to mpd; what there must be when it is over, whoever died
 * meanwhile. Does not know: who is killed, and when.
 *
 * A new one is a row, a function that does it, asking again until it is answered, and if need be
 * one that prepares it.
 */
#ifndef TESTS_SYS_MPD_SCENARIOS_H
#define TESTS_SYS_MPD_SCENARIOS_H

#include "mpd_world.h"

enum scenario_time {
	AT_REQUEST, /* to an mpd that serves */
	AT_RESTART, /* it kills mpd itself: the next one's start is meant */
	AT_START,   /* of both: the supervisor is held and let go by it */
	AT_END,     /* of both */
};

struct scenario {
	const char *name;
	void (*prepare)(struct world *world); /* nobody is killed yet; NULL: nothing to do */
	void (*act)(struct world *world);
	enum registry_state target; /* what there is of it afterwards */
	unsigned clients;           /* of the target */
	enum scenario_time time;
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

#endif
