/* SPDX-License-Identifier: MIT
 *
 * The end of an object. Knows: intents, the blocks of an object, freeing, what a dead maker or
 * freer left. Does not know: names, how a hold is taken (object_hold.c).
 *
 *   free   guard - nobody holds it - intent - blocks LINKED -> HELD(me) - entry FREE (commit) -
 *          blocks freed - intent off. Killed before the commit: redone. After it: the blocks are
 *          swept. The guard is the dead one's until his intent is finished: nobody can take a hold
 *          meanwhile, and who could hand one on does not exist.
 *
 * Whoever gives the last hold up, removes the last name or sweeps a death asks for freeing, and
 * waits for nobody: if he cannot have the guard, he has set free_wanted before he tried, and its
 * holder looks there after he let go. Both are read-modify-writes of that one word: either the
 * holder sees the wish, or the wish was made after he let go and the try succeeds. A holder that
 * dies between the two is swept, and a sweep asks too.
 */
#include "object_internal.h"

#include "explain.h"
#include "slot.h"
#include "sweep.h"

#include <errno.h>
#include <string.h>

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

/* Wishes that come while one frees. Nobody makes as many, unless he forges them: then it is left to
 * the next who has the guard. */
#define FREE_PASSES 1000

/* Whose blocks are linked, unlinked or freed, and whether that still is his to have done. */
struct owner {
	struct seg *seg;
	uint32_t client;
	const struct sweep *sweep; /* NULL: the client itself does it */
	atom64 *word;              /* of the entry, and what it says until the intent is finished */
	uint64_t unfinished;
};

/* The reference was read before this is asked. While the dead one's slot was not reused, it names
 * his use of the block, and a later use has another generation. While the entry's word is the one
 * of the intent, it was read from the object and not from what took its memory. */
static bool may_change(const struct owner *owner)
{
	return !owner->sweep || (load_seqcst(owner->word) == owner->unfinished &&
				 sweep_is_current(owner->sweep));
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

/* Its own block and all that hang on it. False: it goes on with the walk. */
static bool for_each_block(struct shm_entry *entry, struct walk *walk, object_each each,
			   struct owner *owner)
{
	const struct object_type *type = object_type(load_relaxed(&entry->kind));
	uint64_t reference = load_relaxed(&entry->object);
	void *object = type ? object_of_entry(owner->seg, entry, type) : NULL;

	if (object && type->blocks && !type->blocks(owner->seg, object, walk, each, owner))
		return false;
	each(owner, reference);
	walk->at = 0;
	return true;
}

void object_link_blocks(struct seg *seg, struct shm_entry *entry)
{
	struct owner me = { .seg = seg, .client = seg->client };
	struct walk all = { .turn = NULL };

	for_each_block(entry, &all, link_each, &me);
}

/* The guard is held. */
static void free_object(struct seg *seg, struct shm_intent *intent, struct shm_entry *entry,
			uint64_t word)
{
	uint64_t freed = entry_word(ENTRY_FREE, entry_word_generation(word));
	struct owner me = { .seg = seg, .client = seg->client };
	struct walk all = { .turn = NULL };

	intent_begin(intent, INTENT_FREE_OBJECT, entry_offset(seg, entry), word, freed);
	for_each_block(entry, &all, unlink_each, &me);
	store_release(&entry->word, freed);
	for_each_block(entry, &all, free_each, &me);
	intent_done(intent);
}

bool object_finish_intent(struct sweep *sweep, uint32_t thread)
{
	struct seg *seg = sweep->seg;
	struct shm_intent *intent = &seg->threads[thread].intent;
	uint64_t kind = load_acquire(&intent->kind);
	uint64_t before = load_relaxed(&intent->before), after = load_relaxed(&intent->after);
	struct shm_entry *entry = shm_at(seg, struct shm_entry, load_relaxed(&intent->address));
	struct owner dead = { .seg = seg, .client = sweep->client, .sweep = sweep };

	dead.unfinished = kind == INTENT_CREATE_OBJECT ? after : before;
	if (!entry || entry < seg->directory || entry >= seg->directory + seg->at.max_objects)
		return true;
	dead.word = &entry->word;
	if (kind == INTENT_CREATE_OBJECT && load_acquire(&entry->word) == after)
		return for_each_block(entry, &sweep->inside, link_each, &dead);
	if (kind != INTENT_FREE_OBJECT || load_acquire(&entry->word) != before)
		return true;
	if (!for_each_block(entry, &sweep->inside, unlink_each, &dead))
		return false;
	if (sweep_is_current(sweep))
		cas_seqcst(&entry->word, &before, after);
	return true;
}

static bool is_unheld(struct seg *seg, uint32_t index)
{
	return entry_word_is_unnamed(load_seqcst(&seg->directory[index].word)) &&
	       !object_is_held(seg, index);
}

static bool is_any_unheld(struct seg *seg)
{
	uint32_t high = seg_objects_high(seg);

	for (uint32_t i = 0; i < high; i++)
		if (is_unheld(seg, i))
			return true;
	return false;
}

/* The guard is held. */
static void free_all_unheld(struct seg *seg, struct shm_intent *intent)
{
	uint32_t high = seg_objects_high(seg);

	for (uint32_t i = 0; i < high; i++)
		if (is_unheld(seg, i))
			free_object(seg, intent, &seg->directory[i],
				    load_acquire(&seg->directory[i].word));
}

/* mpd has a thread slot of its own in each segment and no self: it never waits there. */
static struct shm_intent *intent_of_mpd(struct seg *seg)
{
	return &seg->threads[SLOT_MPD].intent;
}

static struct shm_intent *own_intent(struct seg *seg)
{
	struct self *me;

	if (seg->client == SLOT_MPD)
		return intent_of_mpd(seg);
	/* On its way out, or on its way in after a fork: no thread of it takes part. */
	if (seg->client == SLOT_NONE || load_acquire(&seg->fork_epoch) != self_fork_epoch())
		return NULL;
	return self_get(seg, &me) < 0 ? NULL : &me->shared->intent;
}

/* Wished for by ourselves. True: somebody wished for more while we held the guard. */
static bool free_as_wanted(struct seg *seg)
{
	struct shm_header *header = seg->header;
	struct shm_intent *intent = own_intent(seg);

	swap_seqcst(&header->free_wanted, 1);
	if (!intent || !guard_try(&header->directory_guard, seg->client, seg->client_generation))
		return false;
	swap_seqcst(&header->free_wanted, 0);
	free_all_unheld(seg, intent);
	guard_release(&header->directory_guard, seg->client, seg->client_generation);
	return swap_seqcst(&header->free_wanted, 0);
}

static void free_while_wanted(struct seg *seg, bool is_wanted)
{
	for (unsigned pass = 0; is_wanted && pass < FREE_PASSES; pass++)
		is_wanted = free_as_wanted(seg);
	if (is_wanted)
		swap_seqcst(&seg->header->free_wanted, 1);
}

/* mpd frees in pieces, when it has come to that. */
static void free_now_or_later(struct seg *seg, bool is_wanted)
{
	if (seg->frees_later)
		seg->is_free_due |= is_wanted;
	else
		free_while_wanted(seg, is_wanted);
}

void object_free_unheld(struct seg *seg)
{
	free_now_or_later(seg, seg->frees_later || is_any_unheld(seg));
}

void object_free_if_unheld(struct seg *seg, uint32_t index)
{
	free_now_or_later(seg, is_unheld(seg, index));
}

/* --- in pieces --- */

static void let_go_of_guard(struct seg *seg, struct object_freeing *freeing)
{
	guard_release(&seg->header->directory_guard, seg->client, seg->client_generation);
	freeing->is_wanted_again |= swap_seqcst(&seg->header->free_wanted, 0) != 0;
}

/* With the guard, or false: it is held, has a name, or who has the guard does it. */
static bool begin_freeing(struct seg *seg, struct object_freeing *freeing, uint32_t index)
{
	struct shm_header *header = seg->header;
	struct shm_entry *entry = &seg->directory[index];
	uint64_t word;

	if (!is_unheld(seg, index))
		return false;
	swap_seqcst(&header->free_wanted, 1);
	if (!guard_try(&header->directory_guard, seg->client, seg->client_generation))
		return false;
	swap_seqcst(&header->free_wanted, 0);
	word = load_acquire(&entry->word);
	if (!is_unheld(seg, index)) {
		let_go_of_guard(seg, freeing);
		return false;
	}
	intent_begin(intent_of_mpd(seg), INTENT_FREE_OBJECT, entry_offset(seg, entry), word,
		     entry_word(ENTRY_FREE, entry_word_generation(word)));
	freeing->stage = FREEING_UNLINKS;
	return true;
}

/* As free_object, in pieces. */
static bool free_entry_some(struct seg *seg, struct object_freeing *freeing, uint32_t index)
{
	struct shm_entry *entry = &seg->directory[index];
	struct owner me = { .seg = seg, .client = seg->client };

	if (freeing->stage == FREEING_NONE && !begin_freeing(seg, freeing, index))
		return true;
	if (freeing->stage == FREEING_UNLINKS) {
		if (!for_each_block(entry, &freeing->inside, unlink_each, &me))
			return false;
		store_release(&entry->word,
			      entry_word(ENTRY_FREE,
					 entry_word_generation(load_relaxed(&entry->word))));
		freeing->stage = FREEING_FREES;
	}
	if (!for_each_block(entry, &freeing->inside, free_each, &me))
		return false;
	freeing->stage = FREEING_NONE;
	intent_done(intent_of_mpd(seg));
	let_go_of_guard(seg, freeing);
	return true;
}

static uint32_t looks_for_holders(const struct seg *seg, uint32_t index)
{
	return entry_word_is_unnamed(load_relaxed(&seg->directory[index].word)) ? CLIENTS_MAX : 1;
}

static bool free_pass(struct seg *seg, struct object_freeing *freeing)
{
	struct walk *walk = &freeing->walk;
	uint32_t high = seg_objects_high(seg);

	for (; walk->at < high; walk->at++) {
		bool is_begun = freeing->stage != FREEING_NONE;

		if (!is_begun && !turn_take(walk->turn, looks_for_holders(seg, walk->at)))
			return false;
		if (!free_entry_some(seg, freeing, walk->at))
			return false;
	}
	walk->at = 0;
	return true;
}

/* Whose wish is not heard in the last pass has it granted with the next one that has the guard. */
bool object_free_some(struct seg *seg, struct object_freeing *freeing)
{
	seg->is_free_due = false;
	while (free_pass(seg, freeing)) {
		if (!freeing->is_wanted_again)
			return true;
		freeing->is_wanted_again = false;
		if (++freeing->passes == FREE_PASSES) {
			swap_seqcst(&seg->header->free_wanted, 1);
			return true;
		}
	}
	return false;
}

int object_lock_directory(struct seg *seg)
{
	return guard_acquire(seg, &seg->header->directory_guard, seg->client,
			     seg->client_generation);
}

void object_unlock_directory(struct seg *seg)
{
	bool is_wanted;

	guard_release(&seg->header->directory_guard, seg->client, seg->client_generation);
	is_wanted = swap_seqcst(&seg->header->free_wanted, 0);
	free_while_wanted(seg, is_wanted);
}
