/* SPDX-License-Identifier: MIT
 *
 * What threads meet at, for tools: one row of functions for each kind. Knows: the bytes of the
 * kind. Does not know: the directory, locks and queues (observe_object.c).
 */
#include "blockword.h"
#include "observe_internal.h"
#include "rwword.h"
#include "semword.h"

#include <stdio.h>

#define CELLS_AT_ONCE 512

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

/* "free/most", or what is free if there is no such limit. */
static void say_permits(struct mp_observed_sync *row, uint32_t count, uint32_t maximum)
{
	int length = maximum ? snprintf(row->state, sizeof(row->state), "%u/%u", count, maximum)
			     : (int)sizeof(row->state);

	if (length >= (int)sizeof(row->state))
		snprintf(row->state, sizeof(row->state), "%u", count);
}

/* A look at owned permits: how many are free, which processes hold the others. */
struct permits {
	uint32_t count, free;
	uint64_t holders[(1 << SLOT_BITS) / 64];
};

static void see_permit(const struct observe_copy *copy, uint64_t cell, struct permits *permits)
{
	const struct shm_thread *holder = observe_thread_of(copy, sem_cell_holder(cell));
	uint32_t client = holder ? thread_word_client(load_relaxed(&holder->word)) : 0;

	permits->free += cell == 0;
	permits->holders[client / 64] |= UINT64_C(1) << client % 64;
}

/* False: they are not where they should be. */
static bool see_permits(struct observe_copy *copy, uint64_t offset, struct permits *permits)
{
	uint64_t cells[CELLS_AT_ONCE];

	for (uint32_t done = 0; done < permits->count; done += CELLS_AT_ONCE) {
		uint32_t left = permits->count - done;
		uint32_t count = left < CELLS_AT_ONCE ? left : CELLS_AT_ONCE;

		if (observe_read(copy->fd, cells, count * sizeof(cells[0]),
				 offset + (uint64_t)done * sizeof(cells[0])) < 0)
			return false;
		for (uint32_t i = 0; i < count; i++)
			see_permit(copy, cells[i], permits);
	}
	return true;
}

static void fill_owned(struct observe_copy *copy, struct shm_sem *sem,
		       struct mp_observed_sync *row)
{
	uint64_t offset = reference_offset(load_relaxed(&sem->cells));
	struct permits permits = { .count = load_relaxed(&sem->initial) };

	if (permits.count > SEM_CELLS_MAX || offset < copy->at.arena || offset % CACHE_LINE ||
	    !see_permits(copy, offset, &permits)) {
		copy->is_torn = true;
		return;
	}
	permits.holders[0] &= ~UINT64_C(1); /* nobody, or one who came after the table was read */
	for (unsigned i = 0; i < ARRAY_LEN(permits.holders); i++)
		row->holders += (uint32_t)__builtin_popcountll(permits.holders[i]);
	say_permits(row, permits.free, permits.count);
}

static void fill_sem(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
		     struct mp_observed_sync *row)
{
	struct shm_sem *sem = (struct shm_sem *)(void *)bytes;

	if (load_relaxed(&sem->owned))
		fill_owned(copy, sem, row);
	else
		say_permits(row, sem_word_value(load_relaxed(&sem->word)),
			    load_relaxed(&sem->maximum));
	row->changes = load_relaxed(&sem->returned);
	row->waits = load_relaxed(&sem->waits);
	row->wait_ns = load_relaxed(&sem->wait_ns);
	row->waiters = observe_count_waiting(copy, &sem->waiters, offset | WAIT_ACQUIRABLE);
}

static unsigned count_readers(struct observe_copy *copy, struct shm_rwlock *rwlock)
{
	unsigned count = 0;

	for (uint32_t thread = SLOT_FIRST; thread < copy->thread_count; thread++)
		count += reader_word_count(load_relaxed(rwlock_reader(rwlock, thread))) != 0;
	return count;
}

static const char *rwlock_state(struct shm_rwlock *rwlock, unsigned readers)
{
	uint64_t word = load_relaxed(&rwlock->word);

	if (lock_word_is_free(word))
		return word & LOCK_POISON ? "poisoned" : readers ? "read" : "free";
	return load_relaxed(&rwlock->entered) == lock_word_owner(word) ? "written" : "draining";
}

static void fill_rwlock(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
			struct mp_observed_sync *row)
{
	struct shm_rwlock *rwlock = (struct shm_rwlock *)(void *)bytes;
	unsigned readers = count_readers(copy, rwlock);
	const char *state = rwlock_state(rwlock, readers);

	if (readers)
		snprintf(row->state, sizeof(row->state), "%s %u", state, readers);
	else
		snprintf(row->state, sizeof(row->state), "%s", state);
	row->changes = load_relaxed(&rwlock->writes);
	row->waits = load_relaxed(&rwlock->read_waits) + load_relaxed(&rwlock->write_waits);
	row->wait_ns = load_relaxed(&rwlock->wait_ns);
	row->waiters =
		observe_count_waiting(copy, &rwlock->readers, offset | WAIT_TO_READ) +
		observe_count_waiting(copy, &rwlock->writers, offset | WAIT_TO_WRITE) +
		observe_count_waiting(copy, &rwlock->draining, offset | WAIT_DRAINED);
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
	{ OBJECT_SEMAPHORE, sizeof(struct shm_sem), fill_sem, "semaphore" },
	{ OBJECT_BARRIER, sizeof(struct shm_barrier), observe_fill_barrier, "barrier" },
	{ OBJECT_RWLOCK, sizeof(struct shm_rwlock), fill_rwlock, "rwlock" },
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
