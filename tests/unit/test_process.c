/* SPDX-License-Identifier: MIT
 *
 * Proves: what process.h and segment.h promise: start, join, exit codes, forks, attaching often.
 */
#include "harness.h"
#include "harness_mpd.h"

#include "atom.h"

#include <libshm.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEAVES_MS 10000 /* however busy the machine: there is no haste */

static int return_seven(void *arg)
{
	return 7;
}

static int stay(void *arg)
{
	for (;;)
		pause();
	return 0;
}

static mp_segment *open_segment(void)
{
	mp_segment *segment = NULL;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	return segment;
}

static uint32_t clients(mp_segment *segment)
{
	struct mp_segment_info info;

	assert_int_equal(mp_segment_info(segment, &info), 0);
	return info.clients;
}

static bool is_alone(void *segment)
{
	return clients(segment) == 1;
}

static void what_the_function_returns_is_the_exit_code(void **state)
{
	mp_segment *segment = open_segment();
	mp_process *process;
	int exitcode = -1;

	assert_int_equal(mp_process_start(segment, NULL, return_seven, NULL, &process), 0);
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	assert_int_equal(exitcode, 7);
	assert_int_equal(mp_process_is_alive(process), 0);
	assert_int_equal(mp_process_kill(process), 0); /* no effect once it ended */
	assert_null(mp_process_close(process));
	assert_true(harness_until(is_alone, segment, LEAVES_MS));
	mp_segment_close(segment);
}

static void running_child_is_neither_joined_nor_closed(void **state)
{
	mp_segment *segment = open_segment();
	mp_process *process;
	int exitcode = -1;

	assert_int_equal(mp_process_start(segment, NULL, stay, NULL, &process), 0);
	assert_int_equal(clients(segment), 2);
	assert_int_equal(mp_process_is_alive(process), 1);
	assert_int_equal(mp_process_join(process, MP_NOW), -EAGAIN);
	assert_int_equal(mp_process_join(process, MP_MSEC(10)), -ETIMEDOUT);
	assert_int_equal(mp_process_exitcode(process, &exitcode), -EBUSY);
	assert_ptr_equal(mp_process_close(process), process);
	assert_int_equal(mp_process_terminate(process), 0);
	assert_int_equal(mp_process_join(process, MP_FOREVER), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	assert_int_equal(exitcode, -SIGTERM);
	assert_null(mp_process_close(process));
	assert_true(harness_until(is_alone, segment, LEAVES_MS));
	mp_segment_close(segment);
}

static int tell_names(void *arg)
{
	mp_segment *segment = arg;
	mp_process *process;
	int exitcode = -1;

	if (mp_process_start(segment, NULL, return_seven, NULL, &process) < 0)
		return 1;
	if (strcmp(mp_process_name(process), "Process-1:1") != 0)
		return 2;
	if (mp_process_join(process, MP_SEC(10)) < 0 || mp_process_exitcode(process, &exitcode) < 0)
		return 3;
	return mp_process_close(process) || exitcode != 7 ? 4 : 0;
}

static void names_tell_the_lineage(void **state)
{
	mp_segment *segment = open_segment();
	mp_process *process;
	int exitcode = -1;

	assert_int_equal(mp_process_start(segment, NULL, tell_names, segment, &process), 0);
	assert_string_equal(mp_process_name(process), "Process-1");
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	assert_int_equal(exitcode, 0);
	assert_null(mp_process_close(process));
	mp_segment_close(segment);
}

static void stdio_is_written_once(void **state)
{
	char path[] = "/tmp/libshm-stdio-XXXXXX", text[100];
	int fd = mkstemp(path);
	mp_segment *segment = open_segment();
	mp_process *process;
	FILE *file = fdopen(fd, "w+");

	fprintf(file, "once");
	assert_int_equal(mp_process_start(segment, NULL, return_seven, NULL, &process), 0);
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_null(mp_process_close(process));
	fflush(file);
	rewind(file);
	assert_int_equal(fread(text, 1, sizeof text, file), 4);
	fclose(file);
	unlink(path);
	mp_segment_close(segment);
}

static void segment_ends_with_its_last_client(void **state)
{
	struct mp_segment_info info;
	mp_segment *segment = open_segment(), *again;
	mp_lock *lock;

	assert_int_equal(mp_lock_open(segment, "l", NULL, &lock), 0);
	again = open_segment();
	assert_ptr_equal(again, segment); /* counted */
	mp_segment_close(again);
	mp_lock_close(lock);
	mp_segment_close(segment);
	assert_true(harness_until(harness_name_is_gone, "s", LEAVES_MS));
	segment = open_segment();
	assert_int_equal(mp_segment_info(segment, &info), 0);
	assert_int_equal(info.objects, 0);
	mp_segment_close(segment);
}

static void kept_segment_waits_for_its_unlink(void **state)
{
	struct mp_segment_opts keep = { .flags = MP_KEEP };
	mp_segment *segment;
	mp_queue *queue;
	int number = 5;

	assert_int_equal(mp_segment_open("kept", &keep, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_NOW), 0);
	mp_queue_close(queue);
	mp_segment_close(segment);
	assert_int_equal(mp_segment_open("kept", &(struct mp_segment_opts){ .flags = MP_EXCLUSIVE },
					 &segment),
			 -EEXIST);
	assert_int_equal(mp_segment_open("kept", &(struct mp_segment_opts){ .flags = MP_EXISTING },
					 &segment),
			 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	number = 0;
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), 4);
	assert_int_equal(number, 5);
	mp_queue_close(queue);
	mp_segment_close(segment);
	assert_int_equal(mp_segment_unlink("kept"), 0);
	assert_int_equal(mp_segment_unlink("kept"), -ENOENT);
}

static void bad_names_and_sizes_are_refused_with_a_sentence(void **state)
{
	char longer[100];
	mp_segment *segment = NULL;

	memset(longer, 'n', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(mp_segment_open("", NULL, &segment), -EINVAL);
	assert_int_equal(mp_segment_open(NULL, NULL, &segment), -EINVAL);
	assert_int_equal(mp_segment_open(longer, NULL, &segment), -ENAMETOOLONG);
	assert_int_equal(mp_segment_open("a/b", NULL, &segment), -EINVAL);
	assert_int_equal(mp_segment_open("tiny", &(struct mp_segment_opts){ .size_bytes = 100 },
					 &segment),
			 -EINVAL);
	assert_non_null(strstr(mp_explain(), "tiny"));
	assert_null(segment);
}

static void no_mpd_and_no_spawn_is_refused(void **state)
{
	mp_segment *segment = NULL;
	int error =
		mp_segment_open("s", &(struct mp_segment_opts){ .flags = MP_NO_SPAWN }, &segment);

	assert_int_equal(error, -ECONNREFUSED);
	assert_non_null(strstr(mp_explain(), "no mpd"));
}

static void hundreds_of_attaches_leave_no_slot_behind(void **state)
{
	mp_segment *holder = open_segment(), *segment;

	for (int i = 0; i < 30; i++) {
		mp_process *process;

		assert_int_equal(mp_process_start(holder, NULL, return_seven, NULL, &process), 0);
		assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
		assert_null(mp_process_close(process));
	}
	assert_true(harness_until(is_alone, holder, LEAVES_MS));
	mp_segment_close(holder);
	for (int i = 0; i < 200; i++) {
		segment = open_segment();
		assert_int_equal(clients(segment), 1);
		mp_segment_close(segment);
	}
}

static int use_in_plain_fork(void *arg)
{
	int number = 3;

	return mp_queue_put(arg, &number, sizeof number, MP_NOW) < 0;
}

static void handles_are_good_in_a_plainly_forked_child(void **state)
{
	mp_segment *segment = open_segment();
	mp_queue *queue;
	int number = 0;

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_NOW), 0);
	harness_join(harness_fork(use_in_plain_fork, queue));
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), 4);
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), 4);
	assert_int_equal(number, 3);
	mp_queue_close(queue);
	assert_true(harness_until(is_alone, segment, LEAVES_MS));
	mp_segment_close(segment);
}

static void *put_one(void *arg)
{
	int number = 1;

	return mp_queue_put(arg, &number, sizeof number, MP_SEC(5)) < 0 ? arg : NULL;
}

static int put_from_two_threads(void *arg)
{
	pthread_t threads[2];
	void *failed[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, put_one, arg);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], &failed[i]);
	return failed[0] || failed[1];
}

static void two_threads_of_a_fresh_child_become_one_client(void **state)
{
	mp_segment *segment = open_segment();
	mp_queue *queue;
	int number;

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	for (int i = 0; i < 60; i++) {
		harness_join(harness_fork(put_from_two_threads, queue));
		assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), 4);
		assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), 4);
	}
	mp_queue_close(queue);
	assert_true(harness_until(is_alone, segment, LEAVES_MS));
	mp_segment_close(segment);
}

static atom32 calls_done;

static void *call_and_end(void *arg)
{
	int number = 1;

	(void)!mp_queue_put(arg, &number, sizeof number, MP_NOW);
	add_seqcst(&calls_done, 1);
	return NULL;
}

static void threads_that_end_while_the_segment_is_closed_harm_nobody(void **state)
{
	pthread_attr_t detached;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (int round = 0; round < 100; round++) {
		mp_segment *segment = open_segment();
		mp_queue *queue;
		pthread_t thread;

		assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
		store_relaxed(&calls_done, 0);
		for (int i = 0; i < 4; i++)
			pthread_create(&thread, &detached, call_and_end, queue);
		while (load_acquire(&calls_done) < 4)
			sched_yield();
		mp_queue_close(queue);
		mp_segment_close(segment);
	}
	pthread_attr_destroy(&detached);
	harness_sleep_ms(50);
}

static int sleep_long(void *arg)
{
	return (int)sleep(1000);
}

/* Nothing tells it any more which process that was. */
static int signal_without_pidfd(void *arg)
{
	mp_process *process = arg;

	close(mp_process_fd(process));
	assert_int_equal(mp_process_terminate(process), -ECHILD);
	assert_int_equal(mp_process_kill(process), -ECHILD);
	return 0;
}

static void fork_that_has_closed_the_pidfd_signals_nobody(void **state)
{
	mp_segment *segment = open_segment();
	mp_process *process;

	assert_int_equal(mp_process_start(segment, NULL, sleep_long, NULL, &process), 0);
	harness_join(harness_fork(signal_without_pidfd, process));
	assert_int_equal(mp_process_is_alive(process), 1);
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(mp_process_join(process, MP_SEC(20)), 0);
	assert_null(mp_process_close(process));
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(what_the_function_returns_is_the_exit_code),
	HARNESS_TEST_WITH_MPD(running_child_is_neither_joined_nor_closed),
	HARNESS_TEST_WITH_MPD(names_tell_the_lineage),
	HARNESS_TEST_WITH_MPD(fork_that_has_closed_the_pidfd_signals_nobody),
	HARNESS_TEST_WITH_MPD(stdio_is_written_once),
	HARNESS_TEST_WITH_MPD(segment_ends_with_its_last_client),
	HARNESS_TEST_WITH_MPD(kept_segment_waits_for_its_unlink),
	HARNESS_TEST_WITH_MPD(bad_names_and_sizes_are_refused_with_a_sentence),
	HARNESS_TEST_WITH_MPD(no_mpd_and_no_spawn_is_refused),
	HARNESS_TEST_WITH_MPD(hundreds_of_attaches_leave_no_slot_behind),
	HARNESS_TEST_WITH_MPD(handles_are_good_in_a_plainly_forked_child),
	HARNESS_TEST_WITH_MPD(two_threads_of_a_fresh_child_become_one_client),
	HARNESS_TEST_WITH_MPD(threads_that_end_while_the_segment_is_closed_harm_nobody),
};

HARNESS_MAIN(tests)
