/* SPDX-License-Identifier: MIT
 *
 * Read-write locks: who reads. Knows: how a reader gets in or waits. Does not know: the protocol as
 * a whole (rwlock.c), how to sleep, who is alive.
 */
#include "rwlock_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "opts.h"

#include <errno.h>

/* What the word says to a reader: 0 may go in, -EAGAIN somebody writes, -EDEADLK it is us,
 * -ENOTRECOVERABLE. */
static int judge(const mp_rwlock *rwlock, const struct self *me, uint64_t word)
{
	if (lock_word_owner(word) == me->who)
		return rwlock_refuse_again(rwlock, "writes", "release that first");
	if (!lock_word_is_free(word))
		return -EAGAIN;
	return word & LOCK_POISON ? rwlock_refuse_poisoned(rwlock) : 0;
}

/* Our word counts: are we in? 0, MP_OWNER_DIED, or as above. */
static int look(mp_rwlock *rwlock, const struct self *me)
{
	/* edge rwlock_write: the acquire of what a writer's release has published */
	uint64_t word = load_seqcst(&rwlock->shared->word);

	do {
		int result = judge(rwlock, me, word);

		if (result < 0 || !(word & LOCK_DIED))
			return result;
	} while (!cas_seqcst(&rwlock->shared->word, &word, rwlock_word_told(word, me->who)));
	return MP_OWNER_DIED;
}

/* From one state of who waits to another; false: a writer has admitted us. */
static bool change(const struct self *me, atom64 *reader, uint64_t from, uint64_t to)
{
	uint64_t word = reader_word(me->who, from);

	/* edge rwlock_admit: acquire, where it fails */
	return cas_seqcst(reader, &word, to ? reader_word(me->who, to) : 0);
}

/* We say WAITS. 0, MP_OWNER_DIED: we are in. Else as judge(), and we say WAITS. */
static int try_to_read(mp_rwlock *rwlock, struct self *me, atom64 *reader)
{
	/* Who only looks does not count: it would keep the writer out that it waits for. */
	int result = judge(rwlock, me, load_seqcst(&rwlock->shared->word));

	if (result < 0)
		return result;
	if (!change(me, reader, READER_WAITS, READER_WAITS | 1))
		return 0;
	result = look(rwlock, me);
	if (result >= 0) {
		/* A writer that admits us just now means the same. */
		store_release(reader, reader_word(me->who, result ? READER_TOLD | 1 : 1));
		return result;
	}
	if (!change(me, reader, READER_WAITS | 1, READER_WAITS))
		return 0;
	rwlock_ring_drainer(rwlock, me);
	return result;
}

static bool may_read(void *arg)
{
	struct rwlock_wait *wait = arg;

	return !(load_seqcst(wait->reader) & READER_WAITS) || rwlock_is_free(wait->rwlock->shared);
}

static bool mark_to_read(void *arg)
{
	struct rwlock_wait *wait = arg;

	return !(load_seqcst(wait->reader) & READER_WAITS) ||
	       rwlock_mark_word(wait->rwlock->shared, RWLOCK_READ_WAIT);
}

/* We say WAITS, also where it fails. */
static int wait_to_read(mp_rwlock *rwlock, struct self *me, atom64 *reader, int64_t timeout)
{
	struct rwlock_wait wait = { rwlock, reader };
	struct wait_point point = { .set = &rwlock->shared->readers,
				    .record = rwlock->handle.offset | WAIT_TO_READ,
				    .is_ready = may_read,
				    .mark = mark_to_read,
				    .blocker = rwlock_writer_blocks,
				    .object = &wait };
	int64_t deadline_ns = clock_deadline_ns(timeout), began = clock_now_ns();
	int result, waited;

	add_relaxed(&rwlock->shared->read_waits, 1);
	do {
		/* Before it spins, and free or not: from here on whoever writes admits us. */
		or_seqcst(&rwlock->shared->word, RWLOCK_READ_WAIT);
		waited = rwlock_wait(me, &point, deadline_ns);
		result = load_seqcst(reader) & READER_WAITS ? try_to_read(rwlock, me, reader) : 0;
	} while (result == -EAGAIN && waited == 0);
	add_relaxed(&rwlock->shared->wait_ns, (uint64_t)(clock_now_ns() - began));
	if (result == -EAGAIN)
		return rwlock_explain_wait(rwlock, waited, rwlock_explain_written);
	return result;
}

static int read_now(mp_rwlock *rwlock, struct self *me)
{
	rwlock_ask_after(rwlock, me, rwlock_writer_client(rwlock));
	return explain_later(-EAGAIN, "rwlock", object_raw_name(&rwlock->handle),
			     "somebody writes");
}

static int read_again(const mp_rwlock *rwlock, atom64 *reader, uint64_t word)
{
	if (reader_word_count(word) == READER_COUNT)
		return explain(-EOVERFLOW, "this thread reads under the rwlock '%s' %llu times, "
					   "the most that are counted",
			       object_name(&rwlock->handle), (unsigned long long)READER_COUNT);
	store_relaxed(reader, word + 1);
	return 0;
}

/* It is shut, or we read already. */
static noinline_ int read_slow(mp_rwlock *rwlock, struct self *me, bool counts, int64_t timeout)
{
	KEEP_ERRNO;
	atom64 *reader = rwlock_reader(rwlock->shared, me->thread);
	uint64_t word = load_relaxed(reader);
	int result;

	if (!counts && reader_word_count(word) &&
	    reader_word_who(word, me->thread) == me->who)
		return read_again(rwlock, reader, word);
	swap_seqcst(reader, reader_word(me->who, READER_WAITS));
	if (counts)
		rwlock_ring_drainer(rwlock, me);
	result = try_to_read(rwlock, me, reader);
	if (result == -EAGAIN)
		result = timeout > 0 ? wait_to_read(rwlock, me, reader, timeout)
				     : read_now(rwlock, me);
	/* Who was admitted meanwhile is in, however late. */
	return result < 0 && !change(me, reader, READER_WAITS, 0) ? 0 : result;
}

int mp_rwlock_acquire_read(mp_rwlock *rwlock, int64_t timeout)
{
	uint64_t out = 0;
	bool counts = false;
	struct self *me;
	int error;

	if (unlikely(!rwlock))
		return opts_refuse_null(__func__, "rwlock");
	error = self_get(rwlock->seg, &me);
	if (unlikely(error < 0))
		return error;
	/* The first look only keeps us from counting, the second one decides. */
	if (likely(!(load_relaxed(&rwlock->shared->word) & RWLOCK_SHUT)))
		counts = cas_seqcst(rwlock_reader(rwlock->shared, me->thread), &out,
				    reader_word(me->who, 1));
	/* edge rwlock_write: acquire */
	if (likely(counts && !(load_seqcst(&rwlock->shared->word) & RWLOCK_SHUT)))
		return 0;
	return read_slow(rwlock, me, counts, timeout);
}
