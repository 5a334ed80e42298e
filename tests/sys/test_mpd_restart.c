/* SPDX-License-Identifier: MIT
 *
 * Proves: an mpd that takes over does few system calls for each segment, counted, and answers
 * before it has mapped them all; shows how long it is away with 1, 64 and 1 000 segments, and how
 * much of that it works.
 */
#include "raw_client.h"
#include "syscall_stepper.h"

#include "libshm/cc.h"
#include "libshm/recover.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SEGMENTS_MAX 1000
#define RESTARTS 11
#define RESTARTS_MAX 100
#define SEGMENTS_FEW 20
#define SEGMENTS_MANY 120
#define CALLS_A_SEGMENT 20

static struct raw_segment segments[SEGMENTS_MAX];

static void raise_limit(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 3 * SEGMENTS_MAX + 100)
		harness_skip("too few descriptors may be open here");
}

/* This process is the client of each. */
static void make(struct raw *raw, unsigned from, unsigned count)
{
	for (unsigned i = from; i < count; i++) {
		char name[16];

		snprintf(name, sizeof name, "s%u", i);
		raw_attach(raw, name, 0, &segments[i]);
	}
}

static void leave(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		recover_client(segments[i].seg, segments[i].client, segments[i].generation);
		raw_forget(&segments[i]);
	}
}

struct times {
	int64_t away_ns; /* from the kill to the next one's first answer */
	int64_t busy_ns; /* processor time it took for that */
};

static int64_t busy_ns_of(pid_t pid)
{
	char path[40];
	long long ns = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0; /* a kernel without it */
	assert_int_equal(fscanf(file, "%lld", &ns), 1);
	fclose(file);
	return ns;
}

/* All are mapped by then: LIST tells who uses them. */
static void restart(struct raw *raw, struct times *ret_times)
{
	unsigned count = raw_count(raw);
	int64_t begin_ns = harness_now_ns();

	assert_in_range(count, 1, SEGMENTS_MAX);
	assert_int_equal(kill((pid_t)raw->welcome.pid, SIGKILL), 0);
	raw_close(raw);
	raw_connect(raw);
	ret_times->away_ns = harness_now_ns() - begin_ns;
	ret_times->busy_ns = busy_ns_of((pid_t)raw->welcome.pid);
	raw_lock_byte(raw); /* the former roster took the byte along when it was closed */
}

static int by_away(const void *a, const void *b)
{
	const struct times *left = a, *right = b;

	return (left->away_ns > right->away_ns) - (left->away_ns < right->away_ns);
}

static int by_busy(const void *a, const void *b)
{
	const struct times *left = a, *right = b;

	return (left->busy_ns > right->busy_ns) - (left->busy_ns < right->busy_ns);
}

static double in_ms(int64_t ns)
{
	return (double)ns / 1e6;
}

static void show_times(struct raw *raw, unsigned count)
{
	struct times times[RESTARTS];

	for (unsigned i = 0; i < RESTARTS; i++)
		restart(raw, &times[i]);
	qsort(times, RESTARTS, sizeof *times, by_away);
	print_message("%u segments: away for %.1f ms (p50), %.1f (best), %.1f (p99)", count,
		      in_ms(times[RESTARTS / 2].away_ns), in_ms(times[0].away_ns),
		      in_ms(times[RESTARTS - 1].away_ns));
	qsort(times, RESTARTS, sizeof *times, by_busy);
	print_message("; busy for %.1f ms (p50), %.1f (best)\n",
		      in_ms(times[RESTARTS / 2].busy_ns), in_ms(times[0].busy_ns));
}

static unsigned mapped_by(pid_t pid)
{
	char path[40], line[512];
	unsigned count = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	if (!file)
		harness_skip("this user may not see what mpd maps");
	while (fgets(line, sizeof line, file))
		count += strstr(line, "/memfd:libshm:") != NULL;
	fclose(file);
	return count;
}

/* Whoever asks may be late itself: then again. */
static void check_that_answers_come_first(struct raw *raw, unsigned count)
{
	struct times times;

	for (unsigned i = 0; i < RESTARTS_MAX; i++) {
		restart(raw, &times);
		if (mapped_by((pid_t)raw->welcome.pid) < count)
			return;
	}
	fail_msg("mpd never answered before it had mapped all of %u segments", count);
}

static void mpd_is_back_soon_and_answers_before_it_has_mapped_all(void **state)
{
	static const unsigned counts[] = { 1, 64, SEGMENTS_MAX };
	unsigned made = 0;
	struct raw raw;

	raise_limit();
	raw_start(NULL, NULL);
	raw_connect(&raw);
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		make(&raw, made, counts[i]);
		made = counts[i];
		show_times(&raw, made);
	}
	check_that_answers_come_first(&raw, made);
	leave(made);
	raw_close(&raw);
}

/* Of the next mpd until it has looked at all segments. */
static unsigned count_calls(struct raw *raw)
{
	pid_t former = (pid_t)raw->welcome.pid;
	struct stepper stepper = { .parent = raw_parent_of(former) };
	unsigned calls;
	int error = stepper_begin(&stepper);

	if (error == -EPERM)
		harness_skip("this user may not trace mpd");
	assert_int_equal(error, 0);
	assert_int_equal(kill(former, SIGKILL), 0);
	raw_close(raw);
	raw_connect(raw);
	assert_in_range(raw_count(raw), 1, SEGMENTS_MAX);
	calls = stepper.stops / 2;
	stepper_end(&stepper);
	raw_close(raw);
	raw_connect(raw);
	raw_lock_byte(raw);
	return calls;
}

static void segment_more_costs_a_start_few_system_calls(void **state)
{
	unsigned few, many, each;
	struct raw raw;

	raise_limit();
	raw_start(NULL, NULL);
	raw_connect(&raw);
	make(&raw, 0, SEGMENTS_FEW);
	few = count_calls(&raw);
	make(&raw, SEGMENTS_FEW, SEGMENTS_MANY);
	many = count_calls(&raw);
	each = (many - few) / (SEGMENTS_MANY - SEGMENTS_FEW);
	print_message("%u calls for %u segments, %u for %u: %u each\n", few, SEGMENTS_FEW, many,
		      SEGMENTS_MANY, each);
	assert_true(many > few);
	assert_in_range(each, 1, CALLS_A_SEGMENT);
	leave(SEGMENTS_MANY);
	raw_close(&raw);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(segment_more_costs_a_start_few_system_calls),
	HARNESS_TEST_WITH_MPD(mpd_is_back_soon_and_answers_before_it_has_mapped_all),
};

HARNESS_MAIN(tests)
