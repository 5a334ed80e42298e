/* SPDX-License-Identifier: MIT
 *
 * Locks: making, opening, closing, and the death of an owner. Knows: the row of the table of kinds.
 * Does not know: how a lock is taken (lock.c).
 */
#include "lock_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "lockword.h"
#include "object.h"
#include "opts.h"
#include "shmref.h"
#include "slot.h"
#include "sweep.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>

static int make_lock(struct seg *seg, struct self *me, void *object, const void *opts)
{
	const struct mp_lock_opts *wish = opts;
	struct shm_lock *shared = object;

	(void)seg;
	(void)me;
	store_relaxed(&shared->kind, wish->kind ? wish->kind : (uint32_t)MP_LOCK_CHECKED);
	store_relaxed(&shared->on_owner_death,
		      wish->on_owner_death ? wish->on_owner_death : (uint32_t)MP_OWNER_REPORT);
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
#define LOOKS_OF_A_DEATH 4096

static bool recover_lock(struct seg *seg, void *object, struct sweep *sweep)
{
	struct shm_lock *shared = object;
	uint64_t word = load_acquire(&shared->word);
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
		if (!cas_seqcst(&shared->word, &word, lock_word_after_death(word, poison)))
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

static bool lock_blocks(struct seg *seg, void *object, struct walk *walk, object_each each,
			void *arg)
{
	(void)seg;
	(void)object;
	(void)walk;
	(void)each;
	(void)arg;
	return true;
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
	.blocks = lock_blocks,
};

static int make_handle(const struct object_handle *handle, mp_lock **ret_lock)
{
	mp_lock *lock = malloc(sizeof *lock);
	struct shm_lock *shared = handle->object;

	if (!lock) {
		if (object_drop_handle(handle))
			object_let_go(handle->seg, handle->index);
		return explain(-ENOMEM, "no memory for a handle of a lock");
	}
	*lock = (mp_lock){ .handle = *handle,
			   .seg = handle->seg,
			   .shared = shared,
			   .kind = load_relaxed(&shared->kind) };
	*ret_lock = lock;
	return 0;
}

static int check_opts(const char *name, const struct mp_lock_opts *opts)
{
	struct opts_of what = { "lock", name };
	int error = opts_check_flags(what, opts->flags, MP_EXISTING | MP_EXCLUSIVE,
				     "MP_EXISTING MP_EXCLUSIVE");

	if (error == 0)
		error = opts_check_reserved(what, opts->reserved0, opts->reserved,
					    ARRAY_LEN(opts->reserved));
	if (error < 0)
		return error;
	if (opts->kind > MP_LOCK_RECURSIVE)
		return explain(-EINVAL, "lock '%s': opts.kind is %u, no enum mp_lock_kind",
			       opts_name(what), opts->kind);
	if (opts->on_owner_death > MP_OWNER_POISON)
		return explain(-EINVAL, "lock '%s': opts.on_owner_death is %u, no enum "
					"mp_owner_death", opts_name(what), opts->on_owner_death);
	return 0;
}

int mp_lock_open(mp_segment *segment, const char *name, const struct mp_lock_opts *opts,
		 mp_lock **ret_lock)
{
	KEEP_ERRNO;
	static const struct mp_lock_opts defaults;
	const struct mp_lock_opts *wish = opts ? opts : &defaults;
	struct object_request request = { .name = name,
					  .flags = wish->flags,
					  .type = &lock_type,
					  .bytes = sizeof(struct shm_lock),
					  .compare = compare_lock,
					  .make = make_lock,
					  .opts = wish };
	struct object_handle handle;
	int error = opts_check_handles((struct opts_of){ "lock", name }, segment, "ret_lock",
				       ret_lock);

	if (error < 0 || (error = check_opts(name, wish)) < 0)
		return error;
	error = object_open(object_seg(segment), &request, &handle);
	return error < 0 ? error : make_handle(&handle, ret_lock);
}

int mp_lock_from_id(mp_segment *segment, uint64_t id, mp_lock **ret_lock)
{
	KEEP_ERRNO;
	struct object_handle handle;
	int error = opts_check_handles((struct opts_of){ "lock", "(by id)" }, segment, "ret_lock",
				       ret_lock);

	if (error < 0)
		return error;
	error = object_from_id(object_seg(segment), id, &lock_type, &handle);
	return error < 0 ? error : make_handle(&handle, ret_lock);
}

/* The last handle goes while this process holds the lock: nobody could release it any more, and no
 * sweep would look at it. It ends as if its holder had died. */
static void give_up(mp_lock *lock)
{
	uint64_t owner = lock_word_owner(load_relaxed(&lock->shared->word));
	uint32_t owner_client = slot_client_of_who(lock->seg, owner);
	struct sweep sweep = { .seg = lock->seg,
			       .client = lock->seg->client,
			       .who = owner,
			       .died_ns = (uint64_t)clock_now_ns() };

	if (owner_client != SLOT_NONE && owner_client == lock->seg->client)
		recover_lock(lock->seg, lock->shared, &sweep);
}

mp_lock *mp_lock_close(mp_lock *lock)
{
	KEEP_ERRNO;
	if (!lock)
		return NULL;
	if (object_drop_handle(&lock->handle)) {
		give_up(lock);
		object_let_go(lock->seg, lock->handle.index);
	}
	free(lock);
	return NULL;
}

int mp_lock_unlink(mp_segment *segment, const char *name)
{
	KEEP_ERRNO;
	int error = opts_check_handles((struct opts_of){ "lock", name }, segment, "name", name);

	return error < 0 ? error : object_unlink(object_seg(segment), name, &lock_type);
}

uint64_t mp_lock_id(const mp_lock *lock)
{
	return lock ? lock->handle.id : 0;
}
