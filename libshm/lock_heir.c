/* SPDX-License-Identifier: MIT
 *
 * See lock_heir.h.
 *
 * A waiter is whose wait record names the lock: from the first time that it announces itself to the
 * time that it has the lock or gives up, asleep or awake. While there is one the word keeps WAIT,
 * so every release comes here and every take is counted.
 *
 *   promise  the release names the oldest waiter in the word, with a credit: OVERTAKEN_MAX less the
 *            grants since he began. Each take by another costs one credit; at 0 only he may take
 *            it. So whoever waits sees at most OVERTAKEN_MAX takes by those who came later: they
 *            all happen before that many grants since he began, be he the heir or not yet.
 *   void     the heir does not wait for the lock any more (gave up, died and was swept, or never
 *            did: the word is anybody's to forge), or did not come for LATE_NS while it was free.
 *            Then anybody may take it as if nothing had been promised. Time decides the order here
 *            and nothing else: a stopped process keeps its place in the line, and not the lock.
 *
 * | killed after                | the word says    | who wakes the waiters                        |
 * | release: the CAS, no ring   | free, heir       | the audit rings who sleeps for a free lock   |
 * | heir: anything before CAS   | free, heir       | its record ends with the sweep, then the     |
 * |                             |                  | audit: the promise is void                   |
 * | renounce: record ended      | free, heir       | the same                                     |
 * | renounce: the CAS, no call  | free, next heir  | the audit                                    |
 *
 * Overlaps: a promise is changed by a CAS of the very word it was read from. Release against
 * renounce: he ends his record, then looks at the word; the release changes the word, then looks at
 * the record; all seq_cst, so one of them sees the other and names the next.
 */
#include "lock_heir.h"

#include "clock.h"
#include "lockword.h"
#include "shmref.h"
#include "wait.h"

#define LATE_NS INT64_C(5000000)
#define FLAGS (LOCK_DIED | LOCK_POISON)

static uint64_t record_of(struct seg *seg, struct shm_lock *shared)
{
	return shm_offset(seg, shared) | WAIT_ACQUIRABLE;
}

static bool is_late(const struct shm_lock *shared)
{
	return clock_now_ns() - (int64_t)load_relaxed(&shared->promised_ns) > LATE_NS;
}

uint64_t lock_heir_in_force(struct seg *seg, struct shm_lock *shared, uint64_t word)
{
	uint32_t heir = lock_word_heir(word);

	if (likely(heir == 0) || !lock_word_is_free(word) || lock_word_credit(word) > 0)
		return word;
	if (wait_has_record(seg, heir, record_of(seg, shared)) && !is_late(shared))
		return word;
	return word & ~LOCK_PROMISE;
}

static uint32_t credit_of(struct seg *seg, struct shm_lock *shared, uint32_t heir)
{
	uint64_t passed = load_relaxed(&shared->grants) -
			  load_relaxed(&seg->threads[heir].passed_at);

	if (load_relaxed(&shared->is_fair) || passed >= OVERTAKEN_MAX)
		return 0;
	return OVERTAKEN_MAX - (uint32_t)passed;
}

/* Who waited longest, asleep or awake: one who was rung and has not come yet would else be
 * overtaken by all who sleep. */
static uint32_t choose(struct seg *seg, struct shm_lock *shared, uint64_t word)
{
	return word & LOCK_WAIT ? wait_oldest_of_record(seg, record_of(seg, shared)) : SLOT_NONE;
}

static uint64_t promise(struct seg *seg, struct shm_lock *shared, uint64_t word)
{
	uint32_t heir = choose(seg, shared, word);

	if (heir == SLOT_NONE)
		return word & FLAGS;
	store_relaxed(&shared->promised_ns, (uint64_t)clock_now_ns());
	return lock_word_promised((word & FLAGS) | LOCK_WAIT, heir, credit_of(seg, shared, heir));
}

uint64_t lock_heir_next(struct seg *seg, struct shm_lock *shared, uint64_t word)
{
	uint32_t heir = lock_word_heir(word);

	if (heir == 0 || !wait_has_record(seg, heir, record_of(seg, shared)))
		return promise(seg, shared, word);
	store_relaxed(&shared->promised_ns, (uint64_t)clock_now_ns());
	return (word & (FLAGS | LOCK_PROMISE)) | LOCK_WAIT;
}

/* Rung, or awake and about to look; false: whom the word names waits no longer. */
static bool is_called(struct seg *seg, struct self *me, struct shm_lock *shared, uint32_t heir)
{
	return heir < seg->at.max_threads &&
	       (wait_wake_thread(seg, me, &shared->waiters, heir) ||
		wait_has_record(seg, heir, record_of(seg, shared)));
}

void lock_heir_call(struct seg *seg, struct self *me, struct shm_lock *shared, uint64_t word)
{
	/* Each turn somebody has come or gone. */
	for (unsigned turn = 0; turn < 2 * THREADS_MAX; turn++) {
		uint32_t heir = lock_word_heir(word);
		uint64_t next;

		/* Nobody waits; or somebody has it, and keeps WAIT. */
		if (heir == 0 || !lock_word_is_free(word) || is_called(seg, me, shared, heir))
			return;
		next = promise(seg, shared, word & ~LOCK_PROMISE);
		if (cas_seqcst(&shared->word, &word, next))
			word = next;
	}
}

void lock_heir_renounce(struct self *me, struct shm_lock *shared)
{
	uint64_t word = load_seqcst(&shared->word);

	while (lock_word_heir(word) == me->thread) {
		bool is_free = lock_word_is_free(word);
		uint64_t next = is_free ? promise(me->seg, shared, word & ~LOCK_PROMISE)
					: word & ~LOCK_PROMISE;

		if (!cas_seqcst(&shared->word, &word, next))
			continue;
		if (is_free)
			lock_heir_call(me->seg, me, shared, next);
		return;
	}
}
