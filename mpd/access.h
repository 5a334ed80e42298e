/* SPDX-License-Identifier: MIT
 *
 * Who may do what to a segment, and whose segment a name means. Knows: users, groups, modes. Does
 * not know: requests, how much somebody may have (quota.h).
 */
#ifndef MPD_ACCESS_H
#define MPD_ACCESS_H

#include "segment.h"

/* One who asks. A private mpd serves one user: whoever speaks to it, root too, acts as he. */
struct caller {
	int socket; /* the kernel tells his groups by it */
	uint32_t uid;
	uint32_t gid;
	bool is_root;
};

enum access {
	ACCESS_NONE,   /* for him there is no such segment */
	ACCESS_LOOK,   /* the read-only descriptor */
	ACCESS_ATTACH, /* the writable one too */
};

enum access access_of(const struct caller *caller, const struct registry_record *record);
bool access_may_remove(const struct caller *caller, const struct registry_record *record);

/* May a new segment of his be given to that group? */
bool access_may_give(const struct caller *caller, uint32_t gid);

/* What a name means to him. `open` brings name, owner and flags. 0 and the segment, or 0 and NULL:
 * it means nothing yet and he may make it; -ENOENT, -EPERM, -EINVAL (several users offer one) with
 * the reason. */
int access_find(const struct caller *caller, const struct proto_open *open,
		struct segment **ret_segment, struct proto_refused *reason);

/* The same for one who wants to remove it: NULL is no answer, and to root every name is known. */
int access_find_to_remove(const struct caller *caller, const struct proto_open *open,
			  struct segment **ret_segment);

#endif
