/* SPDX-License-Identifier: MIT
 *
 * Proves: what lock.h promises, in threads over one mapping and in processes that die.
 */
#include "harness.h"

#include "clock.h"
#include "lockword.h"
#include "objects.h"

#include <libshm/lock.h>
#include <libshm/process.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>

static mp_lock *open_lock(mp_segment *segment, const char *name, uint32_t kind)
{
	mp_lock *lock = NULL;

	assert_int_equal(
		mp_lock_open(segment, name, &(struct mp_lock_opts){ .kind = kind }, &lock), 0);
	return lock;
}

static struct shm_lock *shared_of(struct seg *seg, mp_lock *lock)
{
	struct shm_entry *entry = &seg->directory[who_slot(mp_lock_id(lock))];

	return (void *)(seg->base + reference_offset(load_relaxed(&entry->object)));
}

/* Calls fn(lock) in another thread and returns its result. */
struct call {
	int (*fn)(mp_lock *lock);
	mp_lock *lock;
	int result;
};

static void *run_call(void *arg)
{
	struct call *call = arg;

	call->result = call->fn(call->lock);
	return NULL;
}

static int elsewhere(int (*fn)(mp_lock *), mp_lock *lock)
{
	struct call call = { .fn = fn, .lock = lock };
	pthread_t thread;

	pthread_create(&thread, NULL, run_call, &call);
	pthread_join(thread, NULL);
	return call.result;
}

static int try_and_release(mp_lock *lock)
{
	int result = mp_lock_acquire(lock, MP_NOW);

	if (result >= 0 && mp_lock_release(lock) < 0)
		return -EIO;
	return result;
}

static int acquire_and_exit(mp_lock *lock)
{
	return mp_lock_acquire(lock, MP_NOW);
}

static void checked_lock_refuses_its_owner_twice_and_others_at_all(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", 0);
	struct mp_who who;

	assert_int_equal(mp_lock_is_locked(lock), 0);
	assert_int_equal(mp_lock_owner(lock, &who), -ENOENT);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_FOREVER), -EDEADLK);
	assert_int_equal(mp_lock_is_locked(lock), 1);
	assert_int_equal(mp_lock_owner(lock, &who), 0);
	assert_int_equal(who.pid, getpid());
	assert_int_equal(who.tid, gettid());
	assert_int_equal(elsewhere(try_and_release, lock), -EAGAIN);
	assert_int_equal(elsewhere(mp_lock_release, lock), -EPERM);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_lock_release(lock), -EOVERFLOW);
	assert_non_null(strstr(mp_explain(), "'l'"));
	assert_int_equal(elsewhere(try_and_release, lock), 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void plain_lock_may_be_released_by_any_thread(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", MP_LOCK_PLAIN);

	for (int i = 0; i < 40; i++) { /* more often than the list of held locks is long */
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), -EAGAIN);
		assert_int_equal(elsewhere(mp_lock_release, lock), 0);
	}
	assert_int_equal(mp_lock_release(lock), -EOVERFLOW);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void recursive_lock_is_free_after_as_many_releases(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", MP_LOCK_RECURSIVE);

	for (int i = 0; i < 5; i++)
		assert_int_equal(mp_lock_acquire(lock, MP_FOREVER), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(elsewhere(try_and_release, lock), -EAGAIN);
		assert_int_equal(elsewhere(mp_lock_release, lock), -EPERM);
		assert_int_equal(mp_lock_release(lock), 0);
	}
	assert_int_equal(elsewhere(try_and_release, lock), 0);
	assert_int_equal(mp_lock_release(lock), -EOVERFLOW);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void timeout_names_the_holder(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", MP_LOCK_PLAIN);
	int64_t began = harness_now_ns();

	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_MSEC(30)), -ETIMEDOUT);
	assert_true(harness_now_ns() - began >= 30000000);
	assert_non_null(strstr(mp_explain(), "is held by"));
	assert_int_equal(mp_lock_acquire(lock, -7), -EAGAIN);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void thread_that_ends_holding_the_lock_is_reported_once(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", 0);

	assert_int_equal(elsewhere(acquire_and_exit, lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void last_handle_that_goes_while_held_frees_the_lock(void **state)
{
	for (uint32_t kind = MP_LOCK_CHECKED; kind <= MP_LOCK_RECURSIVE; kind++) {
		struct objects objects;
		mp_segment *segment = objects_begin(&objects);
		mp_lock *lock = open_lock(segment, "l", kind), *other = open_lock(segment, "l", 0);

		assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
		mp_lock_close(other); /* not the last */
		assert_int_equal(mp_lock_is_locked(lock), 1);
		mp_lock_close(lock);
		lock = open_lock(segment, "l", 0);
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), MP_OWNER_DIED);
		assert_int_equal(mp_lock_release(lock), 0);
		mp_lock_close(lock);
		objects_end(&objects);
	}
}

static void forged_bell_does_not_outlast_the_deadline(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", MP_LOCK_PLAIN);
	int64_t began = harness_now_ns();
	struct self *me;

	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	assert_int_equal(self_get(objects.seg, &me), 0);
	or_seqcst(&me->shared->bell, 1); /* "asleep", and nobody takes it back */
	assert_int_equal(mp_lock_acquire(lock, MP_MSEC(30)), -ETIMEDOUT);
	assert_true(harness_now_ns() - began < 5000000000);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void guard_that_belongs_to_nobody_is_taken(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_lock *lock;

	store_relaxed(&objects.seg->header->directory_guard.owner, who_make(77, 5));
	lock = open_lock(segment, "l", 0);
	assert_int_equal(load_relaxed(&objects.seg->header->directory_guard.owner), 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

/* One who is stopped, or a word that somebody wrote: an error tells who, and nothing is taken. */
static void guard_that_is_not_given_back_is_waited_for_so_long_only(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct shm_guard *guard = &objects.seg->header->directory_guard;
	uint32_t generation, other = harness_segment_client(objects.seg, &generation);
	char pid[16];
	mp_lock *lock;

	snprintf(pid, sizeof pid, "[%d]", getpid());
	objects.seg->guard_patience_ns = MP_MSEC(20);
	assert_true(guard_try(guard, other, generation));
	assert_int_equal(mp_lock_open(segment, "l", NULL, &lock), -ETIMEDOUT);
	assert_non_null(strstr(mp_explain(), pid));
	assert_int_equal(load_relaxed(&guard->owner), who_make(other, generation));
	guard_release(guard, other, generation);
	lock = open_lock(segment, "l", 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void poisoned_lock_is_refused_until_it_is_repaired(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct mp_lock_opts opts = { .on_owner_death = MP_OWNER_POISON };
	mp_lock *lock;

	assert_int_equal(mp_lock_open(segment, "l", &opts, &lock), 0);
	assert_int_equal(mp_lock_repair(lock), -EINVAL);
	assert_int_equal(elsewhere(acquire_and_exit, lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_FOREVER), -ENOTRECOVERABLE);
	assert_int_equal(elsewhere(mp_lock_repair, lock), MP_OWNER_DIED); /* and ends with it */
	assert_int_equal(mp_lock_acquire(lock, MP_FOREVER), -ENOTRECOVERABLE);
	assert_int_equal(mp_lock_repair(lock), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

static void recovery_changes_nothing_of_a_living_owner(void **state)
{
	struct objects objects;
	mp_lock *lock = open_lock(objects_begin(&objects), "l", 0);
	struct seg *seg = objects.seg;
	uint32_t generation, victim = harness_segment_client(seg, &generation);
	uint64_t word;

	or_seqcst(&seg_touched(seg, victim)[0], 1);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	word = load_relaxed(&shared_of(seg, lock)->word);
	recover_client(seg, victim, generation);
	recover_client(seg, victim, generation);
	assert_int_equal(load_relaxed(&shared_of(seg, lock)->word), word);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	objects_end(&objects);
}

enum { THREADS = 4, ROUNDS = 20000 };

struct counter {
	mp_lock *lock;
	uint64_t plain; /* guarded */
	atom32 failed;
};

static void *count_under_lock(void *arg)
{
	struct counter *counter = arg;

	for (int i = 0; i < ROUNDS; i++) {
		if (mp_lock_acquire(counter->lock, i % 3 ? MP_FOREVER : MP_SEC(20)) != 0)
			add_relaxed(&counter->failed, 1);
		counter->plain++;
		if (mp_lock_release(counter->lock) != 0)
			add_relaxed(&counter->failed, 1);
	}
	return NULL;
}

static void threads_count_exactly_under_the_lock(void **state)
{
	struct objects objects;
	struct counter counter = { .lock = open_lock(objects_begin(&objects), "l", 0) };
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, count_under_lock, &counter);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter.plain, THREADS * ROUNDS);
	assert_int_equal(load_relaxed(&counter.failed), 0);
	mp_lock_close(counter.lock);
	objects_end(&objects);
}

static void *time_out_often(void *arg)
{
	struct counter *counter = arg;

	for (int i = 0; i < 300; i++) {
		int result = mp_lock_acquire(counter->lock, MP_USEC(50));

		if (result == 0) {
			counter->plain++;
			clock_sleep_ns(60000);
			if (mp_lock_release(counter->lock) != 0)
				add_relaxed(&counter->failed, 1);
		} else if (result != -ETIMEDOUT) {
			add_relaxed(&counter->failed, 1);
		}
	}
	return NULL;
}

static void waiters_that_time_out_lose_no_wake(void **state)
{
	struct objects objects;
	struct counter counter = { .lock = open_lock(objects_begin(&objects), "l", 0) };
	pthread_t threads[THREADS], patient;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, time_out_often, &counter);
	pthread_create(&patient, NULL, count_under_lock, &counter);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(patient, NULL);
	assert_int_equal(load_relaxed(&counter.failed), 0);
	assert_int_equal(elsewhere(try_and_release, counter.lock), 0);
	mp_lock_close(counter.lock);
	objects_end(&objects);
}

/* --- processes --- */

static int hold_for_ever(void *arg)
{
	if (mp_lock_acquire(arg, MP_FOREVER) < 0)
		return 1;
	for (;;)
		pause();
	return 0;
}

static void killed_holder_is_reported_to_who_waits(void **state)
{
	mp_segment *segment;
	mp_process *process;
	mp_lock *lock;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", 0);
	assert_int_equal(mp_process_start(segment, NULL, hold_for_ever, lock, &process), 0);
	while (!mp_lock_is_locked(lock))
		harness_sleep_ms(1);
	assert_int_equal(mp_lock_acquire(lock, MP_MSEC(20)), -ETIMEDOUT);
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_SEC(10)), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	assert_int_equal(exitcode, -9);
	assert_null(mp_process_close(process));
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static int child_owns_nothing(void *arg)
{
	mp_lock *lock = arg;

	if (mp_lock_release(lock) != -EPERM || mp_lock_acquire(lock, MP_NOW) != -EAGAIN)
		return 1;
	return mp_lock_acquire(lock, MP_MSEC(10)) == -ETIMEDOUT ? 0 : 2;
}

static void forked_child_owns_none_of_its_parents_locks(void **state)
{
	mp_segment *segment;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", MP_LOCK_RECURSIVE);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	harness_join(harness_fork(child_owns_nothing, lock)); /* a plain fork */
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static int close_inherited_handle(void *arg)
{
	mp_lock_close(arg);
	return 0;
}

static void child_that_closes_an_inherited_handle_leaves_the_lock_held(void **state)
{
	mp_segment *segment;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	harness_join(harness_fork(close_inherited_handle, lock));
	assert_int_equal(elsewhere(try_and_release, lock), -EAGAIN);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static void *end_with_the_process(void *arg)
{
	(void)!mp_lock_acquire(arg, MP_NOW);
	return NULL;
}

static int take_plain_in_a_thread_and_stay(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, end_with_the_process, arg);
	pthread_join(thread, NULL);
	for (;;)
		pause();
	return 0;
}

static void plain_lock_outlives_its_thread_but_not_its_process(void **state)
{
	mp_segment *segment;
	mp_process *process;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", MP_LOCK_PLAIN);
	assert_int_equal(elsewhere(acquire_and_exit, lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_MSEC(5)), -ETIMEDOUT);
	assert_int_equal(mp_lock_release(lock), 0); /* the hand-over that Python's Lock allows */
	assert_int_equal(mp_process_start(segment, NULL, take_plain_in_a_thread_and_stay, lock,
					  &process),
			 0);
	while (!mp_lock_is_locked(lock))
		harness_sleep_ms(1);
	harness_sleep_ms(10);
	assert_int_equal(mp_lock_acquire(lock, MP_MSEC(5)), -ETIMEDOUT);
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_SEC(10)), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_null(mp_process_close(process));
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static int poll_for_death(void *arg)
{
	for (int i = 0; i < 100000; i++) {
		int result = mp_lock_acquire(arg, MP_NOW);

		if (result == MP_OWNER_DIED)
			return mp_lock_release(arg);
		clock_sleep_ns(100000);
	}
	return 1;
}

static void who_only_polls_learns_of_the_death_too(void **state)
{
	mp_segment *segment;
	mp_process *process;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	lock = open_lock(segment, "l", 0);
	assert_int_equal(mp_process_start(segment, NULL, hold_for_ever, lock, &process), 0);
	while (!mp_lock_is_locked(lock))
		harness_sleep_ms(1);
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(poll_for_death(lock), 0);
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_null(mp_process_close(process));
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(checked_lock_refuses_its_owner_twice_and_others_at_all),
	HARNESS_TEST(plain_lock_may_be_released_by_any_thread),
	HARNESS_TEST(recursive_lock_is_free_after_as_many_releases),
	HARNESS_TEST(timeout_names_the_holder),
	HARNESS_TEST(thread_that_ends_holding_the_lock_is_reported_once),
	HARNESS_TEST(last_handle_that_goes_while_held_frees_the_lock),
	HARNESS_TEST(forged_bell_does_not_outlast_the_deadline),
	HARNESS_TEST(guard_that_belongs_to_nobody_is_taken),
	HARNESS_TEST(guard_that_is_not_given_back_is_waited_for_so_long_only),
	HARNESS_TEST(poisoned_lock_is_refused_until_it_is_repaired),
	HARNESS_TEST(recovery_changes_nothing_of_a_living_owner),
	HARNESS_TEST(threads_count_exactly_under_the_lock),
	HARNESS_TEST(waiters_that_time_out_lose_no_wake),
	HARNESS_TEST_WITH_MPD(killed_holder_is_reported_to_who_waits),
	HARNESS_TEST_WITH_MPD(forked_child_owns_none_of_its_parents_locks),
	HARNESS_TEST_WITH_MPD(child_that_closes_an_inherited_handle_leaves_the_lock_held),
	HARNESS_TEST_WITH_MPD(plain_lock_outlives_its_thread_but_not_its_process),
	HARNESS_TEST_WITH_MPD(who_only_polls_learns_of_the_death_too),
};

HARNESS_MAIN(tests)
