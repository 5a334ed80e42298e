/* SPDX-License-Identifier: MIT
 *
 * Read-write locks: who writes. Knows: how the writer's word is taken, drained and given back. Does
 * not know: the protocol as a whole (rwlock.c), how to sleep, who is alive.
 */
#include "rwlock_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "opts.h"

#include <errno.h>

/* A reader that is about to look changes its word once or twice; one that is forged, for ever. */
#define ADMIT_TRIES 16

/* All who wait to read are in. The word is ours, and nothing is left to be told. */
static void admit_all(mp_rwlock *rwlock)
{
	uint32_t high = seg_threads_high(rwlock->seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		atom64 *reader = rwlock_reader(rwlock->shared, thread);
		uint64_t word = load_seqcst(reader);

		/* edge rwlock_admit: release -> the reader's look at its own word */
		for (unsigned i = 0; i < ADMIT_TRIES && (word & READER_WAITS); i++)
			if (cas_seqcst(reader, &word,
				       reader_word(reader_word_who(word, thread), 1)))
				break;
	}
}

/* Once: who reads and comes again meanwhile must not keep us here. It leaves READ_WAIT to the next
 * writer, who then admits it. */
static void admit_readers(mp_rwlock *rwlock, struct self *me)
{
	atom64 *shared_word = &rwlock->shared->word;
	uint64_t word = load_seqcst(shared_word);

	while (lock_word_owner(word) == me->who && rwlock_word_may_admit(word))
		if (cas_seqcst(shared_word, &word, word & ~RWLOCK_READ_WAIT)) {
			admit_all(rwlock);
			return;
		}
}

/* The word is free; wake whom it concerns. */
static void ring_next(mp_rwlock *rwlock, struct self *me, bool kept_wait)
{
	struct shm_rwlock *shared = rwlock->shared;
	if (wait_has_sleepers(&shared->readers))
		wait_wake_all(rwlock->seg, me, &shared->readers);
	if (!wait_has_sleepers(&shared->writers))
		return;
	if (!kept_wait)
		or_seqcst(&shared->word, LOCK_WAIT);
	wait_wake_one_slow(rwlock->seg, me, &shared->writers);
}

noinline_ bool rwlock_let_go(mp_rwlock *rwlock, struct self *me)
{
	struct shm_rwlock *shared = rwlock->shared;
	bool has_sleepers;
	uint64_t word;

	admit_readers(rwlock, me);
	word = load_relaxed(&shared->word);
	do {
		if (lock_word_owner(word) != me->who)
			return false;
		has_sleepers = wait_has_sleepers(&shared->writers);
	} while (!cas_seqcst(&shared->word, &word, rwlock_word_let_go(word, has_sleepers)));
	ring_next(rwlock, me, has_sleepers);
	return true;
}

/* The word is ours and nobody reads. */
static inline int enter(mp_rwlock *rwlock, struct self *me)
{
	/* Release: what was looked at before stays before. */
	store_release(&rwlock->shared->entered, me->who);
	count_own(&rwlock->shared->writes, 1);
	return 0;
}

/* The same, where the word may have something to tell: only once a death of ours would say the
 * same again. */
static int enter_told(mp_rwlock *rwlock, struct self *me)
{
	const uint64_t tells = LOCK_DIED | LOCK_POISON;
	uint64_t word = load_seqcst(&rwlock->shared->word);

	enter(rwlock, me);
	while (word & (tells | RWLOCK_TOLD))
		if (cas_seqcst(&rwlock->shared->word, &word, word & ~(tells | RWLOCK_TOLD)))
			return word & tells ? MP_OWNER_DIED : 0;
	return 0;
}

/* 0: the word is ours. -EAGAIN (somebody else writes), -EDEADLK, -ENOTRECOVERABLE. */
static int take_word(mp_rwlock *rwlock, struct self *me)
{
	uint64_t word = load_relaxed(&rwlock->shared->word);

	do {
		if (lock_word_owner(word) == me->who)
			return rwlock_refuse_again(rwlock, "writes", "it cannot do it twice");
		if (!lock_word_is_free(word))
			return -EAGAIN;
		if (word & LOCK_POISON)
			return rwlock_refuse_poisoned(rwlock);
	} while (!cas_seqcst(&rwlock->shared->word, &word, rwlock_word_taken(word, me->who)));
	store_relaxed(&rwlock->shared->entered, 0);
	return 0;
}

static bool may_take(void *arg)
{
	struct rwlock_wait *wait = arg;

	return rwlock_is_free(wait->rwlock->shared);
}

static bool mark_to_take(void *arg)
{
	struct rwlock_wait *wait = arg;

	return rwlock_mark_word(wait->rwlock->shared, LOCK_WAIT);
}

static int wait_for_word(mp_rwlock *rwlock, struct self *me, int64_t deadline_ns)
{
	struct rwlock_wait wait = { rwlock, NULL };
	struct wait_point point = { .set = &rwlock->shared->writers,
				    .record = rwlock->handle.offset | WAIT_TO_WRITE,
				    .is_ready = may_take,
				    .mark = mark_to_take,
				    .blocker = rwlock_writer_blocks,
				    .object = &wait };
	int result, waited = 0;

	do {
		result = take_word(rwlock, me);
		if (result != -EAGAIN || waited < 0)
			break;
		waited = rwlock_wait(me, &point, deadline_ns);
	} while (true);
	if (result == -EAGAIN)
		return rwlock_explain_wait(rwlock, waited, rwlock_explain_written);
	/* The word must keep WAIT while others sleep, or our fast release would forget them. */
	if (result == 0 && wait_has_sleepers(&rwlock->shared->writers))
		or_seqcst(&rwlock->shared->word, LOCK_WAIT);
	return result;
}

static bool is_drained(void *arg)
{
	struct rwlock_wait *wait = arg;

	return rwlock_any_reader(wait->rwlock->seg, wait->rwlock->shared) == SLOT_NONE;
}

static uint32_t reader_blocks(void *arg)
{
	struct rwlock_wait *wait = arg;

	return rwlock_reader_client(wait->rwlock);
}

/* The word is ours: wait until nobody reads, or give it back. */
static int drain(mp_rwlock *rwlock, struct self *me, int64_t deadline_ns)
{
	struct rwlock_wait wait = { rwlock, NULL };
	struct wait_point point = { .set = &rwlock->shared->draining,
				    .record = rwlock->handle.offset | WAIT_DRAINED,
				    .is_ready = is_drained,
				    .blocker = reader_blocks,
				    .object = &wait };
	int waited = 0;

	while (!is_drained(&wait)) {
		if (waited < 0) {
			rwlock_explain_wait(rwlock, waited, rwlock_explain_read);
			rwlock_let_go(rwlock, me);
			return waited;
		}
		waited = rwlock_wait(me, &point, deadline_ns);
	}
	return enter_told(rwlock, me);
}

static int wait_to_write(mp_rwlock *rwlock, struct self *me, bool is_taken, int64_t timeout)
{
	int64_t deadline_ns = clock_deadline_ns(timeout), began = clock_now_ns();
	int result;

	add_relaxed(&rwlock->shared->write_waits, 1);
	result = is_taken ? 0 : wait_for_word(rwlock, me, deadline_ns);
	if (result == 0)
		result = drain(rwlock, me, deadline_ns);
	add_relaxed(&rwlock->shared->wait_ns, (uint64_t)(clock_now_ns() - began));
	return result;
}

static int write_now(mp_rwlock *rwlock, struct self *me, bool is_taken)
{
	uint32_t client = is_taken ? rwlock_reader_client(rwlock) : rwlock_writer_client(rwlock);

	if (is_taken)
		rwlock_let_go(rwlock, me);
	rwlock_ask_after(rwlock, me, client);
	return explain_later(-EAGAIN, "rwlock", object_raw_name(&rwlock->handle),
			     is_taken ? "somebody reads" : "somebody writes");
}

static noinline_ int write_slow(mp_rwlock *rwlock, struct self *me, bool is_taken, int64_t timeout)
{
	KEEP_ERRNO;
	int result = is_taken ? 0 : take_word(rwlock, me);

	if (result < 0 && result != -EAGAIN)
		return result;
	if (result == 0 && rwlock_any_reader(rwlock->seg, rwlock->shared) == SLOT_NONE)
		return enter_told(rwlock, me);
	return timeout > 0 ? wait_to_write(rwlock, me, result == 0, timeout)
			   : write_now(rwlock, me, result == 0);
}

int mp_rwlock_acquire_write(mp_rwlock *rwlock, int64_t timeout)
{
	uint64_t free_word = 0;
	bool is_taken;
	struct self *me;
	int error;

	if (unlikely(!rwlock))
		return opts_refuse_null(__func__, "rwlock");
	error = self_get(rwlock->seg, &me);
	if (unlikely(error < 0))
		return error;
	if (unlikely(reader_word_count(
		    load_relaxed(rwlock_reader(rwlock->shared, me->thread)))))
		return rwlock_refuse_again(rwlock, "reads", "release that first");
	is_taken = cas_seqcst(&rwlock->shared->word, &free_word, me->who);
	if (likely(is_taken))
		store_relaxed(&rwlock->shared->entered, 0);
	if (likely(is_taken &&
		   rwlock_any_reader(rwlock->seg, rwlock->shared) == SLOT_NONE))
		return enter(rwlock, me);
	return write_slow(rwlock, me, is_taken, timeout);
}

int mp_rwlock_repair(mp_rwlock *rwlock)
{
	struct self *me;
	uint64_t word;
	int error;

	if (!rwlock)
		return opts_refuse_null(__func__, "rwlock");
	error = self_get(rwlock->seg, &me);
	if (error < 0)
		return error;
	word = load_relaxed(&rwlock->shared->word);
	do {
		if (!lock_word_is_free(word) || !(word & LOCK_POISON))
			return explain(-EINVAL, "the rwlock '%s' is not poisoned, there is nothing "
						"to repair", object_name(&rwlock->handle));
	} while (!cas_seqcst(&rwlock->shared->word, &word, rwlock_word_taken(word, me->who)));
	/* Nobody is in: it was shut ever since the dead writer had waited for the last reader. */
	return enter_told(rwlock, me);
}
