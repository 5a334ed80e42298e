/* SPDX-License-Identifier: MIT
 *
 * Proves: every timeout is measured by CLOCK_MONOTONIC, here and in the kernel, so that time in
 * which the machine is suspended does not count; and who lives in another time namespace, where
 * the clocks and the start times of processes are other numbers, is a client as any other.
 *
 * A machine that was never suspended has one number for CLOCK_MONOTONIC and CLOCK_BOOTTIME; a time
 * namespace makes them two.
 */
#include "raw_client.h"
#include "world.h"

#include "libshm/clock.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define PATIENCE MP_SEC(20)
#define PATIENCE_MS 20000
#define SECOND INT64_C(1000000000)
#define CANNOT 77
#define WAIT_NS (100 * INT64_C(1000000))

/* Seconds that the clocks of a namespace are ahead of ours. */
struct world {
	int64_t monotonic, boottime;
	int (*live)(void *arg);
	void *arg;
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static bool enter(const struct world *world)
{
	int fd;
	bool is_written;

	if (!world_unshare(CLONE_NEWTIME))
		return false;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	is_written = fd >= 0 && dprintf(fd, "monotonic %lld 0\nboottime %lld 0\n",
					(long long)world->monotonic,
					(long long)world->boottime) > 0;
	if (fd >= 0)
		close(fd);
	return is_written;
}

/* Its children are in it, itself it is not. */
static int make_world(void *arg)
{
	struct world *world = arg;

	if (!enter(world))
		return CANNOT;
	return harness_wait(harness_fork(world->live, world->arg));
}

static void skip_where_it_cannot_be(int code)
{
	if (code == CANNOT)
		harness_skip("this user may not make time namespaces here");
}

/* --- timeouts --- */

static void expect_timeout(mp_queue *queue)
{
	int64_t begin = now_ns(CLOCK_MONOTONIC);
	char byte;

	assert_int_equal(mp_queue_get(queue, &byte, 1, WAIT_NS), -ETIMEDOUT);
	assert_true(now_ns(CLOCK_MONOTONIC) - begin >= WAIT_NS);
}

/* Had one of the two been measured by the other clock, it were over at once, or in years. */
static int wait_a_moment(void *arg)
{
	const struct world *world = arg;
	int64_t between = now_ns(CLOCK_BOOTTIME) - now_ns(CLOCK_MONOTONIC);
	int64_t before = now_ns(CLOCK_MONOTONIC), now = clock_now_ns();
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;

	assert_true(before <= now && now <= now_ns(CLOCK_MONOTONIC));
	assert_true(llabs(between) >= llabs(world->boottime - world->monotonic) / 2 * SECOND);
	assert_int_equal(mp_segment_open("time", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "empty", NULL, &queue), 0);
	assert_int_equal(mp_lock_open(segment, "held", NULL, &lock), 0);
	for (unsigned i = 0; i < 3; i++)
		expect_timeout(queue);
	assert_int_equal(mp_lock_acquire(lock, WAIT_NS), -ETIMEDOUT); /* looks again meanwhile */
	assert_non_null(strstr(mp_explain(), "is held by"));
	mp_lock_close(lock);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static void timeouts_are_measured_by_the_monotonic_clock_alone(void **state)
{
	/* Years ahead of each other, in both directions. */
	struct world worlds[] = { { .monotonic = 1000, .boottime = 100000000 },
				  { .monotonic = 100000000, .boottime = 1000 } };
	mp_segment *segment;
	mp_lock *lock;
	int code = 0;

	assert_int_equal(mp_segment_open("time", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "held", NULL, &lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	for (unsigned i = 0; i < 2 && code == 0; i++) {
		worlds[i].live = wait_a_moment;
		worlds[i].arg = &worlds[i];
		code = harness_wait(harness_fork(make_world, &worlds[i]));
	}
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	mp_segment_close(segment);
	skip_where_it_cannot_be(code);
	assert_int_equal(code, 0);
}

/* --- peers --- */

struct holder {
	int ready[2];
	bool has_closed_all;
	pid_t maker;
};

static int hold(void *arg)
{
	struct holder *holder = arg;
	int ready = holder->ready[1];
	pid_t self = getpid();
	mp_segment *segment;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("time", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "held", NULL, &lock), 0);
	assert_int_equal(mp_lock_acquire(lock, PATIENCE), 0);
	if (holder->has_closed_all)
		for (int fd = 3; fd < 1024; fd++)
			if (fd != ready)
				close(fd);
	assert_int_equal(write(ready, &self, sizeof self), sizeof self);
	for (;;)
		pause();
	return 0;
}

/* The holder's pid here; skips where there are no such namespaces. */
static pid_t begin(struct holder *holder)
{
	struct world world = { .monotonic = 1000, .boottime = 100000000, .live = hold,
			       .arg = holder };
	pid_t pid = 0;

	assert_int_equal(pipe(holder->ready), 0);
	holder->maker = harness_fork(make_world, &world);
	close(holder->ready[1]);
	if (read(holder->ready[0], &pid, sizeof pid) != sizeof pid) {
		close(holder->ready[0]);
		skip_where_it_cannot_be(harness_wait(holder->maker));
		fail();
	}
	close(holder->ready[0]);
	return pid;
}

static uint32_t mpd_pid(void)
{
	struct mp_endpoint_info info;
	mp_observer *observer;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	mp_observe_close(observer);
	return info.mpd_pid;
}

static bool is_another(void *old)
{
	struct mp_segment_opts opts = { .flags = MP_NO_SPAWN };
	mp_segment *segment;

	if (mp_segment_open("other", &opts, &segment) < 0)
		return false;
	mp_segment_close(segment);
	return mpd_pid() != *(uint32_t *)old;
}

static void expect_patience(mp_lock *lock)
{
	int result = mp_lock_acquire(lock, MP_MSEC(600));

	if (result != -ETIMEDOUT)
		fail_msg("%d: %s", result, mp_explain());
}

static char state_of(pid_t pid)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	char state = 0;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		if (snapshot->processes[i].pid == (uint32_t)pid)
			state = snapshot->processes[i].state;
	mp_observe_close(observer);
	return state;
}

static void live_beside(bool has_closed_all)
{
	struct holder holder = { .has_closed_all = has_closed_all };
	mp_segment *segment;
	uint32_t old;
	pid_t pid;
	mp_lock *lock;

	pid = begin(&holder);
	assert_int_equal(mp_segment_open("time", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "held", NULL, &lock), 0);
	expect_patience(lock);
	assert_int_equal(state_of(pid), 'S');
	old = mpd_pid();
	assert_int_equal(kill((pid_t)old, SIGKILL), 0);
	assert_true(harness_until(is_another, &old, PATIENCE_MS));
	expect_patience(lock);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(mp_lock_acquire(lock, PATIENCE), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	mp_segment_close(segment);
	harness_wait(holder.maker);
}

static void holder_in_another_time_is_neither_dead_nor_immortal(void **state)
{
	live_beside(false);
}

/* Nothing but its start time tells it from one that got its pid later. */
static void holder_in_another_time_without_descriptors_is_not_taken_for_another(void **state)
{
	live_beside(true);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(timeouts_are_measured_by_the_monotonic_clock_alone),
	HARNESS_TEST_WITH_MPD(holder_in_another_time_is_neither_dead_nor_immortal),
	HARNESS_TEST_WITH_MPD(holder_in_another_time_without_descriptors_is_not_taken_for_another),
};

HARNESS_MAIN(tests)
