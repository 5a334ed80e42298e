/* SPDX-License-Identifier: MIT
 *
 * Starting a private mpd. Knows: where its program is, how to let go of it. Does not know: what is
 * said to it.
 */
#ifndef LIBSHM_SPAWN_H
#define LIBSHM_SPAWN_H

#include <stdbool.h>
#include <stddef.h>

/* An mpd that is starting: what it says of why it does not. */
struct spawn {
	int fd; /* -1: it cannot say anything any more */
	size_t used;
	char text[320];
};

/* Start `mpd --supervise` at that endpoint, as nobody's child. Two at once are settled by mpd's
 * lock file. 0 once it was started (then spawn_end), else an explained error: -ECONNREFUSED
 * (no program), -errno. */
int spawn_mpd(const char *endpoint, struct spawn *spawn);

/* Has it given up, and said why in spawn->text? Never waits. */
bool spawn_has_failed(struct spawn *spawn);
void spawn_end(struct spawn *spawn);

#endif
