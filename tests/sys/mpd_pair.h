/* SPDX-License-Identifier: MIT
 *
 * An mpd and its supervisor, that are there to be killed. Knows: starting them, also held before
 * their first call, which of them live, the registry's memory. Does not know: segments, requests,
 * when somebody is killed.
 *
 * The supervisor is the test's own child, so it may be traced and waited for.
 */
#ifndef TESTS_SYS_MPD_PAIR_H
#define TESTS_SYS_MPD_PAIR_H

#include "mpd/registry.h"

#include <stdbool.h>
#include <sys/types.h>

struct mpd_pair {
	pid_t supervisor; /* 0: it has ended and was waited for */
	int gate;         /* -1: nobody is held */
	const struct registry_record *records; /* in the registry's own memory; NULL: not seen */
};

/* Start a supervisor at the test's endpoint, whose mpd has got nothing. */
void mpd_pair_start(struct mpd_pair *pair, const char *grace_ms);
/* The same, but it has not begun; let it begin. */
void mpd_pair_hold(struct mpd_pair *pair, const char *grace_ms);
void mpd_pair_let_begin(struct mpd_pair *pair);

/* Is there no such process, or has it ended? */
bool mpd_pair_is_dead(pid_t pid);

/* Does the supervisor live? One that has died is waited for: it must have been killed, or have
 * ended well. */
bool mpd_pair_is_kept(struct mpd_pair *pair);

/* Wait for its end; its exit code or minus the signal. */
int mpd_pair_await(struct mpd_pair *pair);

/* Wait for the mpds that supervisors left when they were killed: with --no-fork, where no runner
 * does, they are the test's. */
void mpd_pair_reap(void);

/* The mpd it has started, 0: none. */
pid_t mpd_pair_child(const struct mpd_pair *pair);

/* Map the registry of its mpd; waits for it. False: the supervisor has died meanwhile. */
bool mpd_pair_look_at_registry(struct mpd_pair *pair);
void mpd_pair_forget_registry(struct mpd_pair *pair);

/* Descriptors of segments that the supervisor holds; it reads what mpd has told it when it gets to
 * it. */
unsigned mpd_pair_count_stored(const struct mpd_pair *pair);

#endif
