/* SPDX-License-Identifier: MIT
 *
 * Proves: whichever call into the kernel or the heap fails inside of libshm, the operation answers
 * with a documented error and a sentence or works all the same, leaves nothing behind, and works
 * the next time.
 */
#include "fault_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGE_BYTES 300000
#define REFUSED_NS MP_MSEC(2)

/* --- segments --- */

static int open_named(const char *name, uint32_t flags, mp_segment **ret_segment)
{
	struct mp_segment_opts opts = { .size_bytes = 4 << 20, .flags = flags };

	return mp_segment_open(name, flags & MP_EXISTING ? NULL : &opts, ret_segment);
}

static int open_new(struct fault_case *its)
{
	return open_named("new", 0, &its->segment);
}

static int open_existing(struct fault_case *its)
{
	return open_named(FAULT_KEPT, MP_EXISTING, &its->segment);
}

static void prepare_segment(struct fault_case *its)
{
	assert_int_equal(open_existing(its), 0);
}

static void close_segment(struct fault_case *its)
{
	its->segment = mp_segment_close(its->segment);
}

static int open_second(struct fault_case *its)
{
	return open_named("second", 0, &its->second);
}

static void close_second(struct fault_case *its)
{
	its->second = mp_segment_close(its->second);
}

static int close_it(struct fault_case *its)
{
	close_segment(its);
	return 0;
}

static int unlink_it(struct fault_case *its)
{
	return mp_segment_unlink("unlinked");
}

static void make_unlinked(struct fault_case *its)
{
	mp_segment *segment;

	assert_int_equal(open_named("unlinked", MP_KEEP, &segment), 0);
	mp_segment_close(segment);
}

/* The act that failed may have removed it all the same: mpd had done it and could not say so. */
static int unlink_or_gone(struct fault_case *its)
{
	int result = unlink_it(its);

	return result == -ENOENT ? 0 : result;
}

static void remove_unlinked(struct fault_case *its)
{
	(void)unlink_or_gone(its);
}

static void opening_a_new_segment_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "open a new segment", .calls = "mp_segment_open",
		.act = open_new, .undo = close_segment };

	fault_run(&scenario);
}

static void opening_an_existing_segment_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "open an existing segment", .calls = "mp_segment_open",
		.act = open_existing, .undo = close_segment };

	fault_run(&scenario);
}

static void opening_a_second_segment_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "open a second segment", .calls = "mp_segment_open",
		.prepare = prepare_segment, .act = open_second, .undo = close_second,
		.finish = close_segment };

	fault_run(&scenario);
}

static void closing_a_segment_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "close a segment", .calls = "mp_segment_close",
		.prepare = prepare_segment, .act = close_it, .undo = prepare_segment,
		.finish = close_segment };

	fault_run(&scenario);
}

static void prepare_two(struct fault_case *its)
{
	prepare_segment(its);
	assert_int_equal(open_second(its), 0);
}

static int close_second_it(struct fault_case *its)
{
	close_second(its);
	return 0;
}

static void open_second_again(struct fault_case *its)
{
	assert_int_equal(open_second(its), 0);
}

static void finish_two(struct fault_case *its)
{
	close_second(its);
	close_segment(its);
}

static void closing_one_of_two_segments_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "close one of two segments", .calls = "mp_segment_close",
		.prepare = prepare_two, .act = close_second_it, .undo = open_second_again,
		.finish = finish_two };

	fault_run(&scenario);
}

static void unlinking_a_segment_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "unlink a segment", .calls = "mp_segment_unlink",
		.prepare = make_unlinked, .act = unlink_or_gone, .undo = make_unlinked,
		.finish = remove_unlinked };

	fault_run(&scenario);
}

/* An endpoint of this process's own, where nobody serves yet. */
static int open_at_new_mpd(struct fault_case *its)
{
	struct mp_segment_opts opts = { .size_bytes = 4 << 20 };
	char path[108];

	snprintf(path, sizeof path, "%s/%d.sock", harness_endpoint()->directory, (int)getpid());
	opts.endpoint = path;
	return mp_segment_open("new", &opts, &its->segment);
}

static void starting_an_mpd_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "start an mpd", .calls = "mp_segment_open",
		.only = UINT64_C(1) << FAULT_CLONE | UINT64_C(1) << FAULT_PIPE |
			UINT64_C(1) << FAULT_SOCKET,
		.act = open_at_new_mpd, .undo = close_segment };

	fault_run(&scenario);
}

/* --- objects --- */

static int open_queue(struct fault_case *its)
{
	struct mp_queue_opts opts = { .capacity = 8 };

	return mp_queue_open(its->segment, "q", &opts, &its->queue);
}

static void remove_queue(struct fault_case *its)
{
	assert_int_equal(mp_queue_unlink(its->segment, "q"), 0);
	its->queue = mp_queue_close(its->queue);
}

static int open_lock(struct fault_case *its)
{
	return mp_lock_open(its->segment, "l", NULL, &its->lock);
}

static void remove_lock(struct fault_case *its)
{
	assert_int_equal(mp_lock_unlink(its->segment, "l"), 0);
	its->lock = mp_lock_close(its->lock);
}

static void prepare_queue(struct fault_case *its)
{
	prepare_segment(its);
	its->memory = malloc(LARGE_BYTES);
	assert_non_null(its->memory);
	memset(its->memory, 'x', LARGE_BYTES);
	assert_int_equal(open_queue(its), 0);
}

static void finish_queue(struct fault_case *its)
{
	remove_queue(its);
	free(its->memory);
	close_segment(its);
}

static int put_and_get(struct fault_case *its)
{
	int result = mp_queue_put(its->queue, its->memory, LARGE_BYTES, MP_NOW);

	if (result == 0) {
		assert_int_equal(mp_queue_size(its->queue), 1);
		result = mp_queue_get(its->queue, its->memory, LARGE_BYTES, MP_NOW);
	}
	assert_int_equal(mp_queue_size(its->queue), 0);
	return result;
}

static int reserve_and_claim(struct fault_case *its)
{
	int result = mp_queue_reserve(its->queue, LARGE_BYTES, MP_NOW, &its->slot);

	if (result < 0)
		return result;
	memset(its->slot.data, 'y', LARGE_BYTES);
	result = mp_queue_commit(its->queue, &its->slot);
	if (result == 0)
		result = mp_queue_claim(its->queue, MP_NOW, &its->slot);
	return result < 0 ? result : mp_queue_ack(its->queue, &its->slot);
}

static void opening_a_queue_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "open a queue", .calls = "mp_queue_open",
		.prepare = prepare_segment, .act = open_queue, .undo = remove_queue,
		.finish = close_segment };

	fault_run(&scenario);
}

static void opening_a_lock_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "open a lock", .calls = "mp_lock_open",
		.prepare = prepare_segment, .act = open_lock, .undo = remove_lock,
		.finish = close_segment };

	fault_run(&scenario);
}

static void large_messages_survive_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "put and get a large message", .calls = "mp_queue_put mp_queue_get",
		.prepare = prepare_queue, .act = put_and_get, .finish = finish_queue };

	fault_run(&scenario);
}

static void messages_in_place_survive_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "reserve, commit, claim and ack",
		.calls = "mp_queue_reserve mp_queue_commit mp_queue_claim mp_queue_ack",
		.prepare = prepare_queue, .act = reserve_and_claim, .finish = finish_queue };

	fault_run(&scenario);
}

/* --- sleeping --- */

static int sleep_on_queue(struct fault_case *its)
{
	return mp_queue_get(its->queue, its->memory, LARGE_BYTES, REFUSED_NS);
}

static const struct fault_scenario first_sleep = {
	.what = "sleep for the first time", .calls = "mp_queue_get", .success = -ETIMEDOUT,
	.prepare = prepare_queue, .act = sleep_on_queue, .finish = finish_queue };

static void first_sleep_survives_each_failing_call(void **state)
{
	fault_run(&first_sleep);
}

static void first_sleep_without_uring_survives_each_failing_call(void **state)
{
	setenv("MP_WAIT_ENGINE", "futex", 1);
	fault_run(&first_sleep);
}

static int hold_lock(void *arg)
{
	return mp_lock_acquire(arg, MP_FOREVER) < 0 ? 1 : pause();
}

static void prepare_held_lock(struct fault_case *its)
{
	prepare_segment(its);
	assert_int_equal(open_lock(its), 0);
	assert_int_equal(mp_process_start(its->segment, NULL, hold_lock, its->lock, &its->other),
			 0);
	while (!mp_lock_is_locked(its->lock))
		harness_sleep_ms(1);
}

static int sleep_on_lock(struct fault_case *its)
{
	return mp_lock_acquire(its->lock, REFUSED_NS);
}

static void finish_held_lock(struct fault_case *its)
{
	assert_int_equal(mp_process_kill(its->other), 0);
	assert_int_equal(mp_process_join(its->other, MP_FOREVER), 0);
	assert_null(mp_process_close(its->other));
	remove_lock(its);
	close_segment(its);
}

/* With the holder's pidfd in the sleep. */
static void sleep_beside_a_holder_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "wait for another process's lock", .calls = "mp_lock_acquire",
		.success = -ETIMEDOUT, .prepare = prepare_held_lock, .act = sleep_on_lock,
		.finish = finish_held_lock };

	fault_run(&scenario);
}

/* --- processes, tools --- */

static int use_lock(void *arg)
{
	if (mp_lock_acquire(arg, MP_FOREVER) < 0)
		return 1;
	return mp_lock_release(arg) < 0;
}

static void prepare_lock(struct fault_case *its)
{
	prepare_segment(its);
	assert_int_equal(open_lock(its), 0);
}

static int start_process(struct fault_case *its)
{
	return mp_process_start(its->segment, NULL, use_lock, its->lock, &its->process);
}

/* What fails in the child while it runs its function is the function's affair. */
static void end_process(struct fault_case *its)
{
	int code;

	assert_int_equal(mp_process_join(its->process, MP_FOREVER), 0);
	assert_int_equal(mp_process_exitcode(its->process, &code), 0);
	assert_in_range(code, 0, 1);
	assert_null(mp_process_close(its->process));
}

static void finish_lock(struct fault_case *its)
{
	remove_lock(its);
	close_segment(its);
}

static void starting_a_process_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "start a process", .calls = "mp_process_start",
		.prepare = prepare_lock, .act = start_process, .undo = end_process,
		.finish = finish_lock };

	fault_run(&scenario);
}

static int look(struct fault_case *its)
{
	const struct mp_snapshot *snapshot;
	int result = mp_observe_open(NULL, &its->observer);

	if (result < 0)
		return result;
	result = mp_observe_refresh(its->observer);
	if (result > 0)
		result = mp_observe_snapshot(its->observer, 0, &snapshot);
	if (result < 0)
		its->observer = mp_observe_close(its->observer);
	return result;
}

static void look_away(struct fault_case *its)
{
	its->observer = mp_observe_close(its->observer);
}

static void looking_survives_each_failing_call(void **state)
{
	static const struct fault_scenario scenario = {
		.what = "look at a segment",
		.calls = "mp_observe_open mp_observe_refresh mp_observe_snapshot",
		.prepare = prepare_queue, .act = look, .undo = look_away, .finish = finish_queue };

	fault_run(&scenario);
}

/* --- does the runner see what is wrong? --- */

/* Each does what open_queue does, and one thing wrong when that fails. */
static int open_queue_leaking_a_descriptor(struct fault_case *its)
{
	int result = open_queue(its);

	return result < 0 && dup(STDERR_FILENO) < 0 ? 0 : result;
}

static int open_queue_leaking_memory(struct fault_case *its)
{
	int result = open_queue(its);

	if (result < 0)
		its->memory = malloc(100);
	return result;
}

static int open_queue_with_another_error(struct fault_case *its)
{
	int result = open_queue(its);

	return result < 0 ? -EXDEV : result;
}

static int open_queue_leaving_a_lock(struct fault_case *its)
{
	int result = open_queue(its);

	if (result < 0)
		assert_int_equal(open_lock(its), 0);
	return result;
}

static int open_queue_or_crash(struct fault_case *its)
{
	int result = open_queue(its);

	return result < 0 ? raise(SIGSEGV) : result;
}

static bool is_found(int (*act)(struct fault_case *its))
{
	struct fault_scenario scenario = {
		.what = "a planted fault", .calls = "mp_queue_open", .prepare = prepare_segment,
		.act = act, .undo = remove_queue, .finish = close_segment };

	return fault_is_found(&scenario);
}

static void leaked_descriptor_on_an_error_path_is_found(void **state)
{
	assert_true(is_found(open_queue_leaking_a_descriptor));
}

static void leaked_memory_on_an_error_path_is_found(void **state)
{
	assert_true(is_found(open_queue_leaking_memory));
}

static void undocumented_error_is_found(void **state)
{
	assert_true(is_found(open_queue_with_another_error));
}

static void object_left_in_the_segment_is_found(void **state)
{
	assert_true(is_found(open_queue_leaving_a_lock));
}

static void crash_on_an_error_path_is_found(void **state)
{
	assert_true(is_found(open_queue_or_crash));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(opening_a_new_segment_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(opening_an_existing_segment_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(opening_a_second_segment_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(closing_a_segment_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(closing_one_of_two_segments_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(unlinking_a_segment_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(starting_an_mpd_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(opening_a_queue_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(opening_a_lock_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(large_messages_survive_each_failing_call),
	HARNESS_TEST_WITH_MPD(messages_in_place_survive_each_failing_call),
	HARNESS_TEST_WITH_MPD(first_sleep_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(first_sleep_without_uring_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(sleep_beside_a_holder_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(starting_a_process_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(looking_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(leaked_descriptor_on_an_error_path_is_found),
	HARNESS_TEST_WITH_MPD(leaked_memory_on_an_error_path_is_found),
	HARNESS_TEST_WITH_MPD(undocumented_error_is_found),
	HARNESS_TEST_WITH_MPD(object_left_in_the_segment_is_found),
	HARNESS_TEST_WITH_MPD(crash_on_an_error_path_is_found),
};

HARNESS_MAIN(tests)
