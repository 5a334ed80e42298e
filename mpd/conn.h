/* SPDX-License-Identifier: MIT
 *
 * The table of connections. Knows: what is remembered of each, how many there may be. Does not
 * know: what is said over them (ctl.h), what they hold (hold.h).
 */
#ifndef MPD_CONN_H
#define MPD_CONN_H

#include "loop.h"

#define CONNECTIONS_MAX 4096

struct process;
struct hold;
struct segment;

struct conn {
	int fd;
	loop_id source;
	uint32_t pid; /* SO_PEERCRED's */
	uint32_t uid;
	uint32_t gid;
	bool is_greeted;
	bool is_observer;
	struct process *process; /* reaper.h; NULL until something is attached */
	struct hold *holds;      /* opened and not attached yet (hold.h) */
	unsigned hold_count;

	/* An OPEN that waits for the segment's formatter; nothing is read meanwhile. */
	struct segment *waits_for;
	struct conn *next_waiter;
	uint32_t serial;
	uint32_t open_flags;

	struct conn *next_free;
};

/* NULL: there are so many. The caller fills it. */
struct conn *conn_take(void);
void conn_give(struct conn *conn);

/* Connection `index`, one without a descriptor too; NULL: there are no more. */
const struct conn *conn_at(unsigned index);

#endif
