/* SPDX-License-Identifier: MIT
 *
 * What happens when a participant dies. Knows: the order of a sweep, the audit. Does not know: how
 * the death was noticed, what one kind of object has to repair.
 *
 * The order, and why:
 *   1 the word says DEAD           the verdict is public, whoever comes next goes on
 *   2 intents finished             while the guards still bear the dead one's name
 *   3 guards released on his behalf (the arena's by arena_sweep, once its granules are in order)
 *   4 objects he had open          cells, leases, locks: may still name blocks he HELD
 *   5 his blocks freed             only now is every block of his either linked or lost
 *   6 wait bits, thread slots
 *   7 the audit                    a wake that died with him is repaid
 *   8 the client slot              from here on nobody finds a dead client
 *   9 objects nobody holds any more, and the audit once more
 *
 * Each step is idempotent, and each change is a CAS on exactly the word that was seen while the
 * slot was still DEAD in this generation (sweep_is_current): a recoverer that was stopped and comes
 * late changes nothing of a successor's. One that dies leaves the slot DEAD for the next.
 */
#include "recover.h"

#include "arena.h"
#include "clock.h"
#include "object.h"
#include "self.h"
#include "slot.h"
#include "sweep.h"
#include "wait.h"

#include <string.h>
#include <unistd.h>

static bool is_current(void *sweep)
{
	return sweep_is_current(sweep);
}

/* Calls `each` for every thread slot of the client. */
static void for_each_thread(struct sweep *sweep,
			    void (*each)(struct sweep *sweep, uint32_t thread, uint64_t word))
{
	uint32_t high = seg_threads_high(sweep->seg);

	for (uint32_t thread = SLOT_MPD; thread < high; thread++) {
		uint64_t word = load_acquire(&sweep->seg->threads[thread].word);

		if (thread_word_state(word) != SLOT_FREE &&
		    thread_word_client(word) == sweep->client && sweep_is_current(sweep))
			each(sweep, thread, word);
	}
}

static void finish_intent(struct sweep *sweep, uint32_t thread, uint64_t word)
{
	(void)word;
	object_finish_intent(sweep, thread);
}

static void release_guards(const struct sweep *sweep)
{
	struct shm_header *header = sweep->seg->header;

	guard_release_dead(&header->directory_guard, sweep->client, sweep->generation);
	guard_release_dead(&header->graph_guard, sweep->client, sweep->generation);
}

static void recover_object(struct sweep *sweep, uint32_t index)
{
	const struct object_type *type;
	void *object = object_hold(sweep, index, &type);

	if (!object)
		return;
	type->recover(sweep->seg, object, sweep);
	object_let_go(sweep->seg, index);
}

/* Only what the client ever had open can name it. */
static void recover_objects(struct sweep *sweep)
{
	atom64 *touched = seg_touched(sweep->seg, sweep->client);
	uint32_t high = seg_objects_high(sweep->seg);

	for (uint32_t i = 0; i < high; i++)
		if (load_seqcst(&touched[i / 64]) >> (i % 64) & 1)
			recover_object(sweep, i);
}

/* What a thread waits for, held as its process holds it. */
struct waited {
	uint32_t index; /* in the directory */
	void *object;
	const struct object_type *type;
	unsigned condition;
	struct shm_waiters *set; /* NULL: it has no such condition */
};

static bool hold_waited(struct seg *seg, uint32_t thread, uint32_t client, uint32_t i,
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

/* Its bits would make wakers choose a dead sleeper. */
static void leave_wait_sets(struct sweep *sweep, uint32_t thread, uint64_t word)
{
	struct shm_thread *slot = &sweep->seg->threads[thread];
	uint32_t count = load_acquire(&slot->record_count);

	(void)word;
	for (uint32_t i = 0; i < count && i < WAIT_RECORDS_MAX; i++) {
		struct waited waited;

		if (!hold_waited(sweep->seg, thread, sweep->client, i, &waited))
			continue;
		if (waited.set && sweep_is_current(sweep))
			and_seqcst(&waited.set->leaf[thread / 64], ~(UINT64_C(1) << (thread % 64)));
		object_let_go(sweep->seg, waited.index);
	}
}

static void free_thread(struct sweep *sweep, uint32_t thread, uint64_t word)
{
	slot_free_thread(sweep->seg, thread, word);
}

/* Deaths make the hint of sleepers drift: set it right while we look at all bells anyway. */
static void recount_asleep(struct seg *seg)
{
	uint32_t high = seg_threads_high(seg), asleep = 0, live = 0;

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		if (!thread_word_is_live(load_relaxed(&seg->threads[thread].word)))
			continue;
		live++;
		asleep += load_relaxed(&seg->threads[thread].bell) & 1;
	}
	store_relaxed(&seg->header->asleep, asleep);
	store_relaxed(&seg->header->threads_live, live);
}

static void sweep_client(struct seg *seg, uint32_t client, uint32_t generation)
{
	struct sweep sweep = { .seg = seg, .client = client, .generation = generation };

	sweep.died_ns = load_relaxed(&seg->clients[client].died_ns);
	for_each_thread(&sweep, finish_intent);
	if (!sweep_is_current(&sweep))
		return;
	release_guards(&sweep);
	recover_objects(&sweep);
	arena_sweep(seg, client, is_current, &sweep);
	for_each_thread(&sweep, leave_wait_sets);
	for_each_thread(&sweep, free_thread);
	if (!sweep_is_current(&sweep))
		return;
	/* Before the slot is free: who comes after that finds no dead client and looks no more. */
	recover_audit(seg);
	slot_free_client(seg, client, generation);
	add_relaxed(&seg->header->sweeps, 1);
	recount_asleep(seg);
	if (seg->client != SLOT_NONE)
		add_relaxed(&seg->clients[seg->client].recovered, 1);
}

/* Slots that a recoverer left when it died itself. */
static void sweep_leftovers(struct seg *seg)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t client = SLOT_FIRST; client < high; client++) {
		uint64_t word = slot_client_word(seg, client);

		if (client_word_state(word) == SLOT_DEAD)
			sweep_client(seg, client, client_word_generation(word));
	}
}

/* mpd died in a short section of the segment's machinery, and nobody brings it back. */
static void recover_mpd(struct seg *seg, uint32_t generation)
{
	struct sweep sweep = { .seg = seg, .client = SLOT_MPD, .generation = generation };

	object_finish_intent(&sweep, SLOT_MPD);
	release_guards(&sweep);
}

/* What a former mpd held in the middle of a repair. */
static void drop_mpds_holds(struct seg *seg)
{
	for (uint32_t i = 0; i < seg->at.max_objects / 64; i++)
		and_seqcst(&seg_touched(seg, SLOT_MPD)[i], 0);
}

void recover_client(struct seg *seg, uint32_t client, uint32_t generation)
{
	if (client == SLOT_MPD)
		recover_mpd(seg, generation);
	if (client < SLOT_FIRST || client >= seg->at.max_clients)
		return;
	if (slot_mark_dead(seg, client, generation))
		add_relaxed(&seg->header->death_count, 1);
	sweep_leftovers(seg);
	object_free_unheld(seg);
	recover_audit(seg);
}

/* While its slot is LIVE: nobody else sweeps it, and its holds keep what it repairs. */
static void give_up_objects(struct seg *seg)
{
	struct sweep sweep = { .seg = seg,
			       .client = seg->client,
			       .generation = seg->client_generation,
			       .is_leaving = true,
			       .died_ns = (uint64_t)clock_now_ns() };

	recover_objects(&sweep);
	object_let_all_go(seg);
}

void recover_own_exit(struct seg *seg)
{
	uint32_t client = seg->client, generation = seg->client_generation;

	give_up_objects(seg);
	recover_audit(seg); /* for what was given up; without a slot nothing can be looked at */
	self_forget_all(seg);
	seg->client = SLOT_NONE; /* from here on we are nobody: nothing may be taken any more */
	if (slot_mark_dead(seg, client, generation))
		sweep_client(seg, client, generation);
}

void recover_thread(struct seg *seg, uint32_t thread, uint64_t who)
{
	struct sweep sweep = { .seg = seg,
			       .client = seg->client,
			       .who = who,
			       .died_ns = (uint64_t)clock_now_ns() };
	atom64 *touched = seg_touched(seg, seg->client);
	uint32_t high = seg_objects_high(seg);

	for (uint32_t i = 0; i < high; i++)
		if (load_relaxed(&touched[i / 64]) >> (i % 64) & 1)
			recover_object(&sweep, i);
}

unsigned recover_all(struct seg *seg)
{
	uint32_t high = seg_clients_high(seg);
	unsigned dead = 0;

	for (uint32_t client = SLOT_FIRST; client < high; client++) {
		uint32_t generation = client_word_generation(slot_client_word(seg, client));

		if (!slot_is_dead(seg, client, generation))
			continue;
		recover_client(seg, client, generation);
		dead++;
	}
	return dead;
}

void recover_become_mpd(struct seg *seg, const struct slot_identity *self)
{
	struct shm_client *slot = &seg->clients[SLOT_MPD];
	uint32_t generation = client_word_generation(load_acquire(&slot->word));
	struct sweep former = { .seg = seg, .client = SLOT_MPD, .generation = generation };

	object_finish_intent(&former, SLOT_MPD);
	/* Its slot has no other next owner than us, to whom it says nothing any more. */
	store_release(&seg->threads[SLOT_MPD].intent.kind, INTENT_NONE);
	release_guards(&former);
	arena_sweep(seg, SLOT_MPD, is_current, &former);
	drop_mpds_holds(seg);
	generation = generation_next(generation);
	store_relaxed(&seg->pid_namespace, self->pid_namespace);
	store_relaxed(&slot->pid_namespace, self->pid_namespace);
	store_relaxed(&slot->started_ticks, self->started_ticks);
	store_relaxed(&slot->attached_ns, (uint64_t)clock_now_ns());
	memcpy(slot->name, "mpd", sizeof "mpd");
	store_release(&slot->word,
		      client_word(SLOT_LIVE, generation, self->pid, self->pid_namespace));
	seg->client = SLOT_MPD;
	seg->client_generation = generation;
	object_free_unheld(seg); /* what the former one held, and what it was asked to free */
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

		if (!hold_waited(seg, thread, thread_word_client(word), i, &waited))
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

unsigned recover_audit_stalled(struct seg *seg, uint64_t *memory, bool *ret_is_any_new)
{
	uint32_t high = seg_threads_high(seg);
	unsigned rings = 0;

	*ret_is_any_new = false;
	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		uint64_t state = missed(seg, thread) & ~MEMORY_RUNG;

		if (state && (memory[thread] & ~MEMORY_RUNG) == state) {
			if (!(memory[thread] & MEMORY_RUNG)) {
				wait_ring(seg, thread);
				rings++;
			}
			state |= MEMORY_RUNG;
		} else if (state) {
			*ret_is_any_new = true;
		}
		memory[thread] = state;
	}
	add_relaxed(&seg->header->audits, 1);
	return rings;
}
