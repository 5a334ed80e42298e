/* SPDX-License-Identifier: MIT
 *
 * Proves: clients in different PID namespaces (and user namespaces) share a segment: each one's
 * death is seen by the other, equal pids are not taken for one process, and a number that means
 * somebody else here is not given out.
 */
#include "raw_client.h"
#include "world.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE MP_SEC(20)
#define PATIENCE_MS 20000

enum task { HOLDS, HOLDS_WITHOUT_DESCRIPTORS, WAITS };

/* A client in a namespace of its own; its maker, in ours, waits for its end. */
struct inner {
	enum task task;
	int flags; /* of unshare */
	char lock_name[16];
	_Atomic int refused;  /* there are no namespaces for this user */
	_Atomic int pid_here; /* as this namespace sees it */
	_Atomic int pid_there;
	_Atomic int is_ready;
	_Atomic int result; /* of its wait */
	_Atomic int is_over;
};

static int live_inside(void *arg)
{
	struct inner *inner = arg;
	mp_segment *segment;
	mp_lock *lock;

	atomic_store(&inner->pid_there, getpid());
	assert_int_equal(mp_segment_open("worlds", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, inner->lock_name, NULL, &lock), 0);
	if (inner->task != WAITS)
		assert_int_equal(mp_lock_acquire(lock, PATIENCE), 0);
	if (inner->task == HOLDS_WITHOUT_DESCRIPTORS)
		close_range(3, ~0U, 0);
	atomic_store(&inner->is_ready, 1);
	if (inner->task == WAITS) {
		atomic_store(&inner->result, mp_lock_acquire(lock, PATIENCE));
		atomic_store(&inner->is_over, 1);
	}
	for (;;)
		pause();
	return 0;
}

static int make_inner(void *arg)
{
	struct inner *inner = arg;
	pid_t child;

	if (!world_unshare(inner->flags)) {
		atomic_store(&inner->refused, 1);
		return 0;
	}
	child = harness_fork(live_inside, inner);
	atomic_store(&inner->pid_here, child);
	waitpid(child, NULL, 0);
	return 0;
}

static bool is_ready(void *arg)
{
	const struct inner *inner = arg;

	return (atomic_load(&inner->is_ready) && atomic_load(&inner->pid_here)) ||
	       atomic_load(&inner->refused);
}

struct outer {
	struct inner *inner;
	pid_t maker;
};

static void begin(struct outer *outer, enum task task, int flags, const char *lock_name)
{
	outer->inner = mmap(NULL, sizeof *outer->inner, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(outer->inner != MAP_FAILED);
	outer->inner->task = task;
	outer->inner->flags = flags;
	snprintf(outer->inner->lock_name, sizeof outer->inner->lock_name, "%s", lock_name);
	outer->maker = harness_fork(make_inner, outer->inner);
	assert_true(harness_until(is_ready, outer->inner, PATIENCE_MS));
	if (!atomic_load(&outer->inner->refused))
		return;
	harness_join(outer->maker);
	harness_skip("this user may not make PID namespaces here");
}

static void kill_inner(struct outer *outer)
{
	assert_int_equal(kill(atomic_load(&outer->inner->pid_here), SIGKILL), 0);
	harness_join(outer->maker);
	munmap(outer->inner, sizeof *outer->inner);
}

static void open_lock(const char *name, mp_segment **ret_segment, mp_lock **ret_lock)
{
	assert_int_equal(mp_segment_open("worlds", NULL, ret_segment), 0);
	assert_int_equal(mp_lock_open(*ret_segment, name, NULL, ret_lock), 0);
}

static void expect_text(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in: %s", wanted, text);
}

/* Its number is another process's here, the first one's of all things. */
static void expect_foreign_owner(mp_lock *lock)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	struct mp_who who;
	unsigned foreign = 0;

	assert_int_equal(mp_lock_owner(lock, &who), 0);
	assert_int_equal(who.pid, 0);
	assert_true(who.name[0]);
	assert_int_equal(mp_lock_acquire(lock, MP_MSEC(20)), -ETIMEDOUT);
	expect_text(mp_explain(), "in another PID namespace");
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		foreign += snapshot->processes[i].state == '?';
	assert_int_equal(snapshot->process_count, 2);
	assert_int_equal(foreign, 1);
	mp_observe_close(observer);
}

static void inherit_from_inside(int flags)
{
	struct outer outer;
	mp_segment *segment;
	mp_lock *lock;

	open_lock("lock", &segment, &lock);
	begin(&outer, HOLDS, flags, "lock");
	assert_int_equal(atomic_load(&outer.inner->pid_there), 1);
	expect_foreign_owner(lock);
	kill_inner(&outer);
	assert_int_equal(mp_lock_acquire(lock, PATIENCE), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	mp_segment_close(segment);
}

static void death_inside_a_pid_namespace_is_seen_outside(void **state)
{
	inherit_from_inside(CLONE_NEWPID);
}

static void death_inside_a_user_namespace_is_seen_outside(void **state)
{
	inherit_from_inside(CLONE_NEWPID | CLONE_NEWUSER);
}

static int hold_outside(void *unused)
{
	mp_segment *segment;
	mp_lock *lock;

	open_lock("lock", &segment, &lock);
	assert_int_equal(mp_lock_acquire(lock, PATIENCE), 0);
	for (;;)
		pause();
	return 0;
}

static bool is_held(void *arg)
{
	return mp_lock_is_locked(arg) == 1;
}

static bool is_over(void *arg)
{
	return atomic_load(&((struct inner *)arg)->is_over) != 0;
}

static void death_outside_is_seen_inside(void **state)
{
	pid_t holder = harness_fork(hold_outside, NULL);
	struct outer outer;
	mp_segment *segment;
	mp_lock *lock;

	open_lock("lock", &segment, &lock);
	assert_true(harness_until(is_held, lock, PATIENCE_MS));
	begin(&outer, WAITS, CLONE_NEWPID, "lock");
	harness_kill(holder);
	assert_true(harness_until(is_over, outer.inner, PATIENCE_MS));
	assert_int_equal(atomic_load(&outer.inner->result), MP_OWNER_DIED);
	kill_inner(&outer);
	mp_lock_close(lock);
	mp_segment_close(segment);
}

/* Two clients, each in a namespace of its own and holding a lock of its own. */
struct two {
	struct outer first, second;
	mp_segment *segment;
	mp_lock *one, *two;
};

static void begin_two(struct two *both, enum task second)
{
	open_lock("one", &both->segment, &both->one);
	assert_int_equal(mp_lock_open(both->segment, "two", NULL, &both->two), 0);
	begin(&both->first, HOLDS, CLONE_NEWPID, "one");
	begin(&both->second, second, CLONE_NEWPID, "two");
}

static void inherit_from(struct outer *outer, mp_lock *lock)
{
	kill_inner(outer);
	assert_int_equal(mp_lock_acquire(lock, PATIENCE), MP_OWNER_DIED);
}

static void end_two(struct two *both)
{
	assert_int_equal(mp_lock_release(both->one), 0);
	assert_int_equal(mp_lock_release(both->two), 0);
	mp_lock_close(both->one);
	mp_lock_close(both->two);
	mp_segment_close(both->segment);
}

/* Both have pid 1, as seen from inside: the death of one says nothing about the other. */
static void same_pid_in_two_namespaces_is_two_processes(void **state)
{
	struct two both;

	begin_two(&both, HOLDS);
	assert_int_equal(atomic_load(&both.first.inner->pid_there),
			 atomic_load(&both.second.inner->pid_there));
	inherit_from(&both.first, both.one);
	assert_int_equal(mp_lock_acquire(both.two, MP_MSEC(100)), -ETIMEDOUT);
	inherit_from(&both.second, both.two);
	end_two(&both);
}

static void restart_mpd(void)
{
	pid_t before;
	struct raw raw;

	raw_connect(&raw);
	before = (pid_t)raw.welcome.pid;
	assert_int_equal(kill(before, SIGKILL), 0);
	raw_close(&raw);
	raw_connect(&raw);
	assert_int_not_equal(raw.welcome.pid, before);
	raw_close(&raw);
}

/* Nobody has told the new mpd of them: it finds them below its own namespace. One has closed all
 * descriptors, so no byte speaks for it. */
static void clients_in_namespaces_outlive_mpd_and_are_watched_again(void **state)
{
	struct two both;

	begin_two(&both, HOLDS_WITHOUT_DESCRIPTORS);
	restart_mpd();
	harness_sleep_ms(1500); /* it looks after a second at those of whom it has not heard */
	assert_int_equal(mp_lock_acquire(both.one, MP_NOW), -EAGAIN);
	assert_int_equal(mp_lock_acquire(both.two, MP_NOW), -EAGAIN);
	inherit_from(&both.first, both.one);
	inherit_from(&both.second, both.two);
	end_two(&both);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(death_inside_a_pid_namespace_is_seen_outside),
	HARNESS_TEST_WITH_MPD(death_inside_a_user_namespace_is_seen_outside),
	HARNESS_TEST_WITH_MPD(death_outside_is_seen_inside),
	HARNESS_TEST_WITH_MPD(same_pid_in_two_namespaces_is_two_processes),
	HARNESS_TEST_WITH_MPD(clients_in_namespaces_outlive_mpd_and_are_watched_again),
};

HARNESS_MAIN(tests)
