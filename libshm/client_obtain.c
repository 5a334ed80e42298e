/* SPDX-License-Identifier: MIT
 *
 * A segment's memory from mpd. Knows: the request, formatting what is new, the sentences of
 * refusals. Does not know: mapping, slots, handles (client.c).
 */
#include "client.h"

#include "bits.h"
#include "explain.h"
#include "opts.h"

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
		return explain(error, "segment '%s' belongs to another user", name);
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return error; /* explained where it was seen: it names the endpoint */
	case -EMFILE:
		return explain(error, "segment '%s': this process has no descriptor left for it; "
				      "close some, or raise the limit (ulimit -n)", name);
	case -EDQUOT:
		return explain(error, "segment '%s' is over the quota", name);
	default:
		return explain(error, "segment '%s' could not be opened", name);
	}
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
	return explain(-EPROTO, "segment '%s' is another than was asked for:%s; 0 takes what is "
				"there", name, difference.text);
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
	int result;

	snprintf(request.name, sizeof request.name, "%s", name);
	result = connection_ask(&segment->endpoint->connection, PROTO_OPEN, &request,
				sizeof request, &opened, sizeof opened, &fds);
	if (result == 0 && fds.count != 1)
		result = -EPROTO;
	if (result < 0) {
		wire_close_fds(&fds);
		if (result == -EPROTO && !segment->endpoint->connection.is_strange)
			return explain_shape(name, &request, &opened);
		return result == -EPROTO ? result : client_explain_open(result, name);
	}
	segment->number = opened.segment;
	result = opened.must_format ? format(segment, &opened, fds.fd[0], name) : 0;
	if (result < 0)
		close(fds.fd[0]);
	*ret_fd = fds.fd[0];
	return result;
}
