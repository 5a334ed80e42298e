/* SPDX-License-Identifier: MIT
 *
 * Proves: what cond.h promises between processes, and when one of them dies: no notification ends
 * with a corpse, nobody waits for one who will never notify. What it promises of living threads:
 * test_cond.c.
 */
#include "harness.h"

#include "cond_internal.h"
#include "condword.h"
#include "objects.h"

#include <libshm/observe.h>
#include <libshm/process.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#define WAITERS 4

/* What all processes of a test have. */
struct table {
	mp_segment *segment;
	mp_lock *lock;
	mp_cond *cond;
	int64_t timeout;
};

static void open_objects(struct table *table, const struct mp_lock_opts *opts)
{
	assert_int_equal(mp_lock_open(table->segment, "l", opts, &table->lock), 0);
	assert_int_equal(mp_cond_open(table->segment, "c", table->lock, NULL, &table->cond), 0);
	table->timeout = MP_FOREVER;
}

static void open_table(struct table *table, const struct mp_lock_opts *opts)
{
	assert_int_equal(mp_segment_open("s", NULL, &table->segment), 0);
	open_objects(table, opts);
}

static void close_table(struct table *table)
{
	mp_cond_close(table->cond);
	mp_lock_close(table->lock);
	mp_segment_close(table->segment);
}

static uint32_t entries_in(const struct table *table, enum cond_state state)
{
	struct seg *seg = table->segment->seg;
	uint32_t count = 0;

	for (uint32_t i = SLOT_FIRST; i < seg_threads_high(seg); i++) {
		uint64_t entry = load_acquire(&seg->threads[i].cond_entry);

		count += cond_entry_state(entry) == state &&
			 cond_entry_is_of(entry, table->cond->handle.id);
	}
	return count;
}

static void await_waiting(const struct table *table, uint32_t count)
{
	while (entries_in(table, COND_WAITING) != count)
		harness_sleep_ms(1);
	harness_segment_await_asleep(table->segment->seg, count);
}

/* The exit code: what the wait said, and 40 more if the lock was not held afterwards. */
static int wait_and_exit(void *arg)
{
	struct table *table = arg;
	int result = mp_lock_acquire(table->lock, MP_FOREVER);

	if (result < 0)
		return 99;
	result = mp_cond_wait(table->cond, table->timeout);
	if (result == -ENOTRECOVERABLE)
		return mp_lock_release(table->lock) == 0 ? 98 : 20;
	if (mp_lock_release(table->lock) != 0)
		return 40 + result;
	return result < 0 ? 30 : result;
}

static mp_process *start(struct table *table, int (*run)(void *arg))
{
	mp_process *process;

	assert_int_equal(mp_process_start(table->segment, NULL, run, table, &process), 0);
	return process;
}

static int end_of(mp_process *process)
{
	int exitcode;

	assert_int_equal(mp_process_join(process, MP_FOREVER), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	mp_process_close(process);
	return exitcode;
}

static void kill_it(mp_process *process)
{
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(end_of(process), -SIGKILL);
}

/* One after the other, all asleep. */
static void start_waiters(struct table *table, mp_process *processes[], unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		processes[i] = start(table, wait_and_exit);
		await_waiting(table, i + 1);
	}
}

static int notify(struct table *table, int count)
{
	int notified;

	assert_int_equal(mp_lock_acquire(table->lock, MP_FOREVER), 0);
	notified = mp_cond_notify(table->cond, count);
	assert_int_equal(mp_lock_release(table->lock), 0);
	return notified;
}

static int notify_all(struct table *table)
{
	int notified;

	assert_int_equal(mp_lock_acquire(table->lock, MP_FOREVER), 0);
	notified = mp_cond_notify_all(table->cond);
	assert_int_equal(mp_lock_release(table->lock), 0);
	return notified;
}

/* --- processes that live --- */

static void notify_reaches_other_processes(void **state)
{
	mp_process *processes[WAITERS];
	struct table table;

	open_table(&table, NULL);
	start_waiters(&table, processes, WAITERS);
	assert_int_equal(notify(&table, 1), 1);
	assert_int_equal(end_of(processes[0]), 0);
	await_waiting(&table, WAITERS - 1);
	assert_int_equal(notify_all(&table), WAITERS - 1);
	for (unsigned i = 1; i < WAITERS; i++)
		assert_int_equal(end_of(processes[i]), 0);
	close_table(&table);
}

/* Python's waits for an answer of each whom it wakes. */
static void notify_does_not_wait_for_a_stopped_waiter(void **state)
{
	mp_process *processes[2];
	struct table table;

	open_table(&table, NULL);
	start_waiters(&table, processes, 2);
	assert_int_equal(kill((pid_t)mp_process_pid(processes[0]), SIGSTOP), 0);
	assert_int_equal(notify_all(&table), 2);
	assert_int_equal(end_of(processes[1]), 0);
	assert_int_equal(kill((pid_t)mp_process_pid(processes[0]), SIGCONT), 0);
	assert_int_equal(end_of(processes[0]), 0);
	close_table(&table);
}

static void tools_see_who_waits_and_what_was_lost(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_process *waiter;
	struct table table;

	open_table(&table, NULL);
	assert_int_equal(notify(&table, 1), 0);
	start_waiters(&table, &waiter, 1);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->sync_count, 1);
	assert_int_equal(snapshot->is_torn, 0);
	assert_int_equal(snapshot->syncs[0].id, mp_cond_id(table.cond));
	assert_string_equal(snapshot->syncs[0].name, "c");
	assert_string_equal(snapshot->syncs[0].kind, "condition");
	assert_string_equal(snapshot->syncs[0].state, "waited");
	assert_int_equal(snapshot->syncs[0].waiters, 1);
	assert_int_equal(snapshot->syncs[0].waits, 1);
	assert_int_equal(snapshot->syncs[0].changes, 0);
	assert_int_equal(snapshot->syncs[0].lost, 1);
	assert_int_equal(snapshot->syncs[0].lock, mp_lock_id(table.lock));
	assert_int_equal(notify(&table, 1), 1);
	assert_int_equal(end_of(waiter), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_string_equal(snapshot->syncs[0].state, "idle");
	assert_int_equal(snapshot->syncs[0].waiters, 0);
	assert_int_equal(snapshot->syncs[0].changes, 1);
	mp_observe_close(observer);
	close_table(&table);
}

/* --- waiters that die --- */

static void killed_waiter_holds_up_neither_notify_all_nor_the_others(void **state)
{
	mp_process *processes[WAITERS];
	struct table table;

	open_table(&table, NULL);
	start_waiters(&table, processes, WAITERS);
	assert_int_equal(mp_process_kill(processes[1]), 0);
	assert_in_range(notify_all(&table), WAITERS - 1, WAITERS);
	assert_int_equal(end_of(processes[1]), -SIGKILL);
	assert_int_equal(end_of(processes[0]), 0);
	for (unsigned i = 2; i < WAITERS; i++)
		assert_int_equal(end_of(processes[i]), 0);
	assert_int_equal(notify_all(&table), 0);
	close_table(&table);
}

/* The corpse has waited longest, and nobody may know yet that it is one. */
static void notification_does_not_end_with_a_corpse(void **state)
{
	struct table table;

	open_table(&table, NULL);
	for (unsigned i = 0; i < 5 * harness_scale(); i++) {
		mp_process *processes[2];

		start_waiters(&table, processes, 2);
		assert_int_equal(mp_process_kill(processes[0]), 0);
		assert_int_equal(notify(&table, 1), 1);
		assert_int_equal(end_of(processes[1]), 0);
		assert_int_equal(end_of(processes[0]), -SIGKILL);
	}
	close_table(&table);
}

/* It was notified and is stopped on its way to the lock. */
static void death_of_a_notified_waiter_wakes_the_others(void **state)
{
	mp_process *processes[3];
	struct table table;

	open_table(&table, NULL);
	start_waiters(&table, processes, 3);
	assert_int_equal(kill((pid_t)mp_process_pid(processes[0]), SIGSTOP), 0);
	assert_int_equal(notify(&table, 1), 1);
	assert_int_equal(entries_in(&table, COND_NOTIFIED), 1);
	assert_int_equal(entries_in(&table, COND_WAITING), 2);
	kill_it(processes[0]);
	assert_int_equal(end_of(processes[1]), 0);
	assert_int_equal(end_of(processes[2]), 0);
	assert_int_equal(entries_in(&table, COND_NOTIFIED), 0);
	close_table(&table);
}

/* --- holders that die --- */

static int take_and_stay(void *arg)
{
	struct table *table = arg;

	if (mp_lock_acquire(table->lock, MP_FOREVER) != 0)
		return 1;
	for (;;)
		harness_sleep_ms(1000);
}

static mp_process *start_holder(struct table *table)
{
	mp_process *holder = start(table, take_and_stay);

	while (mp_lock_is_locked(table->lock) != 1)
		harness_sleep_ms(1);
	return holder;
}

/* It may have been about to notify: one is told of the death, and all look. */
static void death_of_the_holder_wakes_all_who_wait(void **state)
{
	mp_process *processes[WAITERS];
	unsigned told = 0;
	struct table table;

	open_table(&table, NULL);
	start_waiters(&table, processes, WAITERS);
	kill_it(start_holder(&table));
	for (unsigned i = 0; i < WAITERS; i++) {
		int exitcode = end_of(processes[i]);

		assert_in_range(exitcode, 0, MP_OWNER_DIED);
		told += exitcode == MP_OWNER_DIED;
	}
	assert_int_equal(told, 1);
	close_table(&table);
}

static void waiter_of_a_poisoned_lock_is_told_that_it_does_not_hold_it(void **state)
{
	struct mp_lock_opts opts = { .on_owner_death = MP_OWNER_POISON };
	mp_process *processes[2];
	struct table table;

	open_table(&table, &opts);
	start_waiters(&table, processes, 2);
	kill_it(start_holder(&table));
	assert_int_equal(end_of(processes[0]), 20);
	assert_int_equal(end_of(processes[1]), 20);
	assert_int_equal(mp_lock_repair(table.lock), MP_OWNER_DIED);
	assert_int_equal(mp_cond_wait(table.cond, MP_NOW), -EAGAIN);
	assert_int_equal(mp_lock_release(table.lock), 0);
	close_table(&table);
}

static int never(void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static int wait_for_what_never_is(void *arg)
{
	struct table *table = arg;
	unsigned asked = 0;

	if (mp_lock_acquire(table->lock, MP_FOREVER) < 0 ||
	    mp_cond_wait_for(table->cond, never, &asked, MP_FOREVER) != MP_OWNER_DIED ||
	    mp_lock_release(table->lock) < 0)
		return 99;
	return (int)asked;
}

/* What it looks at may be half done. */
static void predicate_is_not_asked_after_a_death(void **state)
{
	mp_process *waiter;
	struct table table;

	open_table(&table, NULL);
	waiter = start(&table, wait_for_what_never_is);
	await_waiting(&table, 1);
	kill_it(start_holder(&table));
	assert_int_equal(end_of(waiter), 1);
	close_table(&table);
}

/* --- in one process --- */

struct lodger {
	struct table table;
	struct objects objects;
	pthread_t thread;
	int result;
};

static void *end_with_the_lock(void *arg)
{
	struct lodger *lodger = arg;

	lodger->result = mp_lock_acquire(lodger->table.lock, MP_FOREVER);
	return NULL;
}

static void thread_that_ends_with_the_lock_wakes_who_waits(void **state)
{
	struct lodger lodger;

	lodger.table.segment = objects_begin(&lodger.objects);
	open_objects(&lodger.table, NULL);
	assert_int_equal(mp_lock_acquire(lodger.table.lock, MP_NOW), 0);
	pthread_create(&lodger.thread, NULL, end_with_the_lock, &lodger);
	assert_int_equal(mp_cond_wait(lodger.table.cond, MP_FOREVER), MP_OWNER_DIED);
	pthread_join(lodger.thread, NULL);
	assert_int_equal(lodger.result, 0);
	assert_int_equal(mp_lock_release(lodger.table.lock), 0);
	mp_cond_close(lodger.table.cond);
	mp_lock_close(lodger.table.lock);
	objects_end(&lodger.objects);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(notify_reaches_other_processes),
	HARNESS_TEST_WITH_MPD(notify_does_not_wait_for_a_stopped_waiter),
	HARNESS_TEST_WITH_MPD(tools_see_who_waits_and_what_was_lost),
	HARNESS_TEST_WITH_MPD(killed_waiter_holds_up_neither_notify_all_nor_the_others),
	HARNESS_TEST_WITH_MPD(notification_does_not_end_with_a_corpse),
	HARNESS_TEST_WITH_MPD(death_of_a_notified_waiter_wakes_the_others),
	HARNESS_TEST_WITH_MPD(death_of_the_holder_wakes_all_who_wait),
	HARNESS_TEST_WITH_MPD(waiter_of_a_poisoned_lock_is_told_that_it_does_not_hold_it),
	HARNESS_TEST_WITH_MPD(predicate_is_not_asked_after_a_death),
	HARNESS_TEST(thread_that_ends_with_the_lock_wakes_who_waits),
};

HARNESS_MAIN(tests)
