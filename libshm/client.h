/* SPDX-License-Identifier: MIT
 *
 * This process as a client of mpd. Knows: connecting, spawning, attaching, forks, detaching.
 * Does not know: objects.
 */
#ifndef LIBSHM_CLIENT_H
#define LIBSHM_CLIENT_H

#include "seg.h"

#include <libshm/segment.h>

struct mp_segment {
	struct seg *seg; /* first: object_seg() reads it; what objects use */
	unsigned users;  /* opens of this process */
	uint64_t number; /* mpd's */
	char endpoint[108];
	struct mp_segment *next;
};

/* In a child of mp_process_start: attach now and be known under that name. 0 or -errno. */
int client_join_as_child(mp_segment *segment, const char *name, uint32_t parent_slot);

#endif
