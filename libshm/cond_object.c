/* SPDX-License-Identifier: MIT
 *
 * Conditions: making, opening, closing, and the death of a waiter. Knows: the row of the table of
 * kinds, to which lock a condition belongs. Does not know: how one waits (cond.c), what the death
 * of a lock's holder means (lock_object.c).
 *
 * A dead waiter that had been notified may have been the only one to be told of something: all who
 * wait in the condition are woken, and only then is its entry freed. Whoever dies in between leaves
 * the entry to the next recoverer.
 */
#include "cond_internal.h"

#include "cond_wake.h"
#include "condword.h"
#include "errno_kept.h"
#include "explain.h"
#include "handle.h"
#include "opts.h"
#include "slot.h"
#include "sweep.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>

/* What an opener wants. */
struct cond_wish {
	const struct mp_cond_opts *opts;
	const struct mp_lock *lock;
};

static int check_lock(struct seg *seg, struct opts_of what, const void *opts)
{
	const struct cond_wish *wish = opts;

	if (!wish->lock)
		return explain(-EINVAL,
			       "condition '%s': lock must not be NULL; a condition belongs to the "
			       "lock that guards what is waited for",
			       opts_name(what));
	if (wish->lock->seg != seg)
		return explain(-EINVAL, "condition '%s': the lock '%s' is in segment '%s', the "
					"condition in '%s'",
			       opts_name(what), object_name(&wish->lock->handle),
			       wish->lock->seg->name, seg->name);
	return 0;
}

/* The name of the lock with that id; it may be gone. */
static const char *name_of_lock(const struct seg *seg, uint64_t id)
{
	uint32_t index = who_slot(id);
	uint64_t word = index < seg->at.max_objects ? load_acquire(&seg->directory[index].word) : 0;

	if (entry_word_generation(word) != who_generation(id) ||
	    entry_word_state(word) == ENTRY_FREE)
		return "one that is gone, so unlink the condition";
	return entry_word_state(word) == ENTRY_LIVE ? seg->directory[index].name
						    : "one without a name";
}

static void compare_lock(void *object, const void *opts, struct opts_difference *difference)
{
	const struct cond_wish *wish = opts;
	uint64_t id = load_relaxed(&((struct shm_cond *)object)->lock);
	char name[NAME_BYTES];

	if (id == wish->lock->handle.id)
		return;
	snprintf(name, sizeof name, "%.*s", NAME_BYTES - 1, name_of_lock(wish->lock->seg, id));
	opts_note_word(difference, "lock", name, object_name(&wish->lock->handle));
}

static int make_cond(struct seg *seg, struct self *me, void *object, const void *opts)
{
	const struct cond_wish *wish = opts;
	struct shm_cond *shared = object;

	(void)seg;
	(void)me;
	store_relaxed(&shared->lock, wish->lock->handle.id);
	/* Whoever waits in it will have released the lock since: that shows it to who recovers. */
	store_relaxed(&wish->lock->shared->conditions, 1);
	return 0;
}

/* --- the death of a waiter --- */

static void leave_members(struct shm_cond *shared, uint32_t thread)
{
	uint64_t bit = UINT64_C(1) << (thread % 64);

	if (load_relaxed(&shared->members.leaf[thread / 64]) & bit)
		and_seqcst(&shared->members.leaf[thread / 64], ~bit);
}

/* False: not in this turn. */
static bool end_wait(struct sweep *sweep, struct shm_cond *shared, uint32_t thread)
{
	atom64 *entry = &sweep->seg->threads[thread].cond_entry;
	uint64_t word = load_acquire(entry);

	while (cond_entry_state(word) != COND_FREE &&
	       cond_entry_is_of(word, shared->object.id) && sweep_is_current(sweep)) {
		if (cond_entry_state(word) == COND_NOTIFIED) {
			if (!turn_take(sweep->inside.turn, COND_WAKE_LOOKS))
				return false;
			cond_wake_all_of(sweep->seg, shared->object.id, sweep);
		}
		/* Fails if it was notified meanwhile: that has to be passed on too. */
		if (cas_seqcst(entry, &word, 0))
			break;
	}
	if (sweep_is_current(sweep))
		leave_members(shared, thread);
	return true;
}

static bool recover_cond(struct seg *seg, void *object, struct sweep *sweep)
{
	uint32_t high = seg_threads_high(seg);

	for (; sweep->inside.at + SLOT_FIRST < high; sweep->inside.at++) {
		uint32_t thread = sweep->inside.at + SLOT_FIRST;
		uint64_t word = load_acquire(&seg->threads[thread].word);

		if (!turn_take(sweep->inside.turn, 1))
			return false;
		if (sweep_has_thread(sweep, who_make(thread, thread_word_generation(word))) &&
		    !end_wait(sweep, object, thread))
			return false;
	}
	return true;
}

static struct shm_waiters *cond_waiters(void *object, unsigned condition)
{
	struct shm_cond *shared = object;

	return condition == WAIT_NOTIFIED ? &shared->waiters : NULL;
}

static bool is_notified(struct seg *seg, uint32_t thread, uint64_t id, uint32_t client)
{
	uint64_t entry = load_seqcst(&seg->threads[thread].cond_entry);

	return cond_entry_state(entry) == COND_NOTIFIED && cond_entry_is_of(entry, id) &&
	       thread_word_client(load_relaxed(&seg->threads[thread].word)) == client;
}

static bool cond_is_ready(struct seg *seg, void *object, unsigned condition, uint32_t client)
{
	struct shm_cond *shared = object;

	(void)condition;
	for (unsigned i = 0; i < ARRAY_LEN(shared->members.leaf); i++) {
		uint64_t bits = load_relaxed(&shared->members.leaf[i]);

		for (; bits && i * 64 + lowest_bit(bits) < seg->at.max_threads; bits &= bits - 1)
			if (is_notified(seg, i * 64 + lowest_bit(bits), shared->object.id, client))
				return true;
	}
	return false;
}

static uint64_t cond_progress(struct seg *seg, void *object, unsigned condition)
{
	struct shm_cond *shared = object;

	(void)seg;
	(void)condition;
	return load_relaxed(&shared->waits) + load_relaxed(&shared->notified);
}

extern const struct object_type cond_type;
const struct object_type cond_type = {
	.kind = OBJECT_CONDITION,
	.name = "condition",
	.bytes = sizeof(struct shm_cond),
	.recover = recover_cond,
	.waiters = cond_waiters,
	.is_ready = cond_is_ready,
	.progress = cond_progress,
};

/* --- life --- */

static int fill_handle(struct object_handle *handle)
{
	((mp_cond *)handle)->shared = handle->object;
	return 0;
}

static const struct handle_life life = {
	.type = &cond_type,
	.ret_name = "ret_cond",
	.handle_bytes = sizeof(mp_cond),
	.check = check_lock,
	.compare = compare_lock,
	.make = make_cond,
	.fill = fill_handle,
};

int mp_cond_open(mp_segment *segment, const char *name, mp_lock *lock,
		 const struct mp_cond_opts *opts, mp_cond **ret_cond)
{
	static const struct mp_cond_opts defaults;
	const struct mp_cond_opts *given = opts ? opts : &defaults;
	struct handle_wish wish = HANDLE_WISH(segment, name, given, ret_cond);
	struct cond_wish wants = { given, lock };
	struct object_handle *handle;
	int error;

	wish.opts = &wants;
	error = handle_open(&life, &wish, &handle);
	if (error < 0)
		return error;
	lock_share(lock, &((mp_cond *)handle)->lock);
	*ret_cond = (mp_cond *)handle;
	return 0;
}

int mp_cond_from_id(mp_segment *segment, uint64_t id, mp_cond **ret_cond)
{
	KEEP_ERRNO;
	struct object_handle *handle;
	int error = handle_from_id(&life, segment, id, ret_cond, &handle);
	mp_cond *cond;

	if (error < 0)
		return error;
	cond = (mp_cond *)handle;
	error = lock_join(handle->seg, load_relaxed(&cond->shared->lock), &cond->lock);
	if (error < 0) {
		handle_close(&life, handle);
		return error;
	}
	*ret_cond = cond;
	return 0;
}

mp_cond *mp_cond_close(mp_cond *cond)
{
	KEEP_ERRNO;
	if (cond)
		lock_leave(&cond->lock);
	handle_close(&life, cond ? &cond->handle : NULL);
	return NULL;
}

int mp_cond_unlink(mp_segment *segment, const char *name)
{
	return handle_unlink(&life, segment, name);
}

uint64_t mp_cond_id(const mp_cond *cond)
{
	return cond ? cond->handle.id : 0;
}
