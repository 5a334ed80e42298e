/* SPDX-License-Identifier: MIT
 *
 * The processes of the test of a hostile client: it, those it harms, those it must not harm. Knows:
 * what each does. Does not know: who is killed when, what mpd and the tools have to say.
 */
#ifndef TESTS_SYS_HOSTILE_CREW_H
#define TESTS_SYS_HOSTILE_CREW_H

#include <stdatomic.h>
#include <stdint.h>

/* In memory that only the test's processes have. */
struct crew {
	uint64_t seed;
	_Atomic uint32_t is_over;
	_Atomic uint64_t strikes; /* of the vandal */
	_Atomic uint64_t calls;   /* of the innocent one, */
	_Atomic uint64_t answers; /* and how many of them succeeded */
	_Atomic int64_t began_ns; /* its call under way */
	_Atomic uint64_t rounds;  /* of the two in the sibling segment, */
	uint64_t under_lock;      /* and the same, counted under the lock there */
};

/* Each runs in a child until is_over, or until it is killed; arg is the crew. */
int crew_vandal(void *arg);   /* writes over "hostile" all the time */
int crew_innocent(void *arg); /* calls in "hostile" all the time */
int crew_ping(void *arg);     /* in "sibling": sends numbers, */
int crew_pong(void *arg);     /* and sends them back */
int crew_mortal(void *arg);   /* in "sibling": takes slots and waits to be killed */

#endif
