/* SPDX-License-Identifier: MIT
 *
 * Proves: what event.h promises, in threads over one mapping, in signal handlers, and in processes
 * that die.
 */
#include "harness.h"

#include "event_internal.h"
#include "objects.h"

#include <libshm/observe.h>
#include <libshm/process.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define WAITERS 4
#define ROUNDS 200

static mp_event *open_event(mp_segment *segment, const char *name)
{
	mp_event *event = NULL;

	assert_int_equal(mp_event_open(segment, name, NULL, &event), 0);
	return event;
}

/* --- threads that wait --- */

struct waiter {
	mp_event *event;
	pthread_t thread;
	int result;
};

static void *wait_for_ever(void *arg)
{
	struct waiter *waiter = arg;

	waiter->result = mp_event_wait(waiter->event, MP_FOREVER);
	return NULL;
}

static void begin_waits(struct seg *seg, mp_event *event, struct waiter waiters[static WAITERS])
{
	for (unsigned i = 0; i < WAITERS; i++) {
		waiters[i] = (struct waiter){ .event = event, .result = 1 };
		pthread_create(&waiters[i].thread, NULL, wait_for_ever, &waiters[i]);
	}
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

static void event_is_not_set_until_somebody_sets_it(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");

	assert_int_equal(mp_event_is_set(event), 0);
	assert_int_equal(mp_event_wait(event, MP_NOW), -EAGAIN);
	assert_non_null(strstr(mp_explain(), "'e'"));
	assert_int_equal(mp_event_set(event), 0);
	assert_int_equal(mp_event_set(event), 0);
	assert_int_equal(mp_event_is_set(event), 1);
	assert_int_equal(mp_event_wait(event, MP_NOW), 0);
	assert_int_equal(mp_event_wait(event, MP_FOREVER), 0);
	assert_int_equal(mp_event_clear(event), 0);
	assert_int_equal(mp_event_clear(event), 0);
	assert_int_equal(mp_event_is_set(event), 0);
	assert_int_equal(mp_event_wait(event, -1), -EAGAIN);
	mp_event_close(event);
	objects_end(&objects);
}

static void wait_that_nobody_ends_is_over_in_time(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");
	int64_t began = harness_now_ns();

	assert_int_equal(mp_event_wait(event, MP_MSEC(30)), -ETIMEDOUT);
	assert_true(harness_now_ns() - began >= 30000000);
	assert_non_null(strstr(mp_explain(), "'e'"));
	assert_int_equal(load_relaxed(&event->shared->waits), 1);
	mp_event_close(event);
	objects_end(&objects);
}

static void second_opener_finds_the_same_event(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_event *event = open_event(segment, "e"), *same = open_event(segment, "e"), *third;
	uint64_t id = mp_event_id(event);

	assert_int_equal(mp_event_set(event), 0);
	assert_int_equal(mp_event_is_set(same), 1);
	assert_int_equal(mp_event_open(segment, "e",
				       &(struct mp_event_opts){ .flags = MP_EXCLUSIVE }, &third),
			 -EEXIST);
	assert_int_equal(mp_event_from_id(segment, id, &third), 0);
	assert_int_equal(mp_event_is_set(third), 1);
	mp_event_close(third);
	assert_int_equal(mp_event_unlink(segment, "e"), 0);
	assert_int_equal(mp_event_unlink(segment, "e"), -ENOENT);
	assert_int_equal(mp_event_from_id(segment, id, &third), -ESTALE);
	assert_int_equal(mp_event_is_set(same), 1); /* who has it open keeps it */
	mp_event_close(same);
	mp_event_close(event);
	objects_end(&objects);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_event *event;

	assert_int_equal(mp_event_open(NULL, "e", NULL, &event), -EINVAL);
	assert_int_equal(mp_event_open(segment, "e", NULL, NULL), -EINVAL);
	assert_int_equal(mp_event_open(segment, "a/b", NULL, &event), -EINVAL);
	assert_int_equal(mp_event_open(segment, "e", &(struct mp_event_opts){ .flags = MP_KEEP },
				       &event), -EINVAL);
	assert_int_equal(mp_event_open(segment, "e", &(struct mp_event_opts){ .reserved0 = 1 },
				       &event), -EINVAL);
	assert_int_equal(mp_event_open(segment, "e",
				       &(struct mp_event_opts){ .flags = MP_EXISTING }, &event),
			 -ENOENT);
	assert_int_equal(mp_event_set(NULL), -EINVAL);
	assert_int_equal(mp_event_clear(NULL), -EINVAL);
	assert_int_equal(mp_event_is_set(NULL), -EINVAL);
	assert_int_equal(mp_event_wait(NULL, MP_NOW), -EINVAL);
	assert_int_equal(mp_event_id(NULL), 0);
	assert_null(mp_event_close(NULL));
	objects_end(&objects);
}

static void set_wakes_everybody_who_waits(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");
	struct waiter waiters[WAITERS];

	begin_waits(objects.seg, event, waiters);
	assert_int_equal(mp_event_set(event), 0);
	end_waits(waiters);
	assert_int_equal(mp_event_is_set(event), 1);
	mp_event_close(event);
	objects_end(&objects);
}

/* Nobody asleep may need to see the word while it says "set". */
static void set_that_is_cleared_at_once_ends_every_wait_of_before(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");
	struct waiter waiters[WAITERS];

	for (unsigned i = 0; i < 20 * harness_scale(); i++) {
		begin_waits(objects.seg, event, waiters);
		assert_int_equal(mp_event_set(event), 0);
		assert_int_equal(mp_event_clear(event), 0);
		end_waits(waiters);
		assert_int_equal(mp_event_is_set(event), 0);
	}
	mp_event_close(event);
	objects_end(&objects);
}

/* One that was stopped behind its change of the word: nobody was rung. */
static void set_without_its_rings(struct shm_event *shared)
{
	store_relaxed(&shared->word, (load_relaxed(&shared->word) | EVENT_SET) + EVENT_EPOCH);
}

static void clear_rings_whom_a_stopped_setter_has_not(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");
	struct waiter waiters[WAITERS];

	begin_waits(objects.seg, event, waiters);
	set_without_its_rings(event->shared);
	assert_int_equal(mp_event_clear(event), 0);
	end_waits(waiters);
	mp_event_close(event);
	objects_end(&objects);
}

static void second_set_rings_whom_a_stopped_setter_has_not(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");
	struct waiter waiters[WAITERS];

	begin_waits(objects.seg, event, waiters);
	set_without_its_rings(event->shared);
	assert_int_equal(mp_event_set(event), 0);
	end_waits(waiters);
	mp_event_close(event);
	objects_end(&objects);
}

/* Two events hand a turn back and forth: a set that is lost stops it. */
struct table {
	mp_event *ping, *pong;
};

static void *answer(void *arg)
{
	struct table *table = arg;

	for (unsigned i = 0; i < ROUNDS * harness_scale(); i++)
		if (mp_event_wait(table->ping, MP_FOREVER) < 0 || mp_event_clear(table->ping) < 0 ||
		    mp_event_set(table->pong) < 0)
			return arg;
	return NULL;
}

static void turn_that_is_handed_back_and_forth_is_never_lost(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct table table = { open_event(segment, "ping"), open_event(segment, "pong") };
	pthread_t thread;
	void *failed;

	pthread_create(&thread, NULL, answer, &table);
	for (unsigned i = 0; i < ROUNDS * harness_scale(); i++) {
		assert_int_equal(mp_event_set(table.ping), 0);
		assert_int_equal(mp_event_wait(table.pong, MP_FOREVER), 0);
		assert_int_equal(mp_event_clear(table.pong), 0);
	}
	pthread_join(thread, &failed);
	assert_null(failed);
	mp_event_close(table.ping);
	mp_event_close(table.pong);
	objects_end(&objects);
}

/* --- signal handlers --- */

static mp_event *signal_event;
static int signal_result;

static void set_in_handler(int number)
{
	(void)number;
	signal_result = mp_event_set(signal_event);
}

static void begin_handler(mp_event *event)
{
	signal_event = event;
	signal_result = 1;
	assert_int_equal(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = set_in_handler },
				   NULL), 0);
}

static void handler_may_set_what_its_own_thread_waits_for(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");
	struct waiter waiters[WAITERS];

	begin_handler(event);
	begin_waits(objects.seg, event, waiters);
	pthread_kill(waiters[0].thread, SIGUSR1);
	end_waits(waiters);
	assert_int_equal(signal_result, 0);
	mp_event_close(event);
	objects_end(&objects);
}

static void *raise_signal(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
	return NULL;
}

/* To take a slot a thread needs the heap and mutexes, which the signal may have interrupted. */
static void handler_in_a_thread_that_was_never_here_takes_no_slot(void **state)
{
	struct objects objects;
	mp_event *event = open_event(objects_begin(&objects), "e");
	struct waiter waiters[WAITERS];
	uint32_t threads;
	pthread_t thread;

	begin_handler(event);
	begin_waits(objects.seg, event, waiters);
	threads = load_relaxed(&objects.seg->header->threads_high);
	pthread_create(&thread, NULL, raise_signal, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(signal_result, 0);
	assert_int_equal(load_relaxed(&objects.seg->header->threads_high), threads);
	end_waits(waiters);
	mp_event_close(event);
	objects_end(&objects);
}

/* --- processes --- */

static int wait_and_exit(void *arg)
{
	return mp_event_wait(arg, MP_FOREVER);
}

static int set_and_exit(void *arg)
{
	return mp_event_set(arg);
}

static void wait_for_waits(mp_segment *segment, mp_event *event, uint64_t count)
{
	while (load_relaxed(&event->shared->waits) < count)
		harness_sleep_ms(1);
	harness_segment_await_asleep(segment->seg, (uint32_t)count);
}

static void set_reaches_other_processes(void **state)
{
	mp_process *processes[WAITERS];
	mp_segment *segment;
	mp_event *event;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	event = open_event(segment, "e");
	for (unsigned i = 0; i < WAITERS; i++)
		assert_int_equal(mp_process_start(segment, NULL, wait_and_exit, event,
						  &processes[i]), 0);
	wait_for_waits(segment, event, WAITERS);
	assert_int_equal(mp_event_set(event), 0);
	for (unsigned i = 0; i < WAITERS; i++) {
		assert_int_equal(mp_process_join(processes[i], MP_FOREVER), 0);
		assert_int_equal(mp_process_exitcode(processes[i], &exitcode), 0);
		assert_int_equal(exitcode, 0);
		mp_process_close(processes[i]);
	}
	mp_event_close(event);
	mp_segment_close(segment);
}

static void killed_waiter_keeps_no_other_from_its_set(void **state)
{
	mp_process *victim, *other;
	mp_segment *segment;
	mp_event *event;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	event = open_event(segment, "e");
	assert_int_equal(mp_process_start(segment, NULL, wait_and_exit, event, &victim), 0);
	assert_int_equal(mp_process_start(segment, NULL, wait_and_exit, event, &other), 0);
	wait_for_waits(segment, event, 2);
	assert_int_equal(mp_process_kill(victim), 0);
	assert_int_equal(mp_process_join(victim, MP_FOREVER), 0);
	assert_int_equal(mp_event_set(event), 0);
	assert_int_equal(mp_process_join(other, MP_FOREVER), 0);
	assert_int_equal(mp_process_exitcode(other, &exitcode), 0);
	assert_int_equal(exitcode, 0);
	mp_process_close(victim);
	mp_process_close(other);
	mp_event_close(event);
	mp_segment_close(segment);
}

static void forked_child_may_set_as_the_first_thing_it_does(void **state)
{
	mp_segment *segment;
	mp_event *event;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	event = open_event(segment, "e");
	harness_join(harness_fork(set_and_exit, event));
	assert_int_equal(mp_event_wait(event, MP_NOW), 0);
	mp_event_close(event);
	mp_segment_close(segment);
}

static void tools_see_its_state_and_who_waits(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_process *waiter;
	mp_segment *segment;
	mp_event *event;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	event = open_event(segment, "e");
	assert_int_equal(mp_event_set(event), 0);
	assert_int_equal(mp_event_clear(event), 0);
	assert_int_equal(mp_process_start(segment, NULL, wait_and_exit, event, &waiter), 0);
	wait_for_waits(segment, event, 1);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->sync_count, 1);
	assert_int_equal(snapshot->is_torn, 0);
	assert_int_equal(snapshot->syncs[0].id, mp_event_id(event));
	assert_string_equal(snapshot->syncs[0].name, "e");
	assert_string_equal(snapshot->syncs[0].kind, "event");
	assert_string_equal(snapshot->syncs[0].state, "clear");
	assert_int_equal(snapshot->syncs[0].waiters, 1);
	assert_int_equal(snapshot->syncs[0].changes, 1);
	assert_int_equal(snapshot->syncs[0].waits, 1);
	assert_int_equal(mp_event_set(event), 0);
	assert_int_equal(mp_process_join(waiter, MP_FOREVER), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_string_equal(snapshot->syncs[0].state, "set");
	assert_int_equal(snapshot->syncs[0].waiters, 0);
	mp_observe_close(observer);
	mp_process_close(waiter);
	mp_event_close(event);
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(event_is_not_set_until_somebody_sets_it),
	HARNESS_TEST(wait_that_nobody_ends_is_over_in_time),
	HARNESS_TEST(second_opener_finds_the_same_event),
	HARNESS_TEST(what_makes_no_sense_is_refused),
	HARNESS_TEST(set_wakes_everybody_who_waits),
	HARNESS_TEST(set_that_is_cleared_at_once_ends_every_wait_of_before),
	HARNESS_TEST(clear_rings_whom_a_stopped_setter_has_not),
	HARNESS_TEST(second_set_rings_whom_a_stopped_setter_has_not),
	HARNESS_TEST(turn_that_is_handed_back_and_forth_is_never_lost),
	HARNESS_TEST(handler_may_set_what_its_own_thread_waits_for),
	HARNESS_TEST(handler_in_a_thread_that_was_never_here_takes_no_slot),
	HARNESS_TEST_WITH_MPD(set_reaches_other_processes),
	HARNESS_TEST_WITH_MPD(killed_waiter_keeps_no_other_from_its_set),
	HARNESS_TEST_WITH_MPD(forked_child_may_set_as_the_first_thing_it_does),
	HARNESS_TEST_WITH_MPD(tools_see_its_state_and_who_waits),
};

HARNESS_MAIN(tests)
