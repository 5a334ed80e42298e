/* SPDX-License-Identifier: MIT
 *
 * See kernels_work.h. Knows: the public calls, the count of those asleep in a segment.
 */
#include "kernels_work.h"

#include "harness.h"
#include "program.h"

#include "libshm/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 10
#define PATIENCE MP_SEC(30)
#define SHORT_NS INT64_C(30000000)

struct stage {
	mp_segment *segment;
	mp_queue *to, *from;
	mp_lock *lock;
};

static void put_one(mp_queue *queue, int number)
{
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, PATIENCE), 0);
}

static int get_one(mp_queue *queue)
{
	int number = -1;

	assert_int_equal(mp_queue_get(queue, &number, sizeof number, PATIENCE), sizeof number);
	return number;
}

static int answer(void *arg)
{
	struct stage *stage = arg;

	for (int i = 0; i < ROUNDS; i++) {
		int number = get_one(stage->to);

		harness_sleep_ms(2); /* the other side sleeps by now */
		put_one(stage->from, number + 1);
		harness_sleep_ms(2);
	}
	return 0;
}

static void exchange_messages(struct stage *stage)
{
	mp_process *process;

	assert_int_equal(mp_process_start(stage->segment, NULL, answer, stage, &process), 0);
	for (int i = 0; i < ROUNDS; i++) {
		put_one(stage->to, i);
		assert_int_equal(get_one(stage->from), i + 1);
	}
	assert_int_equal(mp_process_join(process, PATIENCE), 0);
	mp_process_close(process);
}

static bool does_somebody_sleep(void *arg)
{
	const struct stage *stage = arg;

	return load_relaxed(&stage->segment->seg->header->asleep) > 0;
}

static int hold_and_die(void *arg)
{
	struct stage *stage = arg;

	assert_int_equal(mp_lock_acquire(stage->lock, PATIENCE), 0);
	put_one(stage->from, 1);
	get_one(stage->to);
	/* From here on it waits for nothing but the lock. */
	assert_true(harness_until(does_somebody_sleep, stage, 30000));
	return kill(getpid(), SIGKILL);
}

static void outlive_a_holder(struct stage *stage)
{
	mp_process *process;
	int code = 0;

	assert_int_equal(mp_process_start(stage->segment, NULL, hold_and_die, stage, &process), 0);
	get_one(stage->from);
	put_one(stage->to, 1);
	assert_int_equal(mp_lock_acquire(stage->lock, PATIENCE), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(stage->lock), 0);
	assert_int_equal(mp_process_join(process, PATIENCE), 0);
	assert_int_equal(mp_process_exitcode(process, &code), 0);
	assert_int_equal(code, -SIGKILL);
	mp_process_close(process);
}

static void run_out_of_time(struct stage *stage)
{
	int64_t begin_ns = harness_now_ns();
	int number;

	assert_int_equal(mp_queue_get(stage->from, &number, sizeof number, SHORT_NS), -ETIMEDOUT);
	assert_true(harness_now_ns() - begin_ns >= SHORT_NS);
}

mp_segment *work_through(void)
{
	struct stage stage;

	assert_int_equal(mp_segment_open(WORK_SEGMENT, NULL, &stage.segment), 0);
	assert_int_equal(mp_queue_open(stage.segment, "to", NULL, &stage.to), 0);
	assert_int_equal(mp_queue_open(stage.segment, "from", NULL, &stage.from), 0);
	assert_int_equal(mp_lock_open(stage.segment, "lock", NULL, &stage.lock), 0);
	exchange_messages(&stage);
	outlive_a_holder(&stage);
	run_out_of_time(&stage);
	return stage.segment;
}

void work_check_engine(mp_segment *segment, const char *reason)
{
	struct mp_segment_info info;

	assert_int_equal(mp_segment_info(segment, &info), 0);
	assert_string_equal(info.engine, *reason ? "futex" : "uring");
	assert_string_equal(info.engine_reason, reason);
}

static void expect_member(const char *text, const char *before, const char *engine,
			  const char *reason)
{
	char expected[160];
	const char *at = strstr(text, before);

	snprintf(expected, sizeof expected, "\"engine\":\"%s\",\"engine_reason\":\"%s\"", engine,
		 reason);
	if (!at || !strstr(at, expected))
		fail_msg("no %s after %s in %s", expected, before, text);
}

void work_look(const char *client_reason, const char *mpd_reason)
{
	char *arguments[] = { (char *)(uintptr_t)program_built("mptop/mptop"), (char *)"--json",
			      (char *)"-n", (char *)"1", (char *)"-d", (char *)"0.1", NULL };
	struct program program;

	program_run(&program, arguments, 30);
	assert_int_equal(program.code, 0);
	expect_member(program.text, "\"mpd\":", *mpd_reason ? "epoll" : "uring", mpd_reason);
	expect_member(program.text, "\"threads\":[", *client_reason ? "futex" : "uring",
		      client_reason);
	program_free(&program);
}
