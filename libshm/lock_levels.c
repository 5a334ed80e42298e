/* SPDX-License-Identifier: MIT
 *
 * A lock given away whole, and taken again as often: what a condition does with its lock. Knows:
 * the levels of recursion, the list of held locks. Does not know: how a lock is taken (lock.c), who
 * waits for what.
 *
 * Killed between the first step and the last: the lock is held or it is not. Whoever takes it after
 * a dead holder begins at the first level, so a level that was noted here and is lost harms nobody.
 */
#include "lock_internal.h"

#include "lockword.h"

#include <errno.h>

bool lock_is_held_by(const struct mp_lock *lock, const struct self *me)
{
	uint64_t owner = lock_word_owner(load_relaxed(&lock->shared->word));

	if (owner == 0)
		return false;
	return owner == (lock->kind == MP_LOCK_PLAIN ? load_acquire(&lock->seg->anchor) : me->who);
}

int lock_release_levels(struct mp_lock *lock, uint32_t *ret_levels)
{
	*ret_levels = load_relaxed(&lock->shared->depth);
	store_relaxed(&lock->shared->depth, 0);
	return mp_lock_release(lock);
}

/* Tools show where the caller waits, and not the line of ours that took the lock. */
static void note_site(struct shm_thread *shared, uint64_t offset, uint64_t site)
{
	uint32_t count = load_relaxed(&shared->held_count);

	if (count > 0 && count <= HELD_MAX &&
	    load_relaxed(&shared->held[count - 1].object) == offset)
		store_relaxed(&shared->held[count - 1].site, site);
}

int lock_take_levels(struct mp_lock *lock, struct self *me, uint32_t levels, uint64_t site)
{
	int result;

	/* Whoever gave it away is promised that he has it again, whatever signals come. */
	do
		result = mp_lock_acquire(lock, MP_FOREVER);
	while (result < 0 && result != -ENOTRECOVERABLE);
	if (result < 0)
		return result;
	store_relaxed(&lock->shared->depth, levels);
	note_site(me->shared, lock->handle.offset, site);
	return result;
}
