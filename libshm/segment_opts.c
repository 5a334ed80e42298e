/* SPDX-License-Identifier: MIT
 *
 * See segment_opts.h. This is for the sake of the sentence: mpd decides for itself, for whoever
 * talks to it may be another program. Knows: names and limits of a segment's options. Does not
 * know: mpd, which segments there are.
 */
#include "segment_opts.h"

#include "bits.h"
#include "explain.h"
#include "name.h"
#include "opts.h"
#include "seg.h"
#include "slotword.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS_KNOWN (MP_EXISTING | MP_EXCLUSIVE | MP_KEEP | MP_INTERRUPTIBLE | MP_NO_SPAWN)
#define FLAGS_NAMES "MP_EXISTING MP_EXCLUSIVE MP_KEEP MP_INTERRUPTIBLE MP_NO_SPAWN"
#define MODE_BITS 0777u
#define PASSWD_BYTES 4096

int segment_check_name(const char *name)
{
	return name ? name_check("segment", name) : explain(-EINVAL, "a segment needs a name");
}

static int check_count(const char *name, const char *field, uint32_t count, uint32_t most)
{
	if (count == 0 || (count > SLOT_FIRST && count <= most))
		return 0;
	return explain(-EINVAL,
		       "segment '%s': opts.%s is %u, it must be from %u to %u (slot 0 means "
		       "nobody, slot 1 is mpd's), or 0 for the default",
		       name, field, count, SLOT_FIRST + 1, most);
}

static int check_size(const char *name, const struct mp_segment_opts *opts)
{
	uint64_t least = GRANULE_BYTES;
	struct seg_geometry plan;

	if (seg_plan(opts->size_bytes, opts->max_clients, opts->max_sleepers, &plan) == 0)
		return 0;
	if (opts->size_bytes > SEG_BYTES_MAX)
		return explain(-EINVAL, "segment '%s': opts.size_bytes is %llu, at most %llu", name,
			       (unsigned long long)opts->size_bytes,
			       (unsigned long long)SEG_BYTES_MAX);
	while (least < SEG_BYTES_MAX &&
	       seg_plan(least, opts->max_clients, opts->max_sleepers, &plan) < 0)
		least += GRANULE_BYTES;
	return explain(-EINVAL,
		       "segment '%s': opts.size_bytes is %llu, at least %llu with these "
		       "max_clients and max_sleepers",
		       name, (unsigned long long)opts->size_bytes, (unsigned long long)least);
}

static int check_rights(const char *name, const struct mp_segment_opts *opts)
{
	if (opts->mode & ~MODE_BITS)
		return explain(-EINVAL, "segment '%s': opts.mode is %#o, only the bits 0777 count",
			       name, opts->mode);
	if (opts->gid < 0)
		return explain(-EINVAL, "segment '%s': opts.gid is %d, no group has that number",
			       name, opts->gid);
	return 0;
}

static bool is_number(const char *owner, uint32_t *ret_uid)
{
	char *end;
	unsigned long long number = strtoull(owner, &end, 10);

	if (owner[0] < '0' || owner[0] > '9' || *end || number >= UINT32_MAX)
		return false;
	*ret_uid = (uint32_t)number;
	return true;
}

int segment_find_owner(const char *name, const char *owner, uint32_t *ret_owner)
{
	struct passwd entry, *known = NULL;
	char text[PASSWD_BYTES];
	uint32_t uid;
	int error;

	if (!owner) {
		*ret_owner = 0;
		return 0;
	}
	if (is_number(owner, &uid)) {
		*ret_owner = uid + 1;
		return 0;
	}
	error = getpwnam_r(owner, &entry, text, sizeof text, &known);
	if (!known)
		return explain(error ? -error : -EINVAL,
			       "segment '%s': opts.owner is '%s', there is no user of that name",
			       name, owner);
	*ret_owner = known->pw_uid + 1;
	return 0;
}

int segment_check_opts(const char *name, const struct mp_segment_opts *opts)
{
	struct opts_of what = { "segment", name };
	uint32_t owner;
	int error;

	if (opts->flags & MP_READ_ONLY)
		return explain(-ENOTSUP, "segment '%s': this version has no MP_READ_ONLY; use "
					 "libshm/observe.h to look without changing", name);
	error = opts_check_flags(what, opts->flags, FLAGS_KNOWN, FLAGS_NAMES);
	if (error == 0)
		error = opts_check_reserved(what, opts->reserved0, opts->reserved,
					    ARRAY_LEN(opts->reserved));
	if (error == 0)
		error = check_count(name, "max_clients", opts->max_clients, CLIENTS_MAX);
	if (error == 0)
		error = check_count(name, "max_sleepers", opts->max_sleepers, THREADS_MAX);
	if (error == 0)
		error = check_size(name, opts);
	if (error == 0)
		error = opts_check_text(what, "client_name", opts->client_name);
	if (error == 0 && opts->owner && !opts->owner[0])
		error = explain(-EINVAL, "segment '%s': opts.owner is empty; NULL for no owner",
				name);
	if (error == 0)
		error = segment_find_owner(name, opts->owner, &owner);
	return error < 0 ? error : check_rights(name, opts);
}
