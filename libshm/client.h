/* SPDX-License-Identifier: MIT
 *
 * This process as a client of its segments. Knows: attaching, forks, detaching.
 * Does not know: objects, packets (connection.h).
 */
#ifndef LIBSHM_CLIENT_H
#define LIBSHM_CLIENT_H

#include "endpoint.h"
#include "seg.h"

#include <libshm/segment.h>

struct mp_segment {
	struct seg *seg; /* first: object_seg() reads it; what objects use */
	unsigned users;  /* opens of this process */
	uint64_t number; /* mpd's */
	struct client_endpoint *endpoint;
	char client_name[NAME_BYTES];
	uint32_t parent; /* client slot that started this process */
	struct mp_segment *next;
};

/* Ask mpd for the memory of that name; formats it when told to. 0 and a descriptor, or an explained
 * error. */
int client_obtain(struct mp_segment *segment, const char *name, const struct mp_segment_opts *opts,
		  int *ret_fd);
/* The sentence of mpd's refusal; returns the error. */
int client_explain_open(int error, const char *name);

/* What client_obtain got is not used after all: mpd need not keep it. */
void client_give_back(struct mp_segment *segment);

/* In a child of mp_process_start: attach now and be known under that name. 0 or -errno. */
int client_join_as_child(mp_segment *segment, const char *name, uint32_t parent);

/* A child was reaped: in every segment of this process its slot is swept, whoever else may be
 * about to notice. */
void client_child_ended(uint32_t pid);

/* Sweep every client of the segment that is proven dead; how many. */
unsigned client_sweep_dead(mp_segment *segment);

/* The end of a child of mp_process_start: detach from everything this process is attached to. */
void client_leave_all(void);

#endif
