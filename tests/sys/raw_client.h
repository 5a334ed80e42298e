/* SPDX-License-Identifier: MIT
 *
 * A client of mpd that speaks the protocol by itself. Knows: proto.h, wire.h, starting and finding
 * an mpd. Does not know: libshm's own client, so the two cannot share a mistake.
 */
#ifndef TESTS_SYS_RAW_CLIENT_H
#define TESTS_SYS_RAW_CLIENT_H

#include "harness.h"
#include "libshm/seg.h"
#include "libshm/wire.h"

#define RAW_GRACE "150" /* ms, of the mpd that raw_start starts */

struct raw {
	int socket;
	uint32_t serial;
	int roster;
	struct proto_welcome welcome;
};

struct raw_segment {
	struct proto_opened opened;
	int fd;
	struct seg *seg; /* NULL until raw_attach */
	uint32_t client, generation;
};

/* Start `mpd --supervise` at the test's endpoint with `extra` arguments (NULL: none), and let go of
 * it as libshm does. */
void raw_start(const char *extra, const char *value);

/* Connect and say nothing; the socket is -1 where nobody listens. */
void raw_dial(struct raw *raw);

/* Connect within 3 s and say HELLO. */
void raw_connect(struct raw *raw);
/* Once; false where nobody greets. */
bool raw_try_connect(struct raw *raw, bool is_observer);
void raw_connect_as_observer(struct raw *raw);
void raw_close(struct raw *raw);

/* One request and its answer's status; answer may be NULL. */
int raw_ask(struct raw *raw, enum proto_type type, const void *request, size_t request_bytes,
	    void *answer, size_t answer_bytes, struct wire_fds *ret_fds);
void raw_send(struct raw *raw, enum proto_type type, const void *request, size_t bytes);
int raw_receive(struct raw *raw, void *answer, size_t answer_bytes, struct wire_fds *ret_fds);

int raw_open(struct raw *raw, const char *name, uint64_t size_bytes, uint32_t flags,
	     struct raw_segment *ret_segment);
/* The answer to LIST, at most that many bytes of it; its status. */
int raw_receive_list(struct raw *raw, void *answer, size_t capacity);
int raw_unlink(struct raw *raw, const char *name);
unsigned raw_count(struct raw *raw); /* segments in the list */
/* How many there are, or -errno; as many rows as there is room for. */
int raw_list(struct raw *raw, struct proto_listed *ret_rows, unsigned room);

/* Format what must be formatted and say so. */
void raw_format(struct raw *raw, struct raw_segment *segment, const char *name);

/* The roster's byte of this process, which says that it lives. */
uint64_t raw_lock_byte(const struct raw *raw);

/* Open, format if told to, map, take a client slot and the roster's byte, say ATTACHED. */
void raw_attach(struct raw *raw, const char *name, uint32_t flags, struct raw_segment *ret_segment);
int raw_say_attached(struct raw *raw, const struct raw_segment *segment);
void raw_forget(struct raw_segment *segment); /* unmap and close, say nothing */

/* The last page of the segment as a place for test data. */
uint8_t *raw_page(const struct raw_segment *segment);

/* Is that use of the slot over and swept? */
bool raw_is_swept(void *segment);

pid_t raw_parent_of(pid_t pid);
unsigned raw_fd_count(pid_t pid);
/* Of mpd, without pidfds: one is kept for each client slot that was looked at. */
unsigned raw_lasting_fd_count(pid_t pid);
/* What was closed here is closed there when mpd gets to it. */
void raw_expect_fds(pid_t pid, unsigned most);
uint64_t raw_switches(pid_t pid); /* voluntary context switches */
unsigned raw_mpd_count(void); /* processes with this endpoint in their arguments */

#endif
