/* SPDX-License-Identifier: MIT
 *
 * Locks: acquire and release. Knows: the transitions of the lock word (lockword.h), recursion, the
 * list of held locks. Does not know: how to sleep, who is alive, how locks are made or recovered
 * (lock_object.c).
 *
 * Progress: acquire and release of a free lock are one CAS each. A waiter depends on the holder
 * alone; a dead holder is released on his behalf by whoever notices first.
 *
 * Who waits sets its bit in `waiters`, then WAIT in the word. The releaser's CAS fails on a word
 * with WAIT, so only then does it look for waiters and promises the lock to one (lock_heir.c). Who
 * begins to wait changes the word, so a release that has not seen his bit fails and looks again, or
 * he sees the lock free.
 *
 * | killed after            | the word says | repair                      | next taker       |
 * | CAS acquire             | dead owner    | CAS to free with DIED       | MP_OWNER_DIED    |
 * | anything while held     | dead owner    | the same; depth is reset by the DIED taker      |
 * | CAS release, no ring    | free, WAIT    | the audit rings a waiter    | nothing special  |
 * | bit set, WAIT not set   | as it was     | the sweep takes the bit     | nothing special  |
 * | recovery before its CAS | dead owner    | the next recoverer          | MP_OWNER_DIED    |
 *
 * Overlaps: every step changes the one word by CAS; recovery changes exactly the dead owner's word.
 */
#include "lock_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "lock_heir.h"
#include "lockword.h"
#include "object.h"
#include "opts.h"
#include "shmref.h"
#include "slot.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A question costs a microsecond. */
#define OWNER_BYTES (NAME_BYTES + 48)
#define POLLS_BEFORE_ASKING 16

/* What a waiter's callbacks need. */
struct lock_wait {
	struct mp_lock *lock;
	struct self *me;
	uint64_t began; /* the grants when WAIT was seen in the word */
	bool has_begun;
};

/* Whose death would let others go on: the owner, or whom it is promised to. */
static uint32_t blocker(struct mp_lock *lock)
{
	uint64_t word = load_relaxed(&lock->shared->word);
	uint32_t heir = lock_word_heir(word);

	if (lock_word_is_free(word) && heir > 0 && heir < lock->seg->at.max_threads)
		return thread_word_client(load_acquire(&lock->seg->threads[heir].word));
	return slot_client_of_who(lock->seg, lock_word_owner(word));
}

static bool is_owned_by(struct self *me, uint64_t word)
{
	uint64_t owner = lock_word_owner(word);

	return owner == me->who || (owner && owner == load_relaxed(&me->seg->anchor));
}

/* Held locks: a hint for tools and for the report of a death. */
static void drop_stale_held(struct self *me)
{
	struct shm_thread *shared = me->shared;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < HELD_MAX; i++) {
		uint64_t offset = load_relaxed(&shared->held[i].object);
		struct shm_lock *lock = shm_at(me->seg, struct shm_lock, offset);

		if (!lock || !is_owned_by(me, load_relaxed(&lock->word)))
			continue;
		store_relaxed(&shared->held[kept].object, offset);
		store_relaxed(&shared->held[kept].site, load_relaxed(&shared->held[i].site));
		kept++;
	}
	store_relaxed(&shared->held_count, kept);
}

static inline void push_held(struct self *me, uint64_t offset, uint64_t site)
{
	struct shm_thread *shared = me->shared;
	uint32_t count = load_relaxed(&shared->held_count);

	if (unlikely(count >= HELD_MAX)) {
		drop_stale_held(me);
		count = load_relaxed(&shared->held_count);
		if (count >= HELD_MAX)
			return;
	}
	store_relaxed(&shared->held[count].object, offset);
	store_relaxed(&shared->held[count].site, site);
	store_relaxed(&shared->held_count, count + 1);
}

static void pop_held_below(struct shm_thread *shared, uint32_t count, uint64_t offset)
{
	uint32_t i = count;

	while (i > 0 && load_relaxed(&shared->held[i - 1].object) != offset)
		i--;
	if (i == 0)
		return;
	for (; i < count; i++) {
		store_relaxed(&shared->held[i - 1].object, load_relaxed(&shared->held[i].object));
		store_relaxed(&shared->held[i - 1].site, load_relaxed(&shared->held[i].site));
	}
	store_relaxed(&shared->held_count, count - 1);
}

static inline void pop_held(struct self *me, uint64_t offset)
{
	struct shm_thread *shared = me->shared;
	uint32_t count = load_relaxed(&shared->held_count);

	if (likely(count > 0 && count <= HELD_MAX &&
		   load_relaxed(&shared->held[count - 1].object) == offset))
		store_relaxed(&shared->held_count, count - 1);
	else if (count <= HELD_MAX)
		pop_held_below(shared, count, offset);
}

static inline int entered(struct mp_lock *lock, struct self *me, uint64_t site, int result)
{
	count_own(&lock->shared->grants, 1); /* ours alone while we hold it */
	push_held(me, lock->handle.offset, site);
	return result;
}

/* Who takes it, as its word will say: this thread, or of a plain lock this process. */
static inline int identity(struct mp_lock *lock, struct self *me, uint64_t *ret_who)
{
	if (unlikely(lock->kind == MP_LOCK_PLAIN))
		return self_anchor(lock->seg, ret_who);
	*ret_who = me->who;
	return 0;
}

/* The word names us already. */
static int acquire_again(struct mp_lock *lock)
{
	if (lock->kind == MP_LOCK_RECURSIVE) {
		store_relaxed(&lock->shared->depth, load_relaxed(&lock->shared->depth) + 1);
		return 0;
	}
	return explain(-EDEADLK,
		       "this thread holds the lock '%s' already; release it first, or open "
		       "it as MP_LOCK_RECURSIVE",
		       object_name(&lock->handle));
}

static cold int refuse_poisoned(struct mp_lock *lock)
{
	int64_t age_ns = clock_now_ns() - (int64_t)load_relaxed(&lock->shared->died_ns);

	return explain(-ENOTRECOVERABLE,
		       "process %u died %.1f s ago and held lock '%s'; take it with "
		       "mp_lock_repair and mend what it guards",
		       load_relaxed(&lock->shared->died_pid), (double)age_ns / 1e9,
		       object_name(&lock->handle));
}

/* 0, MP_OWNER_DIED, -EAGAIN (somebody else holds it), -EDEADLK, -ENOTRECOVERABLE. */
static int try_acquire(struct mp_lock *lock, struct self *me, bool *ret_is_again)
{
	uint64_t word = load_relaxed(&lock->shared->word), held, who;
	int error = identity(lock, me, &who);

	if (error < 0)
		return error;

	do {
		if (lock_word_owner(word) == me->who && lock->kind != MP_LOCK_PLAIN) {
			*ret_is_again = true;
			return acquire_again(lock);
		}
		if (lock_word_is_free(word) && (word & LOCK_POISON))
			return refuse_poisoned(lock);
		held = lock_heir_in_force(lock->seg, lock->shared, word);
		if (!lock_word_is_open_to(held, me->thread))
			return -EAGAIN;
	} while (!cas_acquire(&lock->shared->word, &word, lock_word_taken(held, who, me->thread)));
	if (held != word)
		add_relaxed(&lock->shared->passed_over, 1);
	if (!(word & LOCK_DIED))
		return 0;
	store_relaxed(&lock->shared->depth, 0); /* the dead one's recursion */
	return MP_OWNER_DIED;
}

static bool is_open_to(struct lock_wait *wait, uint64_t word)
{
	struct mp_lock *lock = wait->lock;

	return lock_word_is_open_to(lock_heir_in_force(lock->seg, lock->shared, word),
				    wait->me->thread);
}

static bool wait_is_ready(void *arg)
{
	struct lock_wait *wait = arg;

	return is_open_to(wait, load_seqcst(&wait->lock->shared->word));
}

/* S4 of wait.c: it can be had, or WAIT is in the word, so that the release cannot miss us. */
static bool wait_mark(void *arg)
{
	struct lock_wait *wait = arg;
	struct shm_lock *shared = wait->lock->shared;
	uint64_t word = load_seqcst(&shared->word);

	while (!is_open_to(wait, word)) {
		if (wait->has_begun && (word & LOCK_WAIT))
			return false;
		if (!cas_seqcst(&shared->word, &word, lock_word_waited_for(word)))
			continue;
		if (!wait->has_begun)
			wait->began = load_relaxed(&shared->grants);
		wait->has_begun = true;
		return false;
	}
	return true;
}

static uint32_t wait_blocker(void *arg)
{
	struct lock_wait *wait = arg;

	return blocker(wait->lock);
}

static bool find_owner(struct mp_lock *lock, struct mp_who *ret_who)
{
	uint64_t who = lock_word_owner(load_acquire(&lock->shared->word));
	uint32_t client = slot_client_of_who(lock->seg, who);

	if (who == 0 || client == SLOT_NONE || client >= lock->seg->at.max_clients)
		return false;
	memset(ret_who, 0, sizeof *ret_who);
	ret_who->slot = who_slot(who);
	if (slot_is_of_our_namespace(lock->seg, client)) { /* else they name somebody else here */
		ret_who->tid = load_relaxed(&lock->seg->threads[who_slot(who)].tid);
		ret_who->pid = client_word_pid(slot_client_word(lock->seg, client));
	}
	snprintf(ret_who->name, sizeof ret_who->name, "%.*s", NAME_BYTES - 1,
		 lock->seg->clients[client].name);
	return true;
}

/* "worker[12] thread 13" */
static const char *name_owner(const struct mp_who *who, char text[static OWNER_BYTES])
{
	if (who->pid)
		snprintf(text, OWNER_BYTES, "%s[%u] thread %u", who->name, who->pid, who->tid);
	else
		snprintf(text, OWNER_BYTES, "%s in another PID namespace", who->name);
	return text;
}

static int explain_timeout(struct mp_lock *lock, int error)
{
	char owner[OWNER_BYTES];
	struct mp_who who;

	if (!find_owner(lock, &who))
		return explain(error, "the lock '%s' was just released; try again",
			       object_name(&lock->handle));
	return explain(error, "the lock '%s' is held by %s", object_name(&lock->handle),
		       name_owner(&who, owner));
}

/* The wait ended without the lock. */
static cold int explain_wait(struct mp_lock *lock, int error)
{
	if (error == -ETIMEDOUT)
		return explain_timeout(lock, error);
	return explain(error, "lock '%s': %s", object_name(&lock->handle), wait_trouble(error));
}

/* With the lock: how often others had it since we stood in the line. */
static void note_overtaking(const struct lock_wait *wait)
{
	struct shm_lock *shared = wait->lock->shared;
	uint64_t count = load_relaxed(&shared->grants) - wait->began;

	if (wait->has_begun && count > load_relaxed(&shared->overtaken_most))
		store_relaxed(&shared->overtaken_most,
			      count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
}

static int wait_in_line(struct lock_wait *wait, int64_t deadline_ns, bool *ret_is_again)
{
	struct mp_lock *lock = wait->lock;
	struct wait_point point = { .set = &lock->shared->waiters,
				    .record = lock->handle.offset | WAIT_ACQUIRABLE,
				    .is_ready = wait_is_ready,
				    .mark = wait_mark,
				    .blocker = wait_blocker,
				    .keeps_record = true,
				    .object = wait };
	int result, waited = 0;

	store_relaxed(&wait->me->shared->passed_at, load_relaxed(&lock->shared->grants));
	do {
		result = try_acquire(lock, wait->me, ret_is_again);
		if (result != -EAGAIN || waited < 0)
			break;
		waited = wait_until(wait->me, &point, deadline_ns);
		if (waited == 0 && clock_is_past(deadline_ns))
			waited = -ETIMEDOUT;
	} while (true);
	wait_end(wait->me);
	return result == -EAGAIN ? explain_wait(lock, waited) : result;
}

static int wait_for_lock(struct mp_lock *lock, struct self *me, int64_t timeout,
			 bool *ret_is_again)
{
	struct lock_wait wait = { .lock = lock, .me = me };
	int64_t began = clock_now_ns();
	int result;

	add_relaxed(&lock->shared->contended, 1);
	result = wait_in_line(&wait, clock_deadline_ns(timeout), ret_is_again);
	if (result >= 0)
		note_overtaking(&wait);
	else
		lock_heir_renounce(me, lock->shared);
	add_relaxed(&lock->shared->wait_ns, (uint64_t)(clock_now_ns() - began));
	return result;
}

/* Who only polls never sleeps beside the owner's pidfd: ask for it now and then. */
static void ask_after_owner(struct mp_lock *lock, struct self *me)
{
	uint32_t client = blocker(lock);
	uint32_t generation = client_word_generation(slot_client_word(lock->seg, client));

	if (++me->polls % POLLS_BEFORE_ASKING == 0 && lock->seg->hooks &&
	    slot_is_dead(lock->seg, client, generation))
		lock->seg->hooks->client_died(lock->seg, client, generation);
}

static noinline_ int acquire_slow(struct mp_lock *lock, struct self *me, int64_t timeout,
				  uint64_t site)
{
	KEEP_ERRNO;
	bool is_again = false;
	int result = try_acquire(lock, me, &is_again);

	if (result == -EAGAIN && timeout > 0) {
		result = wait_for_lock(lock, me, timeout, &is_again);
	} else if (result == -EAGAIN) {
		ask_after_owner(lock, me);
		return explain_later(result, "lock", object_raw_name(&lock->handle),
				     "it is held, which mp_lock_owner tells by whom, or is the "
				     "turn of another who waits for it");
	}
	if (result < 0 || is_again)
		return result;
	return entered(lock, me, site, result);
}

int mp_lock_acquire(mp_lock *lock, int64_t timeout)
{
	uint64_t free_word = 0, who;
	struct self *me;
	int error;

	if (unlikely(!lock))
		return opts_refuse_null(__func__, "lock");
	error = self_get(lock->seg, &me);
	if (unlikely(error < 0 || (error = identity(lock, me, &who)) < 0))
		return error;
	if (likely(cas_acquire(&lock->shared->word, &free_word, who)))
		return entered(lock, me, call_site(), 0);
	return acquire_slow(lock, me, timeout, call_site());
}

static int refuse_release(struct mp_lock *lock, uint64_t word)
{
	char owner[OWNER_BYTES];
	struct mp_who who;

	if (lock_word_is_free(word))
		return explain(-EOVERFLOW,
			       "the lock '%s' is not held; it was released once too often",
			       object_name(&lock->handle));
	if (!find_owner(lock, &who))
		memset(&who, 0, sizeof who);
	return explain(-EPERM,
		       "the lock '%s' is held by %s, only that thread releases it",
		       object_name(&lock->handle), name_owner(&who, owner));
}

static noinline_ int release_slow(struct mp_lock *lock, struct self *me)
{
	struct shm_lock *shared = lock->shared;
	uint64_t word = load_relaxed(&shared->word);
	uint64_t owner = lock_word_owner(word), next;

	if (owner == 0 || (lock->kind != MP_LOCK_PLAIN && owner != me->who))
		return refuse_release(lock, word);
	if (load_relaxed(&shared->depth) > 0) {
		store_relaxed(&shared->depth, load_relaxed(&shared->depth) - 1);
		return 0;
	}
	do {
		if (lock_word_owner(word) != owner)
			return refuse_release(lock, word); /* another released it meanwhile */
		next = lock_heir_next(lock->seg, shared, word);
	} while (!cas_seqcst(&shared->word, &word, next));
	pop_held(me, lock->handle.offset);
	lock_heir_call(lock->seg, me, shared, next);
	return 0;
}

int mp_lock_release(mp_lock *lock)
{
	struct self *me;
	uint64_t word;
	int error;

	if (unlikely(!lock))
		return opts_refuse_null(__func__, "lock");
	error = self_get(lock->seg, &me);
	if (unlikely(error < 0))
		return error;
	if (unlikely((error = identity(lock, me, &word)) < 0))
		return error;
	if (likely(lock->kind != MP_LOCK_RECURSIVE || load_relaxed(&lock->shared->depth) == 0) &&
	    likely(cas_release(&lock->shared->word, &word, 0))) {
		pop_held(me, lock->handle.offset);
		return 0;
	}
	return release_slow(lock, me);
}

int mp_lock_owner(mp_lock *lock, struct mp_who *ret_who)
{
	if (!lock)
		return opts_refuse_null(__func__, "lock");
	if (!ret_who)
		return explain_later(-EINVAL, "lock", object_raw_name(&lock->handle),
				     "ret_who must not be NULL");
	return find_owner(lock, ret_who) ? 0
					 : explain_later(-ENOENT, "lock",
							 object_raw_name(&lock->handle),
							 "nobody holds it");
}

int mp_lock_is_locked(mp_lock *lock)
{
	return lock ? !lock_word_is_free(load_acquire(&lock->shared->word))
		    : opts_refuse_null(__func__, "lock");
}

int mp_lock_repair(mp_lock *lock)
{
	uint64_t word, who;
	struct self *me;
	int error;

	if (!lock)
		return opts_refuse_null(__func__, "lock");
	error = self_get(lock->seg, &me);
	if (error < 0 || (error = identity(lock, me, &who)) < 0)
		return error;
	word = load_relaxed(&lock->shared->word);
	do {
		if (!lock_word_is_free(word) || !(word & LOCK_POISON))
			return explain(-EINVAL,
				       "the lock '%s' is not poisoned, there is nothing to repair",
				       object_name(&lock->handle));
	} while (!cas_acquire(&lock->shared->word, &word, lock_word_taken(word, who, me->thread)));
	store_relaxed(&lock->shared->depth, 0);
	return entered(lock, me, call_site(), MP_OWNER_DIED);
}
