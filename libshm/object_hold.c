/* SPDX-License-Identifier: MIT
 *
 * Who holds an object. Knows: the bitmaps (touched), handles of this process, holds for repair,
 * what a child inherits. Does not know: freeing (object_free.c), names.
 *
 * Each client writes its own bitmap of the objects it holds, so a death takes exactly its own holds
 * away. An object without a name (anonymous or unlinked) ends when no LIVE or DEAD client has its
 * bit set. A hold begins in one of two ways:
 *
 *   under the directory guard   open, from_id, a child's inherited handles: who frees has the guard
 *   taken over, without it      from one who has it: a recoverer from the dead one, an audit from
 *                               the process of a sleeper. Own bit, takeovers + 1, then look whether
 *                               the other still has it: only then it counts
 *   within this process         under seg->mutex, if the process holds it already
 *
 * Who frees reads takeovers, all bits, takeovers again, under the guard. The bits are not read in
 * one instant, so a hold could move from one not yet read to one already read; but then takeovers
 * has grown, and all is read again. If it has not: a hold taken over before the look was seen
 * during it, and one after the look was taken from somebody who had it all the time and was seen.
 * All of these are seq_cst.
 *
 * | overlaps with a freer    | what excludes harm                                              |
 * | open, from_id            | the guard; from_id finds nobody's object stale                  |
 * | another's close, exit    | his bit goes, then he looks whether he has to free (object_free) |
 * | a death                  | its bits count until its slot is FREE; who swept it frees       |
 * | a recoverer              | the takeover, from a slot that is DEAD in that generation       |
 * | a late recoverer         | the dead one's slot is FREE or another's: no takeover           |
 * | a thread that ends       | seg->mutex: no hold without a hold of its process               |
 * | an audit                 | the takeover, from the sleeper's process                        |
 * | a child's first call     | the guard; the entry has the generation of the handle, or -ESTALE |
 * | a child being started    | the parent holds (object_pin) all it had open until the child does |
 * | another freer            | the guard                                                       |
 *
 * Killed: before the bit, nothing; with it, the sweep of that client takes it away.
 */
#include "object_internal.h"

#include "explain.h"
#include "slot.h"
#include "sweep.h"

#include <errno.h>
#include <string.h>

/* More takeovers than that during one look: leave it to those who take. Each of them lets go. */
#define LOOKS_MAX 16

/* Set while this thread starts a child; the child's only thread has it from its parent. */
static _Thread_local const struct object_pins *pinned;

static bool has_bit(struct seg *seg, uint32_t client, uint32_t index)
{
	return load_seqcst(&seg_touched(seg, client)[index / 64]) >> (index % 64) & 1;
}

static bool has_reason(const struct seg *seg, uint32_t index)
{
	return seg->open_counts[index] || seg->repair_counts[index];
}

/* This client's bit says that it holds the object for whatever reason. Under seg->mutex. */
static void show_hold(struct seg *seg, uint32_t index)
{
	atom64 *bits = &seg_touched(seg, seg->client)[index / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);

	if (seg->client == SLOT_NONE)
		return; /* on its way out: its own slot is being swept */
	if (has_reason(seg, index))
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

static bool is_seen_held(struct seg *seg, uint32_t index)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t client = SLOT_MPD; client < high; client++) {
		enum slot_state state = client_word_state(load_seqcst(&seg->clients[client].word));

		/* In SETUP the bits are those of the slot's last owner. */
		if ((state == SLOT_LIVE || state == SLOT_DEAD) && has_bit(seg, client, index))
			return true;
	}
	return false;
}

bool object_is_held(struct seg *seg, uint32_t index)
{
	for (unsigned look = 0; look < LOOKS_MAX; look++) {
		uint64_t seen = load_seqcst(&seg->header->takeovers);

		if (is_seen_held(seg, index))
			return true;
		if (load_seqcst(&seg->header->takeovers) == seen)
			return false;
	}
	return true;
}

/* One more reason; false if there has to be one already and is none. */
static bool add_reason(struct seg *seg, uint32_t index, bool has_to_be_held)
{
	bool may_add;

	pthread_mutex_lock(&seg->mutex);
	may_add = !has_to_be_held || has_reason(seg, index);
	if (may_add) {
		seg->repair_counts[index]++;
		show_hold(seg, index);
	}
	pthread_mutex_unlock(&seg->mutex);
	return may_add;
}

/* Hold what that client holds, in the use of its slot that `word` names. */
static bool take_over(struct seg *seg, uint32_t index, uint32_t client, uint64_t word)
{
	if (seg->client == SLOT_NONE)
		return false; /* cannot show it */
	if (client == seg->client)
		return add_reason(seg, index, true);
	add_reason(seg, index, false);
	add_seqcst(&seg->header->takeovers, 1);
	if (has_bit(seg, client, index) && load_seqcst(&seg->clients[client].word) == word)
		return true;
	object_let_go(seg, index);
	return false;
}

/* The object of an entry that is held; NULL if there is none. */
static void *held_object(struct seg *seg, uint32_t index, const struct object_type **ret_type)
{
	struct shm_entry *entry = &seg->directory[index];
	struct shm_object *object = NULL;

	if (entry_word_state(load_seqcst(&entry->word)) != ENTRY_FREE)
		object = object_at(seg, reference_offset(load_relaxed(&entry->object)), ret_type);
	/* Forged entries may all name one object: it is repaired through its own entry only. */
	return object && who_slot(object->id) == index ? object : NULL;
}

void *object_hold(struct sweep *sweep, uint32_t index, const struct object_type **ret_type)
{
	struct seg *seg = sweep->seg;
	void *object;

	if (!take_over(seg, index, sweep->client, slot_client_word(seg, sweep->client)))
		return NULL;
	object = sweep_is_current(sweep) ? held_object(seg, index, ret_type) : NULL;
	if (!object)
		object_let_go(seg, index);
	return object;
}

/* Several entries name one object only if they were forged, or by leftovers of another. */
#define NAMES_TRIED 4

void *object_hold_waited(struct seg *seg, uint32_t client, uint64_t offset, uint32_t *ret_index,
			 const struct object_type **ret_type)
{
	uint64_t word = slot_client_word(seg, client);
	uint32_t high = client < seg->at.max_clients ? seg_objects_high(seg) : 0;

	for (uint32_t i = 0, tries = 0; i < high && tries < NAMES_TRIED; i++) {
		struct shm_object *object;

		if (!has_bit(seg, client, i) ||
		    reference_offset(load_relaxed(&seg->directory[i].object)) != offset)
			continue;
		tries++;
		if (!take_over(seg, i, client, word))
			continue;
		*ret_index = i;
		object = held_object(seg, i, ret_type);
		if (object && shm_offset(seg, object) == offset)
			return object;
		object_let_go(seg, i);
	}
	return NULL;
}

void object_let_go(struct seg *seg, uint32_t index)
{
	bool is_last;

	pthread_mutex_lock(&seg->mutex);
	seg->repair_counts[index]--;
	show_hold(seg, index);
	is_last = !has_reason(seg, index);
	pthread_mutex_unlock(&seg->mutex);
	if (is_last)
		object_free_if_unheld(seg, index);
}

void object_let_all_go(struct seg *seg)
{
	uint32_t high = seg_objects_high(seg);

	pthread_mutex_lock(&seg->mutex);
	memset(seg->open_counts, 0, seg->at.max_objects * sizeof *seg->open_counts);
	memset(seg->open_generations, 0, seg->at.max_objects * sizeof *seg->open_generations);
	for (uint32_t i = 0; i < high; i++)
		show_hold(seg, i);
	pthread_mutex_unlock(&seg->mutex);
	object_free_unheld(seg);
}

void object_pin(struct seg *seg, struct object_pins *ret_pins)
{
	*ret_pins = (struct object_pins){ .seg = seg };
	if (load_acquire(&seg->fork_epoch) != self_fork_epoch())
		return; /* a child that holds nothing yet itself */
	pthread_mutex_lock(&seg->mutex);
	for (uint32_t i = 0; i < seg->at.max_objects; i++)
		if (seg->open_counts[i]) {
			seg->repair_counts[i]++;
			ret_pins->bits[i / 64] |= UINT64_C(1) << (i % 64);
		}
	pthread_mutex_unlock(&seg->mutex);
	pinned = ret_pins;
}

void object_unpin(struct seg *seg, const struct object_pins *pins)
{
	pinned = NULL;
	for (uint32_t i = 0; i < seg->at.max_objects; i++)
		if (pins->bits[i / 64] >> (i % 64) & 1)
			object_let_go(seg, i);
}

/* What another thread of the parent opened and closed while this child was forked is none of the
 * child's affair: whoever started it could not tell it of that. */
static bool is_expected(const struct seg *seg, uint32_t index)
{
	return !pinned || pinned->seg != seg || (pinned->bits[index / 64] >> (index % 64) & 1);
}

/* The guard is held. */
static bool hold_one_inherited(struct seg *seg, uint32_t index)
{
	uint64_t word = load_seqcst(&seg->directory[index].word);

	if (entry_word_state(word) == ENTRY_FREE ||
	    entry_word_generation(word) != seg->open_generations[index]) {
		seg->open_counts[index] = 0;
		seg->open_generations[index] = 0;
		return !is_expected(seg, index);
	}
	show_hold(seg, index);
	return true;
}

int object_hold_inherited(struct seg *seg)
{
	bool is_complete = true;
	int error;

	memset(seg->repair_counts, 0, seg->at.max_objects * sizeof *seg->repair_counts);
	error = object_lock_directory(seg);
	if (error < 0)
		return error;
	for (uint32_t i = 0; i < seg->at.max_objects; i++)
		if (seg->open_counts[i] && seg->open_generations[i])
			is_complete &= hold_one_inherited(seg, i);
	object_unlock_directory(seg);
	if (pinned && pinned->seg == seg)
		pinned = NULL;
	return is_complete ? 0
			   : explain(-ESTALE, "an object of segment '%s' was freed between the "
					      "fork and this child's first call",
				     seg->name);
}
