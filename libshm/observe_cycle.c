/* SPDX-License-Identifier: MIT
 *
 * Finds threads that wait for each other in a circle of locks. Knows: wait records, lock owners,
 * the rule that makes a finding certain. Does not know: how the tables were read.
 *
 * The rule: wait records of all threads, then the owners, then the members' records again; a cycle
 * counts only if no member's epoch or record changed. All first looks are before all looks at
 * owners, all of those before the second looks; a thread whose epoch stood still ran no code of its
 * program in between, and only a running owner releases. So there was an instant at which every
 * edge held. Without the second look an observer that is preempted reports circles that never were.
 *
 * A thread that waits for several things at once is not in a circle of locks: any of them frees it.
 */
#include "lockword.h"
#include "observe_internal.h"

#include <errno.h>
#include <stdlib.h>

/* Each thread has at most one edge out: what it waits for and who owns that. */
struct edge {
	uint32_t next; /* thread slot, SLOT_NONE: no edge */
	uint32_t mark; /* the walk that was here, start slot */
	uint64_t lock; /* object id */
};

/* The part of a thread slot that a wait changes, at its second look. */
struct wait_look {
	uint64_t word;
	uint32_t count, epoch;
	uint64_t record;
};

static bool is_client_alive(const struct observe_copy *copy, const struct shm_thread *thread)
{
	uint32_t client = thread_word_client(load_relaxed(&thread->word));

	return client != SLOT_NONE && client < copy->client_count &&
	       client_word_state(load_relaxed(&copy->clients[client].word)) == SLOT_LIVE;
}

static void find_edge(struct observe_copy *copy, uint32_t slot, struct edge *edge)
{
	struct shm_thread *thread = &copy->threads[slot];
	const struct observe_object *object;
	const struct shm_thread *owner;
	uint64_t record;

	if (thread_word_state(load_relaxed(&thread->word)) != SLOT_LIVE ||
	    load_relaxed(&thread->record_count) != 1 || !is_client_alive(copy, thread))
		return;
	record = load_relaxed(&thread->records[0]);
	if (record % CACHE_LINE != WAIT_ACQUIRABLE)
		return;
	object = observe_object_at(copy, record);
	if (!object || object->kind != OBJECT_LOCK)
		return;
	owner = observe_thread_of(copy, object->owner);
	/* Owner of what it waits for: it was just granted and has not cleared its record yet. */
	if (!owner || owner == thread)
		return;
	edge->next = who_slot(object->owner);
	edge->lock = object->id;
}

static int look_again(const struct observe_copy *copy, uint32_t slot, struct wait_look *ret_look)
{
	uint64_t at = copy->at.threads + (uint64_t)slot * sizeof(struct shm_thread);
	struct shm_thread again;
	int result = observe_read(copy->fd, &again, sizeof(again), at);

	if (result < 0)
		return result;
	*ret_look = (struct wait_look){ load_relaxed(&again.word),
		load_relaxed(&again.record_count), load_relaxed(&again.epoch),
		load_relaxed(&again.records[0]) };
	return 0;
}

static bool has_stood_still(const struct observe_copy *copy, uint32_t slot)
{
	struct shm_thread *first = &copy->threads[slot];
	struct wait_look look;

	return look_again(copy, slot, &look) == 0 && look.word == load_relaxed(&first->word) &&
	       look.count == load_relaxed(&first->record_count) &&
	       look.epoch == load_relaxed(&first->epoch) &&
	       look.record == load_relaxed(&first->records[0]);
}

/* Fills the row if every member still waits as it did. */
static bool confirm_cycle(struct observe_copy *copy, const struct edge *edges, uint32_t first,
			  struct mp_observed_cycle *row)
{
	uint32_t slot = first;
	uint64_t youngest = 0;

	*row = (struct mp_observed_cycle){ 0 };
	do {
		struct shm_thread *thread = &copy->threads[slot];
		uint64_t since = load_relaxed(&thread->waiting_since_ns);

		if (!has_stood_still(copy, slot))
			return false;
		if (row->length < MP_CYCLE_MAX)
			row->steps[row->length++] = (struct mp_observed_step){
				slot, thread_word_client(load_relaxed(&thread->word)),
				edges[slot].lock
			};
		row->members++;
		youngest = since > youngest ? since : youngest;
		slot = edges[slot].next;
	} while (slot != first);
	row->age_ns = youngest < (uint64_t)copy->now_ns ? copy->now_ns - (int64_t)youngest : 0;
	return true;
}

/* Follow the edges from `start`; the first slot of a cycle not met before, else SLOT_NONE. */
static uint32_t walk(struct edge *edges, uint32_t start)
{
	uint32_t slot = start;

	while (slot != SLOT_NONE && !edges[slot].mark) {
		edges[slot].mark = start;
		slot = edges[slot].next;
	}
	return slot != SLOT_NONE && edges[slot].mark == start ? slot : SLOT_NONE;
}

int observe_cycles(struct observe_copy *copy, struct mp_snapshot *snapshot)
{
	struct edge *edges = calloc(copy->thread_count + 1u, sizeof(*edges));

	/* A cycle has at least two threads. */
	snapshot->cycles = calloc(copy->thread_count / 2 + 1u, sizeof(*snapshot->cycles));
	if (!edges || !snapshot->cycles) {
		free(edges);
		return -ENOMEM;
	}
	for (uint32_t slot = SLOT_FIRST; slot < copy->thread_count; slot++)
		find_edge(copy, slot, &edges[slot]);
	for (uint32_t slot = SLOT_FIRST; slot < copy->thread_count; slot++) {
		uint32_t first = edges[slot].mark ? SLOT_NONE : walk(edges, slot);

		if (first != SLOT_NONE &&
		    confirm_cycle(copy, edges, first, &snapshot->cycles[snapshot->cycle_count]))
			snapshot->cycle_count++;
	}
	free(edges);
	return 0;
}
