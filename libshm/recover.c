/* SPDX-License-Identifier: MIT
 *
 * What happens when a participant dies. Knows: the order of a sweep, and how it is done in pieces.
 * Does not know: how the death was noticed, what one kind of object has to repair, who sleeps
 * though he should not (recover_audit.c).
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
 * late changes nothing of a successor's. One that dies leaves the slot DEAD for the next. mpd
 * stops in the middle and serves others (recover_some): as one that was stopped and comes late.
 */
#include "recover_internal.h"

#include "arena.h"
#include "clock.h"
#include "object.h"
#include "park.h"
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

/* Calls `each` for every thread slot of the client, from the walk on. False: it goes on there. */
static bool for_each_thread(struct sweep *sweep,
			    bool (*each)(struct sweep *sweep, uint32_t thread, uint64_t word))
{
	uint32_t high = seg_threads_high(sweep->seg);

	for (; sweep->walk.at + SLOT_MPD < high; sweep->walk.at++) {
		uint32_t thread = sweep->walk.at + SLOT_MPD;
		uint64_t word = load_acquire(&sweep->seg->threads[thread].word);

		if (!turn_take(sweep->walk.turn, 1))
			return false;
		if (thread_word_state(word) != SLOT_FREE &&
		    thread_word_client(word) == sweep->client && sweep_is_current(sweep) &&
		    !each(sweep, thread, word))
			return false;
	}
	return true;
}

static bool finish_intent(struct sweep *sweep, uint32_t thread, uint64_t word)
{
	(void)word;
	return object_finish_intent(sweep, thread);
}

static void release_guards(const struct sweep *sweep)
{
	struct shm_header *header = sweep->seg->header;

	guard_release_dead(&header->directory_guard, sweep->client, sweep->generation);
	guard_release_dead(&header->graph_guard, sweep->client, sweep->generation);
}

static bool recover_object(struct sweep *sweep, uint32_t index)
{
	const struct object_type *type;
	void *object = object_hold(sweep, index, &type);
	bool is_done;

	if (!object)
		return true;
	is_done = !type->recover || type->recover(sweep->seg, object, sweep);
	object_let_go(sweep->seg, index);
	if (is_done)
		sweep->inside.at = 0;
	return is_done;
}

/* Only what the client ever had open can name it. */
static bool recover_objects(struct sweep *sweep)
{
	atom64 *touched = seg_touched(sweep->seg, sweep->client);
	uint32_t high = seg_objects_high(sweep->seg);

	for (; sweep->walk.at < high; sweep->walk.at++) {
		uint32_t i = sweep->walk.at;

		if (!turn_take(sweep->walk.turn, 1))
			return false;
		if (load_seqcst(&touched[i / 64]) >> (i % 64) & 1 && !recover_object(sweep, i))
			return false;
	}
	return true;
}

/* Its bits would make wakers choose a dead sleeper. */
static bool leave_wait_sets(struct sweep *sweep, uint32_t thread, uint64_t word)
{
	struct shm_thread *slot = &sweep->seg->threads[thread];
	uint32_t count = load_acquire(&slot->record_count);

	(void)word;
	if (count > 0 && !turn_take(sweep->walk.turn, LOOKS_OF_WAITED * WAIT_RECORDS_MAX))
		return false;
	for (uint32_t i = 0; i < count && i < WAIT_RECORDS_MAX; i++) {
		struct waited waited;

		if (!waited_hold(sweep->seg, thread, sweep->client, i, &waited))
			continue;
		if (waited.set && sweep_is_current(sweep))
			and_seqcst(&waited.set->leaf[thread / 64], ~(UINT64_C(1) << (thread % 64)));
		object_let_go(sweep->seg, waited.index);
	}
	return true;
}

static bool free_thread(struct sweep *sweep, uint32_t thread, uint64_t word)
{
	slot_free_thread(sweep->seg, thread, word);
	return true;
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

/* 1 to 8 of the order. Each false: it goes on with sweep->walk. */

static bool finish_intents(struct sweep *sweep)
{
	return for_each_thread(sweep, finish_intent);
}

static bool free_guards(struct sweep *sweep)
{
	release_guards(sweep);
	return true;
}

static bool free_blocks(struct sweep *sweep)
{
	return arena_sweep_some(sweep->seg, sweep->client, is_current, sweep, &sweep->walk);
}

static bool leave_all_wait_sets(struct sweep *sweep)
{
	return for_each_thread(sweep, leave_wait_sets);
}

static bool free_threads(struct sweep *sweep)
{
	return for_each_thread(sweep, free_thread);
}

/* Before the slot is free: who comes after that finds no dead client and looks no more. */
static bool audit(struct sweep *sweep)
{
	return recover_audit_some(sweep->seg, &sweep->walk);
}

static bool (*const stages[])(struct sweep *sweep) = {
	finish_intents,	     free_guards,  recover_objects, free_blocks,
	leave_all_wait_sets, free_threads, audit,
};

/* 8: the slot. */
static void end_sweep(struct sweep *sweep)
{
	struct seg *seg = sweep->seg;

	slot_free_client(seg, sweep->client, sweep->generation);
	add_relaxed(&seg->header->sweeps, 1);
	recount_asleep(seg);
	if (seg->client != SLOT_NONE)
		add_relaxed(&seg->clients[seg->client].recovered, 1);
}

/* False: it goes on with what it has noted of itself. Another may have finished it between two
 * stages, as between two pieces. */
static bool go_on(struct sweep *sweep)
{
	for (; sweep->stage < ARRAY_LEN(stages); sweep->stage++) {
		if (!sweep_is_current(sweep))
			return true;
		if (!stages[sweep->stage](sweep))
			return false;
		sweep->walk.at = sweep->inside.at = 0;
	}
	if (sweep_is_current(sweep))
		end_sweep(sweep);
	return true;
}

static struct sweep make_sweep(struct seg *seg, uint32_t client, uint32_t generation)
{
	return (struct sweep){ .seg = seg,
			       .client = client,
			       .generation = generation,
			       .died_ns = load_relaxed(&seg->clients[client].died_ns) };
}

static void sweep_client(struct seg *seg, uint32_t client, uint32_t generation)
{
	struct sweep sweep = make_sweep(seg, client, generation);

	go_on(&sweep);
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

static void mark_dead(struct seg *seg, uint32_t client, uint32_t generation)
{
	if (client >= SLOT_FIRST && slot_mark_dead(seg, client, generation))
		add_relaxed(&seg->header->death_count, 1);
}

void recover_client(struct seg *seg, uint32_t client, uint32_t generation)
{
	if (client == SLOT_MPD)
		recover_mpd(seg, generation);
	if (client < SLOT_FIRST || client >= seg->at.max_clients)
		return;
	mark_dead(seg, client, generation);
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
	park_disown(&seg->threads[SLOT_MPD].bell);
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

/* --- in pieces --- */

void recover_mark_dead(struct seg *seg, uint32_t client, uint32_t generation)
{
	if (client < seg->at.max_clients)
		mark_dead(seg, client, generation);
}

/* The next one that says DEAD. */
static bool begin_next(struct seg *seg, struct recovery *recovery)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t client = SLOT_FIRST; client < high; client++) {
		uint64_t word = slot_client_word(seg, client);

		if (client_word_state(word) != SLOT_DEAD)
			continue;
		recovery->sweep = make_sweep(seg, client, client_word_generation(word));
		return true;
	}
	return false;
}

/* Each look for a dead one counts: who marks slots DEAD all the time has only its own turns. */
static bool sweep_some(struct seg *seg, struct recovery *recovery, struct turn *turn)
{
	for (;;) {
		if (!recovery->sweep.seg &&
		    !turn_take(turn, seg->at.max_clients))
			return false;
		if (!recovery->sweep.seg && !begin_next(seg, recovery))
			return true;
		recovery->sweep.walk.turn = recovery->sweep.inside.turn = turn;
		if (!go_on(&recovery->sweep))
			return false;
		recovery->sweep.seg = NULL;
	}
}

void recover_free_again(struct recovery *recovery)
{
	recovery->is_freed = false;
	if (recovery->freeing.stage == FREEING_NONE)
		recovery->freeing.walk.at = 0;
	else
		recovery->freeing.is_wanted_again = true;
}

void recover_all_again(struct recovery *recovery)
{
	recovery->is_swept = recovery->is_audited = false;
	recovery->audit.at = 0;
	recover_free_again(recovery);
}

bool recover_some(struct seg *seg, struct recovery *recovery, struct turn *turn)
{
	recovery->freeing.walk.turn = recovery->freeing.inside.turn = turn;
	recovery->audit.turn = turn;
	recovery->is_swept = recovery->is_swept || sweep_some(seg, recovery, turn);
	if (!recovery->is_swept)
		return false;
	recovery->is_freed = recovery->is_freed || object_free_some(seg, &recovery->freeing);
	if (!recovery->is_freed)
		return false;
	recovery->is_audited = recovery->is_audited || recover_audit_some(seg, &recovery->audit);
	if (!recovery->is_audited)
		return false;
	memset(recovery, 0, sizeof *recovery);
	return true;
}
