/* SPDX-License-Identifier: MIT
 *
 * What each request does: one row for each message of proto.h. Knows: opening, formatting, waiting
 * for a formatter. Does not know: how packets travel (ctl.h).
 */
#ifndef MPD_REQUESTS_H
#define MPD_REQUESTS_H

#include "conn.h"

#include "libshm/wire.h"

struct reply {
	void *body;   /* zeroed, large enough for any answer */
	size_t bytes; /* of it; the answer's size is already set */
	struct wire_fds fds; /* borrowed */
};

/* Instead of a status. */
enum { REPLY_LATER = 1, REPLY_DROP = 2 };

typedef int request_fn(struct conn *conn, const void *request, struct reply *reply);

struct request_type {
	const char *name;
	size_t request_bytes;
	size_t answer_bytes;
	request_fn *handle;
};

/* Who this mpd is, in an answer to HELLO of any version. */
void requests_fill_welcome(struct proto_welcome *welcome);

/* NULL: there is no such message. */
const struct request_type *request_type(uint16_t number);

/* The connection has ended: what it held, waited for or was formatting. */
void requests_conn_ended(struct conn *conn);

#endif
