/* SPDX-License-Identifier: MIT
 *
 * See requests.h.
 *
 * The first who opens a name is told to format the segment; the others wait in a line at the
 * segment. If the formatter's connection ends, the memory is cleared and the next in line who may
 * create is told; those that asked for an existing segment go on waiting, and are told that there
 * is none when the line has no creator left.
 */
#include "requests.h"

#include "access.h"
#include "adopt.h"
#include "ctl.h"
#include "hold.h"
#include "loop.h"
#include "reaper.h"
#include "roster.h"
#include "log.h"
#include "quota.h"
#include "sweeper.h"
#include "version.h"

#include <libshm/base.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OPEN_FLAGS_KNOWN                                                                           \
	(MP_EXISTING | MP_EXCLUSIVE | MP_KEEP | MP_INTERRUPTIBLE | MP_NO_SPAWN | MP_READ_ONLY)
#define HELLO_IS_OBSERVER 1u
#define MODE_BITS 0777u

void requests_fill_welcome(struct proto_welcome *welcome)
{
	*welcome = (struct proto_welcome){ 0 };
	welcome->pid = (uint32_t)getpid();
	welcome->is_system = ctl_is_system();
	welcome->started_ns = version_started_ns();
	welcome->restarts = registry_restarts();
	welcome->signature = layout_signature();
	snprintf(welcome->version, sizeof(welcome->version), "%s", MPD_VERSION);
	snprintf(welcome->engine, sizeof(welcome->engine), "%s", loop_engine());
	welcome->engine_reason = (uint16_t)loop_engine_reason();
}

static int refuse(struct reply *reply, int error, const struct proto_refused *why)
{
	memcpy(reply->body, why, sizeof(*why));
	return error;
}

static int handle_HELLO(struct conn *conn, const void *request, struct reply *reply)
{
	const struct proto_hello *hello = request;
	struct proto_refused why = { 0 };

	if (hello->flags & ~HELLO_IS_OBSERVER)
		return REPLY_DROP;
	if (quota_may_connect(conn, &why) < 0)
		return refuse(reply, -EDQUOT, &why);
	ctl_greet(conn, hello->flags & HELLO_IS_OBSERVER);
	requests_fill_welcome(reply->body);
	/* No roster then: to close any descriptor of it would free the process's own byte. */
	if (hello->flags & HELLO_IS_OBSERVER)
		return 0;
	if (hello->signature != layout_signature()) {
		ctl_note_stranger(conn, PROTO_VERSION, hello->signature);
		return -EPROTO;
	}
	reply->fds = (struct wire_fds){ .count = 1, .fd = { roster_fd() } };
	return 0;
}

static void fill_opened(const struct segment *segment, bool must_format,
			struct proto_opened *opened)
{
	const struct registry_record *record = segment->record;

	*opened = (struct proto_opened){ .segment = record->number,
					 .generation = record->generation,
					 .size_bytes = record->size_bytes,
					 .max_clients = record->max_clients,
					 .max_threads = record->max_threads,
					 .must_format = must_format,
					 .mode = record->mode };
}

static struct caller caller_of(const struct conn *conn)
{
	return (struct caller){ .socket = conn->fd,
				.uid = ctl_is_system() ? conn->uid : geteuid(),
				.gid = conn->gid,
				.is_root = conn->uid == 0 };
}

static struct segment *known_segment(uint64_t number)
{
	struct segment *segment = segment_by_number(number);

	if (segment)
		adopt_now(segment);
	return segment;
}

/* What a connection may not see is not there. */
static struct segment *visible_segment(const struct conn *conn, uint64_t number)
{
	struct segment *segment = known_segment(number);
	struct caller caller = caller_of(conn);

	return segment && access_of(&caller, segment->record) != ACCESS_NONE ? segment : NULL;
}

static int hand_out(struct segment *segment, struct reply *reply)
{
	fill_opened(segment, false, reply->body);
	reply->fds = (struct wire_fds){ .count = 1, .fd = { segment->fd } };
	return 0;
}

static int appoint(struct conn *conn, struct segment *segment, struct reply *reply)
{
	segment->formatter = conn;
	fill_opened(segment, true, reply->body);
	reply->fds = (struct wire_fds){ .count = 1, .fd = { segment->fd } };
	return 0;
}

/* What was left open about its rights is decided here, and what may not be is refused. */
static int settle_rights(const struct caller *caller, struct proto_open *open, struct reply *reply)
{
	if (open->mode & ~MODE_BITS)
		return -EINVAL;
	if (!open->mode)
		open->mode = REGISTRY_MODE_DEFAULT;
	if (open->gid <= 0)
		open->gid = (int32_t)caller->gid;
	if (access_may_give(caller, (uint32_t)open->gid))
		return 0;
	return refuse(reply, -EPERM, &(struct proto_refused){ .reason = REASON_GROUP,
							      .gid = (uint32_t)open->gid });
}

static int open_new(struct conn *conn, const struct caller *caller, struct proto_open *open,
		    struct reply *reply)
{
	struct segment_maker maker = { .uid = caller->uid, .pid = conn->pid };
	struct proto_refused why = { 0 };
	struct segment *segment;
	int error;

	if (open->flags & MP_EXISTING)
		return -ENOENT;
	error = settle_rights(caller, open, reply);
	if (error < 0)
		return error;
	error = quota_may_create(conn, caller->uid, open, &why);
	if (error == 0)
		error = quota_may_open(conn, caller->uid, NULL, &why);
	if (error < 0)
		return refuse(reply, error, &why);
	error = segment_create(open, &maker, &segment);
	if (error < 0)
		return error;
	error = hold_take(conn, segment);
	if (error == 0)
		return appoint(conn, segment, reply);
	segment_check_end(segment);
	return error;
}

static void wait_in_line(struct conn *conn, struct segment *segment, uint32_t flags)
{
	struct conn **link = &segment->waiters;

	while (*link)
		link = &(*link)->next_waiter;
	*link = conn;
	conn->next_waiter = NULL;
	conn->waits_for = segment;
	conn->open_flags = flags;
}

static void leave_line(struct conn *conn)
{
	struct conn **link = &conn->waits_for->waiters;

	while (*link != conn)
		link = &(*link)->next_waiter;
	*link = conn->next_waiter;
	conn->waits_for = NULL;
}

/* Zero matches whatever there is. */
static bool is_of_shape(const struct registry_record *record, const struct proto_open *open)
{
	uint64_t bytes = (open->size_bytes + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;

	return (bytes == 0 || bytes == record->size_bytes) &&
	       (open->max_clients == 0 || open->max_clients == record->max_clients) &&
	       (open->max_threads == 0 || open->max_threads == record->max_threads) &&
	       (open->mode == 0 || open->mode == record->mode) &&
	       (open->gid <= 0 || open->gid == record->gid);
}

static int open_old(struct conn *conn, const struct caller *caller, struct segment *segment,
		    const struct proto_open *open, struct reply *reply)
{
	const struct registry_record *record = segment->record;
	struct proto_refused why = { 0 };
	int error;

	if (open->flags & MP_EXCLUSIVE)
		return -EEXIST;
	if (access_of(caller, record) < ACCESS_ATTACH)
		return refuse(reply, -EPERM,
			      &(struct proto_refused){ .reason = REASON_MODE, .uid = record->uid,
						       .gid = (uint32_t)record->gid,
						       .mode = record->mode });
	if (!is_of_shape(segment->record, open)) {
		fill_opened(segment, false, reply->body); /* for the sentence */
		return -EPROTO;
	}
	if (segment->formatter == conn)
		return appoint(conn, segment, reply);
	error = quota_may_open(conn, record->uid, segment, &why);
	if (error == 0)
		error = hold_take(conn, segment);
	if (error < 0)
		return refuse(reply, error, &why);
	if (open->flags & MP_KEEP && access_may_remove(caller, record))
		segment_keep(segment); /* who pays for it decides how long */
	if (segment_is_ready(segment))
		return hand_out(segment, reply);
	wait_in_line(conn, segment, open->flags);
	return REPLY_LATER;
}

static int handle_OPEN(struct conn *conn, const void *request, struct reply *reply)
{
	struct proto_open open = *(const struct proto_open *)request;
	struct caller caller = caller_of(conn);
	struct proto_refused why = { 0 };
	struct segment *segment = NULL;
	int error;

	if (conn->is_observer)
		return -EPERM;
	if (!registry_is_name(open.name) || (open.flags & ~(uint32_t)OPEN_FLAGS_KNOWN))
		return -EINVAL;
	error = access_find(&caller, &open, &segment, &why);
	if (error < 0)
		return refuse(reply, error, &why);
	if (!segment)
		return open_new(conn, &caller, &open, reply);
	adopt_now(segment);
	return open_old(conn, &caller, segment, &open, reply);
}

static void answer_waiter(struct conn *conn, int status, struct segment *segment, bool must_format)
{
	struct proto_opened opened = { 0 };
	struct wire_fds fds = { .count = status == 0, .fd = { segment->fd } };

	leave_line(conn);
	if (status == 0)
		fill_opened(segment, must_format, &opened);
	else
		hold_drop(conn, segment);
	ctl_answer_late(conn, PROTO_OPEN, status, &opened, sizeof(opened), &fds);
}

static void answer_line(struct segment *segment, int status)
{
	while (segment->waiters)
		answer_waiter(segment->waiters, status, segment, false);
}

/* The formatter is gone: who is next? */
static void pass_on(struct segment *segment)
{
	struct conn *next = segment->waiters;
	int error = segment_reset(segment);

	log_info("segment '%s' was left half made", segment->record->name);
	while (next && (next->open_flags & MP_EXISTING))
		next = next->next_waiter;
	if (!next || error < 0) {
		answer_line(segment, error < 0 ? error : -ENOENT);
		segment_check_end(segment);
		return;
	}
	segment->formatter = next;
	answer_waiter(next, 0, segment, true);
}

static int handle_FORMATTED(struct conn *conn, const void *request, struct reply *reply)
{
	const struct proto_segment *formatted = request;
	struct segment *segment = visible_segment(conn, formatted->segment);
	int error;

	if (!segment)
		return -ESTALE; /* told so by an mpd that died: it is gone, open it again */
	if (segment_is_ready(segment))
		return 0;
	if (segment->formatter != conn)
		return -EPERM;
	error = segment_accept(segment);
	if (error == 0) {
		answer_line(segment, 0);
		return 0;
	}
	log_warning("process %u has formatted '%s' wrongly: %s", conn->pid, segment->record->name,
		    strerror(-error));
	hold_drop(conn, segment);
	pass_on(segment);
	return error;
}

static int handle_ATTACHED(struct conn *conn, const void *request, struct reply *reply)
{
	const struct proto_attached *attached = request;
	struct segment *segment = known_segment(attached->segment);
	bool is_visible;
	int error;

	if (!segment)
		return -ESTALE;
	is_visible = visible_segment(conn, attached->segment) != NULL;
	if (conn->is_observer || !segment_is_ready(segment))
		return is_visible ? -EPERM : -ESTALE;
	if (!segment->seg)
		return 0; /* left as it is: the connection's hold is all we have */
	/* The slot's word is the proof: a child that has given up its user's rights since it was
	 * forked is still one of the segment's clients. */
	error = reaper_watch(&conn->process, conn->fd, conn->pid, segment, attached->client,
			     attached->generation);
	if (error == 0)
		hold_drop(conn, segment);
	return error < 0 && !is_visible ? -ESTALE : error;
}

static int handle_DETACHED(struct conn *conn, const void *request, struct reply *reply)
{
	const struct proto_attached *attached = request;
	struct segment *segment = known_segment(attached->segment);
	bool is_visible = visible_segment(conn, attached->segment) != NULL;
	int error;

	if (!segment)
		return -ESTALE;
	if (conn->is_observer)
		return is_visible ? -EPERM : -ESTALE;
	/* What it was the last to hold may go now. */
	if (segment->seg)
		sweeper_free(segment);
	error = reaper_unwatch(conn->process, segment, attached->client, attached->generation);
	return error < 0 && !is_visible ? -ESTALE : error;
}

static int handle_UNLINK(struct conn *conn, const void *request, struct reply *reply)
{
	const struct proto_open *open = request;
	struct caller caller = caller_of(conn);
	struct segment *segment;
	int error;

	if (!registry_is_name(open->name))
		return -EINVAL;
	if (conn->is_observer)
		return -EPERM;
	error = access_find_to_remove(&caller, open, &segment);
	if (error < 0)
		return error;
	adopt_now(segment);
	segment_unlink(segment);
	return 0;
}

static void fill_listed(const struct segment *segment, struct proto_listed *row)
{
	const struct registry_record *record = segment->record;

	*row = (struct proto_listed){ .segment = record->number,
				      .generation = record->generation,
				      .size_bytes = record->size_bytes,
				      .clients = segment->watches,
				      .flags = load_relaxed(&record->is_kept) ? MP_KEEP : 0,
				      .uid = record->uid,
				      .mode = record->mode };
	memcpy(row->name, record->name, sizeof(row->name));
}

static int handle_LIST(struct conn *conn, const void *request, struct reply *reply)
{
	struct proto_list *list = reply->body;
	struct caller caller = caller_of(conn);
	unsigned room = (PROTO_MESSAGE_MAX - 64) / sizeof(struct proto_listed);

	adopt_rest(); /* who uses them is told too */
	for (unsigned i = 0; i < REGISTRY_RECORDS && list->count < room; i++) {
		struct segment *segment = segment_at(i);

		if (segment && segment_is_ready(segment) &&
		    access_of(&caller, segment->record) != ACCESS_NONE)
			fill_listed(segment, &list->rows[list->count++]);
	}
	reply->bytes += list->count * sizeof(struct proto_listed);
	return 0;
}

static int handle_OBSERVE(struct conn *conn, const void *request, struct reply *reply)
{
	const struct proto_segment *observe = request;
	struct segment *segment = visible_segment(conn, observe->segment);

	if (!segment)
		return -ESTALE;
	fill_opened(segment, false, reply->body);
	reply->fds = (struct wire_fds){ .count = 1, .fd = { segment->observer_fd } };
	return 0;
}

static const struct request_type types[] = {
#define MESSAGE(number, name, request, answer, text)                                               \
	[number] = { #name, sizeof(struct request), sizeof(struct answer), handle_##name },
	PROTO_MESSAGES
#undef MESSAGE
};

const struct request_type *request_type(uint16_t number)
{
	return number < ARRAY_LEN(types) && types[number].handle ? &types[number] : NULL;
}

void requests_conn_ended(struct conn *conn)
{
	struct segment *segment;

	if (conn->waits_for)
		leave_line(conn);
	while ((segment = hold_first(conn)) != NULL) {
		hold_drop(conn, segment);
		if (segment->formatter == conn)
			pass_on(segment);
		else
			segment_check_end(segment);
	}
}
