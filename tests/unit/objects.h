/* SPDX-License-Identifier: MIT
 *
 * Public calls on a segment without mpd: threads of one process over one mapping, as TSan wants it.
 * Knows: client.h's handle. Does not know: what is tested.
 */
#ifndef TESTS_UNIT_OBJECTS_H
#define TESTS_UNIT_OBJECTS_H

#include "client.h"
#include "harness_segment.h"
#include "recover.h"
#include "self.h"
#include "slot.h"

static const struct seg_hooks objects_hooks = {
	.client_died = recover_client,
	.thread_ended = recover_thread,
};

struct objects {
	struct mp_segment handle;
	struct seg *seg;
};

static inline mp_segment *objects_begin(struct objects *objects)
{
	objects->seg = harness_segment(0);
	objects->seg->hooks = &objects_hooks;
	objects->handle = (struct mp_segment){ .seg = objects->seg, .users = 1 };
	return &objects->handle;
}

static inline void objects_end(struct objects *objects)
{
	self_forget_all(objects->seg);
	harness_segment_end(objects->seg);
}

#endif
