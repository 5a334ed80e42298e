/* SPDX-License-Identifier: MIT
 *
 * The tiny parent that keeps mpd's descriptors while mpd is dead. Knows: forking, the descriptor
 * store protocol, that a service manager may stand behind it. Does not know: clients; it reads
 * nothing that they write.
 */
#ifndef MPD_SUPERVISE_H
#define MPD_SUPERVISE_H

#include <stdbool.h>

struct supervise_plan {
	const char *endpoint;
	char *const *arguments; /* of the mpd to run; NULL at its end */
	int ready_fd;           /* one byte when it serves for the first time; -1: nobody asks */
	bool is_background;     /* stderr is for why it does not start, and let go of then */
};

/* Run mpd until it ends by itself or a SIGTERM ends both. Descriptors that a service manager has
 * handed down go to mpd, what mpd says of itself to the service manager. The exit status to end
 * with. */
int supervise_run(const struct supervise_plan *plan);

#endif
