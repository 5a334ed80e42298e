/* SPDX-License-Identifier: MIT
 *
 * Deaths of mpd, its supervisor or both at each system call of either, in each scenario of the
 * table. Knows: whose calls are counted and who dies there. Does not know: what they are doing
 * (mpd_scenarios.h), what must hold then (mpd_world.h).
 *
 * MPD_SCENARIO: only those whose name has this text in it; one that is in no name fails.
 */
#ifndef TESTS_SYS_MPD_DEATHS_H
#define TESTS_SYS_MPD_DEATHS_H

#include "mpd_scenarios.h"

#include <stdbool.h>

enum victim {
	MPD,            /* at each of its calls */
	MPD_BEHIND_ITS_SUPERVISOR, /* at each of its calls, the supervisor just before it */
	SUPERVISOR,     /* at each of its calls; mpd lives on */
	SUPERVISOR_BEHIND_ITS_MPD, /* at each of its calls, its child just before it */
};

/* Stops: odd ones are before a call, even ones behind it. */
struct deaths {
	enum victim victim;
	enum scenario_time first_time, last_time;
	unsigned first, step; /* stops; 2, 2: behind each call */
	unsigned step_by_day; /* where only some are tried, unless it is a long run; 0: all */
	const char *engine;   /* NULL: mpd's first choice */
};

/* Fails the test, or prints what was done. */
void deaths_go_through(const struct deaths *deaths);

#endif
