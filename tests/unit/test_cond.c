/* SPDX-License-Identifier: MIT
 *
 * Proves: what cond.h promises of one process: threads over one mapping. Processes, and those that
 * die: test_cond_process.c.
 */
#include "harness.h"

#include "cond_internal.h"
#include "condword.h"
#include "objects.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define WAITERS 5

struct table {
	struct objects objects;
	mp_segment *segment;
	mp_lock *lock;
	mp_cond *cond;
};

static void open_table(struct table *table, uint32_t kind)
{
	struct mp_lock_opts opts = { .kind = kind };

	table->segment = objects_begin(&table->objects);
	assert_int_equal(mp_lock_open(table->segment, "l", &opts, &table->lock), 0);
	assert_int_equal(mp_cond_open(table->segment, "c", table->lock, NULL, &table->cond), 0);
}

static void close_table(struct table *table)
{
	assert_int_equal(mp_lock_is_locked(table->lock), 0);
	mp_cond_close(table->cond);
	mp_lock_close(table->lock);
	objects_end(&table->objects);
}

static void take(struct table *table)
{
	assert_int_equal(mp_lock_acquire(table->lock, MP_FOREVER), 0);
}

static void give(struct table *table)
{
	assert_int_equal(mp_lock_release(table->lock), 0);
}

/* --- threads that wait --- */

struct waiter {
	struct table *table;
	int64_t timeout;
	pthread_t thread;
	unsigned levels;
	int result;      /* of the wait, or of what failed before or after it */
	atom32 is_awake; /* it has the lock again */
};

static void *wait_once(void *arg)
{
	struct waiter *waiter = arg;
	mp_lock *lock = waiter->table->lock;
	int result = 0;

	for (unsigned i = 0; i < waiter->levels && result >= 0; i++)
		result = mp_lock_acquire(lock, MP_FOREVER);
	if (result >= 0)
		waiter->result = mp_cond_wait(waiter->table->cond, waiter->timeout);
	store_release(&waiter->is_awake, 1);
	for (unsigned i = 0; i < waiter->levels && result >= 0; i++)
		result = mp_lock_release(lock);
	if (result < 0)
		waiter->result = result;
	return NULL;
}

/* How many threads wait in it, whether they sleep yet or spin. */
static unsigned count_waiting(const struct table *table)
{
	struct seg *seg = table->objects.seg;
	unsigned count = 0;

	for (uint32_t i = SLOT_FIRST; i < seg_threads_high(seg); i++) {
		uint64_t entry = load_acquire(&seg->threads[i].cond_entry);

		count += cond_entry_state(entry) == COND_WAITING &&
			 cond_entry_is_of(entry, table->cond->handle.id);
	}
	return count;
}

static void begin_wait(struct table *table, struct waiter *waiter, int64_t timeout)
{
	unsigned waiting = count_waiting(table);

	*waiter = (struct waiter){ .table = table, .timeout = timeout, .levels = 1, .result = 77 };
	pthread_create(&waiter->thread, NULL, wait_once, waiter);
	while (count_waiting(table) == waiting)
		harness_sleep_ms(1);
}

/* One after the other, all asleep. */
static void begin_waits(struct table *table, struct waiter waiters[static WAITERS])
{
	for (unsigned i = 0; i < WAITERS; i++)
		begin_wait(table, &waiters[i], MP_FOREVER);
	harness_segment_await_asleep(table->objects.seg, WAITERS);
}

static void await_awake(const struct waiter *waiters, unsigned count)
{
	unsigned awake;

	do {
		awake = 0;
		for (unsigned i = 0; i < WAITERS; i++)
			awake += load_acquire(&waiters[i].is_awake);
		harness_sleep_ms(1);
	} while (awake < count);
	assert_int_equal(awake, count);
}

static void end_wait(struct waiter *waiter, int result)
{
	pthread_join(waiter->thread, NULL);
	assert_int_equal(waiter->result, result);
}

static void end_waits(struct waiter waiters[static WAITERS])
{
	for (unsigned i = 0; i < WAITERS; i++)
		end_wait(&waiters[i], 0);
}

static int notify(struct table *table, int count)
{
	int notified;

	take(table);
	notified = mp_cond_notify(table->cond, count);
	give(table);
	return notified;
}

static int notify_all(struct table *table)
{
	int notified;

	take(table);
	notified = mp_cond_notify_all(table->cond);
	give(table);
	return notified;
}

/* --- notify --- */

static void notify_wakes_at_most_as_many_as_it_says(void **state)
{
	struct waiter waiters[WAITERS];
	struct table table;

	open_table(&table, 0);
	begin_waits(&table, waiters);
	assert_int_equal(notify(&table, 2), 2);
	assert_int_equal(count_waiting(&table), WAITERS - 2);
	await_awake(waiters, 2);
	harness_segment_await_asleep(table.objects.seg, WAITERS - 2);
	assert_int_equal(notify(&table, 1), 1);
	await_awake(waiters, 3);
	assert_int_equal(notify(&table, WAITERS), WAITERS - 3);
	end_waits(waiters);
	close_table(&table);
}

static void notify_all_wakes_everybody_who_waits(void **state)
{
	struct waiter waiters[WAITERS];
	struct table table;

	open_table(&table, 0);
	begin_waits(&table, waiters);
	assert_int_equal(notify_all(&table), WAITERS);
	end_waits(waiters);
	close_table(&table);
}

static void who_has_waited_longest_is_notified_first(void **state)
{
	struct waiter waiters[WAITERS];
	struct table table;

	open_table(&table, 0);
	begin_waits(&table, waiters);
	for (unsigned i = 0; i < WAITERS; i++) {
		assert_int_equal(notify(&table, 1), 1);
		end_wait(&waiters[i], 0);
	}
	close_table(&table);
}

static void tickets_that_wrap_keep_the_order(void **state)
{
	struct waiter waiters[WAITERS];
	struct table table;

	open_table(&table, 0);
	store_relaxed(&table.cond->shared->waits, (UINT64_C(1) << COND_TICKET_BITS) - 2);
	begin_waits(&table, waiters);
	for (unsigned i = 0; i < WAITERS; i++) {
		assert_int_equal(notify(&table, 1), 1);
		end_wait(&waiters[i], 0);
	}
	close_table(&table);
}

static void notification_that_nobody_waits_for_is_lost_and_counted(void **state)
{
	struct table table;

	open_table(&table, 0);
	assert_int_equal(notify(&table, 1), 0);
	assert_int_equal(notify_all(&table), 0);
	assert_int_equal(load_relaxed(&table.cond->shared->lost), 2);
	take(&table);
	assert_int_equal(mp_cond_wait(table.cond, MP_MSEC(20)), -ETIMEDOUT);
	give(&table);
	close_table(&table);
}

static void conditions_of_one_lock_are_notified_apart(void **state)
{
	struct waiter waiters[WAITERS];
	struct table table;
	mp_cond *other;

	open_table(&table, 0);
	assert_int_equal(mp_cond_open(table.segment, "other", table.lock, NULL, &other), 0);
	begin_waits(&table, waiters);
	take(&table);
	/* Bits too many, as a stranger may leave them, mislead nobody. */
	for (unsigned i = 0; i < ARRAY_LEN(other->shared->members.leaf); i++)
		or_seqcst(&other->shared->members.leaf[i], ~UINT64_C(0));
	assert_int_equal(mp_cond_notify_all(other), 0);
	assert_int_equal(mp_cond_notify(other, 1), 0);
	give(&table);
	assert_int_equal(count_waiting(&table), WAITERS);
	assert_int_equal(notify_all(&table), WAITERS);
	end_waits(waiters);
	mp_cond_close(other);
	close_table(&table);
}

/* --- the end of a wait --- */

static void wait_that_nobody_ends_is_over_in_time_with_the_lock_held(void **state)
{
	int64_t began = harness_now_ns();
	struct table table;

	open_table(&table, 0);
	take(&table);
	assert_int_equal(mp_cond_wait(table.cond, MP_MSEC(30)), -ETIMEDOUT);
	assert_true(harness_now_ns() - began >= 30000000);
	assert_non_null(strstr(mp_explain(), "'c'"));
	assert_int_equal(mp_cond_wait(table.cond, MP_NOW), -EAGAIN);
	assert_non_null(strstr(mp_explain(), "'c'"));
	assert_int_equal(mp_cond_wait(table.cond, -1), -EAGAIN);
	assert_int_equal(load_relaxed(&table.cond->shared->waits), 3);
	assert_int_equal(count_waiting(&table), 0);
	give(&table);
	close_table(&table);
}

static void await_sleeper_for_the_lock(struct table *table)
{
	struct shm_waiters *set = &table->lock->shared->waiters;
	uint64_t any = 0;

	while (!any) {
		for (unsigned i = 0; i < ARRAY_LEN(set->leaf); i++)
			any |= load_seqcst(&set->leaf[i]);
		harness_sleep_ms(1);
	}
}

/* Its time is over, and it waits for the lock. */
static void notification_is_not_swallowed_by_a_timeout(void **state)
{
	struct waiter waiter;
	struct table table;
	bool is_late;

	open_table(&table, 0);
	do {
		begin_wait(&table, &waiter, MP_MSEC(50));
		take(&table);
		is_late = count_waiting(&table) == 0; /* on a slow machine: once more */
		if (!is_late) {
			await_sleeper_for_the_lock(&table);
			assert_int_equal(mp_cond_notify(table.cond, 1), 1);
		}
		give(&table);
		end_wait(&waiter, is_late ? -ETIMEDOUT : 0);
	} while (is_late);
	close_table(&table);
}

static void every_level_of_the_lock_is_given_away_and_taken_again(void **state)
{
	struct waiter waiter = { .levels = 3, .timeout = MP_FOREVER };
	struct table table;

	open_table(&table, MP_LOCK_RECURSIVE);
	waiter.table = &table;
	pthread_create(&waiter.thread, NULL, wait_once, &waiter);
	while (count_waiting(&table) == 0)
		harness_sleep_ms(1);
	take(&table);
	take(&table);
	assert_int_equal(mp_cond_notify(table.cond, 1), 1);
	give(&table);
	assert_int_equal(load_acquire(&waiter.is_awake), 0);
	assert_int_equal(mp_cond_wait(table.cond, MP_MSEC(20)), -ETIMEDOUT);
	give(&table);
	end_wait(&waiter, 0);
	for (unsigned i = 0; i < 3; i++)
		take(&table);
	assert_int_equal(mp_cond_wait(table.cond, MP_NOW), -EAGAIN);
	assert_int_equal(mp_cond_wait(table.cond, MP_MSEC(1)), -ETIMEDOUT);
	for (unsigned i = 0; i < 3; i++)
		give(&table);
	assert_int_equal(mp_lock_release(table.lock), -EOVERFLOW);
	close_table(&table);
}

static void plain_lock_may_be_notified_under_by_a_sibling_thread(void **state)
{
	struct waiter waiter;
	struct table table;

	open_table(&table, MP_LOCK_PLAIN);
	begin_wait(&table, &waiter, MP_FOREVER);
	take(&table); /* for the process */
	assert_int_equal(mp_cond_notify(table.cond, 1), 1);
	give(&table);
	end_wait(&waiter, 0);
	close_table(&table);
}

/* --- a predicate --- */

struct goal {
	struct table *table;
	int value, wanted, calls;
	bool was_held;
};

static int is_reached(void *arg)
{
	struct goal *goal = arg;
	struct mp_who who;

	goal->calls++;
	goal->was_held &= mp_lock_owner(goal->table->lock, &who) == 0;
	return goal->value >= goal->wanted;
}

static void predicate_that_holds_is_asked_once_and_nothing_is_waited_for(void **state)
{
	struct goal goal = { .value = 4, .wanted = 4, .was_held = true };
	struct table table;

	open_table(&table, 0);
	goal.table = &table;
	take(&table);
	assert_int_equal(mp_cond_wait_for(table.cond, is_reached, &goal, MP_FOREVER), 0);
	assert_int_equal(mp_cond_wait_for(table.cond, is_reached, &goal, MP_NOW), 0);
	assert_int_equal(goal.calls, 2);
	assert_true(goal.was_held);
	assert_int_equal(load_relaxed(&table.cond->shared->waits), 0);
	give(&table);
	close_table(&table);
}

static void *raise_value(void *arg)
{
	struct goal *goal = arg;

	for (int i = 0; i < goal->wanted; i++) {
		while (count_waiting(goal->table) == 0)
			harness_sleep_ms(1);
		if (mp_lock_acquire(goal->table->lock, MP_FOREVER) < 0)
			return arg;
		goal->value++;
		if (mp_cond_notify(goal->table->cond, 1) < 0 ||
		    mp_lock_release(goal->table->lock) < 0)
			return arg;
	}
	return NULL;
}

static void wait_for_goes_on_until_its_predicate_holds(void **state)
{
	struct goal goal = { .wanted = 4, .was_held = true };
	struct table table;
	pthread_t thread;
	void *failed;

	open_table(&table, MP_LOCK_RECURSIVE);
	goal.table = &table;
	take(&table);
	pthread_create(&thread, NULL, raise_value, &goal);
	assert_int_equal(mp_cond_wait_for(table.cond, is_reached, &goal, MP_FOREVER), 0);
	assert_true(goal.value == 4 && goal.calls >= 2 && goal.was_held);
	give(&table);
	pthread_join(thread, &failed);
	assert_null(failed);
	close_table(&table);
}

static void wait_for_ends_in_time_after_a_last_question(void **state)
{
	struct goal goal = { .wanted = 1, .was_held = true };
	int64_t began = harness_now_ns();
	struct table table;

	open_table(&table, 0);
	goal.table = &table;
	take(&table);
	assert_int_equal(mp_cond_wait_for(table.cond, is_reached, &goal, MP_NOW), -EAGAIN);
	assert_int_equal(goal.calls, 1);
	assert_int_equal(mp_cond_wait_for(table.cond, is_reached, &goal, MP_MSEC(30)), -ETIMEDOUT);
	assert_true(harness_now_ns() - began >= 30000000);
	assert_true(goal.calls == 3 && goal.was_held);
	give(&table);
	close_table(&table);
}

/* --- misuse --- */

static int never(void *arg)
{
	(void)arg;
	return 0;
}

static void who_does_not_hold_the_lock_is_refused(void **state)
{
	struct table table;

	open_table(&table, 0);
	assert_int_equal(mp_cond_wait(table.cond, MP_FOREVER), -EPERM);
	assert_non_null(strstr(mp_explain(), "'c'"));
	assert_int_equal(mp_cond_wait_for(table.cond, never, NULL, MP_FOREVER), -EPERM);
	assert_int_equal(mp_cond_notify(table.cond, 1), -EPERM);
	assert_int_equal(mp_cond_notify_all(table.cond), -EPERM);
	assert_int_equal(load_relaxed(&table.cond->shared->waits), 0);
	assert_int_equal(load_relaxed(&table.cond->shared->lost), 0);
	close_table(&table);
}

static void *hold_and_release(void *arg)
{
	struct waiter *holder = arg;

	holder->result = mp_lock_acquire(holder->table->lock, MP_FOREVER);
	store_release(&holder->is_awake, 1);
	while (load_acquire(&holder->is_awake) == 1)
		harness_sleep_ms(1);
	if (holder->result == 0)
		holder->result = mp_lock_release(holder->table->lock);
	return NULL;
}

static void who_holds_it_is_named_to_who_is_refused(void **state)
{
	struct waiter holder = { .result = 1 };
	struct table table;

	open_table(&table, 0);
	holder.table = &table;
	pthread_create(&holder.thread, NULL, hold_and_release, &holder);
	while (!load_acquire(&holder.is_awake))
		harness_sleep_ms(1);
	assert_int_equal(mp_cond_notify(table.cond, 1), -EPERM);
	assert_non_null(strstr(mp_explain(), "is held by"));
	store_release(&holder.is_awake, 2);
	end_wait(&holder, 0);
	close_table(&table);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct table table;
	mp_cond *cond;

	open_table(&table, 0);
	take(&table);
	assert_int_equal(mp_cond_notify(table.cond, 0), -EINVAL);
	assert_int_equal(mp_cond_notify(table.cond, -1), -EINVAL);
	assert_int_equal(mp_cond_wait_for(table.cond, NULL, NULL, MP_NOW), -EINVAL);
	give(&table);
	assert_int_equal(mp_cond_open(table.segment, "d", NULL, NULL, &cond), -EINVAL);
	assert_non_null(strstr(mp_explain(), "lock"));
	assert_int_equal(mp_cond_open(NULL, "d", table.lock, NULL, &cond), -EINVAL);
	assert_int_equal(mp_cond_open(table.segment, "d", table.lock, NULL, NULL), -EINVAL);
	assert_int_equal(mp_cond_open(table.segment, "d", table.lock,
				      &(struct mp_cond_opts){ .reserved = { 1 } }, &cond),
			 -EINVAL);
	assert_int_equal(mp_cond_open(table.segment, "d", table.lock,
				      &(struct mp_cond_opts){ .flags = MP_EXISTING }, &cond),
			 -ENOENT);
	assert_int_equal(mp_cond_wait(NULL, MP_NOW), -EINVAL);
	assert_int_equal(mp_cond_wait_for(NULL, never, NULL, MP_NOW), -EINVAL);
	assert_int_equal(mp_cond_notify(NULL, 1), -EINVAL);
	assert_int_equal(mp_cond_notify_all(NULL), -EINVAL);
	assert_int_equal(mp_cond_id(NULL), 0);
	assert_null(mp_cond_close(NULL));
	close_table(&table);
}

static void condition_belongs_to_one_lock(void **state)
{
	struct table table;
	mp_lock *other;
	mp_cond *cond;

	open_table(&table, 0);
	assert_int_equal(mp_lock_open(table.segment, "other", NULL, &other), 0);
	assert_int_equal(mp_cond_open(table.segment, "c", other, NULL, &cond), -EPROTO);
	assert_non_null(strstr(mp_explain(), "other"));
	assert_int_equal(mp_cond_open(table.segment, "l", table.lock, NULL, &cond), -EPROTO);
	assert_int_equal(mp_cond_open(table.segment, "c", table.lock, NULL, &cond), 0);
	mp_cond_close(cond);
	mp_lock_close(other);
	close_table(&table);
}

/* --- life --- */

static void id_leads_to_the_condition_and_its_lock(void **state)
{
	struct waiter waiter;
	struct table table;
	uint64_t id;
	mp_cond *same;

	open_table(&table, 0);
	id = mp_cond_id(table.cond);
	begin_wait(&table, &waiter, MP_FOREVER);
	assert_int_equal(mp_cond_from_id(table.segment, id, &same), 0);
	take(&table);
	assert_int_equal(mp_cond_notify(same, 1), 1);
	give(&table);
	end_wait(&waiter, 0);
	mp_cond_close(same);
	assert_int_equal(mp_cond_from_id(table.segment, mp_lock_id(table.lock), &same), -EPROTO);
	assert_int_equal(mp_cond_unlink(table.segment, "c"), 0);
	assert_int_equal(mp_cond_unlink(table.segment, "c"), -ENOENT);
	assert_int_equal(mp_cond_from_id(table.segment, id, &same), -ESTALE);
	close_table(&table);
}

static void condition_keeps_its_lock_open(void **state)
{
	struct table table;
	mp_lock *anonymous;
	mp_cond *cond;
	uint64_t id;

	open_table(&table, 0);
	assert_int_equal(mp_lock_open(table.segment, NULL, NULL, &anonymous), 0);
	id = mp_lock_id(anonymous);
	assert_int_equal(mp_cond_open(table.segment, NULL, anonymous, NULL, &cond), 0);
	mp_lock_close(anonymous);
	assert_int_equal(mp_lock_from_id(table.segment, id, &anonymous), 0);
	assert_int_equal(mp_lock_acquire(anonymous, MP_NOW), 0);
	assert_int_equal(mp_cond_wait(cond, MP_NOW), -EAGAIN);
	assert_int_equal(mp_lock_release(anonymous), 0);
	mp_lock_close(anonymous);
	mp_cond_close(cond);
	assert_int_equal(mp_lock_from_id(table.segment, id, &anonymous), -ESTALE);
	close_table(&table);
}

static void condition_whose_lock_is_gone_says_so(void **state)
{
	struct table table;
	mp_lock *lock;
	mp_cond *cond;
	uint64_t id;

	open_table(&table, 0);
	assert_int_equal(mp_lock_open(table.segment, NULL, NULL, &lock), 0);
	assert_int_equal(mp_cond_open(table.segment, "widow", lock, NULL, &cond), 0);
	id = mp_cond_id(cond);
	mp_cond_close(cond);
	mp_lock_close(lock);
	assert_int_equal(mp_cond_from_id(table.segment, id, &cond), -ESTALE);
	assert_int_equal(mp_cond_open(table.segment, "widow", table.lock, NULL, &cond), -EPROTO);
	assert_non_null(strstr(mp_explain(), "gone"));
	assert_int_equal(mp_cond_unlink(table.segment, "widow"), 0);
	close_table(&table);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(notify_wakes_at_most_as_many_as_it_says),
	HARNESS_TEST(notify_all_wakes_everybody_who_waits),
	HARNESS_TEST(who_has_waited_longest_is_notified_first),
	HARNESS_TEST(tickets_that_wrap_keep_the_order),
	HARNESS_TEST(notification_that_nobody_waits_for_is_lost_and_counted),
	HARNESS_TEST(conditions_of_one_lock_are_notified_apart),
	HARNESS_TEST(wait_that_nobody_ends_is_over_in_time_with_the_lock_held),
	HARNESS_TEST(notification_is_not_swallowed_by_a_timeout),
	HARNESS_TEST(every_level_of_the_lock_is_given_away_and_taken_again),
	HARNESS_TEST(plain_lock_may_be_notified_under_by_a_sibling_thread),
	HARNESS_TEST(predicate_that_holds_is_asked_once_and_nothing_is_waited_for),
	HARNESS_TEST(wait_for_goes_on_until_its_predicate_holds),
	HARNESS_TEST(wait_for_ends_in_time_after_a_last_question),
	HARNESS_TEST(who_does_not_hold_the_lock_is_refused),
	HARNESS_TEST(who_holds_it_is_named_to_who_is_refused),
	HARNESS_TEST(what_makes_no_sense_is_refused),
	HARNESS_TEST(condition_belongs_to_one_lock),
	HARNESS_TEST(id_leads_to_the_condition_and_its_lock),
	HARNESS_TEST(condition_keeps_its_lock_open),
	HARNESS_TEST(condition_whose_lock_is_gone_says_so),
};

HARNESS_MAIN(tests)
