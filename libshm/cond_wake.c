/* SPDX-License-Identifier: MIT
 *
 * See cond_wake.h.
 *
 * Each step may be done again, and by several at once: the CAS is from exactly the word that was
 * seen, and a ring too many is looked at and forgotten. Who called keeps what brought him here (the
 * dead owner in the lock's word, the dead thread's entry) until all are rung, so that another
 * begins anew where he dies.
 */
#include "cond_wake.h"

#include "condword.h"
#include "sweep.h"
#include "wait.h"

static bool is_of_cond(const struct shm_thread *thread, uint64_t entry, uint64_t id)
{
	(void)thread;
	return cond_entry_is_of(entry, id);
}

/* The word of the lock is written before the entry says WAITING. */
static bool is_of_lock(const struct shm_thread *thread, uint64_t entry, uint64_t id)
{
	(void)entry;
	return load_relaxed(&thread->cond_lock) == id;
}

static void notify_and_ring(struct seg *seg, uint32_t thread, uint64_t entry,
			    const struct sweep *sweep)
{
	if (sweep && !sweep_is_current(sweep))
		return;
	if (cond_entry_state(entry) == COND_WAITING &&
	    !cas_seqcst(&seg->threads[thread].cond_entry, &entry, cond_entry_notified(entry)) &&
	    cond_entry_state(entry) != COND_NOTIFIED)
		return; /* it is not waiting any more */
	wait_ring(seg, thread);
}

static void wake_all(struct seg *seg, const struct sweep *sweep, uint64_t id,
		     bool (*is_of)(const struct shm_thread *thread, uint64_t entry, uint64_t id))
{
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		uint64_t entry = load_acquire(&seg->threads[thread].cond_entry);

		if (cond_entry_state(entry) != COND_FREE &&
		    is_of(&seg->threads[thread], entry, id))
			notify_and_ring(seg, thread, entry, sweep);
	}
}

void cond_wake_all_of(struct seg *seg, uint64_t id, const struct sweep *sweep)
{
	wake_all(seg, sweep, id, is_of_cond);
}

void cond_wake_all_of_lock(struct seg *seg, uint64_t lock_id, const struct sweep *sweep)
{
	wake_all(seg, sweep, lock_id, is_of_lock);
}
