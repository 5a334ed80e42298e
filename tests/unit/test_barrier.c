/* SPDX-License-Identifier: MIT
 *
 * Proves: what barrier.h promises, in threads over one mapping.
 */
#include "harness.h"

#include "barrier_internal.h"
#include "objects.h"

#include <libshm/event.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTIES 4
#define ROUNDS 200

static mp_barrier *open_barrier(mp_segment *segment, uint32_t parties, int (*action)(void *),
				void *arg)
{
	struct mp_barrier_opts opts = { .parties = parties, .action = action, .arg = arg };
	mp_barrier *barrier = NULL;

	assert_int_equal(mp_barrier_open(segment, "b", &opts, &barrier), 0);
	return barrier;
}

/* --- threads that wait --- */

struct party {
	mp_barrier *barrier;
	int64_t timeout;
	pthread_t thread;
	int result;
	int index;
	char why[256]; /* what mp_explain() said there */
};

static void *wait_once(void *arg)
{
	struct party *party = arg;

	party->result = mp_barrier_wait(party->barrier, party->timeout, &party->index);
	if (party->result < 0)
		snprintf(party->why, sizeof party->why, "%s", mp_explain());
	return NULL;
}

static void begin_waits(mp_barrier *barrier, struct party *parties, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		parties[i] = (struct party){ .barrier = barrier,
					     .timeout = MP_FOREVER,
					     .result = 1,
					     .index = -1 };
		pthread_create(&parties[i].thread, NULL, wait_once, &parties[i]);
	}
	harness_segment_await_asleep(barrier->handle.seg, count);
}

static void end_waits(struct party *parties, unsigned count, int result)
{
	for (unsigned i = 0; i < count; i++) {
		pthread_join(parties[i].thread, NULL);
		assert_int_equal(parties[i].result, result);
		assert_true(result == 0 || parties[i].index == -1);
	}
}

static void all_are_told(const struct party *parties, unsigned count, const char *why)
{
	for (unsigned i = 0; i < count; i++) {
		assert_non_null(strstr(parties[i].why, "'b'"));
		assert_non_null(strstr(parties[i].why, why));
	}
}

/* Everybody meets once. */
static void it_works(mp_barrier *barrier)
{
	unsigned others = (unsigned)mp_barrier_parties(barrier) - 1;
	struct party parties[PARTIES];

	begin_waits(barrier, parties, others);
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), 0);
	end_waits(parties, others, 0);
}

/* --- meeting --- */

struct round {
	mp_barrier *barrier;
	atomic_uint came; /* in all rounds, by all */
	atomic_uint *indices; /* by round, as bits */
	atomic_uint mistakes;
};

static void *meet_again(void *arg)
{
	struct round *round = arg;
	unsigned rounds = ROUNDS * harness_scale();

	for (unsigned i = 0; i < rounds; i++) {
		int index = -1;

		atomic_fetch_add(&round->came, 1);
		if (mp_barrier_wait(round->barrier, MP_FOREVER, &index) != 0 || index < 0 ||
		    index >= PARTIES || atomic_load(&round->came) < (i + 1) * PARTIES)
			atomic_fetch_add(&round->mistakes, 1);
		else if (atomic_fetch_or(&round->indices[i], 1u << index) & 1u << index)
			atomic_fetch_add(&round->mistakes, 1);
	}
	return NULL;
}

static void all_go_on_together_each_with_an_index_of_his_own(void **state)
{
	struct objects objects;
	struct round round = { .barrier = open_barrier(objects_begin(&objects), PARTIES, NULL,
						       NULL) };
	unsigned rounds = ROUNDS * harness_scale();
	pthread_t threads[PARTIES];

	round.indices = calloc(rounds, sizeof *round.indices);
	for (unsigned i = 0; i < PARTIES; i++)
		pthread_create(&threads[i], NULL, meet_again, &round);
	for (unsigned i = 0; i < PARTIES; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(round.mistakes, 0);
	for (unsigned i = 0; i < rounds; i++)
		assert_int_equal(round.indices[i], (1u << PARTIES) - 1);
	assert_int_equal(mp_barrier_waiting(round.barrier), 0);
	free(round.indices);
	mp_barrier_close(round.barrier);
	objects_end(&objects);
}

static void nobody_goes_on_before_the_last_has_come(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), PARTIES, NULL, NULL);
	struct party parties[PARTIES];
	unsigned indices = 0;
	int index;

	assert_int_equal(mp_barrier_parties(barrier), PARTIES);
	assert_int_equal(mp_barrier_waiting(barrier), 0);
	begin_waits(barrier, parties, PARTIES - 1);
	assert_int_equal(mp_barrier_waiting(barrier), PARTIES - 1);
	for (unsigned i = 0; i < PARTIES - 1; i++)
		assert_int_equal(parties[i].result, 1);
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, &index), 0);
	assert_int_equal(index, PARTIES - 1);
	end_waits(parties, PARTIES - 1, 0);
	for (unsigned i = 0; i < PARTIES - 1; i++)
		indices |= 1u << parties[i].index;
	assert_int_equal(indices, (1u << (PARTIES - 1)) - 1);
	assert_int_equal(mp_barrier_waiting(barrier), 0);
	assert_int_equal(mp_barrier_is_broken(barrier), 0);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void one_party_never_waits(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 1, NULL, NULL);
	int index = -1;

	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(mp_barrier_wait(barrier, i % 2 ? MP_FOREVER : MP_NOW, &index), 0);
	assert_int_equal(index, 0);
	assert_int_equal(load_relaxed(&barrier->shared->waits), 0);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

/* Three on a barrier for two: whoever is left over meets one of the next turn. */
static void *meet_until_aborted(void *arg)
{
	struct round *round = arg;
	int result;

	while ((result = mp_barrier_wait(round->barrier, MP_FOREVER, NULL)) == 0)
		atomic_fetch_add(&round->came, 1);
	if (result != -ENOTCONN)
		atomic_fetch_add(&round->mistakes, 1);
	return NULL;
}

static void threads_beyond_the_parties_meet_in_the_next_turn(void **state)
{
	struct objects objects;
	struct round round = { .barrier = open_barrier(objects_begin(&objects), 2, NULL, NULL) };
	atom64 *word = &round.barrier->shared->word;
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, meet_until_aborted, &round);
	while (barrier_word_generation(load_relaxed(word)) < ROUNDS * harness_scale())
		harness_sleep_ms(1);
	assert_int_equal(mp_barrier_abort(round.barrier), 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(round.mistakes, 0);
	assert_int_equal(round.came, 2 * barrier_word_generation(load_relaxed(word)));
	mp_barrier_close(round.barrier);
	objects_end(&objects);
}

/* --- the action --- */

struct act {
	mp_barrier *barrier, *other;
	mp_event *begun, *go_on;
	atomic_uint calls;
	struct party *parties;
	unsigned passed_before; /* seen in the action: who had gone on */
	int waiting;
	int result;
	int inner;
};

static int count_calls(void *arg)
{
	struct act *act = arg;

	atomic_fetch_add(&act->calls, 1);
	act->waiting = mp_barrier_waiting(act->barrier);
	for (unsigned i = 0; act->parties && i < PARTIES - 1; i++)
		act->passed_before += act->parties[i].result != 1;
	return act->result;
}

static void last_who_comes_acts_once_before_anybody_goes_on(void **state)
{
	struct objects objects;
	struct party parties[PARTIES];
	struct act act = { .parties = parties };
	mp_barrier *barrier = open_barrier(objects_begin(&objects), PARTIES, count_calls, &act);

	act.barrier = barrier;
	for (unsigned i = 1; i <= 10; i++) {
		begin_waits(barrier, parties, PARTIES - 1);
		assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), 0);
		end_waits(parties, PARTIES - 1, 0);
		assert_int_equal(act.calls, i);
		assert_int_equal(act.passed_before, 0);
		assert_int_equal(act.waiting, PARTIES);
	}
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void each_handle_has_an_action_of_its_own(void **state)
{
	struct objects objects;
	struct act mine = { 0 }, his = { 0 };
	mp_segment *segment = objects_begin(&objects);
	mp_barrier *first = open_barrier(segment, 2, count_calls, &mine);
	mp_barrier *second = open_barrier(segment, 2, count_calls, &his), *third;
	struct party party;

	assert_int_equal(mp_barrier_from_id(segment, mp_barrier_id(first), &third), 0);
	mine.barrier = his.barrier = first;
	begin_waits(first, &party, 1);
	assert_int_equal(mp_barrier_wait(second, MP_FOREVER, NULL), 0);
	end_waits(&party, 1, 0);
	assert_int_equal(mine.calls, 0);
	assert_int_equal(his.calls, 1);
	begin_waits(first, &party, 1);
	assert_int_equal(mp_barrier_wait(third, MP_FOREVER, NULL), 0); /* without one */
	end_waits(&party, 1, 0);
	assert_int_equal(mine.calls + his.calls, 1);
	mp_barrier_close(third);
	mp_barrier_close(second);
	mp_barrier_close(first);
	objects_end(&objects);
}

static void action_that_fails_breaks_it_and_is_told_to_who_ran_it(void **state)
{
	struct objects objects;
	struct party parties[PARTIES];
	struct act act = { .result = -ENOMEM };
	mp_barrier *barrier = open_barrier(objects_begin(&objects), PARTIES, count_calls, &act);
	int index = -1;

	act.barrier = barrier;
	begin_waits(barrier, parties, PARTIES - 1);
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, &index), -ENOMEM);
	assert_non_null(strstr(mp_explain(), "action of barrier 'b'"));
	assert_int_equal(index, -1);
	end_waits(parties, PARTIES - 1, -ENOTCONN);
	all_are_told(parties, PARTIES - 1, "failed in its action");
	assert_int_equal(mp_barrier_is_broken(barrier), 1);
	act.result = 0;
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), -ENOTCONN);
	assert_int_equal(mp_barrier_reset(barrier), 0);
	it_works(barrier);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static int wait_inside(void *arg)
{
	struct act *act = arg;

	act->inner = mp_barrier_wait(act->other, MP_FOREVER, NULL);
	return 0;
}

static void action_may_wait_at_another_barrier(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct act act = { .inner = 1 };
	mp_barrier *barrier = open_barrier(segment, 1, wait_inside, &act);
	struct party inner;

	assert_int_equal(mp_barrier_open(segment, "other",
					 &(struct mp_barrier_opts){ .parties = 2 }, &act.other), 0);
	begin_waits(act.other, &inner, 1);
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), 0);
	assert_int_equal(act.inner, 0);
	end_waits(&inner, 1, 0);
	mp_barrier_close(act.other);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void action_that_waits_for_its_own_barrier_is_refused(void **state)
{
	struct objects objects;
	struct act act = { .inner = 1 };
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 1, wait_inside, &act);

	act.other = barrier;
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), 0);
	assert_int_equal(act.inner, -EDEADLK);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static int act_slowly(void *arg)
{
	struct act *act = arg;

	return mp_event_set(act->begun) < 0 || mp_event_wait(act->go_on, MP_FOREVER) < 0 ? -ENOMEM
											 : 0;
}

/* Two parties, of which the second is in its action. */
static mp_barrier *begin_slow_action(mp_segment *segment, struct act *act, struct party *parties)
{
	mp_barrier *barrier = open_barrier(segment, 2, act_slowly, act);

	assert_int_equal(mp_event_open(segment, "begun", NULL, &act->begun), 0);
	assert_int_equal(mp_event_open(segment, "go on", NULL, &act->go_on), 0);
	begin_waits(barrier, &parties[0], 1);
	parties[1] = (struct party){ .barrier = barrier, .timeout = MP_FOREVER, .index = -1 };
	pthread_create(&parties[1].thread, NULL, wait_once, &parties[1]);
	assert_int_equal(mp_event_wait(act->begun, MP_FOREVER), 0);
	assert_int_equal(mp_barrier_waiting(barrier), 2);
	return barrier;
}

static void end_slow_action(struct act *act, mp_barrier *barrier)
{
	mp_event_close(act->begun);
	mp_event_close(act->go_on);
	mp_barrier_close(barrier);
}

static void who_comes_during_the_action_waits_and_breaks_nothing(void **state)
{
	struct objects objects;
	struct act act = { 0 };
	struct party parties[2], late = { .timeout = MP_FOREVER, .result = 1 };
	mp_barrier *barrier = begin_slow_action(objects_begin(&objects), &act, parties);

	assert_int_equal(mp_barrier_wait(barrier, MP_NOW, NULL), -ETIMEDOUT);
	assert_int_equal(mp_barrier_wait(barrier, MP_MSEC(5), NULL), -ETIMEDOUT);
	assert_int_equal(mp_barrier_is_broken(barrier), 0);
	late.barrier = barrier;
	pthread_create(&late.thread, NULL, wait_once, &late);
	harness_segment_await_asleep(objects.seg, 3); /* the first, the action, the late one */
	assert_int_equal(mp_event_set(act.go_on), 0);
	end_waits(parties, 2, 0);
	while (mp_barrier_waiting(barrier) != 1)
		harness_sleep_ms(1);
	assert_int_equal(late.result, 1); /* it is in the next turn */
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), 0);
	end_waits(&late, 1, 0);
	end_slow_action(&act, barrier);
	objects_end(&objects);
}

static void abort_during_the_action_takes_its_result(void **state)
{
	struct objects objects;
	struct act act = { 0 };
	struct party parties[2];
	mp_barrier *barrier = begin_slow_action(objects_begin(&objects), &act, parties);

	assert_int_equal(mp_barrier_abort(barrier), 0);
	end_waits(&parties[0], 1, -ENOTCONN); /* while the action still runs */
	assert_int_equal(mp_event_set(act.go_on), 0);
	end_waits(&parties[1], 1, -ENOTCONN);
	all_are_told(parties, 2, "called mp_barrier_abort");
	end_slow_action(&act, barrier);
	objects_end(&objects);
}

static void reset_during_the_action_takes_its_result_and_leaves_it_whole(void **state)
{
	struct objects objects;
	struct act act = { 0 };
	struct party parties[2];
	mp_barrier *barrier = begin_slow_action(objects_begin(&objects), &act, parties);

	assert_int_equal(mp_barrier_reset(barrier), 0);
	end_waits(&parties[0], 1, -ENOTCONN);
	assert_int_equal(mp_barrier_is_broken(barrier), 0);
	assert_int_equal(mp_barrier_waiting(barrier), 0);
	assert_int_equal(mp_event_set(act.go_on), 0);
	end_waits(&parties[1], 1, -ENOTCONN);
	all_are_told(parties, 2, "called mp_barrier_reset");
	it_works(barrier);
	end_slow_action(&act, barrier);
	objects_end(&objects);
}

static int end_thread(void *arg)
{
	pthread_exit(NULL);
	return *(int *)arg;
}

static void thread_that_ends_in_its_action_breaks_it(void **state)
{
	struct objects objects;
	int unused = 0;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 2, end_thread, &unused);
	struct party parties[2];

	begin_waits(barrier, &parties[0], 1);
	parties[1] = (struct party){ .barrier = barrier, .timeout = MP_FOREVER };
	pthread_create(&parties[1].thread, NULL, wait_once, &parties[1]);
	pthread_join(parties[1].thread, NULL);
	end_waits(&parties[0], 1, -ENOTCONN);
	all_are_told(parties, 1, "left its wait");
	mp_barrier_close(barrier);
	objects_end(&objects);
}

/* --- breaking --- */

static void timeout_of_one_breaks_it_for_all(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), PARTIES, NULL, NULL);
	struct party parties[PARTIES];
	int64_t began = harness_now_ns();
	int index = -1;

	begin_waits(barrier, parties, 2);
	assert_int_equal(mp_barrier_wait(barrier, MP_MSEC(30), &index), -ETIMEDOUT);
	assert_true(harness_now_ns() - began >= 30000000);
	assert_non_null(strstr(mp_explain(), "'b'"));
	assert_int_equal(index, -1);
	end_waits(parties, 2, -ENOTCONN);
	all_are_told(parties, 2, "waited no longer for the others");
	assert_int_equal(mp_barrier_is_broken(barrier), 1);
	assert_int_equal(mp_barrier_waiting(barrier), 0);
	assert_int_equal(mp_barrier_reset(barrier), 0);
	it_works(barrier);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

/* As in Python: a try is a timeout of nothing, and says so by another error than "nothing done". */
static void try_that_is_not_the_last_breaks_it_and_the_last_goes_on(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 2, NULL, NULL);
	struct party party;

	begin_waits(barrier, &party, 1);
	assert_int_equal(mp_barrier_wait(barrier, MP_NOW, NULL), 0);
	end_waits(&party, 1, 0);
	assert_int_equal(mp_barrier_wait(barrier, MP_NOW, NULL), -ETIMEDOUT);
	assert_int_equal(mp_barrier_is_broken(barrier), 1);
	assert_int_equal(mp_barrier_wait(barrier, MP_NOW, NULL), -ENOTCONN);
	assert_int_equal(mp_barrier_reset(barrier), 0);
	assert_int_equal(mp_barrier_wait(barrier, -5, NULL), -ETIMEDOUT);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void abort_breaks_it_until_the_reset(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), PARTIES, NULL, NULL);
	struct party parties[PARTIES];

	begin_waits(barrier, parties, PARTIES - 1);
	assert_int_equal(mp_barrier_abort(barrier), 0);
	end_waits(parties, PARTIES - 1, -ENOTCONN);
	all_are_told(parties, PARTIES - 1, "called mp_barrier_abort");
	all_are_told(parties, PARTIES - 1, "mp_barrier_reset makes it whole");
	assert_int_equal(mp_barrier_is_broken(barrier), 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), -ENOTCONN);
	assert_int_equal(mp_barrier_abort(barrier), 0);
	assert_int_equal(mp_barrier_reset(barrier), 0);
	assert_int_equal(mp_barrier_is_broken(barrier), 0);
	it_works(barrier);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void barrier_that_nobody_waits_at_can_be_aborted_and_reset(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 2, NULL, NULL);
	uint64_t word = load_relaxed(&barrier->shared->word);

	assert_int_equal(mp_barrier_reset(barrier), 0);
	assert_int_equal(load_relaxed(&barrier->shared->word), word);
	assert_int_equal(mp_barrier_abort(barrier), 0);
	assert_int_equal(mp_barrier_is_broken(barrier), 1);
	assert_int_equal(mp_barrier_reset(barrier), 0);
	assert_int_equal(mp_barrier_is_broken(barrier), 0);
	it_works(barrier);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void reset_sends_away_who_waits_and_leaves_it_whole(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), PARTIES, NULL, NULL);
	struct party parties[PARTIES];

	for (unsigned i = 0; i < 10; i++) {
		begin_waits(barrier, parties, PARTIES - 1);
		assert_int_equal(mp_barrier_reset(barrier), 0);
		assert_int_equal(mp_barrier_is_broken(barrier), 0);
		end_waits(parties, PARTIES - 1, -ENOTCONN);
		all_are_told(parties, PARTIES - 1, "called mp_barrier_reset");
		it_works(barrier);
	}
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void first_who_breaks_it_is_the_one_that_is_named(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 2, NULL, NULL);

	assert_int_equal(mp_barrier_wait(barrier, MP_NOW, NULL), -ETIMEDOUT);
	assert_int_equal(mp_barrier_abort(barrier), 0);
	assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), -ENOTCONN);
	assert_non_null(strstr(mp_explain(), "waited no longer"));
	mp_barrier_close(barrier);
	objects_end(&objects);
}

/* --- held up between two steps --- */

/* One that was stopped behind its change of the word: nobody was rung. */
static void second_reset_rings_whom_a_stopped_one_has_not(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 2, NULL, NULL);
	uint64_t word;
	struct party party;

	begin_waits(barrier, &party, 1);
	word = barrier_word_with(load_relaxed(&barrier->shared->word), BARRIER_ABORT, 0);
	add_relaxed(&barrier->shared->breaks, 1);
	store_relaxed(&barrier->shared->word, barrier_word_next(word));
	assert_int_equal(mp_barrier_reset(barrier), 0);
	end_waits(&party, 1, -ENOTCONN);
	assert_non_null(strstr(party.why, "was broken while"));
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static void generations_go_round_without_a_trace(void **state)
{
	struct objects objects;
	mp_barrier *barrier = open_barrier(objects_begin(&objects), 2, NULL, NULL);

	store_relaxed(&barrier->shared->word, bits_make(GENERATION_MASK - 1, 40, 24));
	for (unsigned i = 0; i < 4; i++)
		it_works(barrier);
	assert_int_equal(barrier_word_generation(load_relaxed(&barrier->shared->word)), 2);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

/* --- opening --- */

static void second_opener_finds_the_same_barrier(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_barrier *barrier = open_barrier(segment, 2, NULL, NULL), *same, *third;
	uint64_t id = mp_barrier_id(barrier);

	assert_int_equal(mp_barrier_open(segment, "b", NULL, &same), 0);
	assert_int_equal(mp_barrier_parties(same), 2);
	assert_int_equal(mp_barrier_abort(barrier), 0);
	assert_int_equal(mp_barrier_is_broken(same), 1);
	assert_int_equal(mp_barrier_open(segment, "b", &(struct mp_barrier_opts){ .parties = 3 },
					 &third), -EPROTO);
	assert_non_null(strstr(mp_explain(), "parties"));
	assert_int_equal(mp_barrier_from_id(segment, id, &third), 0);
	assert_int_equal(mp_barrier_parties(third), 2);
	mp_barrier_close(third);
	assert_int_equal(mp_barrier_unlink(segment, "b"), 0);
	assert_int_equal(mp_barrier_unlink(segment, "b"), -ENOENT);
	assert_int_equal(mp_barrier_from_id(segment, id, &third), -ESTALE);
	assert_int_equal(mp_barrier_is_broken(same), 1); /* who has it open keeps it */
	mp_barrier_close(same);
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static int open_with(mp_segment *segment, uint32_t flags, uint32_t parties, uint64_t reserved)
{
	struct mp_barrier_opts opts = { .flags = flags,
					.parties = parties,
					.reserved = { [12] = reserved } };
	mp_barrier *barrier = NULL;
	int result = mp_barrier_open(segment, "b", &opts, &barrier);

	mp_barrier_close(barrier);
	return result;
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	uint32_t room = objects.seg->at.max_threads - SLOT_FIRST;
	mp_barrier *barrier;

	assert_int_equal(mp_barrier_open(NULL, "b", NULL, &barrier), -EINVAL);
	assert_int_equal(mp_barrier_open(segment, "b", NULL, NULL), -EINVAL);
	assert_int_equal(mp_barrier_open(segment, "b", NULL, &barrier), -EINVAL);
	assert_non_null(strstr(mp_explain(), "opts.parties"));
	assert_int_equal(open_with(segment, MP_EXISTING, 0, 0), -ENOENT);
	assert_int_equal(open_with(segment, 0, room + 1, 0), -EINVAL);
	assert_non_null(strstr(mp_explain(), "room for"));
	assert_int_equal(open_with(segment, MP_KEEP, 2, 0), -EINVAL);
	assert_int_equal(open_with(segment, 0, 2, 1), -EINVAL);
	assert_int_equal(open_with(segment, 0, room, 0), 0);
	assert_int_equal(mp_barrier_wait(NULL, MP_NOW, NULL), -EINVAL);
	assert_int_equal(mp_barrier_reset(NULL), -EINVAL);
	assert_int_equal(mp_barrier_abort(NULL), -EINVAL);
	assert_int_equal(mp_barrier_parties(NULL), -EINVAL);
	assert_int_equal(mp_barrier_waiting(NULL), -EINVAL);
	assert_int_equal(mp_barrier_is_broken(NULL), -EINVAL);
	assert_int_equal(mp_barrier_id(NULL), 0);
	assert_null(mp_barrier_close(NULL));
	objects_end(&objects);
}

static void overwritten_parties_are_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_barrier *barrier = open_barrier(segment, 2, NULL, NULL), *other;

	store_relaxed(&barrier->shared->parties, 100000);
	assert_int_equal(mp_barrier_open(segment, "b", NULL, &other), -EBADMSG);
	assert_int_equal(mp_barrier_from_id(segment, mp_barrier_id(barrier), &other), -EBADMSG);
	it_works(barrier); /* who has it open knows better */
	mp_barrier_close(barrier);
	objects_end(&objects);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(all_go_on_together_each_with_an_index_of_his_own),
	HARNESS_TEST(nobody_goes_on_before_the_last_has_come),
	HARNESS_TEST(one_party_never_waits),
	HARNESS_TEST(threads_beyond_the_parties_meet_in_the_next_turn),
	HARNESS_TEST(last_who_comes_acts_once_before_anybody_goes_on),
	HARNESS_TEST(each_handle_has_an_action_of_its_own),
	HARNESS_TEST(action_that_fails_breaks_it_and_is_told_to_who_ran_it),
	HARNESS_TEST(action_may_wait_at_another_barrier),
	HARNESS_TEST(action_that_waits_for_its_own_barrier_is_refused),
	HARNESS_TEST(who_comes_during_the_action_waits_and_breaks_nothing),
	HARNESS_TEST(abort_during_the_action_takes_its_result),
	HARNESS_TEST(reset_during_the_action_takes_its_result_and_leaves_it_whole),
	HARNESS_TEST(thread_that_ends_in_its_action_breaks_it),
	HARNESS_TEST(timeout_of_one_breaks_it_for_all),
	HARNESS_TEST(try_that_is_not_the_last_breaks_it_and_the_last_goes_on),
	HARNESS_TEST(abort_breaks_it_until_the_reset),
	HARNESS_TEST(barrier_that_nobody_waits_at_can_be_aborted_and_reset),
	HARNESS_TEST(reset_sends_away_who_waits_and_leaves_it_whole),
	HARNESS_TEST(first_who_breaks_it_is_the_one_that_is_named),
	HARNESS_TEST(second_reset_rings_whom_a_stopped_one_has_not),
	HARNESS_TEST(generations_go_round_without_a_trace),
	HARNESS_TEST(second_opener_finds_the_same_barrier),
	HARNESS_TEST(what_makes_no_sense_is_refused),
	HARNESS_TEST(overwritten_parties_are_refused),
};

HARNESS_MAIN(tests)
