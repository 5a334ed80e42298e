/* SPDX-License-Identifier: MIT
 *
 * Who sleeps though he should not: what a dead or stopped waker owed is paid. Knows: wait records,
 * wait sets, doorbells. Does not know: who died, what a condition means.
 *
 * A ring is a hint: whoever is rung for nothing looks and goes back to sleep. So one that would
 * take long to decide (a queue whose hints are far from its cells, which only forging brings
 * about) counts as one that should be awake.
 */
#include "recover_internal.h"

#include "slot.h"
#include "wait.h"

bool waited_hold(struct seg *seg, uint32_t thread, uint32_t client, uint32_t i,
		 struct waited *ret_waited)
{
	uint64_t record = load_relaxed(&seg->threads[thread].records[i]);
	void *object = object_hold_waited(seg, client, record & ~UINT64_C(63), &ret_waited->index,
					  &ret_waited->type);

	if (!object)
		return false;
	ret_waited->object = object;
	ret_waited->condition = record & 63;
	ret_waited->set = ret_waited->type->waiters(object, ret_waited->condition);
	return true;
}

/* Would it get ahead, or is its bit gone? */
static bool is_missed(struct seg *seg, uint32_t thread, uint32_t client,
		      const struct waited *waited)
{
	return !(load_seqcst(&waited->set->leaf[thread / 64]) >> (thread % 64) & 1) ||
	       waited->type->is_ready(seg, waited->object, waited->condition, client);
}

/* Non-zero if this sleeper ought to be awake: names the state it was seen in. */
static uint64_t missed(struct seg *seg, uint32_t thread)
{
	uint64_t word = load_acquire(&seg->threads[thread].word);
	uint32_t count = load_acquire(&seg->threads[thread].record_count);
	uint64_t state = load_relaxed(&seg->threads[thread].epoch);
	bool is_any_missed = false;

	if (thread_word_state(word) != SLOT_LIVE)
		return 0;
	for (uint32_t i = 0; i < count && i < WAIT_RECORDS_MAX; i++) {
		struct waited waited;

		if (!waited_hold(seg, thread, thread_word_client(word), i, &waited))
			continue;
		if (waited.set) {
			is_any_missed |= is_missed(seg, thread, thread_word_client(word), &waited);
			state = state * 31 + waited.type->progress(seg, waited.object,
								   waited.condition);
		}
		object_let_go(seg, waited.index);
	}
	return is_any_missed ? state | 1 : 0;
}

static bool may_look(struct seg *seg, uint32_t thread, struct walk *walk)
{
	uint32_t count = load_relaxed(&seg->threads[thread].record_count);

	return turn_take(walk->turn, count ? LOOKS_OF_WAITED * WAIT_RECORDS_MAX : 1);
}

bool recover_audit_some(struct seg *seg, struct walk *walk)
{
	uint32_t high = seg_threads_high(seg);

	for (; walk->at + SLOT_FIRST < high; walk->at++) {
		uint32_t thread = walk->at + SLOT_FIRST;

		if (!may_look(seg, thread, walk))
			return false;
		if (missed(seg, thread))
			wait_ring(seg, thread);
	}
	add_relaxed(&seg->header->audits, 1);
	return true;
}

unsigned recover_audit(struct seg *seg)
{
	uint32_t high = seg_threads_high(seg);
	unsigned rings = 0;

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++)
		if (missed(seg, thread)) {
			wait_ring(seg, thread);
			rings++;
		}
	add_relaxed(&seg->header->audits, 1);
	return rings;
}

#define MEMORY_RUNG (UINT64_C(1) << 63)

/* Ring it if that state was seen at the last look too, and not rung for yet. */
static void look_again(struct seg *seg, uint32_t thread, struct stalled_audit *audit)
{
	uint64_t *memory = &audit->memory[thread];
	uint64_t state = missed(seg, thread) & ~MEMORY_RUNG;

	if (state && (*memory & ~MEMORY_RUNG) == state) {
		if (!(*memory & MEMORY_RUNG)) {
			wait_ring(seg, thread);
			audit->rings++;
		}
		state |= MEMORY_RUNG;
	} else if (state) {
		audit->is_any_new = true;
	}
	*memory = state;
}

bool recover_audit_stalled(struct seg *seg, struct stalled_audit *audit, struct turn *turn)
{
	uint32_t high = seg_threads_high(seg);

	audit->walk.turn = turn;
	if (audit->walk.at == 0) {
		audit->rings = 0;
		audit->is_any_new = false;
	}
	for (; audit->walk.at + SLOT_FIRST < high; audit->walk.at++) {
		if (!may_look(seg, audit->walk.at + SLOT_FIRST, &audit->walk))
			return false;
		look_again(seg, audit->walk.at + SLOT_FIRST, audit);
	}
	audit->walk.at = 0;
	add_relaxed(&seg->header->audits, 1);
	return true;
}
