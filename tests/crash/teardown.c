/* SPDX-License-Identifier: MIT
 *
 * See teardown.h. Knows: that CHECKER, a clone, has every party's private memory and can act for
 * each. What a party's own clone did last is in the segment alone: its bitmap tells whether the
 * handle is closed already. Does not know: what any object is for.
 */
#include "teardown.h"

#include "arena.h"
#include "cond_internal.h"
#include "event_internal.h"
#include "lock_internal.h"
#include "object.h"
#include "queue_internal.h"
#include "barrier_internal.h"
#include "rwlock_internal.h"
#include "sem_internal.h"
#include "require.h"
#include "slotword.h"

static bool holds(const struct party *party, const struct object_handle *handle)
{
	uint32_t index = handle->index;

	return load_seqcst(&seg_touched(party->seg, party->client)[index / 64]) >> (index % 64) & 1;
}

static void close_all(struct party *party)
{
	if (party->queue && holds(party, &party->queue->handle))
		mp_queue_close(party->queue);
	if (party->cond && holds(party, &party->cond->handle))
		mp_cond_close(party->cond);
	if (party->lock && holds(party, &party->lock->handle))
		mp_lock_close(party->lock);
	if (party->event && holds(party, &party->event->handle))
		mp_event_close(party->event);
	if (party->sem && holds(party, &party->sem->handle))
		mp_sem_close(party->sem);
	if (party->barrier && holds(party, &party->barrier->handle))
		mp_barrier_close(party->barrier);
	if (party->rwlock && holds(party, &party->rwlock->handle))
		mp_rwlock_close(party->rwlock);
	party->rwlock = NULL;
	party->barrier = NULL;
	party->sem = NULL;
	party->event = NULL;
	party->cond = NULL;
	party->queue = NULL;
	party->lock = NULL;
}

static void unlink_entry(struct scene *scene, const struct shm_entry *entry)
{
	struct mp_segment *segment = &scene->parties[CHECKER].handle;
	char name[NAME_BYTES];

	memcpy(name, entry->name, sizeof name);
	if (load_relaxed(&entry->kind) == OBJECT_LOCK)
		require(mp_lock_unlink(segment, name) == 0);
	else if (load_relaxed(&entry->kind) == OBJECT_EVENT)
		require(mp_event_unlink(segment, name) == 0);
	else if (load_relaxed(&entry->kind) == OBJECT_SEMAPHORE)
		require(mp_sem_unlink(segment, name) == 0);
	else if (load_relaxed(&entry->kind) == OBJECT_BARRIER)
		require(mp_barrier_unlink(segment, name) == 0);
	else if (load_relaxed(&entry->kind) == OBJECT_RWLOCK)
		require(mp_rwlock_unlink(segment, name) == 0);
	else if (load_relaxed(&entry->kind) == OBJECT_CONDITION)
		require(mp_cond_unlink(segment, name) == 0);
	else
		require(mp_queue_unlink(segment, name) == 0);
}

static void unlink_all(struct scene *scene)
{
	struct seg *seg = scene->parties[CHECKER].seg;
	uint32_t high = seg_objects_high(seg);

	for (uint32_t i = 0; i < high; i++)
		if (entry_word_state(load_acquire(&seg->directory[i].word)) == ENTRY_LIVE)
			unlink_entry(scene, &seg->directory[i]);
}

static bool is_directory_empty(struct scene *scene)
{
	struct seg *seg = scene->parties[CHECKER].seg;
	uint32_t high = seg_objects_high(seg);

	for (uint32_t i = 0; i < high; i++)
		if (entry_word_state(load_acquire(&seg->directory[i].word)) != ENTRY_FREE)
			return complain(scene, "directory entry %u is in use to the end", i);
	return true;
}

static bool is_nothing_open(struct scene *scene, const struct party *party)
{
	for (uint32_t i = 0; i < party->seg->at.max_objects / 64; i++)
		if (load_seqcst(&seg_touched(party->seg, party->client)[i]) != 0)
			return complain(scene, "client %u has an object open to the end",
					party->client);
	return true;
}

static bool is_no_block_used(struct scene *scene)
{
	struct arena_usage usage;

	arena_measure(scene->parties[CHECKER].seg, &usage);
	if (usage.blocks_linked == 0 && usage.blocks_held == 0)
		return true;
	return complain(scene, "to the end %d blocks are linked, %d held", (int)usage.blocks_linked,
			(int)usage.blocks_held);
}

bool teardown(struct scene *scene)
{
	bool is_good = true;

	for (enum role role = 0; role < ROLES; role++)
		if (!scene->is_dead[role])
			close_all(&scene->parties[role]);
	unlink_all(scene);
	for (enum role role = 0; role < ROLES; role++)
		if (!scene->is_dead[role] && scene->parties[role].client)
			is_good &= is_nothing_open(scene, &scene->parties[role]);
	is_good &= is_directory_empty(scene);
	return is_no_block_used(scene) && is_good;
}
