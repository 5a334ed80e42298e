/* SPDX-License-Identifier: MIT
 *
 * A day's work of a program, and what mptop says of it: the same in every kernel and sandbox.
 * Knows: queues, locks, processes, mptop --json. Does not know: what is refused (test_kernels.c).
 */
#ifndef TESTS_SYS_KERNELS_WORK_H
#define TESTS_SYS_KERNELS_WORK_H

#include <libshm.h>

#define WORK_SEGMENT "work"

/* Messages to and from a child, sleeping in both directions; a lock whose holder is killed while
 * we sleep for it; a wait that runs out of time. Fails the test when anything is not as it should
 * be. The segment, still open. */
mp_segment *work_through(void);

/* The engine's name and why not another, as a program sees it. */
void work_check_engine(mp_segment *segment, const char *reason);

/* What mptop says of the one client that stays, and of mpd. */
void work_look(const char *client_reason, const char *mpd_reason);

#endif
