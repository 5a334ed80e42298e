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

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "memory_room.h"
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
/* mpd, or whoever waits for the dead one, frees its slot within milliseconds. */
#define SWEEP_PATIENCE_NS INT64_C(1000000000)
#define SWEEP_RETRY_NS INT64_C(1000000)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mp_segment *segments;

static int join_after_fork(struct seg *seg);

static const struct seg_hooks hooks = {
	.client_died = recover_client,
	.join_after_fork = join_after_fork,
	.thread_ended = recover_thread,
};

/* In a forked child, which has one thread yet: the mutex's holder may not exist here. */
static void notice_fork(void)
{
	pthread_mutex_init(&mutex, NULL);
	/* Else a connection outlives its process in a child that never uses it: mpd would not
	 * notice when the parent executes another program. */
	endpoint_after_fork();
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

static bool is_any_dead(struct seg *seg)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t client = SLOT_FIRST; client < high; client++)
		if (slot_is_dead(seg, client,
				 client_word_generation(slot_client_word(seg, client))))
			return true;
	return false;
}

/* Who has no slot has no name to put into a guard, so it cannot sweep the dead itself: while the
 * table is full of them it waits for those who can. */
static int claim_when_swept(struct mp_segment *segment)
{
	struct seg *seg = segment->seg;
	int64_t patience_ends = clock_now_ns() + SWEEP_PATIENCE_NS;
	int error;

	while ((error = slot_claim_client(seg, segment->endpoint->connection.roster_byte,
					  segment->client_name, segment->parent, &seg->client,
					  &seg->client_generation)) == -ENOSPC &&
	       is_any_dead(seg) && clock_now_ns() < patience_ends)
		clock_sleep_ns(SWEEP_RETRY_NS);
	return error;
}

static int claim_slot(struct mp_segment *segment)
{
	struct seg *seg = segment->seg;
	struct connection *connection = &segment->endpoint->connection;
	int error = claim_when_swept(segment);

	if (error < 0 && memory_room_was_refused())
		return explain(error, "the memory cgroup of this process has no room for segment "
				      "'%s'; raise its limit, or end what uses it up", seg->name);
	if (error < 0)
		return explain(error,
			       "segment '%s' takes %u processes at once and has them (max_clients "
			       "%u, less %u); end some, or make it with more",
			       seg->name, seg->at.max_clients - SLOT_FIRST, seg->at.max_clients,
			       SLOT_FIRST);
	seg->roster_fd = connection->roster_fd;
	seg->roster_file = connection->roster_file;
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
	pthread_mutex_lock(&mutex);
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

/* --- children --- */

static void sweep_pid(struct seg *seg, uint32_t pid)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t client = SLOT_FIRST; client < high; client++) {
		uint64_t word = slot_client_word(seg, client);

		if (client_word_pid(word) == pid &&
		    slot_is_dead(seg, client, client_word_generation(word)))
			recover_client(seg, client, client_word_generation(word));
	}
}

static bool is_taking_part(const struct seg *seg)
{
	return load_acquire(&seg->fork_epoch) == self_fork_epoch() && !seg->is_stale;
}

void client_child_ended(uint32_t pid)
{
	pthread_mutex_lock(&mutex);
	for (struct mp_segment *segment = segments; segment; segment = segment->next)
		if (is_taking_part(segment->seg))
			sweep_pid(segment->seg, pid);
	pthread_mutex_unlock(&mutex);
}

unsigned client_sweep_dead(mp_segment *segment)
{
	return is_taking_part(segment->seg) ? recover_all(segment->seg) : 0;
}

/* --- opening --- */

static int explain_map(int error, const char *name)
{
	if (error == -ENOMEM)
		return explain(error, "segment '%s' cannot be mapped: this process has no memory "
				      "or addresses for it", name);
	if (error == -EPROTO)
		return explain(error, "segment '%s' was made by another version of libshm; bring "
				      "the older of the two up to date", name);
	/* Not even begun: mpd hands out what it was told is whole. */
	if (error == -EAGAIN || error == -EBADMSG)
		return explain(-EBADMSG, "somebody has written over the header of segment '%s'; "
					 "have it removed (mpctl rm %s) and made anew", name, name);
	return explain(error, "segment '%s' cannot be mapped", name);
}

static int map_and_attach(struct mp_segment *segment, int fd, const char *name,
			  const struct mp_segment_opts *opts)
{
	struct seg *seg;
	int result = seg_map(fd, false, &seg);

	if (result < 0) {
		close(fd);
		return explain_map(result, name);
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

/* The handle of that memory. A name means what mpd says: it may have been removed and given to
 * another segment since this process opened it. */
static struct mp_segment *find_memory(int fd)
{
	struct mp_segment *segment = segments;

	while (segment && !own_fd_is(fd, segment->seg->file))
		segment = segment->next;
	return segment;
}

/* One more user. mpd keeps what it has handed out until it hears of the slot, so it hears of it
 * again; a forked child that takes no part yet says so with its first call. */
static int open_again(struct mp_segment *segment)
{
	int result = load_acquire(&segment->seg->fork_epoch) == self_fork_epoch()
			     ? tell_attached(segment)
			     : 0;

	if (result == 0)
		segment->users++;
	return result;
}

static void enlist(struct mp_segment *segment)
{
	segment->endpoint->segments++;
	segment->next = segments;
	segments = segment;
}

/* What mpd hands out is this process's already, or becomes so. */
static int obtain_and_attach(struct mp_segment *fresh, const char *name,
			     const struct mp_segment_opts *opts, struct mp_segment **ret_segment)
{
	struct mp_segment *known;
	int fd = -1, result = client_obtain(fresh, name, opts, &fd);

	if (result < 0)
		return result;
	known = find_memory(fd);
	if (known) {
		close(fd);
		result = open_again(known);
	} else {
		result = map_and_attach(fresh, fd, name, opts);
		if (result == 0)
			enlist(fresh);
	}
	if (result < 0)
		client_give_back(fresh);
	else
		*ret_segment = known ? known : fresh;
	return result;
}

static int open_at(struct client_endpoint *endpoint, const char *name,
		   const struct mp_segment_opts *opts, struct mp_segment **ret_segment)
{
	struct mp_segment *fresh = calloc(1, sizeof *fresh), *opened = NULL;
	int result, attempts = 0;

	if (!fresh)
		return explain(-ENOMEM, "no memory for a handle");
	fresh->endpoint = endpoint;
	fresh->users = 1;
	if (opts->client_name)
		snprintf(fresh->client_name, NAME_BYTES, "%s", opts->client_name);
	else
		default_name(fresh->client_name);
	do
		result = obtain_and_attach(fresh, name, opts, &opened);
	while (result == -ESTALE && ++attempts < OPEN_ATTEMPTS_MAX);
	if (opened != fresh)
		free(fresh);
	if (result == 0)
		*ret_segment = opened;
	return result;
}

static int open_locked(const char *name, const struct mp_segment_opts *opts,
		       mp_segment **ret_segment)
{
	struct client_endpoint *endpoint;
	int result = endpoint_get(opts->endpoint, !(opts->flags & MP_NO_SPAWN), &endpoint);

	if (result < 0)
		return result;
	result = open_at(endpoint, name, opts, ret_segment);
	endpoint_drop_if_unused(endpoint);
	return result;
}

int mp_segment_open(const char *name, const struct mp_segment_opts *opts,
		    mp_segment **ret_segment)
{
	KEEP_ERRNO;
	static const struct mp_segment_opts defaults;
	int result = segment_check_name(name);

	if (result == 0)
		result = opts_check_pointer((struct opts_of){ "segment", name }, "ret_segment",
					    ret_segment);
	if (result == 0 && opts)
		result = segment_check_opts(name, opts);
	if (result < 0)
		return result;
	if (self_prepare(notice_fork) < 0)
		return explain(-ENOMEM, "segment '%s': no memory to notice forks and threads' ends",
			       name);
	pthread_mutex_lock(&mutex);
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
	KEEP_ERRNO;
	if (!segment)
		return NULL;
	pthread_mutex_lock(&mutex);
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
	pthread_mutex_lock(&mutex);
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
	bool is_strange;
	int result = endpoint_get(NULL, false, &endpoint);

	if (result < 0)
		return result;
	snprintf(request.name, sizeof request.name, "%s", name);
	result = connection_ask(&endpoint->connection, PROTO_UNLINK, &request, sizeof request,
				&empty, sizeof empty, NULL);
	is_strange = endpoint->connection.is_strange; /* explained */
	endpoint_drop_if_unused(endpoint);
	return result < 0 && !is_strange ? client_explain_open(result, name) : result;
}

int mp_segment_unlink(const char *name)
{
	KEEP_ERRNO;
	int result = segment_check_name(name);

	if (result < 0)
		return result;
	pthread_mutex_lock(&mutex);
	result = unlink_locked(name);
	pthread_mutex_unlock(&mutex);
	return result;
}
