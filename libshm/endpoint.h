/* SPDX-License-Identifier: MIT
 *
 * The connections of this process, one for each endpoint. Knows: which exist, how many segments
 * need them, forks. Does not know: segments, what is said (connection.h).
 */
#ifndef LIBSHM_ENDPOINT_H
#define LIBSHM_ENDPOINT_H

#include "connection.h"

struct client_endpoint {
	struct connection connection;
	unsigned segments; /* of this process */
	struct client_endpoint *next;
};

/* The connection to that endpoint (NULL: found as everywhere), made when there is none yet.
 * 0 or an explained error. */
int endpoint_get(const char *wish, bool may_spawn, struct client_endpoint **ret_endpoint);
void endpoint_drop_if_unused(struct client_endpoint *endpoint);

/* A forked child inherits its parent's sockets: while it keeps one open, mpd would not see the
 * parent hang up. Hangs up in the child, once; its own connection is made when it is needed. */
void endpoint_after_fork(void);

#endif
