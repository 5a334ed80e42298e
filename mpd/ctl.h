/* SPDX-License-Identifier: MIT
 *
 * What clients say. Knows: accepting, who may speak, whole requests and their answers, dropping
 * whoever breaks the protocol. Does not know: what a request does (requests.h), where connections
 * are kept (conn.h).
 *
 * mpd never waits for a client: a client whose socket is full is dropped. All numbers are bounded.
 */
#ifndef MPD_CTL_H
#define MPD_CTL_H

#include "conn.h"

#include "libshm/wire.h"

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

/* Say that a client of another version has come and is refused. */
void ctl_note_stranger(const struct conn *conn, unsigned protocol, uint64_t signature);

#endif
