/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd notices each sleeper that a ring did not reach, whoever is stopped: a getter that was
 * rung, a putter before it rang, mpd itself for a while. It looks about once a second while
 * somebody sleeps and nothing moves, and never when nobody sleeps.
 */
#include "harness_segment.h"
#include "program.h"
#include "raw_client.h"

#include "libshm/queue_internal.h"
#include "libshm/recover.h"
#include "libshm/slot.h"

#include <libshm.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GETTERS 2
#define ROUNDS 5
#define FIRST_LOOKS_MS 300 /* longer than mpd looks at a new segment unasked */
#define TRIES 5 /* of a measurement; a machine that is late spoils one, a fault all */

struct stage {
	_Atomic uint32_t is_open; /* the parent has made the queue */
	_Atomic uint32_t turns[GETTERS]; /* how many items that getter may have taken */
	_Atomic uint32_t taken[GETTERS];
};

struct getter {
	struct stage *stage;
	unsigned number;
};

/* What the parent has at hand. */
struct scene {
	struct stage *stage;
	mp_segment *segment;
	mp_queue *queue;
	pid_t mpd;
	bool is_mpd_resting; /* it can wait for a word */
	struct getter getters[GETTERS];
	pid_t children[GETTERS];
};

static bool is_open(void *arg)
{
	return atomic_load(&((struct stage *)arg)->is_open) != 0;
}

static bool is_my_turn(void *arg)
{
	struct getter *me = arg;

	return atomic_load(&me->stage->turns[me->number]) >
	       atomic_load(&me->stage->taken[me->number]);
}

static void open_both(mp_segment **ret_segment, mp_queue **ret_queue)
{
	assert_int_equal(mp_segment_open("doctor", NULL, ret_segment), 0);
	assert_int_equal(mp_queue_open(*ret_segment, "items", NULL, ret_queue), 0);
}

/* Takes as many items as it has turns, until it is killed. */
static int get_items(void *arg)
{
	struct getter *me = arg;
	mp_segment *segment;
	mp_queue *queue;
	int item;

	assert_true(harness_until(is_open, me->stage, 20000));
	open_both(&segment, &queue);
	for (;;) {
		assert_true(harness_until(is_my_turn, me, 60000));
		assert_int_equal(mp_queue_get(queue, &item, sizeof(item), MP_SEC(60)),
				 sizeof(item));
		atomic_fetch_add(&me->stage->taken[me->number], 1);
	}
	return 0;
}

/* The children are made before this process has opened anything. */
static void begin(struct scene *scene, unsigned getters, int (*putter)(void *arg),
		  pid_t *ret_putter)
{
	struct raw raw;

	memset(scene, 0, sizeof(*scene));
	scene->stage = mmap(NULL, sizeof(*scene->stage), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(scene->stage != MAP_FAILED);
	for (unsigned i = 0; i < getters; i++) {
		scene->getters[i] = (struct getter){ scene->stage, i };
		scene->children[i] = harness_fork(get_items, &scene->getters[i]);
	}
	if (putter)
		*ret_putter = harness_fork(putter, scene->stage);
	open_both(&scene->segment, &scene->queue);
	atomic_store(&scene->stage->is_open, 1);
	raw_connect(&raw);
	scene->mpd = (pid_t)raw.welcome.pid;
	scene->is_mpd_resting = strcmp(raw.welcome.engine, "uring") == 0;
	raw_close(&raw);
	harness_sleep_ms(FIRST_LOOKS_MS);
}

static void end(struct scene *scene)
{
	for (unsigned i = 0; i < GETTERS && scene->children[i]; i++)
		harness_kill(scene->children[i]);
	mp_queue_close(scene->queue);
	mp_segment_close(scene->segment);
	munmap(scene->stage, sizeof(*scene->stage));
}

static struct shm_header *header_of(struct scene *scene)
{
	return scene->queue->ring.seg->header;
}

static bool is_calm(void *arg)
{
	return load_relaxed(&header_of(arg)->attention) == 0;
}

/* All getters are asleep, the first has waited longest, and mpd was not asked for anything. */
static void let_all_sleep(struct scene *scene)
{
	for (unsigned i = 0; i < GETTERS && scene->children[i]; i++) {
		atomic_fetch_add(&scene->stage->turns[i], 1);
		harness_segment_await_asleep(scene->queue->ring.seg, i + 1);
	}
	assert_true(harness_until(is_calm, scene, 5000));
}

static void put_one(struct scene *scene)
{
	int item = 1;

	assert_true(MP_OK(mp_queue_put(scene->queue, &item, sizeof(item), MP_SEC(1))));
}

static bool has_its_item(void *arg)
{
	return !is_my_turn(arg);
}

/* mpd is stopped after it was told, before it looked; it goes on when a quiet time is over. */
static void hold_up_mpd(struct scene *scene)
{
	harness_sleep_ms(1);
	program_stop(scene->mpd);
	harness_sleep_ms(200);
	assert_int_equal(kill(scene->mpd, SIGCONT), 0);
}

/* How long until that getter has its item; it must have it some time. */
static int64_t wait_for_item(struct scene *scene, unsigned number)
{
	int64_t begin_ns = harness_now_ns();

	assert_true(harness_until(has_its_item, &scene->getters[number], 10000));
	return harness_now_ns() - begin_ns;
}

static bool are_held_up_rounds_in_time(void *arg)
{
	struct scene *scene = arg;
	int64_t longest_ns = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		int64_t waited_ns;

		let_all_sleep(scene);
		program_stop(scene->children[0]);
		put_one(scene);
		hold_up_mpd(scene);
		waited_ns = wait_for_item(scene, 1);
		longest_ns = waited_ns > longest_ns ? waited_ns : longest_ns;
		assert_int_equal(kill(scene->children[0], SIGCONT), 0);
		put_one(scene);
		wait_for_item(scene, 0);
	}
	print_message("%.0f ms\n", (double)longest_ns / 1e6);
	return longest_ns < INT64_C(500000000);
}

static void mpd_that_was_held_up_looks_again_before_it_rests(void **state)
{
	struct scene scene;

	begin(&scene, 2, NULL, NULL);
	assert_true(harness_retry(are_held_up_rounds_in_time, &scene, TRIES));
	end(&scene);
}

#define CANCEL_ROUNDS 60
#define CANCEL_MS 5
#define CANCEL_LATE_NS INT64_C(50000000) /* half of mpd's patience: more is this test's own fault */

static void ring_mpd(struct seg *seg)
{
	swap_seqcst(&seg->header->attention, 1);
	add_seqcst(&seg->threads[SLOT_MPD].bell, 2);
	syscall(SYS_futex, &seg->threads[SLOT_MPD].bell, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
}

/* One is rung, and two that are asleep wake up for another reason. */
static void ring_one_while_two_wake_up(struct seg *seg, uint32_t first)
{
	add_seqcst(&seg->threads[first].bell, 2);
	and_seqcst(&seg->threads[first + 1].bell, ~UINT32_C(1));
	and_seqcst(&seg->threads[first + 2].bell, ~UINT32_C(1));
}

static void mpd_attends_as_long_as_somebody_is_rung_whoever_wakes_up_meanwhile(void **state)
{
	struct raw_segment segment;
	int64_t rang_ns = 0, late_ns;
	struct raw raw;
	bool attends;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "cancel", 0, &segment);
	harness_sleep_ms(300);
	store_relaxed(&segment.seg->header->threads_high, SLOT_FIRST + 3 * CANCEL_ROUNDS);
	for (uint32_t i = 0; i < 3 * CANCEL_ROUNDS; i++)
		or_seqcst(&segment.seg->threads[SLOT_FIRST + i].bell, 1);
	ring_mpd(segment.seg);
	rang_ns = harness_now_ns();
	for (uint32_t i = 0; i < CANCEL_ROUNDS; i++) {
		ring_one_while_two_wake_up(segment.seg, SLOT_FIRST + 3 * i);
		harness_sleep_ms(CANCEL_MS);
		attends = load_seqcst(&segment.seg->header->attention) == 1;
		/* Since before the ring of the last round: mpd may be as late as we are. */
		late_ns = harness_now_ns() - rang_ns;
		if (late_ns > CANCEL_LATE_NS)
			ring_mpd(segment.seg);
		else
			assert_true(attends);
		rang_ns = harness_now_ns();
	}
	raw_close(&raw);
	recover_client(segment.seg, segment.client, segment.generation);
	raw_forget(&segment);
}

/* Puts one item, from its parent's first step on. */
static int put_item_traced(void *arg)
{
	mp_segment *segment;
	mp_queue *queue;
	int item = 1;

	assert_true(harness_until(is_open, arg, 20000));
	open_both(&segment, &queue);
	assert_int_equal(ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
	raise(SIGSTOP);
	return mp_queue_put(queue, &item, sizeof(item), MP_SEC(1));
}

/* Up to the instruction after which the item is in the queue: nobody has been rung. */
static void step_until_published(struct scene *scene, pid_t putter)
{
	int status;

	assert_int_equal(waitpid(putter, &status, WUNTRACED), putter);
	while (!ring_has_ready(&scene->queue->ring)) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, putter, NULL, NULL), 0);
		assert_int_equal(waitpid(putter, &status, 0), putter);
		assert_true(WIFSTOPPED(status));
	}
}

struct limit {
	unsigned asleep_ms, limit_ms;
	void (*meanwhile)(struct scene *scene);
};

/* How long a sleeping getter waits for the item of a putter that is stopped before it rings. */
static bool has_item_beside_stopped_putter(void *arg)
{
	const struct limit *limit = arg;
	struct scene scene;
	int64_t waited_ns;
	pid_t putter;

	begin(&scene, 1, put_item_traced, &putter);
	let_all_sleep(&scene);
	put_one(&scene);
	wait_for_item(&scene, 0);
	let_all_sleep(&scene);
	harness_sleep_ms(limit->asleep_ms);
	step_until_published(&scene, putter);
	if (limit->meanwhile)
		limit->meanwhile(&scene);
	waited_ns = wait_for_item(&scene, 0);
	print_message("%.0f ms\n", (double)waited_ns / 1e6);
	harness_kill(putter);
	end(&scene);
	return waited_ns < limit->limit_ms * INT64_C(1000000);
}

static void expect_item_beside_stopped_putter(unsigned asleep_ms, unsigned limit_ms,
					      void (*meanwhile)(struct scene *scene))
{
	struct limit limit = { asleep_ms, limit_ms, meanwhile };

	assert_true(harness_retry(has_item_beside_stopped_putter, &limit, TRIES));
}

static void item_of_a_putter_stopped_before_it_rings_waits_about_a_second(void **state)
{
	expect_item_beside_stopped_putter(2500, 1500, NULL);
}

static void item_of_a_putter_stopped_before_it_rings_waits_briefly_where_things_move(void **state)
{
	expect_item_beside_stopped_putter(0, 500, NULL);
}

static void kill_mpd(struct scene *scene)
{
	assert_int_equal(kill(scene->mpd, SIGKILL), 0);
}

static void item_of_a_putter_stopped_before_it_rings_is_found_once_mpd_was_killed(void **state)
{
	expect_item_beside_stopped_putter(0, 3000, kill_mpd);
}

static uint64_t wakes_of_mpd(struct scene *scene, unsigned ms)
{
	uint64_t before = raw_switches(scene->mpd);

	harness_sleep_ms(ms);
	return raw_switches(scene->mpd) - before;
}

static bool looks_seldom_and_never_for_nobody(void *arg)
{
	struct scene *scene = arg;
	uint64_t asleep, awake;

	let_all_sleep(scene);
	harness_sleep_ms(2500);
	asleep = wakes_of_mpd(scene, 4000);
	for (unsigned i = 0; i < 2; i++)
		put_one(scene);
	for (unsigned i = 0; i < 2; i++)
		wait_for_item(scene, i);
	harness_sleep_ms(2500);
	awake = wakes_of_mpd(scene, 2500);
	print_message("mpd woke up %u times in 4 s with sleepers, %u times in 2.5 s without\n",
		      (unsigned)asleep, (unsigned)awake);
	return asleep >= 3 && asleep <= 6 && awake == 0 &&
	       load_relaxed(&header_of(scene)->watched) == 0;
}

static void mpd_looks_once_a_second_at_idle_sleepers_and_never_when_nobody_sleeps(void **state)
{
	struct scene scene;

	begin(&scene, 2, NULL, NULL);
	if (scene.is_mpd_resting)
		assert_true(harness_retry(looks_seldom_and_never_for_nobody, &scene, 3));
	else
		looks_seldom_and_never_for_nobody(&scene);
	end(&scene);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(item_of_a_putter_stopped_before_it_rings_waits_about_a_second),
	HARNESS_TEST_WITH_MPD(
		item_of_a_putter_stopped_before_it_rings_waits_briefly_where_things_move),
	HARNESS_TEST_WITH_MPD(
		item_of_a_putter_stopped_before_it_rings_is_found_once_mpd_was_killed),
	HARNESS_TEST_WITH_MPD(
		mpd_looks_once_a_second_at_idle_sleepers_and_never_when_nobody_sleeps),
	HARNESS_TEST_WITH_MPD(mpd_that_was_held_up_looks_again_before_it_rests),
	HARNESS_TEST_WITH_MPD(
		mpd_attends_as_long_as_somebody_is_rung_whoever_wakes_up_meanwhile),
};

HARNESS_MAIN(tests)
