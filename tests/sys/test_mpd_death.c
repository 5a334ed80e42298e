/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd may be killed before and behind each of its system calls, whatever it is doing. The
 * next one has exactly the segments that clients were told of, each name once; who asked and was
 * not answered asks again and is answered right; no living client is swept and each dead one is;
 * and the supervisor holds what belongs to these segments and nothing else.
 *
 * Both of mpd's event loops are gone through: where io_uring does several things in one call, epoll
 * needs a call for each.
 *
 * MPD_SCENARIO: only those whose name has this text in it.
 */
#include "mpd_scenarios.h"
#include "syscall_stepper.h"

#include "libshm/recover.h"
#include "libshm/slotword.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct totals {
	unsigned requests, calls, kills;
};

/* Odd stops are before a call, even ones behind it. A start has many calls, so its two halves are
 * tests of their own. */
struct plan {
	bool is_start;
	unsigned first, step;
};

static const struct plan requests = { false, 1, 1 };
static const struct plan starts_before = { true, 1, 2 }, starts_behind = { true, 2, 2 };

/* What is being done, for whoever reads of a failure. */
static char now[200];

static void print_now(void)
{
	if (now[0])
		fprintf(stderr, "# it was: %s\n", now);
}

/* Until the next round everything is as world_begin made it. */
static void clear(struct world *world)
{
	if (world->target.seg && world->target.client != SLOT_NONE) {
		world_leave_target(world);
		(void)world_say(world, &world->raw, PROTO_DETACHED);
	}
	world_unlink_target(world, &world->raw);
	world_forget_target(world);
	world_connect_again(world, &world->raw);
	world_connect_again(world, &world->other);
	world_check(world, REGISTRY_FREE, 0);
}

static struct stepper aim(const struct world *world, const struct scenario *scenario,
			  unsigned kill_at)
{
	return (struct stepper){ .parent = scenario->is_start ? world->supervisor : 0,
				 .pid = (pid_t)world->watcher.welcome.pid,
				 .kill_at = kill_at };
}

/* One request, mpd dying at that stop; false: it has not got so many. */
static bool play(struct world *world, const struct scenario *scenario, unsigned kill_at,
		 struct totals *totals)
{
	struct stepper stepper;
	bool has_killed;
	int error;

	snprintf(now, sizeof now, "%s, killed %s call %u", scenario->name,
		 kill_at % 2 ? "before" : "behind", (kill_at + 1) / 2);
	if (scenario->prepare)
		scenario->prepare(world);
	world_connect_again(world, &world->watcher);
	stepper = aim(world, scenario, kill_at);
	error = stepper_begin(&stepper);
	if (error == -EPERM)
		harness_skip("this user may not trace mpd");
	assert_int_equal(error, 0);
	scenario->act(world);
	world_settle(world);
	has_killed = stepper_end(&stepper);
	world_check(world, scenario->target, scenario->clients);
	clear(world);
	totals->kills++;
	if (!has_killed)
		totals->calls += stepper.stops / 2;
	now[0] = '\0';
	return has_killed;
}

static void play_all(struct world *world, const struct plan *plan, struct totals *totals)
{
	const char *wanted = getenv("MPD_SCENARIO");

	for (unsigned i = 0; i < scenario_count; i++) {
		unsigned kill_at = plan->first, kills = totals->kills;
		int64_t begin_ns = harness_now_ns();

		if (scenarios[i].is_start != plan->is_start ||
		    (wanted && !strstr(scenarios[i].name, wanted)))
			continue;
		while (play(world, &scenarios[i], kill_at, totals))
			kill_at += plan->step;
		totals->requests++;
		print_message("%s: %u kills in %.1f s\n", scenarios[i].name,
			      totals->kills - kills,
			      (double)(harness_now_ns() - begin_ns) / 1e9);
	}
}

static void die_at_each_call(const char *engine, const struct plan *plan)
{
	struct totals totals = { 0 };
	struct world world;

	atexit(print_now);
	if (engine)
		assert_int_equal(setenv("MP_WAIT_ENGINE", engine, 1), 0);
	world_begin(&world);
	play_all(&world, plan, &totals);
	print_message("mpd: %u requests, %u system calls, %u kills, 0 failures, %s\n",
		      totals.requests, totals.calls, totals.kills, world.watcher.welcome.engine);
	world_end(&world);
}

static void mpd_may_die_at_each_system_call_of_each_request(void **state)
{
	die_at_each_call(NULL, &requests);
}

static void mpd_with_epoll_may_die_at_each_system_call_of_each_request(void **state)
{
	die_at_each_call("futex", &requests);
}

static void mpd_may_die_before_each_system_call_of_its_start(void **state)
{
	die_at_each_call(NULL, &starts_before);
}

static void mpd_may_die_behind_each_system_call_of_its_start(void **state)
{
	die_at_each_call(NULL, &starts_behind);
}

static void mpd_with_epoll_may_die_before_each_system_call_of_its_start(void **state)
{
	die_at_each_call("futex", &starts_before);
}

static void mpd_with_epoll_may_die_behind_each_system_call_of_its_start(void **state)
{
	die_at_each_call("futex", &starts_behind);
}

static bool is_gone(void *arg)
{
	return raw_mpd_count() == 0;
}

/* Who was told to make a segment speaks of it by a number to an mpd that never heard of it. */
static void number_of_a_lost_registry_names_nothing(void **state)
{
	struct raw_segment lost, other;
	struct proto_segment formatted;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "lost", 0, 0, &lost), 0);
	formatted.segment = lost.opened.segment;
	assert_int_equal(kill(raw_parent_of((pid_t)raw.welcome.pid), SIGKILL), 0);
	assert_int_equal(kill((pid_t)raw.welcome.pid, SIGKILL), 0);
	raw_close(&raw);
	assert_true(harness_until(is_gone, NULL, WORLD_PATIENCE_MS));
	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "other", 0, &other);
	assert_int_equal(raw_ask(&raw, PROTO_FORMATTED, &formatted, sizeof formatted, NULL, 0,
				 NULL), -ESTALE);
	recover_client(other.seg, other.client, other.generation);
	raw_close(&raw);
	raw_forget(&lost);
	raw_forget(&other);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(number_of_a_lost_registry_names_nothing),
	HARNESS_TEST_WITH_MPD(mpd_may_die_at_each_system_call_of_each_request),
	HARNESS_TEST_WITH_MPD(mpd_with_epoll_may_die_at_each_system_call_of_each_request),
	HARNESS_TEST_WITH_MPD(mpd_may_die_before_each_system_call_of_its_start),
	HARNESS_TEST_WITH_MPD(mpd_may_die_behind_each_system_call_of_its_start),
	HARNESS_TEST_WITH_MPD(mpd_with_epoll_may_die_before_each_system_call_of_its_start),
	HARNESS_TEST_WITH_MPD(mpd_with_epoll_may_die_behind_each_system_call_of_its_start),
};

HARNESS_MAIN(tests)
