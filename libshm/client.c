/* SPDX-License-Identifier: MIT
 *
 * This process as a client of its segments. Knows: attaching, forks, detaching.
 * Does not know: objects, packets (connection.h).
 *
 *   attach   roster byte locked - client slot - mpd told to watch it
 *   fork     nothing; the child's first call makes it a client of its own (self.c calls join)
 *   detach   objects given up - threads' slots - own slot swept like a dead one's - mpd told -
 *            memory unmapped
 *
 * Killed anywhere in attach: a slot whose pid is gone, swept as any other. A forked child that
 * cannot reach mpd still takes part: its peers watch its pid.
 */
#include "client.h"

#include "explain.h"
#include "object.h"
#include "opts.h"
#include "recover.h"
#include "segment_opts.h"
#include "self.h"
#include "slot.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* mpd that was killed in the middle of making a segment has forgotten it: ask again. */
#define OPEN_ATTEMPTS_MAX 3

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mp_segment *segments;

static int join_after_fork(struct seg *seg);

static const struct seg_hooks hooks = {
	.client_died = recover_client,
	.join_after_fork = join_after_fork,
	.thread_ended = recover_thread,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* In a forked child, which has one thread yet: the mutex's holder may not exist here. */
static void notice_fork(void)
{
	pthread_mutex_init(&mutex, NULL);
}

static void start(void)
{
	pthread_atfork(NULL, NULL, notice_fork);
}

static void lock_process(void)
{
	pthread_once(&once, start);
	pthread_mutex_lock(&mutex);
}

/* --- attaching --- */

static void default_name(char name[static NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "%.*s", NAME_BYTES - 1, program_invocation_short_name);
}

/* The client before us in slot order watched another neighbour until now: wake its sleepers, so
 * that they choose again. */
static void tell_watcher(struct seg *seg)
{
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		uint64_t word = load_acquire(&seg->threads[thread].word);

		if (thread_word_state(word) == SLOT_LIVE &&
		    load_acquire(&seg->threads[thread].record_count) > 0 &&
		    slot_next_live(seg, thread_word_client(word)) == seg->client)
			wait_ring(seg, thread);
	}
}

static struct proto_attached identity(const struct mp_segment *segment)
{
	return (struct proto_attached){ .segment = segment->number,
					.client = segment->seg->client,
					.generation = segment->seg->client_generation };
}

static int tell_attached(struct mp_segment *segment)
{
	struct proto_attached attached = identity(segment);
	struct proto_empty empty;
	int result = connection_ask(&segment->endpoint->connection, PROTO_ATTACHED, &attached,
				    sizeof attached, &empty, sizeof empty, NULL);

	return result < 0 ? explain(result, "mpd does not accept this process in segment '%s'",
				    segment->seg->name)
			  : 0;
}

static int claim_slot(struct mp_segment *segment)
{
	struct seg *seg = segment->seg;
	struct connection *connection = &segment->endpoint->connection;
	int error;

	error = slot_claim_client(seg, connection->roster_byte, segment->client_name,
				  segment->parent, &seg->client, &seg->client_generation);
	if (error < 0)
		return explain(error,
			       "segment '%s' takes %u processes at once and has them (max_clients "
			       "%u, less %u); end some, or make it with more",
			       seg->name, seg->at.max_clients - SLOT_FIRST, seg->at.max_clients,
			       SLOT_FIRST);
	seg->roster_fd = connection->roster_fd;
	seg->roster_byte = connection->roster_byte;
	tell_watcher(seg);
	return 0;
}

static struct mp_segment *segment_of(const struct seg *seg)
{
	struct mp_segment *segment = segments;

	while (segment && segment->seg != seg)
		segment = segment->next;
	return segment;
}

/* Called with self.c's fork mutex; the child has one thread here. */
static int join_after_fork(struct seg *seg)
{
	struct mp_segment *segment = segment_of(seg);
	uint32_t parent = seg->client;
	struct proto_attached attached;
	int error;

	if (!segment)
		return explain(-EPERM, "segment '%s' was closed before the fork", seg->name);
	lock_process();
	endpoint_after_fork();
	pthread_mutex_unlock(&mutex);
	pthread_mutex_init(&seg->mutex, NULL);
	self_drop_inherited(seg);
	store_relaxed(&seg->anchor, 0); /* the parent's */
	if (!segment->parent)
		segment->parent = parent;
	connection_resume(&segment->endpoint->connection);
	error = claim_slot(segment);
	if (error < 0)
		return error;
	attached = identity(segment);
	/* Not waited for: mpd may be stopped, and peers watch the pid as well. */
	connection_post(&segment->endpoint->connection, PROTO_ATTACHED, &attached, sizeof attached);
	error = object_hold_inherited(seg);
	seg->is_stale = error < 0;
	store_release(&seg->fork_epoch, self_fork_epoch()); /* now other threads take part */
	return error;
}

int client_join_as_child(mp_segment *segment, const char *name, uint32_t parent)
{
	struct self *me;

	segment->parent = parent;
	snprintf(segment->client_name, sizeof segment->client_name, "%s", name);
	return self_get(segment->seg, &me);
}

/* --- opening --- */

static int format(struct mp_segment *segment, const struct proto_opened *opened, int fd,
		  const char *name)
{
	struct proto_segment formatted = { .segment = opened->segment };
	struct proto_empty empty;
	struct seg_geometry plan;
	int result = seg_plan(opened->size_bytes, opened->max_clients, opened->max_threads, &plan);

	if (result == 0)
		result = seg_format(fd, name, opened->generation, &plan);
	if (result < 0)
		return explain(result, "segment '%s' of %llu bytes could not be made", name,
			       (unsigned long long)opened->size_bytes);
	result = connection_ask(&segment->endpoint->connection, PROTO_FORMATTED, &formatted,
				sizeof formatted, &empty, sizeof empty, NULL);
	return result < 0 ? explain(result, "mpd at '%s' does not take the new segment '%s'",
				    segment->endpoint->connection.endpoint, name)
			  : 0;
}

static int explain_open(int error, const char *name)
{
	switch (error) {
	case -ENOENT:
		return explain(error, "no segment '%s'", name);
	case -EEXIST:
		return explain(error, "a segment '%s' exists already", name);
	case -EPROTO:
		return explain(error, "segment '%s' has another size or limits", name);
	case -EPERM:
		return explain(error, "segment '%s' belongs to another user", name);
	case -ECONNREFUSED:
		return error; /* explained where it was seen: it names the endpoint */
	case -EDQUOT:
		return explain(error, "segment '%s' is over the quota", name);
	default:
		return explain(error, "segment '%s' could not be opened", name);
	}
}

/* Ask mpd for the segment's memory; formats it when told to. */
static int obtain(struct mp_segment *segment, const char *name,
		  const struct mp_segment_opts *opts, int *ret_fd)
{
	struct proto_open request = { .size_bytes = opts->size_bytes,
				      .max_clients = opts->max_clients,
				      .max_threads = opts->max_sleepers,
				      .mode = opts->mode,
				      .gid = opts->gid,
				      .flags = opts->flags };
	struct wire_fds fds = { 0 };
	struct proto_opened opened;
	int result;

	snprintf(request.name, sizeof request.name, "%s", name);
	result = connection_ask(&segment->endpoint->connection, PROTO_OPEN, &request,
				sizeof request, &opened, sizeof opened, &fds);
	if (result == 0 && fds.count != 1)
		result = -EPROTO;
	if (result < 0) {
		wire_close_fds(&fds);
		return explain_open(result, name);
	}
	segment->number = opened.segment;
	result = opened.must_format ? format(segment, &opened, fds.fd[0], name) : 0;
	if (result < 0)
		close(fds.fd[0]);
	*ret_fd = fds.fd[0];
	return result;
}

static int map_and_attach(struct mp_segment *segment, int fd, const char *name,
			  const struct mp_segment_opts *opts)
{
	struct seg *seg;
	int result = seg_map(fd, false, &seg);

	if (result < 0) {
		close(fd);
		return explain(result, "segment '%s' cannot be mapped: another layout, or damaged",
			       name);
	}
	segment->seg = seg;
	seg->hooks = &hooks;
	seg->is_interruptible = opts->flags & MP_INTERRUPTIBLE;
	snprintf(seg->name, sizeof seg->name, "%s", name);
	store_release(&seg->fork_epoch, self_fork_epoch());
	result = claim_slot(segment);
	if (result == 0) {
		result = tell_attached(segment);
		if (result < 0)
			recover_own_exit(seg); /* else the slot were ours as long as we live */
	}
	if (result < 0)
		segment->seg = seg_unmap(seg);
	return result;
}

static int open_new(const char *name, const struct mp_segment_opts *opts,
		    struct client_endpoint *endpoint, struct mp_segment **ret_segment)
{
	struct mp_segment *segment = calloc(1, sizeof *segment);
	int fd = -1, result, attempts = 0;

	if (!segment)
		return explain(-ENOMEM, "no memory for a handle");
	segment->endpoint = endpoint;
	segment->users = 1;
	if (opts->client_name)
		snprintf(segment->client_name, NAME_BYTES, "%s", opts->client_name);
	else
		default_name(segment->client_name);
	do {
		result = obtain(segment, name, opts, &fd);
		if (result == 0)
			result = map_and_attach(segment, fd, name, opts);
	} while (result == -ESTALE && ++attempts < OPEN_ATTEMPTS_MAX);
	if (result < 0) {
		free(segment);
		return result;
	}
	endpoint->segments++;
	segment->next = segments;
	segments = segment;
	*ret_segment = segment;
	return 0;
}

static struct mp_segment *find_open(const char *name, const struct client_endpoint *endpoint)
{
	struct mp_segment *segment = segments;

	while (segment &&
	       (segment->endpoint != endpoint || strcmp(segment->seg->name, name) != 0))
		segment = segment->next;
	return segment;
}

static int open_locked(const char *name, const struct mp_segment_opts *opts,
		       mp_segment **ret_segment)
{
	struct client_endpoint *endpoint;
	struct mp_segment *segment;
	int result = endpoint_get(opts->endpoint, !(opts->flags & MP_NO_SPAWN), &endpoint);

	if (result < 0)
		return result;
	segment = find_open(name, endpoint);
	if (segment && (opts->flags & MP_EXCLUSIVE))
		return explain_open(-EEXIST, name);
	if (segment && !segment_is_of_shape(segment->seg, opts))
		return explain_open(-EPROTO, name);
	if (segment) {
		segment->users++;
		*ret_segment = segment;
		return 0;
	}
	result = open_new(name, opts, endpoint, ret_segment);
	endpoint_drop_if_unused(endpoint);
	return result;
}

int mp_segment_open(const char *name, const struct mp_segment_opts *opts,
		    mp_segment **ret_segment)
{
	static const struct mp_segment_opts defaults;
	int result = segment_check_name(name);

	if (result == 0)
		result = opts_check_pointer((struct opts_of){ "segment", name }, "ret_segment",
					    ret_segment);
	if (result == 0 && opts)
		result = segment_check_opts(name, opts);
	if (result < 0)
		return result;
	lock_process();
	result = open_locked(name, opts ? opts : &defaults, ret_segment);
	pthread_mutex_unlock(&mutex);
	return result;
}

/* --- leaving --- */

static void forget(struct mp_segment *segment)
{
	struct mp_segment **link = &segments;

	while (*link != segment)
		link = &(*link)->next;
	*link = segment->next;
}

static void leave(struct mp_segment *segment)
{
	struct seg *seg = segment->seg;
	struct client_endpoint *endpoint = segment->endpoint;
	struct proto_attached mine = identity(segment);

	if (load_acquire(&seg->fork_epoch) == self_fork_epoch()) {
		recover_own_exit(seg);
		connection_post(&endpoint->connection, PROTO_DETACHED, &mine, sizeof mine);
	} else {
		/* A forked child that never used the segment: no slot here is ours. */
		pthread_mutex_init(&seg->mutex, NULL);
		self_drop_inherited(seg);
	}
	seg_unmap(seg);
	endpoint->segments--;
	endpoint_drop_if_unused(endpoint);
	free(segment);
}

mp_segment *mp_segment_close(mp_segment *segment)
{
	if (!segment)
		return NULL;
	lock_process();
	endpoint_after_fork();
	if (--segment->users == 0) {
		forget(segment);
		leave(segment);
	}
	pthread_mutex_unlock(&mutex);
	return NULL;
}

void client_leave_all(void)
{
	lock_process();
	endpoint_after_fork();
	while (segments) {
		struct mp_segment *segment = segments;

		forget(segment);
		/* Threads that still run there: the process's death tells the rest. */
		if (self_is_alone(segment->seg))
			leave(segment);
	}
	pthread_mutex_unlock(&mutex);
}

static int unlink_locked(const char *name)
{
	struct proto_open request = { .flags = 0 };
	struct client_endpoint *endpoint;
	struct proto_empty empty;
	int result = endpoint_get(NULL, false, &endpoint);

	if (result < 0)
		return result;
	snprintf(request.name, sizeof request.name, "%s", name);
	result = connection_ask(&endpoint->connection, PROTO_UNLINK, &request, sizeof request,
				&empty, sizeof empty, NULL);
	endpoint_drop_if_unused(endpoint);
	return result < 0 ? explain_open(result, name) : 0;
}

int mp_segment_unlink(const char *name)
{
	int result = segment_check_name(name);

	if (result < 0)
		return result;
	lock_process();
	result = unlink_locked(name);
	pthread_mutex_unlock(&mutex);
	return result;
}
