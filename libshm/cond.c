/* SPDX-License-Identifier: MIT
 *
 * Conditions: wait and notify. Knows: the transitions of a waiting thread's entry (condword.h), who
 * waits. Does not know: how a lock is taken or how to sleep, who is alive, how conditions are made.
 *
 * The entry is in the slot of the thread, not in the condition: so whoever recovers a lock finds
 * all that wait in its conditions without holding one of them. Both wait and notify require the
 * lock: it orders tickets, the set of members and who is chosen. Only recovery acts from outside,
 * by CAS.
 *
 *   wait     member, lock's id, entry WAITING - release all levels - sleep until the entry says
 *            otherwise - take the lock again - entry FREE, not a member: only here a notification
 *            is used up, with the lock, so that who recovers the lock sees the death of its user
 *   notify   choose the oldest WAITING - CAS to NOTIFIED; it was swept: choose again - ring
 *
 * | killed                                  | who would sleep for ever | who wakes them          |
 * | waiter: WAITING                         | nobody: not chosen       | the sweep frees it      |
 * | waiter: chosen and dead, or NOTIFIED    | the next waiter          | the sweep wakes all     |
 * | waiter: has the lock, entry FREE        | all: nobody notifies     | recovery of the lock    |
 * | notifier: before the CAS                | all                      | the same                |
 * | notifier: after the CAS, before the ring| whom it had chosen       | the same: it rings also |
 * |                                         |                          | who is NOTIFIED         |
 * | holder: before it notifies              | all                      | the same                |
 * | recoverer: anywhere                     | whom it has not rung     | the next: see cond_wake |
 *
 * Recovery wakes before it frees the lock, else it could die with the lock free and nobody woken. A
 * waiter whose time is over looks at its entry when it has the lock: one that was chosen meanwhile
 * was notified, and says so. Broadcasts of deaths make waits return 0 early; wait_for hides it.
 *
 * Overlaps: whoever changes an entry has the lock, or is its thread; recovery alone may CAS one
 * from WAITING to NOTIFIED at any time. With a plain lock that another released in the
 * middle, two may notify at once: each CAS chooses another.
 */
#include "cond_internal.h"

#include "clock.h"
#include "cond_wake.h"
#include "condword.h"
#include "errno_kept.h"
#include "explain.h"
#include "opts.h"
#include "slot.h"
#include "wait.h"

#include <errno.h>

static cold int refuse_stranger(mp_cond *cond)
{
	struct mp_who who;

	if (mp_lock_owner(&cond->lock, &who) < 0)
		return explain(-EPERM, "condition '%s': nobody holds its lock; take it before you "
				       "wait or notify",
			       object_name(&cond->handle));
	return explain(-EPERM, "condition '%s': its lock is held by %s[%u] thread %u; take it "
			       "before you wait or notify",
		       object_name(&cond->handle), who.name, who.pid, who.tid);
}

/* 0 with this thread, or -errno: it does not hold the lock. */
static int holder(const char *call, mp_cond *cond, struct self **ret_me)
{
	int error;

	if (unlikely(!cond))
		return opts_refuse_null(call, "condition");
	error = self_get(cond->handle.seg, ret_me);
	if (unlikely(error < 0))
		return error;
	return likely(lock_is_held_by(&cond->lock, *ret_me)) ? 0 : refuse_stranger(cond);
}

/* --- wait --- */

struct cond_wait {
	const atom64 *entry;
	uint64_t mine; /* what it says until somebody notifies */
};

/* edge cond_notify: acquire. The lock orders what it guards; this orders the wake. */
static bool is_over(void *arg)
{
	struct cond_wait *wait = arg;

	return load_seqcst((atom64 *)wait->entry) != wait->mine;
}

static atom64 *leaf_of(struct mp_cond *cond, const struct self *me)
{
	return &cond->shared->members.leaf[me->thread / 64];
}

/* With the lock: from here on it can be chosen. */
static uint64_t announce(struct mp_cond *cond, struct self *me)
{
	uint64_t ticket = load_relaxed(&cond->shared->waits);
	uint64_t mine = cond_entry_waiting(cond->handle.id, ticket);

	store_relaxed(&cond->shared->waits, ticket + 1);
	or_seqcst(leaf_of(cond, me), UINT64_C(1) << (me->thread % 64));
	store_relaxed(&me->shared->cond_lock, cond->lock.handle.id);
	/* edge cond_entry: release -> the acquire of who looks; makes cond_lock visible */
	store_release(&me->shared->cond_entry, mine);
	return mine;
}

/* With the lock again: the notification, if there was one, is used up. */
static bool leave(struct mp_cond *cond, struct self *me)
{
	uint64_t entry = swap_seqcst(&me->shared->cond_entry, 0);

	and_seqcst(leaf_of(cond, me), ~(UINT64_C(1) << (me->thread % 64)));
	return cond_entry_state(entry) == COND_NOTIFIED;
}

static int sleep_until_notified(struct mp_cond *cond, struct self *me, uint64_t mine,
				int64_t deadline_ns)
{
	struct cond_wait wait = { &me->shared->cond_entry, mine };
	struct wait_point point = { .set = &cond->shared->waiters,
				    .record = cond->handle.offset | WAIT_NOTIFIED,
				    .is_ready = is_over,
				    .object = &wait };
	int64_t began = clock_now_ns();
	int error = 0;

	while (error == 0 && !is_over(&wait)) {
		error = wait_until(me, &point, deadline_ns);
		if (error == 0 && clock_is_past(deadline_ns))
			error = -ETIMEDOUT;
	}
	add_relaxed(&cond->shared->wait_ns, (uint64_t)(clock_now_ns() - began));
	return error;
}

static cold int explain_lock_lost(struct mp_cond *cond)
{
	return explain(-ENOTRECOVERABLE,
		       "condition '%s': process %u died holding its lock, which this thread does "
		       "not hold now; take it with mp_lock_repair and mend what it guards",
		       object_name(&cond->handle), load_relaxed(&cond->lock.shared->died_pid));
}

static cold int explain_wait(struct mp_cond *cond, int error)
{
	if (error == -EAGAIN)
		return explain_later(error, "condition", object_raw_name(&cond->handle),
				     "nobody has notified just now");
	return explain(error, "condition '%s': %s", object_name(&cond->handle),
		       error == -ETIMEDOUT ? "nobody has notified in that time"
					   : wait_trouble(error));
}

/* A plain lock that another thread released between the look and the release. */
static cold int withdraw(struct mp_cond *cond, struct self *me)
{
	if (leave(cond, me))
		cond_wake_all_of(cond->handle.seg, cond->handle.id, NULL);
	return refuse_stranger(cond);
}

/* By the holder. MP_NOW has no deadline to sleep to: 0. */
static int wait_once(struct mp_cond *cond, struct self *me, int64_t deadline_ns, uint64_t site)
{
	/* What a sleep needs is there before anything is given away. */
	int error = self_park(me), result;
	uint32_t levels;
	uint64_t mine;

	if (error < 0)
		return explain_wait(cond, error);
	mine = announce(cond, me);
	if (lock_release_levels(&cond->lock, &levels) < 0)
		return withdraw(cond, me);
	error = deadline_ns ? sleep_until_notified(cond, me, mine, deadline_ns) : -EAGAIN;
	result = lock_take_levels(&cond->lock, me, levels, site);
	if (leave(cond, me))
		error = 0;
	if (result < 0)
		return explain_lock_lost(cond);
	if (result > 0)
		return result;
	return error < 0 ? explain_wait(cond, error) : 0;
}

int mp_cond_wait(mp_cond *cond, int64_t timeout)
{
	KEEP_ERRNO;
	struct self *me;
	int error = holder(__func__, cond, &me);

	if (error < 0)
		return error;
	return wait_once(cond, me, timeout > 0 ? clock_deadline_ns(timeout) : 0, call_site());
}

/* Did the wait end for a reason that more waiting would not mend? The lock is held. */
static bool is_time_over(int waited)
{
	return waited == -ETIMEDOUT || waited == -EAGAIN || waited == -EINTR;
}

int mp_cond_wait_for(mp_cond *cond, int (*predicate)(void *arg), void *arg, int64_t timeout)
{
	KEEP_ERRNO;
	int64_t deadline_ns = clock_deadline_ns(timeout);
	int waited = timeout > 0 ? 0 : -EAGAIN;
	struct self *me;
	int error = holder(__func__, cond, &me);

	if (error < 0)
		return error;
	if (!predicate)
		return explain(-EINVAL, "condition '%s': predicate must not be NULL",
			       object_name(&cond->handle));
	while (!predicate(arg)) {
		if (waited < 0)
			return explain_wait(cond, waited);
		if (!lock_is_held_by(&cond->lock, me))
			return refuse_stranger(cond); /* it was the predicate that released it */
		waited = wait_once(cond, me, deadline_ns, call_site());
		if (waited != 0 && !is_time_over(waited))
			return waited;
	}
	return 0;
}

/* --- notify --- */

/* What is known to be dead is left to the sweep: it would have to pass the notification on. */
static bool is_waiting(const struct mp_cond *cond, uint32_t thread, uint64_t entry)
{
	struct seg *seg = cond->handle.seg;
	uint32_t client = thread_word_client(load_relaxed(&seg->threads[thread].word));

	return cond_entry_state(entry) == COND_WAITING &&
	       cond_entry_is_of(entry, cond->handle.id) &&
	       client_word_state(slot_client_word(seg, client)) != SLOT_DEAD;
}

/* A member that waits. */
struct candidate {
	uint32_t thread;
	uint64_t entry;
};

/* The next one from `from` on; false: there is none. */
static bool next_waiting(const struct mp_cond *cond, uint32_t from, struct candidate *ret_next)
{
	struct seg *seg = cond->handle.seg;

	for (uint32_t i = from / 64; i < ARRAY_LEN(cond->shared->members.leaf); i++) {
		uint64_t bits = load_relaxed(&cond->shared->members.leaf[i]);

		if (i == from / 64)
			bits &= ~UINT64_C(0) << (from % 64);
		for (; bits; bits &= bits - 1) {
			ret_next->thread = i * 64 + lowest_bit(bits);
			if (ret_next->thread >= seg->at.max_threads)
				return false;
			ret_next->entry = load_acquire(&seg->threads[ret_next->thread].cond_entry);
			if (is_waiting(cond, ret_next->thread, ret_next->entry))
				return true;
		}
	}
	return false;
}

/* The one that has waited longest; false: nobody waits. */
static bool choose_oldest(const struct mp_cond *cond, struct candidate *ret_oldest)
{
	struct candidate next;

	if (!next_waiting(cond, 0, ret_oldest))
		return false;
	for (next = *ret_oldest; next_waiting(cond, next.thread + 1, &next);)
		if (cond_entry_is_older(next.entry, ret_oldest->entry))
			*ret_oldest = next;
	return true;
}

/* Who sleeps has his bit: it is a token that owes one ring. Who has none looks again by himself. */
static void ring(struct mp_cond *cond, struct self *me, uint32_t thread)
{
	atom64 *leaf = &cond->shared->waiters.leaf[thread / 64];
	uint64_t bit = UINT64_C(1) << (thread % 64);

	if (!(load_seqcst(leaf) & bit) || !(and_seqcst(leaf, ~bit) & bit))
		return;
	count_own(&me->shared->rings, 1);
	wait_ring(cond->handle.seg, thread);
}

/* False: it was swept, or woken by who recovers, since it was looked at. */
static bool notify_one(struct mp_cond *cond, struct self *me, struct candidate *waiting)
{
	atom64 *entry = &cond->handle.seg->threads[waiting->thread].cond_entry;

	/* edge cond_notify: release; seq_cst, before the look for its bit */
	if (!cas_seqcst(entry, &waiting->entry, cond_entry_notified(waiting->entry)))
		return false;
	ring(cond, me, waiting->thread);
	return true;
}

static int count_notified(struct mp_cond *cond, unsigned notified)
{
	if (notified)
		count_own(&cond->shared->notified, notified);
	else
		count_own(&cond->shared->lost, 1);
	return (int)notified;
}

static unsigned notify_oldest(struct mp_cond *cond, struct self *me, unsigned count)
{
	struct candidate oldest;
	unsigned notified = 0;

	/* A turn that notifies nobody is one in which another has ended a wait; nobody can begin
	 * one. With forged entries it ends too. */
	for (unsigned turn = 0; turn < 2 * THREADS_MAX && notified < count; turn++) {
		if (!choose_oldest(cond, &oldest))
			break;
		notified += notify_one(cond, me, &oldest);
	}
	return notified;
}

static unsigned notify_each(struct mp_cond *cond, struct self *me)
{
	struct candidate next;
	unsigned notified = 0;

	for (uint32_t from = 0; next_waiting(cond, from, &next); from = next.thread + 1)
		notified += notify_one(cond, me, &next);
	return notified;
}

int mp_cond_notify(mp_cond *cond, int count)
{
	struct self *me;
	int error = holder(__func__, cond, &me);

	if (unlikely(error < 0))
		return error;
	if (count < 1)
		return explain(-EINVAL, "condition '%s': count is %d, nobody would be woken",
			       object_name(&cond->handle), count);
	return count_notified(cond, notify_oldest(cond, me, (unsigned)count));
}

int mp_cond_notify_all(mp_cond *cond)
{
	struct self *me;
	int error = holder(__func__, cond, &me);

	return unlikely(error < 0) ? error : count_notified(cond, notify_each(cond, me));
}
