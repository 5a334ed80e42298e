/* SPDX-License-Identifier: MIT
 *
 * See access.h. The kernel says who asks: SO_PEERCRED and SO_PEERGROUPS, of the moment when he
 * connected. Nothing that a client writes is believed.
 *
 *   who       by which bits  OPEN            OBSERVE, LIST  UNLINK  FORMATTED   ATTACHED, DETACHED
 *   owner     0700 of mode   rw              r              yes     if told to  own slots
 *   in group  0070 of mode   rw              r              no      if told to  own slots
 *   other     0007 of mode   rw, if asked *  r              no      if told to  own slots
 *   root      none: may all  if asked *      yes            yes     if told to  own slots
 *
 * One class counts, as for files: an owner whom the first bits give nothing gets nothing by the
 * others. r alone is for looking: OPEN is -EPERM and says whose it is and its mode. Nothing at all:
 * OPEN does not find it, LIST leaves it out, a number of it is -ESTALE like one that never was. The
 * owner sees his own whatever its mode is; w without r and x give nothing. "If told to": mpd has
 * named that connection the formatter. "Own slots": the slot's word must name his process.
 *
 * Names belong to users: two users may each have an "app". A plain name means one's own, else the
 * one shared with a group one is in; so nobody learns a foreign name by trying it, and a stranger
 * cannot wait under a name for somebody's data. (*) What only the others' bits or root's power open
 * is meant by MP_EXISTING or by naming its owner, and root must name him.
 */
#include "access.h"

#include <libshm/base.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SO_PEERGROUPS_NUMBER 59 /* Linux 4.13; missing in older headers */
#define GROUPS_MAX 65536        /* the kernel's own limit */

enum class { CLASS_OWNER, CLASS_GROUP, CLASS_OTHER };

/* Asked anew each time: groups of that many connections are not worth keeping. */
static bool is_member(const struct caller *caller, uint32_t gid)
{
	static gid_t groups[GROUPS_MAX];
	socklen_t bytes = sizeof(groups);

	if (caller->gid == gid)
		return true;
	if (getsockopt(caller->socket, SOL_SOCKET, SO_PEERGROUPS_NUMBER, groups, &bytes) < 0)
		return false;
	for (size_t i = 0; i < bytes / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static enum class class_of(const struct caller *caller, const struct registry_record *record)
{
	if (caller->uid == record->uid)
		return CLASS_OWNER;
	return is_member(caller, (uint32_t)record->gid) ? CLASS_GROUP : CLASS_OTHER;
}

/* What the mode gives to that class. */
static enum access granted(const struct registry_record *record, enum class class)
{
	uint32_t bits = record->mode >> 3 * (CLASS_OTHER - class) & 7;

	if ((bits & 6) == 6)
		return ACCESS_ATTACH;
	return bits & 4 || class == CLASS_OWNER ? ACCESS_LOOK : ACCESS_NONE;
}

enum access access_of(const struct caller *caller, const struct registry_record *record)
{
	return caller->is_root ? ACCESS_ATTACH : granted(record, class_of(caller, record));
}

bool access_may_remove(const struct caller *caller, const struct registry_record *record)
{
	return caller->is_root || caller->uid == record->uid;
}

bool access_may_give(const struct caller *caller, uint32_t gid)
{
	return caller->is_root || is_member(caller, gid);
}

/* Is it offered to him under that plain name? Root's power does not count: a stranger's segment
 * must not become that of root's programs. */
static bool is_offered(const struct caller *caller, const struct registry_record *record,
		       bool is_existing)
{
	enum class class = class_of(caller, record);

	return granted(record, class) != ACCESS_NONE && (class == CLASS_GROUP || is_existing);
}

/* The one of another user that `is_meant` says yes to. 0, or -EINVAL: there are two. */
static int find_foreign(const struct caller *caller, const char *name, bool is_any,
			bool is_existing, struct segment **ret_segment,
			struct proto_refused *reason)
{
	struct segment *found = NULL;

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		struct segment *segment = segment_at(i);

		if (!segment || !segment_is_named(segment, name) ||
		    !(is_any || is_offered(caller, segment->record, is_existing)))
			continue;
		if (found) {
			*reason = (struct proto_refused){ .reason = REASON_SEVERAL,
							  .uid = found->record->uid,
							  .other_uid = segment->record->uid };
			return -EINVAL;
		}
		found = segment;
	}
	*ret_segment = found;
	return 0;
}

/* Somebody said whose. What he may not see and what is not there are one. */
static int find_of(const struct caller *caller, const char *name, uint32_t owner,
		   struct segment **ret_segment, struct proto_refused *reason)
{
	struct segment *segment = segment_find(owner, name);

	if (!segment && owner != caller->uid) {
		*reason = (struct proto_refused){ .reason = REASON_HIDDEN, .uid = owner };
		return caller->is_root ? -ENOENT : -EPERM;
	}
	if (segment && access_of(caller, segment->record) == ACCESS_NONE) {
		*reason = (struct proto_refused){ .reason = REASON_HIDDEN, .uid = owner };
		return -EPERM;
	}
	*ret_segment = segment;
	return 0;
}

int access_find(const struct caller *caller, const struct proto_open *open,
		struct segment **ret_segment, struct proto_refused *reason)
{
	struct segment *own;

	if (open->owner)
		return find_of(caller, open->name, open->owner - 1, ret_segment, reason);
	own = segment_find(caller->uid, open->name);
	if (!own)
		return find_foreign(caller, open->name, false, open->flags & MP_EXISTING,
				    ret_segment, reason);
	*ret_segment = own;
	return 0;
}

int access_find_to_remove(const struct caller *caller, const struct proto_open *open,
			  struct segment **ret_segment)
{
	struct proto_refused reason;
	struct segment *segment = segment_find(caller->uid, open->name);
	int error = 0;

	if (open->owner)
		error = find_of(caller, open->name, open->owner - 1, &segment, &reason);
	else if (!segment)
		error = find_foreign(caller, open->name, caller->is_root, true, &segment, &reason);
	if (error < 0)
		return error;
	if (!segment || !segment_is_ready(segment))
		return -ENOENT;
	*ret_segment = segment;
	return access_may_remove(caller, segment->record) ? 0 : -EPERM;
}
