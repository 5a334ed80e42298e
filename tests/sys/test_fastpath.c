/* SPDX-License-Identifier: MIT
 *
 * Proves: put, get, claim, acknowledge, acquire and release make no system call when nobody sleeps;
 * clients sleep in io_uring under the default engine; who waits for nothing wakes up never.
 */
#include "harness.h"
#include "program.h"

#include <libshm.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOOPS 100000
#define WARM_LOOPS 2000
#define PING_PONGS 300
#define BATCHES 10
#define LAST_BALL 2

/* A number no prctl has: it fails, and is easy to find in the output of strace. */
#define MARK 0x4d504d50
#define MARK_TEXT "prctl(0x4d504d50"

/* --- the traced program: this executable, called with --loop --- */

static int one_loop(mp_queue *queue, mp_lock *lock, int i)
{
	static char large[300];
	struct mp_slot slot;
	char buf[sizeof(large)];
	int wrong = 0;

	wrong |= mp_lock_acquire(lock, MP_FOREVER) != 0;
	wrong |= mp_queue_put(queue, &i, sizeof(i), MP_FOREVER) < 0;
	wrong |= mp_lock_release(lock) < 0;
	wrong |= mp_queue_get(queue, buf, sizeof(buf), MP_FOREVER) != sizeof(i);
	wrong |= mp_queue_put(queue, large, sizeof(large), MP_FOREVER) < 0;
	wrong |= mp_queue_claim(queue, MP_FOREVER, &slot) < 0;
	wrong |= mp_queue_ack(queue, &slot) < 0;
	wrong |= mp_queue_reserve(queue, 500, MP_FOREVER, &slot) < 0;
	wrong |= mp_queue_commit(queue, &slot) < 0;
	wrong |= mp_queue_get(queue, buf, sizeof(buf), MP_NOW) != -EMSGSIZE;
	wrong |= mp_queue_claim(queue, MP_FOREVER, &slot) < 0;
	wrong |= mp_queue_ack(queue, &slot) < 0;
	return wrong;
}

static int traced_main(void)
{
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;
	int wrong = 0;

	if (mp_segment_open("fastpath", NULL, &segment) < 0 ||
	    mp_queue_open(segment, "items", NULL, &queue) < 0 ||
	    mp_lock_open(segment, "lock", NULL, &lock) < 0) {
		fprintf(stderr, "%s\n", mp_explain());
		return 1;
	}
	for (int i = 0; i < WARM_LOOPS; i++)
		wrong |= one_loop(queue, lock, i);
	prctl(MARK, 1, 0, 0, 0);
	for (int i = 0; i < LOOPS; i++)
		wrong |= one_loop(queue, lock, i);
	prctl(MARK, 2, 0, 0, 0);
	mp_segment_close(segment);
	return wrong;
}

/* --- */

/* The lines between the two marks; each is a system call of one of its threads. */
static unsigned count_between_marks(const char *trace)
{
	const char *at = strstr(trace, MARK_TEXT), *end;
	unsigned lines = 0;

	if (!at || !(end = strstr(at + 1, MARK_TEXT)))
		fail_msg("the marks are missing in:\n%s", trace);
	for (at = strchr(at, '\n'); at && at < end; at = strchr(at + 1, '\n'))
		lines++;
	return lines - 1;
}

static bool has_strace(void)
{
	struct program program;
	char *const argv[] = { "strace", "-o", "/dev/null", "true", NULL };
	bool is_there;

	program_run(&program, argv, 20);
	is_there = program.code == 0;
	program_free(&program);
	return is_there;
}

static void nothing_calls_the_kernel_when_nobody_sleeps(void **state)
{
	char self[4096] = "";
	char *const argv[] = { "strace", "-f", "-o", "/dev/stdout", self, "--loop", NULL };
	struct program program;
	mp_segment *segment;
	unsigned calls;

	if (!has_strace())
		harness_skip("strace is missing, or may not trace here");
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	/* A sanitizer's search for leaks traces too, and two cannot. */
	assert_int_equal(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
	/* mpd is there already, so that it is not traced. */
	assert_int_equal(mp_segment_open("fastpath", NULL, &segment), 0);
	program_run(&program, argv, 50);
	if (program.code != 0)
		fail_msg("it ended with %d:\n%s", program.code, program.text);
	calls = count_between_marks(program.text);
	if (calls)
		fail_msg("%u system calls in:\n%.4000s", calls, strstr(program.text, MARK_TEXT));
	program_free(&program);
	mp_segment_close(segment);
}

/* The test of the test: a system call between the marks is seen. */
static void call_between_the_marks_is_counted(void **state)
{
	assert_int_equal(count_between_marks("1 a\n1 prctl(0x4d504d50, 1) = -1\n"
					     "1 prctl(0x4d504d50, 2) = -1\n1 b\n"), 0);
	assert_int_equal(count_between_marks("1 a\n1 prctl(0x4d504d50, 1) = -1\n1 write(1)\n1 c\n"
					     "1 prctl(0x4d504d50, 2) = -1\n1 b\n"), 2);
}

/* --- how clients sleep --- */

struct players {
	mp_segment *segment;
	mp_queue *there, *back;
};

static int play(void *arg)
{
	struct players *players = arg;
	int ball;

	for (;;) {
		assert_int_equal(mp_queue_get(players->there, &ball, sizeof(ball), MP_SEC(10)),
				 sizeof(ball));
		if (ball == LAST_BALL)
			return 0;
		harness_sleep_ms(1); /* the other gives up spinning and sleeps */
		assert_true(MP_OK(mp_queue_put(players->back, &ball, sizeof(ball), MP_SEC(10))));
	}
}

static void open_players(struct players *players)
{
	assert_int_equal(mp_segment_open("sleepers", NULL, &players->segment), 0);
	assert_int_equal(mp_queue_open(players->segment, "there", NULL, &players->there), 0);
	assert_int_equal(mp_queue_open(players->segment, "back", NULL, &players->back), 0);
}

static void close_players(struct players *players)
{
	mp_queue_close(players->there);
	mp_queue_close(players->back);
	mp_segment_close(players->segment);
}

static bool is_uring(const struct players *players)
{
	struct mp_segment_info info;

	assert_int_equal(mp_segment_info(players->segment, &info), 0);
	return strcmp(info.engine, "uring") == 0;
}

static void count_sleeps(uint64_t *ret_uring, uint64_t *ret_futex)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;

	*ret_uring = *ret_futex = 0;
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_refresh(observer), 1);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	for (uint32_t i = 0; i < snapshot->thread_count; i++) {
		*ret_uring += snapshot->threads[i].sleeps_uring;
		*ret_futex += snapshot->threads[i].sleeps_futex;
	}
	mp_observe_close(observer);
}

static void throw_there(struct players *players, int ball)
{
	assert_true(MP_OK(mp_queue_put(players->there, &ball, sizeof(ball), MP_SEC(10))));
}

static void play_batch(struct players *players)
{
	int ball = 1;

	for (int i = 0; i < PING_PONGS; i++) {
		throw_there(players, ball);
		assert_int_equal(mp_queue_get(players->back, &ball, sizeof(ball), MP_SEC(10)),
				 sizeof(ball));
	}
}

/* Who is held up finds the ball there when he looks, and does not sleep: then more are played. The
 * counters are read while the child is there. */
static void clients_sleep_in_io_uring(void **state)
{
	uint64_t uring = 0, futex = 0;
	struct players players;
	pid_t child;

	open_players(&players);
	child = harness_fork(play, &players);
	for (int i = 0; i < BATCHES && uring + futex < PING_PONGS / 2; i++) {
		play_batch(&players);
		count_sleeps(&uring, &futex);
	}
	print_message("sleeps: %" PRIu64 " uring, %" PRIu64 " futex\n", uring, futex);
	throw_there(&players, LAST_BALL);
	harness_join(child);
	assert_true(uring + futex >= PING_PONGS / 2);
	if (is_uring(&players))
		assert_true(uring * 10 >= (uring + futex) * 9);
	else
		assert_int_equal(uring, 0);
	close_players(&players);
}

static long voluntary_switches(pid_t pid)
{
	char path[64], line[256];
	long switches = -1;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &switches) == 1)
			break;
	fclose(status);
	assert_true(switches >= 0);
	return switches;
}

static int wait_for_one(void *arg)
{
	struct players *players = arg;
	int ball;

	assert_true(MP_OK(mp_queue_get(players->there, &ball, sizeof(ball), MP_FOREVER)));
	return 0;
}

static bool is_child_asleep(void *unused)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	bool is_asleep = false;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	if (mp_observe_refresh(observer) == 1 && mp_observe_snapshot(observer, 0, &snapshot) == 0)
		for (uint32_t i = 0; i < snapshot->thread_count; i++)
			is_asleep |= snapshot->threads[i].is_asleep;
	mp_observe_close(observer);
	return is_asleep;
}

static bool has_slept_on(void *arg)
{
	pid_t child = *(pid_t *)arg;
	long before = voluntary_switches(child), after;

	harness_sleep_ms(2000);
	after = voluntary_switches(child);
	print_message("wake-ups in 2 s: %ld\n", after - before);
	return after == before;
}

/* Asleep, and what comes after that once (mpd looks at a new segment) is over too. */
static void idle_sleeper_never_wakes(void **state)
{
	struct players players;
	pid_t child;

	open_players(&players);
	child = harness_fork(wait_for_one, &players);
	assert_true(harness_until(is_child_asleep, NULL, 10000));
	harness_sleep_ms(500);
	if (is_uring(&players))
		assert_true(harness_retry(has_slept_on, &child, 3));
	throw_there(&players, 1);
	harness_join(child);
	close_players(&players);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(nothing_calls_the_kernel_when_nobody_sleeps),
	HARNESS_TEST(call_between_the_marks_is_counted),
	HARNESS_TEST_WITH_MPD(clients_sleep_in_io_uring),
	HARNESS_TEST_WITH_MPD(idle_sleeper_never_wakes),
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--loop") == 0)
		return traced_main();
	return harness_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
