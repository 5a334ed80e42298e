/* SPDX-License-Identifier: MIT
 *
 * A client of an mpd whose calls fail: it puts up with anything, and asks again where it was
 * dropped. Knows: the protocol (raw_client.h). Does not know: which call fails, what must follow.
 */
#ifndef TESTS_SYS_FAULT_CLIENT_H
#define TESTS_SYS_FAULT_CLIENT_H

#include "raw_client.h"

#define FAULT_NO_ANSWER (-EAGAIN) /* of a socket with a time limit */

/* Connect and say HELLO; 0 or -errno. */
int fault_connect(struct raw *raw);

int fault_ask_attached(struct raw *raw, const struct raw_segment *segment, enum proto_type type);
int fault_format(struct raw *raw, const struct raw_segment *segment, const char *name);

/* A slot of one's own in it, and mpd knows; the connection's owner speaks of it. */
int fault_take_part(struct raw *raw, struct raw_segment *segment);
void fault_leave_slot(const struct raw_segment *segment);

/* All of it over one connection: open, format where it must be, take part, leave; the last status.
 * ret_opened: what mpd told of it. */
int fault_attach_and_leave(const char *name, uint64_t size_bytes, struct proto_opened *ret_opened);

#endif
