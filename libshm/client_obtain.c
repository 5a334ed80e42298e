/* SPDX-License-Identifier: MIT
 *
 * A segment's memory from mpd. Knows: the request, formatting what is new, the sentences of
 * refusals. Does not know: mapping, slots, handles (client.c).
 */
#include "client.h"

#include "bits.h"
#include "connection_explain.h"
#include "explain.h"
#include "memory_room.h"
#include "opts.h"
#include "segment_opts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int format(struct mp_segment *segment, const struct proto_opened *opened, int fd,
		  const char *name)
{
	struct proto_segment formatted = { .segment = opened->segment };
	struct proto_empty empty;
	struct seg_geometry plan;
	int result = seg_plan(opened->size_bytes, opened->max_clients, opened->max_threads, &plan);

	if (result == 0)
		result = seg_format(fd, name, opened->generation, &plan);
	if (result < 0 && memory_room_was_refused())
		return explain(result, "the memory cgroup of this process has no room for segment "
				       "'%s'; raise its limit, or end what uses it up", name);
	if (result < 0)
		return explain(result, "segment '%s' of %llu bytes could not be made", name,
			       (unsigned long long)opened->size_bytes);
	result = connection_ask(&segment->endpoint->connection, PROTO_FORMATTED, &formatted,
				sizeof formatted, &empty, sizeof empty, NULL);
	return result < 0 ? explain(result, "mpd at '%s' does not take the new segment '%s'",
				    segment->endpoint->connection.endpoint, name)
			  : 0;
}

int client_explain_open(int error, const char *name)
{
	switch (error) {
	case -ENOENT:
		return explain(error, "no segment '%s'", name);
	case -EEXIST:
		return explain(error, "a segment '%s' exists already", name);
	case -EPROTO:
		return explain(error, "segment '%s' has another size or limits", name);
	case -EPERM:
		return explain(error, "segment '%s' belongs to another user; its owner and root "
				      "may do that", name);
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return error; /* explained where it was seen: it names the endpoint */
	case -EMFILE:
		return explain(error, "segment '%s': this process has no descriptor left for it; "
				      "close some, or raise the limit (ulimit -n)", name);
	case -ENFILE:
		return explain(-EMFILE, "segment '%s': mpd has no descriptor left for it; close "
					"segments, or raise mpd's limit (ulimit -n, LimitNOFILE=)",
			       name);
	case -EDQUOT:
		return explain(error, "segment '%s': mpd has no room for more", name);
	default:
		return explain(error, "mpd could not be asked for segment '%s'", name);
	}
}

static void note_mode(struct opts_difference *difference, uint32_t there, uint32_t wanted)
{
	char there_text[16], wanted_text[16];

	snprintf(there_text, sizeof there_text, "%04o", there);
	snprintf(wanted_text, sizeof wanted_text, "%04o", wanted);
	opts_note_word(difference, "mode", there_text, wanted ? wanted_text : NULL);
}

static int explain_shape(const char *name, const struct proto_open *wanted,
			 const struct proto_opened *there)
{
	struct opts_difference difference = { .text = "" };

	if (!there->size_bytes)
		return client_explain_open(-EPROTO, name);
	opts_note_number(&difference, "size_bytes", there->size_bytes,
			 align_up(wanted->size_bytes, GRANULE_BYTES));
	opts_note_number(&difference, "max_clients", there->max_clients, wanted->max_clients);
	opts_note_number(&difference, "max_sleepers", there->max_threads, wanted->max_threads);
	note_mode(&difference, there->mode, wanted->mode);
	if (wanted->gid > 0 && !difference.text[0])
		return explain(-EPROTO, "segment '%s' has another group than %d; 0 takes what is "
					"there", name, wanted->gid);
	return explain(-EPROTO, "segment '%s' is another than was asked for:%s; 0 takes what is "
				"there", name, difference.text);
}

/* What mpd said beside the error, put into words. */
static int explain_refusal(int error, const char *name, const struct proto_opened *body)
{
	struct proto_refused why;

	memcpy(&why, body, sizeof why);
	switch (why.reason) {
	case REASON_MODE:
		return explain(error,
			       "segment '%s' belongs to user %u, its mode is %04o and its group "
			       "%u: that lets you look (libshm/observe.h) and not attach; ask for "
			       "rw", name, why.uid, why.mode, why.gid);
	case REASON_HIDDEN:
		return explain(error, "user %u has no segment '%s' that this process may use",
			       why.uid, name);
	case REASON_GROUP:
		return explain(error, "segment '%s': opts.gid is %u, and this process is not in "
				      "that group", name, why.gid);
	case REASON_SEVERAL:
		return explain(error, "segment '%s' is offered by user %u and by user %u; "
				      "opts.owner says which", name, why.uid, why.other_uid);
	case REASON_QUOTA:
		return connection_explain_quota("segment", name, &why);
	default:
		return client_explain_open(error, name);
	}
}

/* mpd holds what it has handed out, or waits for it to be formatted, until the connection ends. */
void client_give_back(struct mp_segment *segment)
{
	connection_hang_up(&segment->endpoint->connection);
}

int client_obtain(struct mp_segment *segment, const char *name, const struct mp_segment_opts *opts,
		  int *ret_fd)
{
	struct proto_open request = { .size_bytes = opts->size_bytes,
				      .max_clients = opts->max_clients,
				      .max_threads = opts->max_sleepers,
				      .mode = opts->mode,
				      .gid = opts->gid,
				      .flags = opts->flags };
	struct wire_fds fds = { 0 };
	struct proto_opened opened = { 0 };
	int result = segment_find_owner(name, opts->owner, &request.owner);

	if (result < 0)
		return result;
	snprintf(request.name, sizeof request.name, "%s", name);
	result = connection_ask(&segment->endpoint->connection, PROTO_OPEN, &request,
				sizeof request, &opened, sizeof opened, &fds);
	if (result == 0 && fds.count != 1)
		result = -EPROTO;
	if (result < 0) {
		wire_close_fds(&fds);
		if (result == -EPROTO && !segment->endpoint->connection.is_strange)
			return explain_shape(name, &request, &opened);
		return result == -EPROTO ? result : explain_refusal(result, name, &opened);
	}
	segment->number = opened.segment;
	result = opened.must_format ? format(segment, &opened, fds.fd[0], name) : 0;
	if (result < 0) {
		close(fds.fd[0]);
		client_give_back(segment);
	}
	*ret_fd = fds.fd[0];
	return result;
}
