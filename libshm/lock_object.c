/* SPDX-License-Identifier: MIT
 *
 * Locks: making, opening, closing, and the death of an owner. Knows: the row of the table of kinds.
 * Does not know: how a lock is taken (lock.c).
 */
#include "lock_internal.h"

#include "clock.h"
#include "cond_wake.h"
#include "explain.h"
#include "handle.h"
#include "lock_heir.h"
#include "lockword.h"
#include "object_internal.h"
#include "opts.h"
#include "shmref.h"
#include "slot.h"
#include "sweep.h"
#include "wait.h"

#include <errno.h>

static int make_lock(struct seg *seg, struct self *me, void *object, const void *opts)
{
	const struct mp_lock_opts *wish = opts;
	struct shm_lock *shared = object;

	(void)seg;
	(void)me;
	store_relaxed(&shared->kind, wish->kind ? wish->kind : (uint32_t)MP_LOCK_CHECKED);
	store_relaxed(&shared->on_owner_death,
		      wish->on_owner_death ? wish->on_owner_death : (uint32_t)MP_OWNER_REPORT);
	store_relaxed(&shared->is_fair, wish->fair != 0);
	return 0;
}

const char *lock_kind_name(uint32_t kind)
{
	switch (kind) {
	case MP_LOCK_CHECKED: return "checked";
	case MP_LOCK_PLAIN: return "plain";
	case MP_LOCK_RECURSIVE: return "recursive";
	default: return "?";
	}
}

static const char *after_death(uint32_t on_owner_death)
{
	return on_owner_death == MP_OWNER_POISON ? "poison" : "report";
}

static void compare_lock(void *object, const void *opts, struct opts_difference *difference)
{
	struct shm_lock *shared = object;
	const struct mp_lock_opts *wish = opts;

	opts_note_word(difference, "kind", lock_kind_name(load_relaxed(&shared->kind)),
		       wish->kind ? lock_kind_name(wish->kind) : NULL);
	opts_note_word(difference, "on_owner_death",
		       after_death(load_relaxed(&shared->on_owner_death)),
		       wish->on_owner_death ? after_death(wish->on_owner_death) : NULL);
	opts_note_word(difference, "fair", load_relaxed(&shared->is_fair) ? "1" : "0",
		       wish->fair ? "1" : NULL);
}

/* Where that thread had taken the lock, as its list of held locks says; 0: it does not say. */
static uint64_t site_of(struct seg *seg, uint64_t who, uint64_t offset)
{
	struct shm_thread *thread = &seg->threads[who_slot(who)];
	uint32_t count = load_relaxed(&thread->held_count);

	for (uint32_t i = 0; i < count && i < HELD_MAX; i++)
		if (load_relaxed(&thread->held[i].object) == offset)
			return load_relaxed(&thread->held[i].site);
	return 0;
}

/* Rings take longer than looks. */
#define LOOKS_OF_A_DEATH (4096 + COND_WAKE_LOOKS)
static_assert(LOOKS_OF_A_DEATH < TURN_STEP_MAX, "a turn has to have room for a death");

static bool recover_lock(struct seg *seg, void *object, struct sweep *sweep)
{
	struct shm_lock *shared = object;
	uint64_t word = load_acquire(&shared->word), next;
	bool poison = load_relaxed(&shared->on_owner_death) == MP_OWNER_POISON;
	/* Read before the sweep is asked whether it is current: else it is another's. */
	uint32_t pid = client_word_pid(slot_client_word(seg, sweep->client));

	if (sweep_has_thread(sweep, lock_word_owner(word)) &&
	    !turn_take(sweep->inside.turn, LOOKS_OF_A_DEATH))
		return false;
	while (sweep_has_thread(sweep, lock_word_owner(word)) && sweep_is_current(sweep)) {
		/* Several recoverers store the same; before the CAS that says DIED. */
		store_relaxed(&shared->died_who, lock_word_owner(word));
		store_relaxed(&shared->died_ns, sweep->died_ns);
		store_relaxed(&shared->died_pid, pid);
		store_relaxed(&shared->died_site, site_of(seg, lock_word_owner(word),
							  shm_offset(seg, shared)));
		/* First: it may have been about to notify. A recoverer that dies after it has freed
		 * the lock could not be followed by another. */
		if (load_relaxed(&shared->conditions))
			cond_wake_all_of_lock(seg, shared->object.id, sweep);
		next = lock_word_after_death(word, poison);
		if (!poison)
			next = lock_heir_next(seg, shared, next);
		if (!cas_seqcst(&shared->word, &word, next))
			continue;
		add_relaxed(&shared->deaths, 1);
		wait_wake_all(seg, NULL, &shared->waiters);
		break;
	}
	return true;
}

static struct shm_waiters *lock_waiters(void *object, unsigned condition)
{
	struct shm_lock *shared = object;

	return condition == WAIT_ACQUIRABLE ? &shared->waiters : NULL;
}

static bool lock_is_ready(struct seg *seg, void *object, unsigned condition, uint32_t client)
{
	struct shm_lock *shared = object;

	(void)seg;
	(void)condition;
	(void)client;
	return lock_word_is_free(load_seqcst(&shared->word));
}

static uint64_t lock_progress(struct seg *seg, void *object, unsigned condition)
{
	struct shm_lock *shared = object;

	(void)seg;
	(void)condition;
	return load_relaxed(&shared->grants) + load_relaxed(&shared->word);
}

extern const struct object_type lock_type;
const struct object_type lock_type = {
	.kind = OBJECT_LOCK,
	.name = "lock",
	.bytes = sizeof(struct shm_lock),
	.recover = recover_lock,
	.waiters = lock_waiters,
	.is_ready = lock_is_ready,
	.progress = lock_progress,
};

static int fill_handle(struct object_handle *handle)
{
	mp_lock *lock = (mp_lock *)handle;

	lock->seg = handle->seg;
	lock->shared = handle->object;
	lock->kind = load_relaxed(&lock->shared->kind);
	return 0;
}

static int check_opts(struct seg *seg, struct opts_of what, const void *opts)
{
	const struct mp_lock_opts *wish = opts;

	(void)seg;
	if (wish->kind > MP_LOCK_RECURSIVE)
		return explain(-EINVAL, "lock '%s': opts.kind is %u, no enum mp_lock_kind",
			       opts_name(what), wish->kind);
	if (wish->on_owner_death > MP_OWNER_POISON)
		return explain(-EINVAL, "lock '%s': opts.on_owner_death is %u, no enum "
					"mp_owner_death", opts_name(what), wish->on_owner_death);
	if (wish->fair > 1 || wish->reserved1)
		return explain(-EINVAL, "lock '%s': opts.fair is %u and opts.reserved1 %u, 0 or 1 "
					"and 0 are known", opts_name(what), wish->fair,
			       wish->reserved1);
	return 0;
}

/* The last handle goes while this process holds the lock: nobody could release it any more, and no
 * sweep would look at it. It ends as if its holder had died. */
static void give_up(struct object_handle *handle)
{
	mp_lock *lock = (mp_lock *)handle;
	uint64_t owner = lock_word_owner(load_relaxed(&lock->shared->word));
	uint32_t owner_client = slot_client_of_who(lock->seg, owner);
	struct sweep sweep = { .seg = lock->seg,
			       .client = lock->seg->client,
			       .who = owner,
			       .died_ns = (uint64_t)clock_now_ns() };

	if (owner_client != SLOT_NONE && owner_client == lock->seg->client)
		recover_lock(lock->seg, lock->shared, &sweep);
}

static const struct handle_life life = {
	.type = &lock_type,
	.ret_name = "ret_lock",
	.handle_bytes = sizeof(mp_lock),
	.check = check_opts,
	.compare = compare_lock,
	.make = make_lock,
	.fill = fill_handle,
	.give_up = give_up,
};

int mp_lock_open(mp_segment *segment, const char *name, const struct mp_lock_opts *opts,
		 mp_lock **ret_lock)
{
	static const struct mp_lock_opts defaults;
	const struct mp_lock_opts *given = opts ? opts : &defaults;
	struct handle_wish wish = HANDLE_WISH(segment, name, given, ret_lock);
	struct object_handle *handle;
	int error = handle_open(&life, &wish, &handle);

	if (error == 0)
		*ret_lock = (mp_lock *)handle;
	return error;
}

int mp_lock_from_id(mp_segment *segment, uint64_t id, mp_lock **ret_lock)
{
	struct object_handle *handle;
	int error = handle_from_id(&life, segment, id, ret_lock, &handle);

	if (error == 0)
		*ret_lock = (mp_lock *)handle;
	return error;
}

mp_lock *mp_lock_close(mp_lock *lock)
{
	handle_close(&life, lock ? &lock->handle : NULL);
	return NULL;
}

int mp_lock_unlink(mp_segment *segment, const char *name)
{
	return handle_unlink(&life, segment, name);
}

uint64_t mp_lock_id(const mp_lock *lock)
{
	return lock ? lock->handle.id : 0;
}

/* --- for conditions --- */

void lock_share(const struct mp_lock *lock, struct mp_lock *ret_lock)
{
	*ret_lock = *lock;
	object_take_handle(lock->seg, lock->handle.index, who_generation(lock->handle.id));
}

int lock_join(struct seg *seg, uint64_t id, struct mp_lock *ret_lock)
{
	int error = object_from_id(seg, id, &lock_type, &ret_lock->handle);

	return error < 0 ? error : fill_handle(&ret_lock->handle);
}

void lock_leave(struct mp_lock *lock)
{
	if (!object_drop_handle(&lock->handle))
		return;
	give_up(&lock->handle);
	object_let_go(lock->seg, lock->handle.index);
}
