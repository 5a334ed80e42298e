/* SPDX-License-Identifier: MIT
 *
 * What threads meet at, for tools: one row of functions for each kind. Knows: the bytes of the
 * kind. Does not know: the directory, locks and queues (observe_object.c).
 */
#include "observe_internal.h"

#include <stdio.h>

static void fill_event(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
		       struct mp_observed_sync *row)
{
	struct shm_event *event = (struct shm_event *)(void *)bytes;
	uint64_t word = load_relaxed(&event->word);

	snprintf(row->state, sizeof(row->state), "%s", word & EVENT_SET ? "set" : "clear");
	row->changes = word / EVENT_EPOCH;
	row->waits = load_relaxed(&event->waits);
	row->wait_ns = load_relaxed(&event->wait_ns);
	row->waiters = observe_count_waiting(copy, &event->waiters, offset | WAIT_SET);
}

static void fill_cond(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
		      struct mp_observed_sync *row)
{
	struct shm_cond *cond = (struct shm_cond *)(void *)bytes;

	row->changes = load_relaxed(&cond->notified);
	row->lost = load_relaxed(&cond->lost);
	row->lock = load_relaxed(&cond->lock);
	row->waits = load_relaxed(&cond->waits);
	row->wait_ns = load_relaxed(&cond->wait_ns);
	row->waiters = observe_count_waiting(copy, &cond->waiters, offset | WAIT_NOTIFIED);
	snprintf(row->state, sizeof(row->state), "%s", row->waiters ? "waited" : "idle");
}

static const struct sync_kind {
	enum object_kind kind;
	uint64_t bytes;
	void (*fill)(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
		     struct mp_observed_sync *row);
	const char *name;
} kinds[] = {
	{ OBJECT_EVENT, sizeof(struct shm_event), fill_event, "event" },
	{ OBJECT_CONDITION, sizeof(struct shm_cond), fill_cond, "condition" },
};

static const struct sync_kind *kind_of(uint32_t kind)
{
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].kind == kind)
			return &kinds[i];
	return NULL;
}

uint64_t observe_sync_bytes(uint32_t kind)
{
	const struct sync_kind *row = kind_of(kind);

	return row ? row->bytes : 0;
}

void observe_fill_sync(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
		       struct mp_observed_sync *row)
{
	const struct sync_kind *kind = kind_of(bytes->kind);

	snprintf(row->kind, sizeof(row->kind), "%s", kind->name);
	kind->fill(copy, bytes, offset, row);
}
