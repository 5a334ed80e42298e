/* SPDX-License-Identifier: MIT
 *
 * Starting a private mpd. Knows: where its program is, how to let go of it. Does not know: what is
 * said to it.
 */
#ifndef LIBSHM_SPAWN_H
#define LIBSHM_SPAWN_H

/* Start `mpd --supervise` at that endpoint, as nobody's child. Two at once are settled by mpd's
 * lock file. 0 once it was started, else an explained error: -ECONNREFUSED
 * (no program), -errno. */
int spawn_mpd(const char *endpoint);

#endif
