/* SPDX-License-Identifier: MIT
 *
 * Why mpd cannot be talked to, in sentences. Knows: what a connection has seen. Does not know: how
 * one connects.
 */
#ifndef LIBSHM_CONNECTION_EXPLAIN_H
#define LIBSHM_CONNECTION_EXPLAIN_H

#include "connection.h"

/* Whoever listens has not answered for so long. */
int connection_explain_silence(const struct connection *connection, const char *path,
			       int patience_s);

/* Note who answered a HELLO in another version: for connection_explain_stranger. */
void connection_meet_stranger(struct connection *connection, const struct proto_head *head,
			      const struct proto_welcome *welcome);

/* Another version is there: -EPROTO. */
int connection_explain_stranger(const struct connection *connection, const char *path);

/* Somebody listens, and hangs up when he is greeted: -EPROTO. */
int connection_explain_hang_up(const char *path);

/* Nobody listens: -ECONNREFUSED. `advice` says what to do. */
int connection_explain_nobody(int error, const char *path, const char *advice);

/* mpd says that it would be more than somebody may have: -EDQUOT. `what` is refused. */
int connection_explain_quota(const char *what, const char *name, const struct proto_refused *why);

/* All else: returns `error`, 0 if it is 0. */
int connection_explain_other(int error, const char *path);

/* Where mpd could not make its socket, none needs to be started: 0 or -ECONNREFUSED. */
int connection_check_directory(const char *path);

/* What a socket or a file lock says, in the words of our headers. EAGAIN: the other side's time is
 * over. ENOLCK: the kernel had no memory for a lock. */
int connection_as_ours(int error);

#endif
