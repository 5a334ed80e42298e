/* SPDX-License-Identifier: MIT
 *
 * Proves: a consumer that is stopped (SIGSTOP, a debugger) while it waits does not keep the next
 * one from the item, under both engines: the other has it within 20 ms.
 *
 * A machine that takes the processor away for a while looks the same as a late wake-up. So
 * bystanders on each processor tell when it did, and the kernel how long those who take part were
 * kept from it: such a round is void and made again. And a failed series is made again, all are
 * printed, and one that is whole will do: what keeps an item back does so in each series.
 */
#include "bystander.h"
#include "harness_mpd.h"
#include "harness_segment.h"
#include "program.h"

#include "libshm/queue_internal.h"

#include <libshm.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 30
#define TRIES (10 * ROUNDS) /* of rounds, in a series */
#define SERIES 5
#define HELD_UP_NS UINT64_C(4000000)
#define LIMIT_NS INT64_C(20000000)

struct stage {
	char engine[16];
	_Atomic uint32_t is_open; /* the parent has made the queue */
	_Atomic uint32_t is_over;
	_Atomic uint32_t refused;
	_Atomic uint32_t arrived;
	_Atomic uint32_t turns[2]; /* how many items that consumer may have taken */
	_Atomic uint32_t taken[2];
	_Atomic int64_t taken_ns[2];
};

struct consumer {
	struct stage *stage;
	unsigned number;
};

static bool is_my_turn(void *arg)
{
	struct consumer *me = arg;
	struct stage *stage = me->stage;

	return atomic_load(&stage->turns[me->number]) > atomic_load(&stage->taken[me->number]);
}

static bool is_open(void *arg)
{
	return atomic_load(&((struct stage *)arg)->is_open) != 0;
}

static void take_one(struct consumer *me, mp_queue *queue)
{
	struct stage *stage = me->stage;
	int item;

	assert_int_equal(mp_queue_get(queue, &item, sizeof(item), MP_SEC(20)), sizeof(item));
	atomic_store(&stage->taken_ns[me->number], harness_now_ns());
	atomic_fetch_add(&stage->taken[me->number], 1);
}

/* A process that has never slept yet: the engine is its own choice. */
static int consume(void *arg)
{
	static const struct mp_segment_opts existing = { .flags = MP_EXISTING };
	struct consumer *me = arg;
	struct mp_segment_info info;
	mp_segment *segment;
	mp_queue *queue;
	int result;

	assert_int_equal(setenv("MP_WAIT_ENGINE", me->stage->engine, 1), 0);
	assert_true(harness_until(is_open, me->stage, 20000));
	result = mp_segment_open("stopped", &existing, &segment);
	if (result == -ENOSYS || result == -EPERM) {
		atomic_store(&me->stage->refused, 1);
		return 0;
	}
	assert_int_equal(result, 0);
	assert_int_equal(mp_queue_open(segment, "items", NULL, &queue), 0);
	atomic_fetch_add(&me->stage->arrived, 1);
	for (;;) {
		assert_true(harness_until(is_my_turn, me, 20000));
		if (atomic_load(&me->stage->is_over))
			break;
		take_one(me, queue);
	}
	assert_int_equal(mp_segment_info(segment, &info), 0);
	assert_string_equal(info.engine, me->stage->engine);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

struct awaited {
	struct stage *stage;
	unsigned number;
	uint32_t taken;
};

static bool has_taken(void *arg)
{
	struct awaited *awaited = arg;

	return atomic_load(&awaited->stage->taken[awaited->number]) == awaited->taken;
}

static void expect_taken(struct stage *stage, unsigned number, uint32_t taken)
{
	struct awaited awaited = { stage, number, taken };

	if (!harness_until(has_taken, &awaited, 10000))
		fail_msg("consumer %u has not got item %u", number, taken);
}

static void put_one(mp_queue *queue)
{
	int item = 1;

	assert_true(MP_OK(mp_queue_put(queue, &item, sizeof(item), MP_SEC(1))));
}

/* 0 waits longest, and is stopped; how long until 1 has the item? */
static int64_t one_round(struct stage *stage, mp_queue *queue, const pid_t *children,
			 uint32_t round)
{
	int64_t begin_ns;

	for (unsigned i = 0; i < 2; i++) {
		atomic_fetch_add(&stage->turns[i], 1);
		harness_segment_await_asleep(queue->ring.seg, i + 1);
	}
	program_stop(children[0]);
	begin_ns = harness_now_ns();
	put_one(queue);
	expect_taken(stage, 1, round + 1);
	assert_int_equal(kill(children[0], SIGCONT), 0);
	put_one(queue);
	expect_taken(stage, 0, round + 1);
	return atomic_load(&stage->taken_ns[1]) - begin_ns;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

struct series {
	struct bystanders bystanders;
	pid_t parts[3]; /* whose time the round is */
	int64_t rounds_ns[ROUNDS];
	uint32_t count, voids;
};

/* How long they were ready and had no processor, all in all; 0 where the kernel does not say. */
static uint64_t held_up_ns(const struct series *series)
{
	unsigned long long ran_ns, waited_ns;
	uint64_t sum_ns = 0;
	char path[40];

	for (unsigned i = 0; i < 3; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)series->parts[i]);
		file = fopen(path, "re");
		if (file && fscanf(file, "%llu %llu", &ran_ns, &waited_ns) == 2)
			sum_ns += waited_ns;
		if (file)
			fclose(file);
	}
	return sum_ns;
}

static bool is_in_time(struct series *series, const char *engine)
{
	int64_t *rounds_ns = series->rounds_ns;

	assert_int_equal(series->count, ROUNDS);
	qsort(rounds_ns, ROUNDS, sizeof(*rounds_ns), by_size);
	print_message("%s: median %.3f ms, longest %.3f ms; %u void\n", engine,
		      (double)rounds_ns[ROUNDS / 2] / 1e6, (double)rounds_ns[ROUNDS - 1] / 1e6,
		      series->voids);
	return rounds_ns[ROUNDS - 1] < LIMIT_NS;
}

static bool has_answered(void *arg)
{
	struct stage *stage = arg;

	return atomic_load(&stage->refused) || atomic_load(&stage->arrived) == 2;
}

static bool is_engine_there(struct stage *stage)
{
	assert_true(harness_until(has_answered, stage, 20000));
	return !atomic_load(&stage->refused);
}

/* A late round counts unless the machine was late as well. */
static void make_rounds(struct stage *stage, mp_queue *queue, const pid_t *children,
			struct series *series)
{
	const pid_t parts[] = { getpid(), children[1], harness_find_mpd() };

	memcpy(series->parts, parts, sizeof(parts));
	bystanders_begin(&series->bystanders);
	for (uint32_t i = 0; i < TRIES && series->count < ROUNDS; i++) {
		int64_t begin_ns = harness_now_ns();
		uint64_t before_ns = held_up_ns(series);
		int64_t round_ns = one_round(stage, queue, children, i);

		if (round_ns < LIMIT_NS || (held_up_ns(series) - before_ns < HELD_UP_NS &&
					    bystanders_were_in_time(&series->bystanders, begin_ns)))
			series->rounds_ns[series->count++] = round_ns;
		else
			series->voids++;
	}
	bystanders_end(&series->bystanders);
}

/* The consumers are made before this process has opened anything. */
static bool run_series(void *arg)
{
	const char *engine = arg;
	struct stage *stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct consumer consumers[] = { { stage, 0 }, { stage, 1 } };
	struct series series = { .count = 0 };
	pid_t children[2];
	mp_segment *segment;
	mp_queue *queue;

	assert_true(stage != MAP_FAILED);
	snprintf(stage->engine, sizeof(stage->engine), "%s", engine);
	for (unsigned i = 0; i < 2; i++)
		children[i] = harness_fork(consume, &consumers[i]);
	assert_int_equal(mp_segment_open("stopped", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "items", NULL, &queue), 0);
	atomic_store(&stage->is_open, 1);
	if (is_engine_there(stage))
		make_rounds(stage, queue, children, &series);
	atomic_store(&stage->is_over, 1);
	for (unsigned i = 0; i < 2; i++) {
		atomic_fetch_add(&stage->turns[i], 1);
		harness_join(children[i]);
	}
	if (atomic_load(&stage->refused))
		harness_skip("this kernel refuses the engine");
	mp_queue_close(queue);
	mp_segment_close(segment);
	munmap(stage, sizeof(*stage));
	return is_in_time(&series, engine);
}

static void stopped_consumer_does_not_keep_another_from_the_item_uring(void **state)
{
	assert_true(harness_retry(run_series, "uring", SERIES));
}

static void stopped_consumer_does_not_keep_another_from_the_item_futex(void **state)
{
	assert_true(harness_retry(run_series, "futex", SERIES));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(stopped_consumer_does_not_keep_another_from_the_item_uring),
	HARNESS_TEST_WITH_MPD(stopped_consumer_does_not_keep_another_from_the_item_futex),
};

HARNESS_MAIN(tests)
