/* SPDX-License-Identifier: MIT
 *
 * A conversation with mpd. Knows: connecting, starting a private mpd, requests and answers, coming
 * back after mpd was restarted. Does not know: segments' memory.
 */
#ifndef LIBSHM_CONNECTION_H
#define LIBSHM_CONNECTION_H

#include "own_fd.h"
#include "proto.h"
#include "wire.h"

/* An mpd that does not match this library, as its welcome tells. */
struct connection_stranger {
	uint32_t protocol; /* 0: none was met, or what answered is no mpd */
	uint64_t signature;
	char version[16];
};

struct connection {
	int socket;
	struct own_fd_file socket_file;
	int roster_fd;       /* ours, kept as long as the process lives in any segment */
	struct own_fd_file roster_file;
	uint32_t mpd_pid; /* as mpd said, in its PID namespace; 0: it has said nothing */
	/* Who listened first on the socket, in ours: this mpd or one before it. */
	uint32_t listener_pid;
	bool is_elsewhere; /* he has no number in our namespace */
	uint64_t roster_byte; /* of it, locked while this process lives: proof of life */
	uint32_t serial;
	uint32_t unread; /* answers to posts, read before the next one that is waited for */
	char endpoint[108];
	struct proto_refused refused; /* the greeting, with -EDQUOT: why */
	struct connection_stranger stranger; /* who refused the latest HELLO for its version */
	bool is_strange; /* the latest HELLO met another version; explained */
	struct proto_head answered; /* the head of the latest answer */
};

/* Connect and say HELLO; starts an mpd where none answers unless told not to.
 * 0, -ECONNREFUSED, -ETIMEDOUT (somebody is there and does not answer), -EPROTO (another version),
 * -errno. */
int connection_open(struct connection *connection, const char *endpoint, bool may_spawn);
/* In a forked child: a connection of its own, without waiting for mpd, which may be stopped. What
 * fails is tried again by the next request; the roster's byte is taken in any case. */
void connection_resume(struct connection *connection);
void connection_close(struct connection *connection);

/* Close the socket, keep the roster. */
void connection_hang_up(struct connection *connection);

/* A request whose answer nobody waits for, nor for room in the socket of an mpd that is stopped.
 * Where it fails the connection ends, which tells mpd to look for itself. 0 or -errno. */
int connection_post(struct connection *connection, enum proto_type type, const void *request,
		    size_t request_bytes);

/* One request and its answer. Connects and asks again when mpd was killed in between.
 * `answer` may be NULL. The answer's status, or -errno; -ETIMEDOUT and -ECONNREFUSED are explained,
 * and -EPROTO if connection->is_strange.
 * A refusal fills the answer too if it came in full. */
int connection_ask(struct connection *connection, enum proto_type type, const void *request,
		   size_t request_bytes, void *answer, size_t answer_bytes,
		   struct wire_fds *ret_fds);

#endif
