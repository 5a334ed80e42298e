/* SPDX-License-Identifier: MIT
 *
 * Connections. Knows: accepting, who may speak, whole requests and their answers, dropping whoever
 * breaks the protocol. Does not know: what a request does (requests.h).
 *
 * mpd never waits for a client: a client whose socket is full is dropped. All numbers are bounded.
 */
#ifndef MPD_CTL_H
#define MPD_CTL_H

#include "loop.h"
#include "segment.h"

#include "libshm/wire.h"

struct process;
struct hold;

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

/* `changed`: a connection ended or began. 0 or -errno. */
int ctl_open(int listen_fd, bool is_system, void (*changed)(void));

/* Accept whoever is in the queue; the time when somebody last was. */
int64_t ctl_accept(void);

/* Connections that keep mpd here: those that have said HELLO, but for observers. */
unsigned ctl_client_count(void);
void ctl_greet(struct conn *conn, bool is_observer);

/* Answer a request that waited, and go on reading. */
void ctl_answer_late(struct conn *conn, uint16_t type, int status, const void *body, size_t bytes,
		     const struct wire_fds *fds);
bool ctl_is_system(void);

/* Connection `index`, one without a descriptor too; NULL: there are no more. */
const struct conn *ctl_at(unsigned index);

/* Say that a client of another version has come and is refused. */
void ctl_note_stranger(const struct conn *conn, unsigned protocol, uint64_t signature);

#endif
