/* SPDX-License-Identifier: MIT
 *
 * The supervisor's table of named descriptors. Knows: LISTEN_FDS as systemd lays it out. Does not
 * know: what the descriptors are, when mpd is started.
 */
#ifndef MPD_KEEP_H
#define MPD_KEEP_H

#include "libshm/wire.h"

void keep_put(const char *name, const struct wire_fds *fds); /* takes them over */
void keep_forget(const char *name);                          /* closes all of that name */
unsigned keep_count(void);

/* A descriptor of the supervisor's own: moved beyond those that it keeps, which thus come to stand
 * where mpd looks for them, and need not be moved when it is started. Its new number. */
int keep_out_of_the_way(int fd);

/* In the forked child: descriptors 3, 4, ... with their names in the environment, and the socket
 * over which more are stored. 0 or -errno. */
int keep_lay_out(int socket);

#endif
