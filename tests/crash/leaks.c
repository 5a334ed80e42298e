/* SPDX-License-Identifier: MIT
 *
 * See leaks.h. Knows: which client is whose, what a living one knows of itself. Does not know: how
 * anyone died.
 *
 * Of SURVIVOR in a pair and of a VICTIM that lives only the segment is known here: what they noted
 * in their own memory was in a clone that has ended.
 */
#include "leaks.h"

#include "arena_internal.h"
#include "judge.h"
#include "object.h"
#include "require.h"
#include "self.h"
#include "slot.h"

#include <time.h>

#define CONDITIONS 3
#define LOOKS 3

static bool is_alive(const struct scene *scene, enum role role)
{
	return scene->parties[role].client && !scene->is_dead[role];
}

/* Whose slot is that? ROLES: of nobody who lives. */
static enum role role_of(const struct scene *scene, uint32_t client)
{
	for (enum role role = 0; role < ROLES; role++)
		if (is_alive(scene, role) && scene->parties[role].client == client)
			return role;
	return ROLES;
}

static struct seg *checked(const struct scene *scene)
{
	return scene->parties[CHECKER].seg;
}

/* --- slots --- */

static bool is_client_known(struct scene *scene, uint32_t client)
{
	uint64_t word = slot_client_word(checked(scene), client);
	enum role role = role_of(scene, client);

	if (client_word_state(word) == SLOT_FREE)
		return role == ROLES || complain(scene, "the slot of one who lives is free");
	if (role == ROLES || client_word_state(word) != SLOT_LIVE ||
	    client_word_generation(word) != scene->parties[role].generation)
		return complain(scene, "client slot %u is of nobody who lives", client);
	return true;
}

static bool is_thread_known(struct scene *scene, uint32_t thread)
{
	struct shm_thread *slot = &checked(scene)->threads[thread];
	uint64_t word = load_acquire(&slot->word);

	if (thread_word_state(word) == SLOT_FREE)
		return true;
	if (thread_word_state(word) != SLOT_LIVE ||
	    role_of(scene, thread_word_client(word)) == ROLES)
		return complain(scene, "thread slot %u is of nobody who lives", thread);
	return load_acquire(&slot->intent.kind) == INTENT_NONE ||
	       complain(scene, "thread slot %u has an intent that nobody finishes", thread);
}

/* The figures that tools and spinners go by: each sweep counts anew. A thread that wakes meanwhile
 * is no longer asleep, so that is asked of a copy alone. */
static bool is_count_right(struct scene *scene, uint32_t live, uint32_t asleep)
{
	struct shm_header *header = checked(scene)->header;

	if (scene->other)
		return true;
	if (load_relaxed(&header->threads_live) != live)
		return complain(scene, "%u threads live, the header says %u", live,
				load_relaxed(&header->threads_live));
	return !scene->is_copy || load_relaxed(&header->asleep) == asleep ||
	       complain(scene, "%u threads sleep, the header says %u", asleep,
			load_relaxed(&header->asleep));
}

static bool are_slots_known(struct scene *scene)
{
	struct seg *seg = checked(scene);
	uint32_t high = seg_clients_high(seg), live = 0, asleep = 0;
	bool is_good = true;

	for (uint32_t client = SLOT_FIRST; client < high; client++)
		is_good &= is_client_known(scene, client);
	high = seg_threads_high(seg);
	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		bool is_live = thread_word_is_live(load_acquire(&seg->threads[thread].word));

		is_good &= is_thread_known(scene, thread);
		live += is_live;
		asleep += is_live && (load_relaxed(&seg->threads[thread].bell) & 1);
	}
	if (load_acquire(&seg->threads[SLOT_MPD].intent.kind) != INTENT_NONE)
		is_good = complain(scene, "an intent of mpd is left");
	return is_good && is_count_right(scene, live, asleep);
}

/* --- guards --- */

static bool are_guards_free(struct scene *scene)
{
	struct shm_header *header = checked(scene)->header;
	const struct {
		struct shm_guard *guard;
		const char *name;
	} guards[] = { { &header->directory_guard, "directory" },
		       { &header->arena_guard, "arena" },
		       { &header->graph_guard, "graph" } };
	bool is_good = true;

	for (unsigned i = 0; i < ARRAY_LEN(guards); i++)
		if (load_relaxed(&guards[i].guard->owner) != 0)
			is_good = complain(scene, "the %s guard is held", guards[i].name);
	return is_good;
}

/* --- blocks --- */

static bool is_in_stock(const struct arena_cache *cache, const atom64 *word)
{
	for (unsigned i = 0; i < ARENA_CLASSES; i++)
		for (uint32_t k = 0; k < cache->stock[i].count; k++)
			if (cache->stock[i].word[k] == word)
				return true;
	return false;
}

static bool knows_block(struct scene *scene, enum role role, const atom64 *word)
{
	struct self *me;

	if (role != CHECKER)
		return true;
	require(self_get(checked(scene), &me) == 0);
	return block_word_state(load_acquire(word)) == BLOCK_CACHED &&
	       is_in_stock(&me->cache, word);
}

static bool is_block_owned(struct scene *scene, const atom64 *at)
{
	uint64_t word = load_acquire(at);
	enum block_state state = block_word_state(word);
	enum role role = role_of(scene, block_word_client(word));
	const char *name = state == BLOCK_HELD ? "held" : "cached";

	if (state != BLOCK_HELD && state != BLOCK_CACHED)
		return true;
	if (role == ROLES)
		return complain(scene, "a block is %s by slot %u, where nobody lives", name,
				block_word_client(word));
	return knows_block(scene, role, at) ||
	       complain(scene, "a block is %s by one who does not know it", name);
}

static bool are_run_blocks_owned(struct scene *scene, uint32_t granule)
{
	struct arena_run run;
	bool is_good = true;

	if (!arena_run_at(checked(scene), granule, &run))
		return complain(scene, "granule %u is no run", granule);
	for (uint32_t i = 0; i < run.class->block_count; i++)
		is_good &= is_block_owned(scene, &run.words[i]);
	return is_good;
}

static bool are_blocks_owned(struct scene *scene)
{
	struct seg *seg = checked(scene);
	uint32_t high = seg_granules_high(seg);
	bool is_good = true;

	for (uint32_t at = 0; at < high;) {
		uint64_t word = load_acquire(&seg->granules[at]);
		uint32_t covered = granule_covers(word, at, high);

		if (block_word_state(word) == BLOCK_RUN)
			is_good &= are_run_blocks_owned(scene, at);
		else if (covered)
			is_good &= is_block_owned(scene, &seg->granules[at]);
		at += covered ? covered : 1;
	}
	return is_good;
}

/* --- objects --- */

/* What it has open, if its own memory tells; false: it is not known here. */
static bool knows_holds(const struct scene *scene, enum role role)
{
	return role != VICTIM && !(role == SURVIVOR && scene->other);
}

static bool is_hold_right(struct scene *scene, enum role role, uint32_t index)
{
	struct party *party = &scene->parties[role];
	uint64_t word = load_seqcst(&seg_touched(checked(scene), party->client)[index / 64]);
	bool is_held = word >> (index % 64) & 1;

	if (is_held && entry_word_state(load_acquire(&party->seg->directory[index].word)) ==
			       ENTRY_FREE)
		return complain(scene, "client %u holds object %u, which is freed", party->client,
				index);
	if (!knows_holds(scene, role))
		return true;
	return is_held == (party->seg->open_counts[index] > 0) ||
	       complain(scene, "client %u %s object %u, its handles say otherwise", party->client,
			is_held ? "holds" : "does not hold", index);
}

/* It has no handles, and repairs nothing now. */
static bool is_mpd_holding(struct scene *scene)
{
	for (uint32_t i = 0; i < checked(scene)->at.max_objects / 64; i++)
		if (load_seqcst(&seg_touched(checked(scene), SLOT_MPD)[i]) != 0)
			return true;
	return false;
}

static bool are_holds_right(struct scene *scene)
{
	uint32_t high = seg_objects_high(checked(scene));
	bool is_good = !is_mpd_holding(scene) || complain(scene, "mpd holds an object");

	for (enum role role = 0; role < ROLES; role++)
		for (uint32_t i = 0; is_alive(scene, role) && i < high; i++)
			is_good &= is_hold_right(scene, role, i);
	return is_good;
}

/* `mask`: which bits of a record matter. */
static bool is_waiting(struct scene *scene, uint32_t thread, uint64_t record, uint64_t mask)
{
	struct shm_thread *slot = &checked(scene)->threads[thread];
	uint32_t count = load_acquire(&slot->record_count);

	if (!thread_word_is_live(load_acquire(&slot->word)))
		return false;
	for (uint32_t i = 0; i < count && i < WAIT_RECORDS_MAX; i++)
		if ((load_relaxed(&slot->records[i]) & mask) == record)
			return true;
	return false;
}

/* Its record is there before the bit and until after it: a bit without a record is a breach. */
static bool is_bit_right(struct scene *scene, atom64 *leaf, uint32_t thread, uint64_t record,
			 uint64_t mask)
{
	struct timespec nap = { .tv_nsec = 100000 };

	for (unsigned look = 0; look < LOOKS; look++) {
		if (!(load_seqcst(leaf) >> (thread % 64) & 1) ||
		    is_waiting(scene, thread, record, mask))
			return true;
		nanosleep(&nap, NULL);
	}
	return complain(scene, "thread slot %u is in a wait set and does not wait", thread);
}

static bool are_waiters_right(struct scene *scene, struct shm_waiters *set, uint64_t record,
			      uint64_t mask)
{
	bool is_good = true;

	for (uint32_t thread = 0; thread < THREADS_MAX; thread++)
		if (load_seqcst(&set->leaf[thread / 64]) >> (thread % 64) & 1)
			is_good &= is_bit_right(scene, &set->leaf[thread / 64], thread, record,
						mask);
	return is_good;
}

static bool is_object_right(struct scene *scene, uint32_t index)
{
	struct seg *seg = checked(scene);
	struct shm_entry *entry = &seg->directory[index];
	uint64_t offset = reference_offset(load_relaxed(&entry->object));
	const struct object_type *type;
	void *object = NULL;
	bool is_good = true;

	if (entry_word_state(load_acquire(&entry->word)) == ENTRY_FREE)
		return true;
	object = object_at(seg, offset, &type);
	if (!object)
		return complain(scene, "entry %u names no object", index);
	if (type->kind == OBJECT_BARRIER) /* one set for all its turns */
		return are_waiters_right(scene, type->waiters(object, 0), offset, ~UINT64_C(63));
	for (unsigned condition = 0; condition < CONDITIONS; condition++) {
		struct shm_waiters *set = type->waiters(object, condition);

		if (set)
			is_good &= are_waiters_right(scene, set, offset | condition, UINT64_MAX);
	}
	return is_good;
}

/* Nobody who lives has it: then it has to be gone, or somebody has to know that he must free it. */
static bool is_wanted_by_somebody(struct scene *scene, uint32_t index)
{
	struct seg *seg = checked(scene);

	if (!entry_word_is_unnamed(load_acquire(&seg->directory[index].word)))
		return true;
	for (enum role role = 0; role < ROLES; role++)
		if (is_alive(scene, role) &&
		    load_seqcst(&seg_touched(seg, scene->parties[role].client)[index / 64]) >>
				    (index % 64) & 1)
			return true;
	return complain(scene, "object %u has no name and no holder, and is not freed", index);
}

static bool are_objects_right(struct scene *scene)
{
	uint32_t high = seg_objects_high(checked(scene));
	bool is_good = true;

	for (uint32_t i = 0; i < high; i++) {
		is_good &= is_object_right(scene, i);
		is_good &= is_wanted_by_somebody(scene, i);
	}
	return is_good;
}

/* --- who comes next --- */

static bool is_thread_slot_clean(struct scene *scene, uint32_t client)
{
	struct shm_thread *slot;
	uint32_t thread;
	uint64_t who;

	require(slot_claim_thread(checked(scene), client, &thread, &who) == 0);
	slot = &checked(scene)->threads[thread];
	if (load_relaxed(&slot->record_count) || load_relaxed(&slot->held_count) ||
	    load_relaxed(&slot->intent.kind) != INTENT_NONE || (load_relaxed(&slot->bell) & 1))
		return complain(scene, "thread slot %u has a dead one's records", thread);
	return true;
}

static bool is_client_slot_clean(struct scene *scene, uint32_t client)
{
	struct seg *seg = checked(scene);

	for (uint32_t i = 0; i < seg->at.max_objects / 64; i++)
		if (load_relaxed(&seg_touched(seg, client)[i]) != 0)
			return complain(scene, "a newcomer has a dead one's objects open");
	return true;
}

/* As many as died: they get the slots of the dead, the lowest that are free. */
static bool is_room_clean(struct scene *scene)
{
	uint32_t client, generation;
	bool is_good = true;

	for (enum role role = 0; role < ROLES; role++)
		if (scene->is_dead[role] &&
		    slot_claim_client(checked(scene), 0, "newcomer", SLOT_NONE, &client,
				      &generation) == 0)
			is_good &= is_client_slot_clean(scene, client) &&
				   is_thread_slot_clean(scene, client);
	return is_good;
}

/* --- */

/* Each is asked, so that each breach is told. */
static bool are_tables_right(struct scene *scene)
{
	bool is_good = are_guards_free(scene);

	is_good &= are_blocks_owned(scene);
	is_good &= are_holds_right(scene);
	is_good &= are_objects_right(scene);
	return is_good;
}

bool leaks_none_of_the_dead(struct scene *scene)
{
	bool is_good = are_slots_known(scene);

	return are_tables_right(scene) && is_good;
}

bool leaks_none_afterwards(struct scene *scene)
{
	bool is_good = are_tables_right(scene);

	if (arena_check(checked(scene)) != 0)
		is_good = complain(scene, "the arena is not whole");
	return is_room_clean(scene) && is_good;
}
