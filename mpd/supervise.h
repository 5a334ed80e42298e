/* SPDX-License-Identifier: MIT
 *
 * The tiny parent that keeps mpd's descriptors while mpd is dead. Knows: forking, the descriptor
 * store protocol. Does not know: clients; it reads nothing that they write.
 */
#ifndef MPD_SUPERVISE_H
#define MPD_SUPERVISE_H

struct supervise_plan {
	const char *endpoint;
	char *const *arguments; /* of the mpd to run; NULL at its end */
	int ready_fd;           /* one byte when it serves for the first time; -1: nobody asks */
};

/* Run mpd until it ends by itself or a SIGTERM ends both. The exit status to end with. */
int supervise_run(const struct supervise_plan *plan);

#endif
