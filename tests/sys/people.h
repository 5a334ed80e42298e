/* SPDX-License-Identifier: MIT
 *
 * Several users of one machine: a mpd of its own user at the system's endpoint, two users with a
 * group in common, a stranger. Knows: mount namespaces, users, starting and ending that mpd. Does
 * not know: what is tested.
 */
#ifndef TESTS_SYS_PEOPLE_H
#define TESTS_SYS_PEOPLE_H

#include "program.h"

#include <stdbool.h>
#include <sys/types.h>

/* Users are numbers: none of them need exist on the machine. */
enum people {
	ROOT = 0,
	MPD_USER = 64000,
	ALICE = 64001,
	BOB = 64002,
	STRANGER = 64003,
	CREW = 64100, /* a group: ALICE and BOB are in it */
};

/* A /run of this process's own, and in it `mpd --system` under its user (ROOT: none). Skips the
 * test where that is not possible. Extra arguments end with NULL; NULL: none. */
void people_begin(unsigned mpd_user, const char *const *extra);

/* End mpd and fail the test unless it ends well. */
void people_end(void);

/* SIGKILL mpd, and its supervisor too or not; returns when the dead are gone. */
void people_kill_mpd(void);
void people_kill_both(void);
/* After both were killed: another one at the same place. */
void people_begin_again(unsigned mpd_user);

/* What mpd has logged so far; good until the next call. */
const char *people_log(void);
bool people_log_has(void *text); /* for harness_until */

pid_t people_supervisor(void);
pid_t people_mpd(void); /* the supervisor's child, 0 between two of them */

/* From here on this process is that user. */
void people_become(unsigned user);

/* Run fn(arg) as that user in a process of its own and fail the test unless it returns 0. */
void people_do(unsigned user, int (*fn)(void *arg), void *arg);

/* The same, while the test goes on: returns when the child has called people_say_ready(). */
struct people_child {
	pid_t pid;
	int ready[2];
	unsigned user;
	int (*fn)(struct people_child *self, void *arg);
	void *arg;
};
void people_start(struct people_child *child);
void people_say_ready(struct people_child *self);
void people_stay(void) __attribute__((noreturn)); /* until it is killed */

#endif
