/* SPDX-License-Identifier: MIT
 *
 * Proves: ten thousand times attached and detached, in one process and by processes that come and
 * go, nothing is left of it, here or in mpd; a table of processes or threads that is full says so
 * by name and number, and has room again when one leaves or dies.
 */
#include "raw_client.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ATTACHES 10000
#define PROCESSES 500
#define WARM_UP 200
#define PATIENCE MP_SEC(20)
#define PATIENCE_MS 20000
#define MEMORY_SLACK (256u << 10) /* of mpd: pools and heaps settle */

static uint64_t resident_bytes(pid_t pid)
{
	unsigned long long all = 0, resident = 0;
	char path[40];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu", &all, &resident), 2);
	fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What must be the same afterwards. */
struct state {
	pid_t mpd;
	unsigned fds, mpd_fds;
	uint64_t mpd_bytes, used_bytes, committed_bytes;
	unsigned processes, threads;
};

static void look_at_segment(struct state *state)
{
	const struct mp_snapshot *snapshot;
	struct mp_endpoint_info info;
	mp_observer *observer;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	state->mpd = (pid_t)info.mpd_pid;
	state->used_bytes = snapshot->used_bytes;
	state->committed_bytes = snapshot->committed_bytes;
	state->processes = snapshot->process_count;
	state->threads = snapshot->thread_count;
	mp_observe_close(observer);
}

static void take_state(struct state *state)
{
	look_at_segment(state);
	state->fds = raw_fd_count(getpid());
	state->mpd_fds = raw_fd_count(state->mpd);
	state->mpd_bytes = resident_bytes(state->mpd);
}

/* mpd hears of the last ones a moment later. */
static bool is_as_before(void *arg)
{
	const struct state *before = arg;
	struct state now;

	take_state(&now);
	return now.fds == before->fds && now.mpd_fds <= before->mpd_fds &&
	       now.processes == before->processes && now.threads == before->threads;
}

static void expect_as_before(struct state *before)
{
	struct state now;

	if (!harness_until(is_as_before, before, PATIENCE_MS)) {
		take_state(&now);
		fail_msg("descriptors %u, were %u; mpd's %u, were %u; processes %u, were %u; "
			 "threads %u, were %u", now.fds, before->fds, now.mpd_fds, before->mpd_fds,
			 now.processes, before->processes, now.threads, before->threads);
	}
	take_state(&now);
	print_message("mpd %llu KiB, was %llu KiB\n", (unsigned long long)now.mpd_bytes >> 10,
		      (unsigned long long)before->mpd_bytes >> 10);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_true(now.mpd_bytes <= before->mpd_bytes + MEMORY_SLACK);
#endif
	assert_int_equal(now.used_bytes, before->used_bytes);
	assert_int_equal(now.committed_bytes, before->committed_bytes);
}

static void attach_use_detach(const char *name)
{
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;
	int item = 1;

	assert_int_equal(mp_segment_open(name, NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "items", NULL, &queue), 0);
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &lock), 0);
	assert_int_equal(mp_lock_acquire(lock, PATIENCE), 0);
	assert_int_equal(mp_queue_put(queue, &item, sizeof item, MP_NOW), 0);
	assert_int_equal(mp_queue_get(queue, &item, sizeof item, MP_NOW), sizeof item);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	mp_queue_close(queue);
	mp_segment_close(segment);
}

/* Somebody else keeps the segment, and its objects, while others come and go. */
static int keep_open(void *arg)
{
	int *ready = arg;
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("many", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "items", NULL, &queue), 0);
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &lock), 0);
	assert_int_equal(write(ready[1], "x", 1), 1);
	for (;;)
		pause();
	return 0;
}

static pid_t start_keeper(void)
{
	int ready[2];
	pid_t keeper;
	char byte;

	assert_int_equal(pipe(ready), 0);
	keeper = harness_fork(keep_open, ready);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return keeper;
}

static void ten_thousand_attaches_of_one_process_leave_nothing(void **state)
{
	pid_t keeper = start_keeper();
	struct state before;

	for (unsigned i = 0; i < WARM_UP; i++)
		attach_use_detach("many");
	take_state(&before);
	for (unsigned i = 0; i < ATTACHES * harness_scale(); i++)
		attach_use_detach("many");
	expect_as_before(&before);
	harness_kill(keeper);
}

/* Each makes the segment and ends it. */
static void segments_made_and_ended_leave_nothing(void **state)
{
	pid_t keeper = start_keeper();
	struct state before;

	for (unsigned i = 0; i < WARM_UP; i++)
		attach_use_detach("brief");
	take_state(&before);
	for (unsigned i = 0; i < ATTACHES / 10 * harness_scale(); i++)
		attach_use_detach("brief");
	expect_as_before(&before);
	harness_kill(keeper);
}

static int attach_once(void *arg)
{
	const unsigned *number = arg;

	attach_use_detach("many");
	if (*number % 2) /* without a word */
		raise(SIGKILL);
	return 0;
}

static void come_and_go(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(harness_wait(harness_fork(attach_once, &i)), i % 2 ? -SIGKILL : 0);
}

static void processes_that_come_and_go_leave_nothing(void **state)
{
	pid_t keeper = start_keeper();
	struct state before;

	come_and_go(20);
	take_state(&before);
	come_and_go(PROCESSES * harness_scale());
	expect_as_before(&before);
	harness_kill(keeper);
}

/* --- full tables --- */

static void expect_text(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in: %s", wanted, text);
}

#define CLIENTS 6 /* less mpd's and nobody's: four */

static int stay_attached(void *arg)
{
	struct mp_segment_opts opts = { .max_clients = CLIENTS };
	int *ready = arg;
	mp_segment *segment;

	assert_int_equal(mp_segment_open("full", &opts, &segment), 0);
	assert_int_equal(write(ready[1], "x", 1), 1);
	for (;;)
		pause();
	return 0;
}

static bool is_let_in(void *unused)
{
	mp_segment *segment;

	if (mp_segment_open("full", NULL, &segment) < 0)
		return false;
	mp_segment_close(segment);
	return true;
}

static void full_table_of_processes_names_the_limit_and_has_room_again(void **state)
{
	pid_t children[CLIENTS - 2];
	mp_segment *segment = NULL;
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	for (unsigned i = 0; i < CLIENTS - 2; i++) {
		children[i] = harness_fork(stay_attached, ready);
		assert_int_equal(read(ready[0], &byte, 1), 1);
	}
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(mp_segment_open("full", NULL, &segment), -ENOSPC);
		expect_text(mp_explain(), "'full' takes 4 processes at once and has them");
		expect_text(mp_explain(), "max_clients 6");
	}
	harness_kill(children[0]);
	assert_true(harness_until(is_let_in, NULL, PATIENCE_MS));
	for (unsigned i = 1; i < CLIENTS - 2; i++)
		harness_kill(children[i]);
	close(ready[0]);
	close(ready[1]);
}

#define THREADS 6 /* four, and one of them is the first thread */

struct crowd {
	mp_queue *queue;
	pthread_barrier_t is_in, may_leave;
	int results[THREADS];
	char sentences[THREADS][600]; /* each thread its own */
};

struct one {
	struct crowd *crowd;
	unsigned number;
};

static void *take_part(void *arg)
{
	struct one *one = arg;
	struct crowd *crowd = one->crowd;
	int item;

	crowd->results[one->number] = mp_queue_get(crowd->queue, &item, sizeof item, MP_NOW);
	if (crowd->results[one->number] == -ENOSPC)
		snprintf(crowd->sentences[one->number], sizeof crowd->sentences[0], "%s",
			 mp_explain());
	pthread_barrier_wait(&crowd->is_in);
	pthread_barrier_wait(&crowd->may_leave);
	return NULL;
}

static unsigned count_of(const struct crowd *crowd, int result)
{
	unsigned count = 0;

	for (unsigned i = 0; i < THREADS; i++)
		count += crowd->results[i] == result;
	return count;
}

static void run_crowd(struct crowd *crowd)
{
	pthread_t threads[THREADS];
	struct one ones[THREADS];

	assert_int_equal(pthread_barrier_init(&crowd->is_in, NULL, THREADS + 1), 0);
	assert_int_equal(pthread_barrier_init(&crowd->may_leave, NULL, THREADS + 1), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		ones[i] = (struct one){ crowd, i };
		assert_int_equal(pthread_create(&threads[i], NULL, take_part, &ones[i]), 0);
	}
	pthread_barrier_wait(&crowd->is_in);
	pthread_barrier_wait(&crowd->may_leave);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crowd->is_in);
	pthread_barrier_destroy(&crowd->may_leave);
}

/* Many times: the place of a thread that has ended is there for the next. */
static void full_table_of_threads_names_the_limit_and_has_room_again(void **state)
{
	struct mp_segment_opts opts = { .max_sleepers = THREADS };
	struct crowd crowd;
	mp_segment *segment;

	assert_int_equal(mp_segment_open("crowd", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "items", NULL, &crowd.queue), 0);
	for (unsigned i = 0; i < 20; i++) {
		run_crowd(&crowd);
		assert_int_equal(count_of(&crowd, -EAGAIN), THREADS - 2 - 1);
		assert_int_equal(count_of(&crowd, -ENOSPC), 3);
		for (unsigned j = 0; j < THREADS; j++) {
			if (crowd.results[j] != -ENOSPC)
				continue;
			expect_text(crowd.sentences[j],
				    "'crowd' takes 4 threads at once and has them");
			expect_text(crowd.sentences[j], "max_sleepers 6");
		}
	}
	mp_queue_close(crowd.queue);
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(ten_thousand_attaches_of_one_process_leave_nothing),
	HARNESS_TEST_WITH_MPD(segments_made_and_ended_leave_nothing),
	HARNESS_TEST_WITH_MPD(processes_that_come_and_go_leave_nothing),
	HARNESS_TEST_WITH_MPD(full_table_of_processes_names_the_limit_and_has_room_again),
	HARNESS_TEST_WITH_MPD(full_table_of_threads_names_the_limit_and_has_room_again),
};

HARNESS_MAIN(tests)
