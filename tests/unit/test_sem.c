/* SPDX-License-Identifier: MIT
 *
 * Proves: what sem.h promises, in threads over one mapping, and in processes that die.
 */
#include "harness.h"

#include "objects.h"
#include "sem_internal.h"

#include "wait.h"

#include <libshm/observe.h>
#include <libshm/process.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITERS 4
#define ROUNDS 500

static mp_sem *open_sem(mp_segment *segment, struct mp_sem_opts opts)
{
	mp_sem *sem = NULL;

	assert_int_equal(mp_sem_open(segment, "s", &opts, &sem), 0);
	return sem;
}

static mp_sem *open_owned(mp_segment *segment, uint32_t permits)
{
	return open_sem(segment, (struct mp_sem_opts){ .initial = permits, .owned = 1 });
}

/* --- threads that wait --- */

struct waiter {
	mp_sem *sem;
	pthread_t thread;
	int64_t timeout;
	int result;
};

static void *acquire(void *arg)
{
	struct waiter *waiter = arg;

	waiter->result = mp_sem_acquire(waiter->sem, waiter->timeout);
	return NULL;
}

static void begin_wait(mp_sem *sem, int64_t timeout, struct waiter *waiter)
{
	*waiter = (struct waiter){ .sem = sem, .timeout = timeout, .result = 1 };
	pthread_create(&waiter->thread, NULL, acquire, waiter);
}

static void begin_waits(struct seg *seg, mp_sem *sem, struct waiter waiters[static WAITERS])
{
	for (unsigned i = 0; i < WAITERS; i++)
		begin_wait(sem, MP_FOREVER, &waiters[i]);
	harness_segment_await_asleep(seg, WAITERS);
}

static void end_waits(struct waiter waiters[static WAITERS])
{
	for (unsigned i = 0; i < WAITERS; i++) {
		pthread_join(waiters[i].thread, NULL);
		assert_int_equal(waiters[i].result, 0);
	}
}

/* --- one process --- */

static void acquire_and_release_count_what_is_left(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 2 });

	assert_int_equal(mp_sem_value(sem), 2);
	assert_int_equal(mp_sem_acquire(sem, MP_FOREVER), 0);
	assert_int_equal(mp_sem_value(sem), 1);
	assert_int_equal(mp_sem_acquire(sem, MP_FOREVER), 0);
	assert_int_equal(mp_sem_value(sem), 0);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), -EAGAIN);
	assert_non_null(strstr(mp_explain(), "'s'"));
	assert_int_equal(mp_sem_release(sem, 1), 0);
	assert_int_equal(mp_sem_value(sem), 1);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	assert_int_equal(mp_sem_value(sem), 2);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void semaphore_without_options_begins_with_no_permit(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_sem *sem;

	assert_int_equal(mp_sem_open(segment, NULL, NULL, &sem), 0);
	assert_int_equal(mp_sem_value(sem), 0);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), -EAGAIN);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void release_may_exceed_what_there_was_in_the_beginning(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 1 });

	assert_int_equal(mp_sem_release(sem, 1), 0);
	assert_int_equal(mp_sem_value(sem), 2);
	assert_int_equal(mp_sem_release(sem, SEM_VALUE_MAX - 2), 0);
	assert_int_equal(mp_sem_value(sem), SEM_VALUE_MAX);
	assert_int_equal(mp_sem_release(sem, 1), -EOVERFLOW);
	assert_int_equal(mp_sem_release(sem, SEM_VALUE_MAX), -EOVERFLOW);
	assert_int_equal(mp_sem_value(sem), SEM_VALUE_MAX);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void release_of_several_gives_all_of_them(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 0 });

	assert_int_equal(mp_sem_release(sem, 3), 0);
	assert_int_equal(mp_sem_value(sem), 3);
	assert_int_equal(mp_sem_release(sem, 0), -EINVAL);
	assert_int_equal(mp_sem_release(sem, -1), -EINVAL);
	assert_int_equal(mp_sem_value(sem), 3);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void bounded_semaphore_refuses_what_is_above_its_maximum(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects),
			       (struct mp_sem_opts){ .initial = 2, .maximum = 2 });

	assert_int_equal(mp_sem_release(sem, 1), -EOVERFLOW);
	assert_non_null(strstr(mp_explain(), "'s'"));
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	assert_int_equal(mp_sem_release(sem, 2), -EOVERFLOW);
	assert_int_equal(mp_sem_value(sem), 1);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	assert_int_equal(mp_sem_value(sem), 2);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void *release_often(void *arg)
{
	uintptr_t released = 0;

	for (unsigned i = 0; i < ROUNDS; i++)
		released += mp_sem_release(arg, 1) == 0;
	return (void *)released;
}

/* Python looks at the value and posts then: two threads may both pass. */
static void bound_is_exact_when_many_release_at_once(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .maximum = ROUNDS });
	pthread_t threads[WAITERS];
	uintptr_t released = 0;

	for (unsigned i = 0; i < WAITERS; i++)
		pthread_create(&threads[i], NULL, release_often, sem);
	for (unsigned i = 0; i < WAITERS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		released += (uintptr_t)result;
	}
	assert_int_equal(released, ROUNDS);
	assert_int_equal(mp_sem_value(sem), ROUNDS);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void timeout_below_zero_tries_once(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 1 });

	assert_int_equal(mp_sem_acquire(sem, -5), 0);
	assert_int_equal(mp_sem_acquire(sem, -5), -EAGAIN);
	assert_int_equal(load_relaxed(&sem->shared->waits), 0);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void acquire_that_nobody_ends_is_over_in_time(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 0 });
	int64_t began = harness_now_ns();

	assert_int_equal(mp_sem_acquire(sem, MP_MSEC(30)), -ETIMEDOUT);
	assert_true(harness_now_ns() - began >= 30000000);
	assert_non_null(strstr(mp_explain(), "'s'"));
	assert_int_equal(load_relaxed(&sem->shared->waits), 1);
	assert_int_equal(mp_sem_value(sem), 0);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void second_opener_finds_the_same_semaphore(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_sem *sem = open_sem(segment, (struct mp_sem_opts){ .initial = 2, .maximum = 3 });
	mp_sem *same = open_sem(segment, (struct mp_sem_opts){ .initial = 2 }), *third;
	uint64_t id = mp_sem_id(sem);

	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	assert_int_equal(mp_sem_value(same), 1);
	assert_int_equal(mp_sem_release(same, 3), -EOVERFLOW); /* the bound is the object's */
	assert_int_equal(mp_sem_open(segment, "s", &(struct mp_sem_opts){ .initial = 1 }, &third),
			 -EPROTO);
	assert_int_equal(mp_sem_open(segment, "s", &(struct mp_sem_opts){ .maximum = 9 }, &third),
			 -EPROTO);
	assert_int_equal(mp_sem_open(segment, "s",
				     &(struct mp_sem_opts){ .initial = 2, .owned = 1 }, &third),
			 -EPROTO);
	assert_int_equal(mp_sem_from_id(segment, id, &third), 0);
	assert_int_equal(mp_sem_value(third), 1);
	mp_sem_close(third);
	assert_int_equal(mp_sem_unlink(segment, "s"), 0);
	assert_int_equal(mp_sem_unlink(segment, "s"), -ENOENT);
	assert_int_equal(mp_sem_from_id(segment, id, &third), -ESTALE);
	assert_int_equal(mp_sem_release(same, 1), 0); /* who has it open keeps it */
	mp_sem_close(same);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void check_refused(mp_segment *segment, struct mp_sem_opts opts)
{
	mp_sem *sem;

	assert_int_equal(mp_sem_open(segment, "s", &opts, &sem), -EINVAL);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_sem *sem;

	assert_int_equal(mp_sem_open(NULL, "s", NULL, &sem), -EINVAL);
	assert_int_equal(mp_sem_open(segment, "s", NULL, NULL), -EINVAL);
	check_refused(segment, (struct mp_sem_opts){ .initial = UINT32_C(1) << 31 });
	check_refused(segment, (struct mp_sem_opts){ .initial = UINT32_MAX }); /* Python's -1 */
	check_refused(segment, (struct mp_sem_opts){ .maximum = UINT32_C(1) << 31 });
	check_refused(segment, (struct mp_sem_opts){ .initial = 3, .maximum = 2 });
	check_refused(segment, (struct mp_sem_opts){ .owned = 1 });
	check_refused(segment, (struct mp_sem_opts){ .initial = 1, .owned = 2 });
	check_refused(segment, (struct mp_sem_opts){ .initial = 4097, .owned = 1 });
	check_refused(segment, (struct mp_sem_opts){ .initial = 2, .maximum = 3, .owned = 1 });
	check_refused(segment, (struct mp_sem_opts){ .flags = MP_KEEP });
	check_refused(segment, (struct mp_sem_opts){ .reserved0 = 1 });
	check_refused(segment, (struct mp_sem_opts){ .reserved1 = 1 });
	assert_int_equal(mp_sem_open(segment, "s", &(struct mp_sem_opts){ .flags = MP_EXISTING },
				     &sem), -ENOENT);
	assert_int_equal(mp_sem_acquire(NULL, MP_NOW), -EINVAL);
	assert_int_equal(mp_sem_release(NULL, 1), -EINVAL);
	assert_int_equal(mp_sem_value(NULL), -EINVAL);
	assert_int_equal(mp_sem_id(NULL), 0);
	assert_null(mp_sem_close(NULL));
	objects_end(&objects);
}

/* --- who is woken --- */

static void release_wakes_as_many_as_it_gives(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 0 });
	struct waiter waiters[WAITERS];

	begin_waits(objects.seg, sem, waiters);
	assert_int_equal(mp_sem_release(sem, WAITERS - 1), 0);
	while (mp_sem_value(sem) > 0)
		harness_sleep_ms(1);
	harness_segment_await_asleep(objects.seg, 1); /* nobody took two, one is left */
	assert_int_equal(mp_sem_release(sem, 1), 0);
	end_waits(waiters);
	assert_int_equal(mp_sem_value(sem), 0);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void release_of_more_than_wait_leaves_the_rest(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 0 });
	struct waiter waiters[WAITERS];

	begin_waits(objects.seg, sem, waiters);
	assert_int_equal(mp_sem_release(sem, 1000), 0);
	end_waits(waiters);
	assert_int_equal(mp_sem_value(sem), 1000 - WAITERS);
	mp_sem_close(sem);
	objects_end(&objects);
}

/* One that was stopped behind its change of the word: nobody was rung. */
static void taker_rings_whom_a_stopped_release_has_not(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 0 });
	struct waiter waiters[WAITERS];

	begin_waits(objects.seg, sem, waiters);
	add_seqcst(&sem->shared->word, WAITERS + 1);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	end_waits(waiters);
	assert_int_equal(mp_sem_value(sem), 0);
	mp_sem_close(sem);
	objects_end(&objects);
}

/* What a release leaves that dies between dropping WAIT and its second look. */
static void sleeper_without_the_mark_is_rung_by_the_audit(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 0 });
	struct waiter waiter;

	begin_wait(sem, MP_FOREVER, &waiter);
	harness_segment_await_asleep(objects.seg, 1);
	and_seqcst(&sem->shared->word, ~SEM_WAIT);
	assert_int_equal(recover_audit(objects.seg), 1);
	while (!(load_seqcst(&sem->shared->word) & SEM_WAIT))
		harness_sleep_ms(1);
	harness_segment_await_asleep(objects.seg, 1);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.result, 0);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void mark_goes_with_the_last_sleeper(void **state)
{
	struct objects objects;
	mp_sem *sem = open_sem(objects_begin(&objects), (struct mp_sem_opts){ .initial = 0 });

	assert_int_equal(mp_sem_acquire(sem, MP_MSEC(1)), -ETIMEDOUT);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	assert_false(load_relaxed(&sem->shared->word) & SEM_WAIT);
	mp_sem_close(sem);
	objects_end(&objects);
}

/* --- stress --- */

struct crowd {
	mp_sem *sem;
	atom32 inside, most;
	int64_t timeout;
	uint32_t several; /* each takes so many, and releases them together */
	unsigned rounds;
	atom32 timed_out;
};

static bool take_several(struct crowd *crowd)
{
	for (uint32_t i = 0; i < crowd->several; i++) {
		int result = mp_sem_acquire(crowd->sem, crowd->timeout);

		if (result == 0)
			continue;
		assert_true(result == -ETIMEDOUT && crowd->timeout < MP_FOREVER);
		add_relaxed(&crowd->timed_out, 1);
		if (i > 0)
			assert_int_equal(mp_sem_release(crowd->sem, (int)i), 0);
		return false;
	}
	return true;
}

static void *come_and_go(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->rounds; i++) {
		uint32_t inside;

		if (!take_several(crowd))
			continue;
		inside = add_seqcst(&crowd->inside, crowd->several) + crowd->several;
		if (inside > load_relaxed(&crowd->most))
			store_relaxed(&crowd->most, inside);
		sub_relaxed(&crowd->inside, crowd->several);
		assert_int_equal(mp_sem_release(crowd->sem, (int)crowd->several), 0);
	}
	return NULL;
}

static void check_crowd(struct mp_sem_opts opts, int64_t timeout, uint32_t several)
{
	struct objects objects;
	struct crowd crowd = { .sem = open_sem(objects_begin(&objects), opts),
			       .timeout = timeout,
			       .several = several,
			       .rounds = ROUNDS * harness_scale() };
	pthread_t threads[WAITERS];

	for (unsigned i = 0; i < WAITERS; i++)
		pthread_create(&threads[i], NULL, come_and_go, &crowd);
	for (unsigned i = 0; i < WAITERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(load_relaxed(&crowd.most) <= opts.initial);
	assert_int_equal(mp_sem_value(crowd.sem), opts.initial);
	assert_false(wait_has_sleepers(&crowd.sem->shared->waiters));
	mp_sem_close(crowd.sem);
	objects_end(&objects);
}

static void permits_are_conserved_in_a_crowd(void **state)
{
	check_crowd((struct mp_sem_opts){ .initial = 1, .maximum = 1 }, MP_FOREVER, 1);
	check_crowd((struct mp_sem_opts){ .initial = 2, .maximum = 2 }, MP_FOREVER, 1);
}

static void owned_permits_are_conserved_in_a_crowd(void **state)
{
	check_crowd((struct mp_sem_opts){ .initial = 1, .owned = 1 }, MP_FOREVER, 1);
	check_crowd((struct mp_sem_opts){ .initial = 3, .owned = 1 }, MP_FOREVER, 1);
}

static void permits_are_conserved_where_some_give_up(void **state)
{
	check_crowd((struct mp_sem_opts){ .initial = 3, .maximum = 3 }, MP_USEC(20), 2);
	check_crowd((struct mp_sem_opts){ .initial = 3, .owned = 1 }, MP_USEC(20), 2);
}

struct table {
	mp_sem *ping, *pong;
};

static void *answer(void *arg)
{
	struct table *table = arg;

	for (unsigned i = 0; i < ROUNDS * harness_scale(); i++)
		if (mp_sem_acquire(table->ping, MP_FOREVER) < 0 ||
		    mp_sem_release(table->pong, 1) < 0)
			return arg;
	return NULL;
}

static void turn_that_is_handed_back_and_forth_is_never_lost(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct table table;
	pthread_t thread;
	void *failed;

	assert_int_equal(mp_sem_open(segment, NULL, NULL, &table.ping), 0);
	assert_int_equal(mp_sem_open(segment, NULL, NULL, &table.pong), 0);
	pthread_create(&thread, NULL, answer, &table);
	for (unsigned i = 0; i < ROUNDS * harness_scale(); i++) {
		assert_int_equal(mp_sem_release(table.ping, 1), 0);
		assert_int_equal(mp_sem_acquire(table.pong, MP_FOREVER), 0);
	}
	pthread_join(thread, &failed);
	assert_null(failed);
	mp_sem_close(table.ping);
	mp_sem_close(table.pong);
	objects_end(&objects);
}

/* --- owned permits, one process --- */

static void owned_permits_are_taken_and_given_back(void **state)
{
	struct objects objects;
	mp_sem *sem = open_owned(objects_begin(&objects), 3);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(mp_sem_value(sem), 3 - i);
		assert_int_equal(mp_sem_acquire(sem, MP_FOREVER), 0);
	}
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), -EAGAIN);
	assert_int_equal(mp_sem_acquire(sem, MP_MSEC(1)), -ETIMEDOUT);
	assert_non_null(strstr(mp_explain(), "3 permits"));
	assert_int_equal(mp_sem_release(sem, 2), 0);
	assert_int_equal(mp_sem_value(sem), 2);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	assert_int_equal(mp_sem_value(sem), 3);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void who_holds_too_few_gives_none_back(void **state)
{
	struct objects objects;
	mp_sem *sem = open_owned(objects_begin(&objects), 3);

	assert_int_equal(mp_sem_release(sem, 1), -EPERM);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	assert_int_equal(mp_sem_release(sem, 3), -EPERM);
	assert_non_null(strstr(mp_explain(), "holds 2 permits"));
	assert_int_equal(mp_sem_release(sem, 4), -EPERM); /* more than there are */
	assert_int_equal(mp_sem_value(sem), 1);
	assert_int_equal(mp_sem_release(sem, 2), 0);
	assert_int_equal(mp_sem_release(sem, 1), -EPERM);
	assert_int_equal(mp_sem_value(sem), 3);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void *release_one(void *arg)
{
	return (void *)(intptr_t)mp_sem_release(arg, 1);
}

static void any_thread_of_the_holding_process_gives_a_permit_back(void **state)
{
	struct objects objects;
	mp_sem *sem = open_owned(objects_begin(&objects), 100);
	pthread_t thread;
	void *result;

	for (int i = 0; i < 70; i++)
		assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	pthread_create(&thread, NULL, release_one, sem);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	assert_int_equal(mp_sem_value(sem), 31);
	assert_int_equal(mp_sem_release(sem, 69), 0);
	assert_int_equal(mp_sem_value(sem), 100);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void *acquire_one(void *arg)
{
	return (void *)(intptr_t)mp_sem_acquire(arg, MP_NOW);
}

static void permits_outlive_the_thread_that_took_them(void **state)
{
	struct objects objects;
	mp_sem *sem = open_owned(objects_begin(&objects), 2);
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, acquire_one, sem);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	assert_int_equal(mp_sem_value(sem), 1);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	mp_sem_close(sem);
	objects_end(&objects);
}

static void last_handle_gives_back_what_the_process_holds(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_sem *sem = open_owned(segment, 3), *same = open_owned(segment, 3);

	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	mp_sem_close(sem);
	assert_int_equal(mp_sem_value(same), 1); /* the process has another handle */
	mp_sem_close(same);
	same = open_owned(segment, 0);
	assert_int_equal(mp_sem_value(same), 3);
	assert_int_equal(load_relaxed(&same->shared->returned), 2);
	mp_sem_close(same);
	objects_end(&objects);
}

static void forged_cells_are_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_sem *sem = open_owned(segment, 3), *other;
	uint64_t cells = load_relaxed(&sem->shared->cells);

	store_relaxed(&sem->shared->cells, 12345);
	assert_int_equal(mp_sem_open(segment, "s", NULL, &other), -EBADMSG);
	store_relaxed(&sem->shared->cells, cells);
	store_relaxed(&sem->shared->initial, 4000); /* more than the block has room for */
	assert_int_equal(mp_sem_open(segment, "s", NULL, &other), -EBADMSG);
	store_relaxed(&sem->shared->initial, 3);
	mp_sem_close(sem);
	objects_end(&objects);
}

/* --- processes --- */

static int take_and_give(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		if (mp_sem_acquire(arg, MP_FOREVER) < 0 || mp_sem_release(arg, 1) < 0)
			return 1;
	return 0;
}

static void check_processes(struct mp_sem_opts opts)
{
	mp_process *processes[WAITERS];
	mp_segment *segment;
	mp_sem *sem;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_sem(segment, opts);
	for (unsigned i = 0; i < WAITERS; i++)
		assert_int_equal(mp_process_start(segment, NULL, take_and_give, sem,
						  &processes[i]), 0);
	for (unsigned i = 0; i < WAITERS; i++) {
		assert_int_equal(mp_process_join(processes[i], MP_FOREVER), 0);
		assert_int_equal(mp_process_exitcode(processes[i], &exitcode), 0);
		assert_int_equal(exitcode, 0);
		mp_process_close(processes[i]);
	}
	assert_int_equal(mp_sem_value(sem), opts.initial);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static void processes_share_the_permits(void **state)
{
	check_processes((struct mp_sem_opts){ .initial = 2, .maximum = 2 });
	check_processes((struct mp_sem_opts){ .initial = 2, .owned = 1 });
}

static int release_three(void *arg)
{
	return mp_sem_release(arg, 3);
}

static void forked_child_may_release_as_the_first_thing_it_does(void **state)
{
	mp_segment *segment;
	mp_sem *sem;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_sem(segment, (struct mp_sem_opts){ .initial = 0 });
	harness_join(harness_fork(release_three, sem));
	assert_int_equal(mp_sem_value(sem), 3);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static int release_is_refused(void *arg)
{
	return mp_sem_release(arg, 1) == -EPERM && mp_sem_acquire(arg, MP_NOW) == 0 ? 0 : 1;
}

static void child_owns_nothing_of_its_parents(void **state)
{
	mp_segment *segment;
	mp_sem *sem;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_owned(segment, 3);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	harness_join(harness_fork(release_is_refused, sem));
	while (mp_sem_value(sem) < 2) /* what the child took comes back with its end */
		harness_sleep_ms(1);
	assert_int_equal(mp_sem_value(sem), 2);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static int take_two_and_stay(void *arg)
{
	if (mp_sem_acquire(arg, MP_FOREVER) < 0 || mp_sem_acquire(arg, MP_FOREVER) < 0)
		return 1;
	for (;;)
		pause();
}

static mp_process *start_holder(mp_segment *segment, mp_sem *sem, int left)
{
	mp_process *holder;

	assert_int_equal(mp_process_start(segment, NULL, take_two_and_stay, sem, &holder), 0);
	while (mp_sem_value(sem) > left)
		harness_sleep_ms(1);
	return holder;
}

static void kill_and_join(mp_process *process)
{
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(mp_process_join(process, MP_FOREVER), 0);
	mp_process_close(process);
}

static void permits_of_a_killed_holder_come_back_once(void **state)
{
	mp_process *holder;
	mp_segment *segment;
	mp_sem *sem;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_owned(segment, 3);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	holder = start_holder(segment, sem, 0);
	assert_int_equal(mp_sem_acquire(sem, MP_MSEC(1)), -ETIMEDOUT);
	kill_and_join(holder);
	assert_int_equal(mp_sem_acquire(sem, MP_FOREVER), 0); /* wakes by the death alone */
	assert_int_equal(mp_sem_acquire(sem, MP_FOREVER), 0);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), -EAGAIN);
	assert_int_equal(load_relaxed(&sem->shared->returned), 2);
	assert_int_equal(mp_sem_release(sem, 3), 0);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static void killed_process_neither_adds_nor_removes_a_permit_that_nobody_owns(void **state)
{
	mp_process *holder;
	mp_segment *segment;
	mp_sem *sem;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_sem(segment, (struct mp_sem_opts){ .initial = 3 });
	holder = start_holder(segment, sem, 1);
	kill_and_join(holder);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	assert_int_equal(mp_sem_acquire(sem, MP_MSEC(50)), -ETIMEDOUT);
	assert_int_equal(mp_sem_release(sem, 3), 0); /* anybody may */
	assert_int_equal(mp_sem_value(sem), 3);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static int acquire_and_exit(void *arg)
{
	return mp_sem_acquire(arg, MP_FOREVER);
}

static void killed_waiter_keeps_no_other_from_its_permit(void **state)
{
	mp_process *victim, *other;
	mp_segment *segment;
	mp_sem *sem;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_sem(segment, (struct mp_sem_opts){ .initial = 0 });
	assert_int_equal(mp_process_start(segment, NULL, acquire_and_exit, sem, &victim), 0);
	harness_segment_await_asleep(segment->seg, 1);
	assert_int_equal(mp_process_start(segment, NULL, acquire_and_exit, sem, &other), 0);
	harness_segment_await_asleep(segment->seg, 2);
	kill_and_join(victim);
	assert_int_equal(mp_sem_release(sem, 1), 0);
	assert_int_equal(mp_process_join(other, MP_FOREVER), 0);
	assert_int_equal(mp_process_exitcode(other, &exitcode), 0);
	assert_int_equal(exitcode, 0);
	mp_process_close(other);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static void tools_see_what_is_free_and_who_waits(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_process *waiter;
	mp_segment *segment;
	mp_sem *sem;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_sem(segment, (struct mp_sem_opts){ .initial = 0, .maximum = 5 });
	assert_int_equal(mp_process_start(segment, NULL, acquire_and_exit, sem, &waiter), 0);
	harness_segment_await_asleep(segment->seg, 1);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->sync_count, 1);
	assert_int_equal(snapshot->is_torn, 0);
	assert_string_equal(snapshot->syncs[0].name, "s");
	assert_string_equal(snapshot->syncs[0].kind, "semaphore");
	assert_string_equal(snapshot->syncs[0].state, "0/5");
	assert_int_equal(snapshot->syncs[0].waiters, 1);
	assert_int_equal(snapshot->syncs[0].waits, 1);
	assert_int_equal(mp_sem_release(sem, 3), 0);
	assert_int_equal(mp_process_join(waiter, MP_FOREVER), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_string_equal(snapshot->syncs[0].state, "2/5");
	assert_int_equal(snapshot->syncs[0].waiters, 0);
	mp_observe_close(observer);
	mp_process_close(waiter);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static void tools_see_how_many_processes_hold_owned_permits(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_process *holder;
	mp_segment *segment;
	mp_sem *sem;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	sem = open_owned(segment, 600);
	assert_int_equal(mp_sem_acquire(sem, MP_NOW), 0);
	holder = start_holder(segment, sem, 597);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->is_torn, 0);
	assert_string_equal(snapshot->syncs[0].state, "597/600");
	assert_int_equal(snapshot->syncs[0].holders, 2);
	kill_and_join(holder);
	while (mp_sem_value(sem) < 599)
		harness_sleep_ms(1);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->syncs[0].holders, 1);
	assert_int_equal(snapshot->syncs[0].changes, 2);
	mp_observe_close(observer);
	mp_sem_close(sem);
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(acquire_and_release_count_what_is_left),
	HARNESS_TEST(semaphore_without_options_begins_with_no_permit),
	HARNESS_TEST(release_may_exceed_what_there_was_in_the_beginning),
	HARNESS_TEST(release_of_several_gives_all_of_them),
	HARNESS_TEST(bounded_semaphore_refuses_what_is_above_its_maximum),
	HARNESS_TEST(bound_is_exact_when_many_release_at_once),
	HARNESS_TEST(timeout_below_zero_tries_once),
	HARNESS_TEST(acquire_that_nobody_ends_is_over_in_time),
	HARNESS_TEST(second_opener_finds_the_same_semaphore),
	HARNESS_TEST(what_makes_no_sense_is_refused),
	HARNESS_TEST(release_wakes_as_many_as_it_gives),
	HARNESS_TEST(release_of_more_than_wait_leaves_the_rest),
	HARNESS_TEST(taker_rings_whom_a_stopped_release_has_not),
	HARNESS_TEST(sleeper_without_the_mark_is_rung_by_the_audit),
	HARNESS_TEST(mark_goes_with_the_last_sleeper),
	HARNESS_TEST(permits_are_conserved_in_a_crowd),
	HARNESS_TEST(owned_permits_are_conserved_in_a_crowd),
	HARNESS_TEST(permits_are_conserved_where_some_give_up),
	HARNESS_TEST(turn_that_is_handed_back_and_forth_is_never_lost),
	HARNESS_TEST(owned_permits_are_taken_and_given_back),
	HARNESS_TEST(who_holds_too_few_gives_none_back),
	HARNESS_TEST(any_thread_of_the_holding_process_gives_a_permit_back),
	HARNESS_TEST(permits_outlive_the_thread_that_took_them),
	HARNESS_TEST(last_handle_gives_back_what_the_process_holds),
	HARNESS_TEST(forged_cells_are_refused),
	HARNESS_TEST_WITH_MPD(processes_share_the_permits),
	HARNESS_TEST_WITH_MPD(forked_child_may_release_as_the_first_thing_it_does),
	HARNESS_TEST_WITH_MPD(child_owns_nothing_of_its_parents),
	HARNESS_TEST_WITH_MPD(permits_of_a_killed_holder_come_back_once),
	HARNESS_TEST_WITH_MPD(killed_process_neither_adds_nor_removes_a_permit_that_nobody_owns),
	HARNESS_TEST_WITH_MPD(killed_waiter_keeps_no_other_from_its_permit),
	HARNESS_TEST_WITH_MPD(tools_see_what_is_free_and_who_waits),
	HARNESS_TEST_WITH_MPD(tools_see_how_many_processes_hold_owned_permits),
};

HARNESS_MAIN(tests)
