/* SPDX-License-Identifier: MIT
 *
 * Who holds an object, and its end. Knows: holds, intents, the blocks of an object, freeing, what a
 * dead maker or freer left. Does not know: names.
 *
 *   free   intent - blocks LINKED -> HELD(me) - entry FREE (commit) - blocks freed - intent off.
 *          Killed before the commit: redone. After it: the blocks are swept.
 *
 * An object is freed when it was unlinked and no living client holds it: each client writes its own
 * bitmap of objects it has open, so a death takes exactly its own holds away. Who frees looks at
 * the bitmaps after the entry says REMOVED; who takes a hold looks at the entry after it set its
 * bit.
 */
#include "object_internal.h"

#include "explain.h"
#include "slot.h"
#include "sweep.h"

#include <errno.h>
#include <string.h>

/* This client's bit says that it holds the object for whatever reason. Under seg->mutex. */
static void show_hold(struct seg *seg, uint32_t index)
{
	atom64 *bits = &seg_touched(seg, seg->client)[index / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);

	if (seg->client == SLOT_NONE)
		return; /* on its way out: its own slot is being swept */
	if (seg->open_counts[index] || seg->repair_counts[index])
		or_seqcst(bits, bit);
	else
		and_seqcst(bits, ~bit);
}

void object_take_handle(struct seg *seg, uint32_t index, uint32_t generation)
{
	pthread_mutex_lock(&seg->mutex);
	seg->open_counts[index]++;
	seg->open_generations[index] = generation;
	show_hold(seg, index);
	pthread_mutex_unlock(&seg->mutex);
}

/* The last handle becomes a hold of another kind, until object_let_go. */
bool object_drop_handle(const struct object_handle *handle)
{
	struct seg *seg = handle->seg;
	bool is_last;

	if (load_acquire(&seg->fork_epoch) != self_fork_epoch()) {
		/* A forked child that never used the segment: the hold is its parent's, and the
		 * mutex may be one of its parent's threads'. */
		if (seg->open_counts[handle->index] > 0)
			seg->open_counts[handle->index]--;
		return false;
	}
	pthread_mutex_lock(&seg->mutex);
	is_last = seg->open_counts[handle->index] > 0 && --seg->open_counts[handle->index] == 0;
	if (is_last) {
		seg->open_generations[handle->index] = 0;
		seg->repair_counts[handle->index]++;
	}
	pthread_mutex_unlock(&seg->mutex);
	return is_last;
}

static bool is_held_by_anyone(struct seg *seg, uint32_t index)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t client = SLOT_MPD; client < high; client++)
		if (client_word_state(slot_client_word(seg, client)) != SLOT_FREE &&
		    (load_seqcst(&seg_touched(seg, client)[index / 64]) >> (index % 64) & 1))
			return true;
	return false;
}

void intent_begin(struct shm_intent *intent, enum intent_kind kind, uint64_t address,
		   uint64_t before, uint64_t after)
{
	store_relaxed(&intent->address, address);
	store_relaxed(&intent->before, before);
	store_relaxed(&intent->after, after);
	store_release(&intent->kind, kind);
}

void intent_done(struct shm_intent *intent)
{
	store_release(&intent->kind, INTENT_NONE);
}

/* Whose blocks are linked, unlinked or freed, and whether that still is his to have done. */
struct owner {
	struct seg *seg;
	uint32_t client;
	const struct sweep *sweep; /* NULL: the client itself does it */
};

/* The reference was read before this is asked: while the dead one's slot was not reused, it names
 * his use of the block, and a later use has another generation. */
static bool may_change(const struct owner *owner)
{
	return !owner->sweep || sweep_is_current(owner->sweep);
}

static void link_each(void *arg, uint64_t reference)
{
	const struct owner *owner = arg;

	if (may_change(owner))
		arena_link(owner->seg, owner->client, reference);
}

static void unlink_each(void *arg, uint64_t reference)
{
	const struct owner *owner = arg;

	if (may_change(owner))
		arena_unlink(owner->seg, owner->client, reference);
}

static void free_each(void *arg, uint64_t reference)
{
	const struct owner *owner = arg;

	arena_free(owner->seg, NULL, owner->client, reference);
}

/* Its own block and all that hang on it. */
static void for_each_block(struct shm_entry *entry, object_each each, struct owner *owner)
{
	const struct object_type *type = object_type(load_relaxed(&entry->kind));
	uint64_t reference = load_relaxed(&entry->object);
	void *object = type ? object_of_entry(owner->seg, entry, type) : NULL;

	if (object)
		type->blocks(owner->seg, object, each, owner);
	each(owner, reference);
}

void object_link_blocks(struct seg *seg, struct shm_entry *entry)
{
	struct owner me = { .seg = seg, .client = seg->client };

	for_each_block(entry, link_each, &me);
}

/* The guard is held. */
static void free_object(struct seg *seg, struct shm_intent *intent, struct shm_entry *entry,
			uint64_t word)
{
	uint64_t freed = entry_word(ENTRY_FREE, entry_word_generation(word));
	struct owner me = { .seg = seg, .client = seg->client };

	intent_begin(intent, INTENT_FREE_OBJECT, entry_offset(seg, entry), word, freed);
	for_each_block(entry, unlink_each, &me);
	store_release(&entry->word, freed);
	for_each_block(entry, free_each, &me);
	intent_done(intent);
}

void object_finish_intent(struct sweep *sweep, uint32_t thread)
{
	struct seg *seg = sweep->seg;
	struct shm_intent *intent = &seg->threads[thread].intent;
	uint64_t kind = load_acquire(&intent->kind);
	uint64_t before = load_relaxed(&intent->before), after = load_relaxed(&intent->after);
	struct shm_entry *entry = shm_at(seg, struct shm_entry, load_relaxed(&intent->address));
	struct owner dead = { .seg = seg, .client = sweep->client, .sweep = sweep };

	if (!entry || entry < seg->directory || entry >= seg->directory + seg->at.max_objects)
		return;
	if (kind == INTENT_CREATE_OBJECT && load_acquire(&entry->word) == after)
		for_each_block(entry, link_each, &dead);
	if (kind == INTENT_FREE_OBJECT && load_acquire(&entry->word) == before) {
		for_each_block(entry, unlink_each, &dead);
		if (sweep_is_current(sweep))
			cas_seqcst(&entry->word, &before, after);
	}
}

void *object_hold(struct seg *seg, uint32_t index, const struct object_type **ret_type)
{
	struct shm_entry *entry = &seg->directory[index];
	struct shm_object *object = NULL;

	pthread_mutex_lock(&seg->mutex);
	seg->repair_counts[index]++;
	show_hold(seg, index); /* before the look: whoever frees it looks after */
	pthread_mutex_unlock(&seg->mutex);
	if (entry_word_state(load_seqcst(&entry->word)) != ENTRY_FREE)
		object = object_at(seg, reference_offset(load_relaxed(&entry->object)), ret_type);
	/* Forged entries may all name one object: it is repaired through its own entry only. */
	if (object && who_slot(object->id) == index)
		return object;
	object_let_go(seg, index, false);
	return NULL;
}

void object_let_go(struct seg *seg, uint32_t index, bool may_wait)
{
	bool is_free;

	pthread_mutex_lock(&seg->mutex);
	seg->repair_counts[index]--;
	show_hold(seg, index);
	is_free = !seg->open_counts[index] && !seg->repair_counts[index];
	pthread_mutex_unlock(&seg->mutex);
	if (is_free && entry_word_state(load_seqcst(&seg->directory[index].word)) == ENTRY_REMOVED)
		object_free_removed(seg, may_wait);
}

static void free_if_removed(struct seg *seg, struct shm_intent *intent, uint32_t index)
{
	struct shm_entry *entry = &seg->directory[index];
	uint64_t word = load_acquire(&entry->word);

	if (entry_word_state(word) == ENTRY_REMOVED && !is_held_by_anyone(seg, index))
		free_object(seg, intent, entry, word);
}

/* mpd has a thread slot of its own in each segment and no self: it never waits there. */
static struct shm_intent *own_intent(struct seg *seg)
{
	struct self *me;

	if (seg->client == SLOT_MPD)
		return &seg->threads[SLOT_MPD].intent;
	return self_get(seg, &me) < 0 ? NULL : &me->shared->intent;
}

void object_free_removed(struct seg *seg, bool may_wait)
{
	struct shm_guard *guard = &seg->header->directory_guard;
	struct shm_intent *intent = own_intent(seg);
	uint32_t high = seg_objects_high(seg);

	if (!intent)
		return;
	if (may_wait ? guard_acquire(seg, guard, seg->client, seg->client_generation) < 0
		     : !guard_try(guard, seg->client, seg->client_generation))
		return;
	for (uint32_t i = 0; i < high; i++)
		free_if_removed(seg, intent, i);
	guard_release(guard, seg->client, seg->client_generation);
}

int object_hold_inherited(struct seg *seg)
{
	memset(seg->repair_counts, 0, seg->at.max_objects * sizeof *seg->repair_counts);
	for (uint32_t i = 0; i < seg->at.max_objects; i++) {
		atom64 *bits = &seg_touched(seg, seg->client)[i / 64];
		uint64_t word;

		if (!seg->open_counts[i] || !seg->open_generations[i])
			continue;
		or_seqcst(bits, UINT64_C(1) << (i % 64));
		word = load_seqcst(&seg->directory[i].word);
		if (entry_word_state(word) == ENTRY_FREE ||
		    entry_word_generation(word) != seg->open_generations[i])
			return explain(-ESTALE, "an object of segment '%s' was freed between the "
						"fork and this child's first call",
				       seg->name);
	}
	return 0;
}
