/* SPDX-License-Identifier: MIT
 *
 * Proves: how often others may have a lock while somebody waits for it, and in which order it is
 * handed over. Knows: the bytes of a lock, tickets. Does not know: how a promise is made.
 *
 * Whoever waits is seen asleep before the next comes, so the order is known without a clock.
 */
#include "harness.h"

#include "lock_heir.h"
#include "lock_internal.h"
#include "lockword.h"
#include "objects.h"

#include <libshm/lock.h>
#include <libshm/process.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES 4
#define LAPS 20000
#define WAITERS 4

static mp_lock *open_lock(mp_segment *segment, const char *name, uint32_t fair)
{
	mp_lock *lock = NULL;

	assert_int_equal(
		mp_lock_open(segment, name, &(struct mp_lock_opts){ .fair = fair }, &lock), 0);
	return lock;
}

/* --- how often --- */

static int go_round(void *arg)
{
	mp_lock *lock = arg;

	for (unsigned i = 0; i < LAPS; i++) {
		if (mp_lock_acquire(lock, MP_FOREVER) != 0)
			return 1;
		if (i % 512 == 0)
			usleep(1); /* now and then the others fall asleep */
		if (mp_lock_release(lock) != 0)
			return 2;
	}
	return 0;
}

/* All want it all the time. What is counted has been had by those who came before too: each other
 * process once. */
static void expect_overtaken(uint32_t fair, uint32_t most)
{
	mp_process *processes[PROCESSES];
	mp_segment *segment;
	mp_lock *lock;
	struct shm_lock *shared;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", fair);
	shared = lock->shared;
	for (unsigned i = 0; i < PROCESSES; i++)
		assert_int_equal(mp_process_start(segment, NULL, go_round, lock, &processes[i]), 0);
	for (unsigned i = 0; i < PROCESSES; i++) {
		assert_int_equal(mp_process_join(processes[i], MP_FOREVER), 0);
		assert_int_equal(mp_process_exitcode(processes[i], &exitcode), 0);
		assert_int_equal(exitcode, 0);
		mp_process_close(processes[i]);
	}
	assert_true(load_relaxed(&shared->contended) > 0);
	assert_true(load_relaxed(&shared->overtaken_most) > 0);
	if (load_relaxed(&shared->overtaken_most) > most + load_relaxed(&shared->passed_over))
		fail_msg("others had it %u times while one waited, %u promises were late",
			 load_relaxed(&shared->overtaken_most),
			 load_relaxed(&shared->passed_over));
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static void nobody_of_four_processes_is_overtaken_more_than_64_times(void **state)
{
	expect_overtaken(0, OVERTAKEN_MAX + PROCESSES - 1);
}

static void nobody_of_four_processes_is_overtaken_at_a_fair_lock(void **state)
{
	expect_overtaken(1, PROCESSES - 1);
}

/* --- in which order --- */

struct line {
	mp_lock *lock;
	atom32 order; /* who had it, four bits each, the first one highest */
};

struct place {
	struct line *line;
	pthread_t thread;
	unsigned number;
	int64_t timeout;
	int result;
};

static void *stand_in_line(void *arg)
{
	struct place *place = arg;
	struct line *line = place->line;

	place->result = mp_lock_acquire(line->lock, place->timeout);
	if (place->result < 0)
		return NULL;
	store_relaxed(&line->order, load_relaxed(&line->order) << 4 | place->number);
	if (mp_lock_release(line->lock) < 0)
		place->result = -EIO;
	return NULL;
}

static void begin_place(struct place *place, struct line *line, struct seg *seg, unsigned number,
			int64_t timeout)
{
	uint32_t asleep = load_relaxed(&seg->header->asleep);

	*place = (struct place){ .line = line, .number = number, .timeout = timeout };
	pthread_create(&place->thread, NULL, stand_in_line, place);
	harness_segment_await_asleep(seg, asleep + 1);
}

static void fair_lock_is_handed_over_in_the_order_of_coming(void **state)
{
	struct objects objects;
	struct line line = { .lock = open_lock(objects_begin(&objects), "l", 1) };
	struct place places[WAITERS];

	assert_int_equal(mp_lock_acquire(line.lock, MP_NOW), 0);
	for (unsigned i = 0; i < WAITERS; i++)
		begin_place(&places[i], &line, objects.seg, i + 1, MP_FOREVER);
	assert_int_equal(mp_lock_release(line.lock), 0);
	for (unsigned i = 0; i < WAITERS; i++) {
		pthread_join(places[i].thread, NULL);
		assert_int_equal(places[i].result, 0);
	}
	assert_int_equal(load_relaxed(&line.order), 0x1234);
	mp_lock_close(line.lock);
	objects_end(&objects);
}

static void who_gives_up_is_left_out_and_the_others_keep_their_order(void **state)
{
	struct objects objects;
	struct line line = { .lock = open_lock(objects_begin(&objects), "l", 1) };
	struct place places[WAITERS];

	assert_int_equal(mp_lock_acquire(line.lock, MP_NOW), 0);
	for (unsigned i = 0; i < WAITERS; i++)
		begin_place(&places[i], &line, objects.seg, i + 1,
			    i == 1 ? MP_MSEC(20) : MP_FOREVER);
	pthread_join(places[1].thread, NULL);
	assert_int_equal(places[1].result, -ETIMEDOUT);
	assert_int_equal(mp_lock_release(line.lock), 0);
	for (unsigned i = 0; i < WAITERS; i++)
		if (i != 1)
			pthread_join(places[i].thread, NULL);
	assert_int_equal(load_relaxed(&line.order), 0x134);
	mp_lock_close(line.lock);
	objects_end(&objects);
}

/* --- promises that are void --- */

static int take_and_leave(void *arg)
{
	if (mp_lock_acquire(arg, MP_FOREVER) != 0)
		return 1;
	return mp_lock_release(arg) != 0;
}

static mp_process *begin_heir(mp_segment *segment, mp_lock *lock)
{
	mp_process *process;

	assert_int_equal(mp_process_start(segment, NULL, take_and_leave, lock, &process), 0);
	harness_segment_await_asleep(segment->seg, 1);
	return process;
}

static void end_heir(mp_process *process, int expected)
{
	int exitcode;

	assert_int_equal(mp_process_join(process, MP_FOREVER), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	assert_int_equal(exitcode, expected);
	mp_process_close(process);
}

static void killed_heir_keeps_nobody_from_the_lock(void **state)
{
	mp_segment *segment;
	mp_process *heir;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", 1);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	heir = begin_heir(segment, lock);
	assert_int_equal(kill(mp_process_pid(heir), SIGSTOP), 0);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_not_equal(lock_word_heir(load_acquire(&lock->shared->word)), 0);
	assert_int_equal(mp_process_kill(heir), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_FOREVER), 0);
	assert_int_equal(mp_lock_release(lock), 0);
	end_heir(heir, -SIGKILL);
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static void stopped_heir_is_passed_over_and_keeps_its_place(void **state)
{
	mp_segment *segment;
	mp_process *heir;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", 1);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	heir = begin_heir(segment, lock);
	assert_int_equal(kill(mp_process_pid(heir), SIGSTOP), 0);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_FOREVER), 0);
	assert_true(load_relaxed(&lock->shared->passed_over) > 0);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(kill(mp_process_pid(heir), SIGCONT), 0);
	end_heir(heir, 0);
	assert_int_equal(lock_word_heir(load_acquire(&lock->shared->word)), 0);
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static void forged_promise_keeps_nobody_from_the_lock(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", 0);
	static const uint32_t slots[] = { 1, 2, 3, 511, 512, 4095 };

	for (unsigned i = 0; i < ARRAY_LEN(slots); i++) {
		store_release(&lock->shared->word, lock_word_promised(LOCK_WAIT, slots[i], 0));
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
		store_release(&lock->shared->word,
			      lock_word_promised(load_relaxed(&lock->shared->word) | LOCK_WAIT,
						 slots[i], 3));
		assert_int_equal(mp_lock_release(lock), 0);
		assert_int_equal(load_relaxed(&lock->shared->word), 0);
	}
	mp_lock_close(lock);
	objects_end(&objects);
}

/* --- options --- */

static void fairness_is_agreed_upon_and_nothing_else_is_taken(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_lock *fair = open_lock(segment, "fair", 1), *usual = open_lock(segment, "usual", 0);
	mp_lock *again = NULL;
	struct mp_lock_opts opts = { .fair = 2 };

	assert_int_equal(mp_lock_open(segment, "l", &opts, &again), -EINVAL);
	assert_non_null(strstr(mp_explain(), "opts.fair"));
	opts.fair = 1;
	assert_int_equal(mp_lock_open(segment, "usual", &opts, &again), -EPROTO);
	assert_non_null(strstr(mp_explain(), "fair is 0, not 1"));
	opts.reserved1 = 1;
	assert_int_equal(mp_lock_open(segment, "fair", &opts, &again), -EINVAL);
	assert_null(again);
	assert_int_equal(mp_lock_open(segment, "fair", NULL, &again), 0);
	mp_lock_close(again);
	mp_lock_close(usual);
	mp_lock_close(fair);
	objects_end(&objects);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(nobody_of_four_processes_is_overtaken_more_than_64_times),
	HARNESS_TEST_WITH_MPD(nobody_of_four_processes_is_overtaken_at_a_fair_lock),
	HARNESS_TEST(fair_lock_is_handed_over_in_the_order_of_coming),
	HARNESS_TEST(who_gives_up_is_left_out_and_the_others_keep_their_order),
	HARNESS_TEST_WITH_MPD(killed_heir_keeps_nobody_from_the_lock),
	HARNESS_TEST_WITH_MPD(stopped_heir_is_passed_over_and_keeps_its_place),
	HARNESS_TEST(forged_promise_keeps_nobody_from_the_lock),
	HARNESS_TEST(fairness_is_agreed_upon_and_nothing_else_is_taken),
};

HARNESS_MAIN(tests)
