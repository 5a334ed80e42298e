/* SPDX-License-Identifier: MIT
 *
 * Barriers: wait, reset, abort. Knows: the transitions of the barrier word (barrierword.h), the
 * action. Does not know: who broke one and how to say it (barrier_break.c), how one is made or
 * what a death does to it (barrier_object.c), how to sleep.
 *
 * A generation is decided by one CAS of the word: it is passed, or it is broken. Nobody drains: a
 * fast thread may fill the next generation while slow ones leave the last; each finds the outcome
 * of his own in the history, or, more than six generations later, by the count of breaks, which was
 * read before he came. So one that was passed is never reported as broken by a later reset, unless
 * he is that late and something was broken meanwhile.
 *
 * Before it arrives a thread writes into its slot which generation of which barrier it means
 * (`meeting`). Who dies with that breaks the generation if it is not decided, whether his arrival
 * was counted or not: the sweep need not know. The word itself names who acts; he clears `meeting`
 * and may wait at other barriers.
 *
 * | killed after              | the word says     | repair                                     |
 * | `meeting`, no CAS         | g as it was       | the sweep breaks g: he was inside          |
 * | CAS arrival               | g, one more       | the sweep breaks g                         |
 * | CAS of the last, no ring  | g + 1             | the audit: who waits for g is rung         |
 * | CAS action .. its end     | ACTION g, dead    | the sweep breaks g                         |
 * | the end's CAS, no ring    | g + 1             | the audit                                  |
 * | CAS broken, no note       | broken g, by whom | the sweep, or whoever explains it, notes   |
 * | reset: broken, no more    | broken g, reset   | the audit rings; the next reset goes on    |
 * | reset: counted, no CAS    | broken g          | nothing: the count may be too high         |
 * | reset: CAS, no ring       | g + 1             | the audit                                  |
 * | out of g, `meeting` stays | g + 1 or broken   | nothing: g is decided                      |
 *
 * Overlaps: everything with everything. Two who break: the first CAS names the reason. A timeout
 * against the last arrival: whose CAS comes second sees it, and obeys. The end of an action against
 * a break: the same, the action's result is lost. A reset against arrivals: they go to the next
 * generation. A late sweep: barrier_object.c.
 */
#include "barrier_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "opts.h"
#include "wait.h"

#include <errno.h>

/* What a thread remembers of the generation it is in. */
struct arrival {
	uint64_t word; /* as its CAS left it, or as it was found */
	uint64_t breaks;
	uint32_t generation;
	uint32_t index;
};

enum arrived {
	ARRIVED_EARLY, /* the others are awaited */
	ARRIVED_LAST,  /* all pass */
	ARRIVED_ACTS,  /* the action is mine */
	ARRIVED_TWICE, /* the generation is full and its action under way */
	ARRIVED_BROKEN
};

static void enter(struct mp_barrier *barrier, struct self *me, uint32_t generation)
{
	store_relaxed(&me->shared->meeting_generation, generation);
	store_release(&me->shared->meeting, barrier->handle.offset);
}

static void leave(struct self *me)
{
	store_release(&me->shared->meeting, 0);
}

static uint64_t word_after_arrival(const struct mp_barrier *barrier, const struct self *me,
				   uint64_t word, enum arrived *ret_what)
{
	if (barrier_word_arrived(word) + 1 < barrier->parties) {
		*ret_what = ARRIVED_EARLY;
		return barrier_word_joined(word);
	}
	*ret_what = barrier->action ? ARRIVED_ACTS : ARRIVED_LAST;
	return barrier->action ? barrier_word_with(barrier_word_joined(word), BARRIER_ACTION,
						   me->who)
			       : barrier_word_next(word);
}

/* edge barrier_pass: release -> the acquire of who looks whether it is over. What each did before
 * it came is seen by all who go on; seq_cst: before the look for sleepers. */
static enum arrived arrive(struct mp_barrier *barrier, struct self *me, struct arrival *ret_arrival)
{
	struct shm_barrier *shared = barrier->shared;
	uint64_t word = load_relaxed(&shared->word), next;
	enum arrived what;

	do {
		*ret_arrival = (struct arrival){ .word = word,
						 .generation = barrier_word_generation(word),
						 .index = barrier_word_arrived(word) };
		if (barrier_word_is_broken(word))
			return ARRIVED_BROKEN;
		if (unlikely(barrier_word_state(word) == BARRIER_ACTION))
			return ARRIVED_TWICE;
		/* Before the CAS: a break of this generation is counted after it. */
		ret_arrival->breaks = load_relaxed(&shared->breaks);
		enter(barrier, me, ret_arrival->generation);
		next = word_after_arrival(barrier, me, word, &what);
	} while (!cas_seqcst(&shared->word, &word, next));
	ret_arrival->word = next;
	return what;
}

/* It is decided: how? edge barrier_pass: acquire */
static bool is_passed(const struct mp_barrier *barrier, const struct arrival *arrival)
{
	uint64_t word = load_seqcst(&barrier->shared->word);
	uint32_t age = barrier_word_age(word, arrival->generation);

	if (age == 0)
		return false;
	if (likely(age <= BARRIER_HISTORY_BITS))
		return !barrier_word_was_broken(word, age);
	return load_relaxed(&barrier->shared->breaks) == arrival->breaks;
}

static int outcome(const struct mp_barrier *barrier, const struct arrival *arrival)
{
	return likely(is_passed(barrier, arrival))
		       ? 0
		       : barrier_explain_broken(barrier, arrival->generation);
}

/* --- the last --- */

/* A child that was forked in the action and came back out of it is none of the parties. */
static bool is_still(const struct mp_barrier *barrier, const struct self *me, uint64_t who)
{
	return self_peek(barrier->handle.seg) == me && me->who == who;
}

static noinline_ int act(struct mp_barrier *barrier, struct self *me, struct arrival *arrival)
{
	struct seg *seg = barrier->handle.seg;
	uint64_t word = arrival->word, who = me->who;
	int result;

	leave(me);
	result = barrier->action(barrier->arg);
	if (unlikely(!is_still(barrier, me, who)))
		return explain(-ENOTCONN, "barrier '%s': a child that was forked in the action is "
					  "none of those who meet; let it end there",
			       object_name(&barrier->handle));
	if (result < 0) {
		barrier_break(seg, me, barrier->shared, arrival->generation, BARRIER_FAILED);
		return explain(result, "the action of barrier '%s' failed with %d, which breaks it",
			       object_name(&barrier->handle), result);
	}
	/* edge barrier_pass: release */
	if (!cas_seqcst(&barrier->shared->word, &word, barrier_word_next(word)))
		return outcome(barrier, arrival);
	barrier_ring_all(seg, me, barrier->shared);
	return 0;
}

/* --- the others --- */

struct meeting {
	struct mp_barrier *barrier;
	struct self *me;
	uint32_t generation;
};

/* edge barrier_pass: acquire */
static bool is_over(void *arg)
{
	struct meeting *meeting = arg;

	return barrier_word_is_over(load_seqcst(&meeting->barrier->shared->word),
				    meeting->generation);
}

static uint32_t client_of_thread(const struct seg *seg, uint32_t thread)
{
	return thread < seg->at.max_threads
		       ? thread_word_client(load_relaxed(&seg->threads[thread].word))
		       : SLOT_NONE;
}

/* Whose death is to be seen: who acts; else whoever is next in the set, so that those who wait
 * watch each other in a ring. Alone, nobody yet: its own client, which asks for another look. */
static uint32_t watched_client(void *arg)
{
	const struct meeting *meeting = arg;
	const struct self *me = meeting->me;
	const struct seg *seg = me->seg;
	struct shm_barrier *shared = meeting->barrier->shared;
	uint64_t word = load_relaxed(&shared->word);
	uint32_t high = seg_threads_high(seg);

	if (barrier_word_state(word) == BARRIER_ACTION)
		return client_of_thread(seg, barrier_word_thread(word));
	for (uint32_t i = 1; i < high; i++) {
		uint32_t thread = (me->thread + i) % high;
		uint32_t client = client_of_thread(seg, thread);

		if ((load_relaxed(&shared->waiters.leaf[thread / 64]) >> (thread % 64) & 1) &&
		    client != SLOT_NONE && client != me->client)
			return client;
	}
	return me->client;
}

/* 0: that generation is decided. */
static int wait_for_end(struct mp_barrier *barrier, struct self *me, uint32_t generation,
			int64_t deadline_ns)
{
	struct shm_barrier *shared = barrier->shared;
	struct meeting meeting = { barrier, me, generation };
	struct wait_point point = { .set = &shared->waiters,
				    .record = barrier->handle.offset |
					      generation % BARRIER_CONDITIONS,
				    .is_ready = is_over,
				    .blocker = watched_client,
				    .object = &meeting };
	int64_t began = clock_now_ns();
	int error = deadline_ns <= began ? -ETIMEDOUT : 0;

	add_relaxed(&shared->waits, 1);
	while (!is_over(&meeting) && error == 0) {
		error = wait_until(me, &point, deadline_ns);
		if (error == 0 && clock_is_past(deadline_ns))
			error = -ETIMEDOUT;
	}
	add_relaxed(&shared->wait_ns, (uint64_t)(clock_now_ns() - began));
	return is_over(&meeting) ? 0 : error;
}

static cold int explain_wait(const struct mp_barrier *barrier, int error)
{
	return explain(error, "barrier '%s': %s", object_name(&barrier->handle),
		       error == -ETIMEDOUT ? "not all of the others came in that time; that breaks "
					     "it, mp_barrier_reset makes it whole"
					   : wait_trouble(error));
}

static noinline_ int wait_for_others(struct mp_barrier *barrier, struct self *me,
				     const struct arrival *arrival, int64_t deadline_ns)
{
	KEEP_ERRNO;
	struct seg *seg = barrier->handle.seg;
	int error = wait_for_end(barrier, me, arrival->generation, deadline_ns);
	bool has_broken = error < 0 && barrier_break(seg, me, barrier->shared, arrival->generation,
						     error == -ETIMEDOUT ? BARRIER_TIMEOUT
									 : BARRIER_LEFT);

	leave(me);
	return has_broken ? explain_wait(barrier, error) : outcome(barrier, arrival);
}

/* The generation is not mine: nothing happens to it. 0: come again. */
static noinline_ int wait_for_next(struct mp_barrier *barrier, struct self *me,
				   const struct arrival *arrival, int64_t deadline_ns)
{
	KEEP_ERRNO;
	int error;

	leave(me);
	if (barrier_word_is_by(arrival->word, me->who))
		return explain(-EDEADLK, "barrier '%s': its action waits for itself",
			       object_name(&barrier->handle));
	error = wait_for_end(barrier, me, arrival->generation, deadline_ns);
	return error == -ETIMEDOUT
		       ? explain(error, "barrier '%s': the action of those who had met took longer",
				 object_name(&barrier->handle))
	       : error < 0 ? explain_wait(barrier, error)
			   : 0;
}

/* --- calls --- */

static int go_through(struct mp_barrier *barrier, struct self *me, int64_t deadline_ns,
		      uint32_t *ret_index)
{
	struct arrival arrival;

	for (;;) {
		enum arrived what = arrive(barrier, me, &arrival);
		int error;

		*ret_index = arrival.index;
		switch (what) {
		case ARRIVED_LAST:
			barrier_ring_all(barrier->handle.seg, me, barrier->shared);
			leave(me);
			return 0;
		case ARRIVED_ACTS:
			return act(barrier, me, &arrival);
		case ARRIVED_EARLY:
			return wait_for_others(barrier, me, &arrival, deadline_ns);
		case ARRIVED_TWICE:
			error = wait_for_next(barrier, me, &arrival, deadline_ns);
			if (error < 0)
				return error;
			break;
		case ARRIVED_BROKEN:
			leave(me);
			return barrier_explain_broken(barrier, arrival.generation);
		}
	}
}

int mp_barrier_wait(mp_barrier *barrier, int64_t timeout, int *ret_index)
{
	struct self *me;
	uint32_t index;
	int result;

	if (unlikely(!barrier))
		return opts_refuse_null(__func__, "barrier");
	result = self_get(barrier->handle.seg, &me);
	if (unlikely(result < 0))
		return result;
	result = go_through(barrier, me, clock_deadline_ns(timeout), &index);
	if (likely(result == 0) && ret_index)
		*ret_index = (int)index;
	return result;
}

int mp_barrier_reset(mp_barrier *barrier)
{
	struct shm_barrier *shared;
	struct self *me;
	uint64_t word;
	int error;

	if (!barrier)
		return opts_refuse_null(__func__, "barrier");
	error = self_get(barrier->handle.seg, &me);
	if (error < 0)
		return error;
	shared = barrier->shared;
	while (word = load_seqcst(&shared->word),
	       barrier_word_state(word) != BARRIER_FILLING || barrier_word_arrived(word) > 0) {
		if (!barrier_word_is_broken(word)) {
			barrier_break(barrier->handle.seg, me, shared,
				      barrier_word_generation(word), BARRIER_RESET);
			continue;
		}
		barrier_note_breaker(barrier->handle.seg, shared, word);
		add_relaxed(&shared->breaks, 1); /* before it: see above */
		if (cas_seqcst(&shared->word, &word, barrier_word_next(word)))
			break;
	}
	/* Also where there was nothing to do: whoever did it may be held up before his rings. */
	barrier_ring_all(barrier->handle.seg, me, shared);
	return 0;
}

int mp_barrier_abort(mp_barrier *barrier)
{
	struct self *me;
	uint64_t word;
	int error;

	if (!barrier)
		return opts_refuse_null(__func__, "barrier");
	error = self_get(barrier->handle.seg, &me);
	if (error < 0)
		return error;
	while (word = load_seqcst(&barrier->shared->word), !barrier_word_is_broken(word))
		barrier_break(barrier->handle.seg, me, barrier->shared,
			      barrier_word_generation(word), BARRIER_ABORT);
	barrier_ring_all(barrier->handle.seg, me, barrier->shared);
	return 0;
}

int mp_barrier_parties(const mp_barrier *barrier)
{
	return barrier ? (int)barrier->parties : opts_refuse_null(__func__, "barrier");
}

int mp_barrier_waiting(const mp_barrier *barrier)
{
	uint64_t word = barrier ? load_acquire(&barrier->shared->word) : 0;

	if (!barrier)
		return opts_refuse_null(__func__, "barrier");
	return barrier_word_is_broken(word) ? 0 : (int)barrier_word_arrived(word);
}

int mp_barrier_is_broken(const mp_barrier *barrier)
{
	return barrier ? barrier_word_is_broken(load_acquire(&barrier->shared->word))
		       : opts_refuse_null(__func__, "barrier");
}
