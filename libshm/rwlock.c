/* SPDX-License-Identifier: MIT
 *
 * Read-write locks: acquire and release. Knows: the transitions of the reader words and of the
 * writer's word (rwword.h), who goes first. Does not know: how to sleep, who is alive, how they are
 * made or recovered (rwlock_object.c).
 *
 * A reader says so in its own word, then looks whether the writer's word is free: then it is in. A
 * writer takes the writer's word, then looks whether a reader's word counts: when none does, he is
 * in. All four accesses are seq_cst, so one of the two sees the other. From the CAS that takes the
 * word on nobody comes in to read: readers cannot starve a writer.
 *
 * A reader that finds it written says WAITS, then sets READ_WAIT in the writer's word. Before a
 * writer frees a word with READ_WAIT he admits all who say WAITS, by a CAS from WAITS to 1 in their
 * words: they are in, wherever they are, and the next writer waits for them. So nobody comes in to
 * write before a reader whose READ_WAIT is set, but for the one whose word it is in; a death makes
 * it one more, since nobody admits in a dead one's name: the word may be another writer's by then.
 *
 * A writer that waits for the word sets its bit in a wait set, then WAIT, as in locks (lock.c).
 *
 * | killed after                 | says                | repair                     | next in |
 * | reader: CAS in, at any count | its word counts     | word = 0, the writer rung  | 0       |
 * | reader: WAITS                | WAITS               | word = 0                   | 0       |
 * | reader: told, CAS            | TOLD names it       | DIED again, then word = 0  | told    |
 * | reader: CAS out, no ring     | out                 | the audit rings the writer | 0       |
 * | writer: CAS, readers in      | dead owner          | free, flags as they were   | 0       |
 * | writer: entered              | dead owner, entered | free with DIED or POISON   | told    |
 * | writer: entered, DIED on     | the same, DIED      | the same                   | told    |
 * | writer: entered = 0          | dead owner          | free                       | 0       |
 * | writer: some admitted        | the same            | free, all rung             | 0       |
 * | writer: CAS free, no rings   | free, WAIT          | the audit rings            | 0       |
 *
 * Overlaps: only its thread changes a reader's word, but for the owner of the writer's word while
 * it says WAITS, so then both use CAS. The writer's word changes by CAS only; `entered` is its
 * owner's. Recovery changes exactly the words that name the dead, what it was told before what it
 * holds: with its share gone a writer may be in.
 */
#include "rwlock_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "opts.h"
#include "slot.h"

#include <errno.h>

/* A question costs a microsecond. */
#define POLLS_BEFORE_ASKING 16

void rwlock_ask_after(mp_rwlock *rwlock, struct self *me, uint32_t client)
{
	uint32_t generation = client_word_generation(slot_client_word(rwlock->seg, client));

	if (++me->polls % POLLS_BEFORE_ASKING == 0 && rwlock->seg->hooks &&
	    slot_is_dead(rwlock->seg, client, generation))
		rwlock->seg->hooks->client_died(rwlock->seg, client, generation);
}

int rwlock_refuse_again(const mp_rwlock *rwlock, const char *does, const char *advice)
{
	return explain(-EDEADLK, "this thread %s under the rwlock '%s' already; %s", does,
		       object_name(&rwlock->handle), advice);
}

void rwlock_ring_drainer(mp_rwlock *rwlock, struct self *me)
{
	struct shm_rwlock *shared = rwlock->shared;

	if (!rwlock_is_free(shared) && wait_has_sleepers(&shared->draining))
		wait_wake_all(rwlock->seg, me, &shared->draining);
}

bool rwlock_mark_word(struct shm_rwlock *shared, uint64_t flag)
{
	uint64_t word = load_seqcst(&shared->word);

	while (!lock_word_is_free(word)) {
		if (word & flag)
			return false;
		if (cas_seqcst(&shared->word, &word, word | flag))
			return false;
	}
	return true;
}

uint32_t rwlock_writer_blocks(void *arg)
{
	struct rwlock_wait *wait = arg;

	return rwlock_writer_client(wait->rwlock);
}

int rwlock_wait(struct self *me, struct wait_point *point, int64_t deadline_ns)
{
	int result = wait_until(me, point, deadline_ns);

	return result == 0 && clock_is_past(deadline_ns) ? -ETIMEDOUT : result;
}

int rwlock_explain_wait(const mp_rwlock *rwlock, int error,
			int (*explain_timeout)(const mp_rwlock *rwlock, int error))
{
	if (error == -ETIMEDOUT)
		return explain_timeout(rwlock, error);
	return explain(error, "rwlock '%s': %s", object_name(&rwlock->handle),
		       wait_trouble(error));
}

static int release_read_slow(mp_rwlock *rwlock, struct self *me)
{
	atom64 *reader = rwlock_reader(rwlock->shared, me->thread);
	uint64_t word = load_relaxed(reader), of_all = load_relaxed(&rwlock->shared->word);

	if (reader_word_count(word) == 0 || reader_word_who(word, me->thread) != me->who)
		return rwlock_refuse_release(rwlock);
	if (reader_word_count(word) > 1) {
		store_relaxed(reader, word - 1);
		return 0;
	}
	/* It has looked at what the dead one left: before the share goes, or a writer might die in
	 * there meanwhile, and its death be taken back with ours. */
	while (rwlock_word_has_told(of_all, me->who) &&
	       !cas_seqcst(&rwlock->shared->word, &of_all, of_all & ~RWLOCK_TOLD))
		;
	swap_seqcst(reader, 0);
	rwlock_ring_drainer(rwlock, me);
	return 0;
}

static noinline_ int release_slow(mp_rwlock *rwlock, struct self *me)
{
	KEEP_ERRNO;

	if (lock_word_owner(load_relaxed(&rwlock->shared->word)) != me->who)
		return release_read_slow(rwlock, me);
	rwlock_let_go(rwlock, me);
	return 0;
}

static inline int release_read(mp_rwlock *rwlock, struct self *me)
{
	uint64_t in = reader_word(me->who, 1);

	/* edge rwlock_read: release -> the writer's look at the reader's word */
	if (unlikely(!cas_seqcst(rwlock_reader(rwlock->shared, me->thread), &in, 0)))
		return release_slow(rwlock, me);
	if (unlikely(!lock_word_is_free(load_seqcst(&rwlock->shared->word))))
		rwlock_ring_drainer(rwlock, me);
	return 0;
}

int mp_rwlock_release(mp_rwlock *rwlock)
{
	uint64_t word;
	struct self *me;
	int error;

	if (unlikely(!rwlock))
		return opts_refuse_null(__func__, "rwlock");
	error = self_get(rwlock->seg, &me);
	if (unlikely(error < 0))
		return error;
	word = me->who;
	if (load_relaxed(&rwlock->shared->entered) != word)
		return release_read(rwlock, me);
	store_release(&rwlock->shared->entered, 0); /* what it guards is whole again */
	/* edge rwlock_write: release -> the CAS of the next writer, the look of a reader */
	if (likely(cas_release(&rwlock->shared->word, &word, 0)))
		return 0;
	return release_slow(rwlock, me);
}
