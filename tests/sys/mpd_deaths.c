/* SPDX-License-Identifier: MIT
 *
 * See mpd_deaths.h. Knows: the stepper. Does not know: which scenarios there are.
 */
#include "mpd_deaths.h"

#include "syscall_stepper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define LONG_RUN 20 /* harness_scale() of a night */

struct totals {
	unsigned scenarios, calls, kills;
};

/* A search looks at each descriptor of each process of the machine, and changes nothing by that:
 * who dies there leaves what he leaves at the next call that counts. */
static const int looks[] = { SYS_openat, SYS_newfstatat, SYS_getdents64, SYS_readlinkat, SYS_close,
			     SYS_brk, -1 };

static const char *const victims[] = {
	[MPD] = "mpd killed",
	[MPD_BEHIND_ITS_SUPERVISOR] = "supervisor killed, then mpd",
	[SUPERVISOR] = "supervisor killed",
	[SUPERVISOR_BEHIND_ITS_MPD] = "mpd killed, then the supervisor",
};

/* What is being done, for whoever reads of a failure. */
static char now[200];

static void print_now(void)
{
	if (now[0])
		fprintf(stderr, "# it was: %s\n", now);
}

static void connect_all(struct world *world)
{
	world_connect_again(world, &world->watcher);
	world_connect_again(world, &world->raw);
	world_connect_again(world, &world->other);
}

/* Until the next round everything is as world_begin made it. */
static void clear(struct world *world)
{
	connect_all(world);
	if (world->target.seg && world->target.client != SLOT_NONE) {
		world_leave_target(world);
		(void)world_say(world, &world->raw, PROTO_DETACHED);
	}
	world_unlink_target(world, &world->raw);
	world_forget_target(world);
	connect_all(world);
	if (world->is_empty)
		world_furnish(world);
	world_check(world, REGISTRY_FREE, 0);
}

static bool is_of_supervisor(const struct deaths *deaths)
{
	return deaths->victim == SUPERVISOR || deaths->victim == SUPERVISOR_BEHIND_ITS_MPD;
}

/* A process that is not there yet is found at its parent. */
static struct stepper aim(const struct deaths *deaths, const struct world *world,
			  const struct scenario *scenario, unsigned kill_at)
{
	bool is_there = scenario->time == AT_REQUEST || scenario->time == AT_END;
	struct stepper stepper = { .kill_at = kill_at,
				   .uncounted = scenario->time == AT_START ? looks : NULL };

	if (is_of_supervisor(deaths))
		stepper.pid = world->pair.supervisor;
	else if (is_there)
		stepper.pid = (pid_t)world->watcher.welcome.pid;
	else
		stepper.parent = world->pair.supervisor;
	if (deaths->victim == MPD_BEHIND_ITS_SUPERVISOR)
		stepper.with = world->pair.supervisor;
	stepper.is_with_children = deaths->victim == SUPERVISOR_BEHIND_ITS_MPD;
	return stepper;
}

/* An mpd that was left alone has gone on. When it dies too, the next pair has to find it all. */
static void replace_what_is_alone(struct world *world, const struct scenario *scenario)
{
	if (mpd_pair_is_kept(&world->pair))
		return;
	assert_int_equal(kill((pid_t)world->watcher.welcome.pid, SIGKILL), 0);
	connect_all(world);
	world_check(world, scenario->target, scenario->clients);
}

static void name_it(const struct deaths *deaths, const struct scenario *scenario, unsigned kill_at)
{
	snprintf(now, sizeof now, "%s, %s %s call %u of %s", scenario->name,
		 victims[deaths->victim], kill_at % 2 ? "before" : "behind", (kill_at + 1) / 2,
		 is_of_supervisor(deaths) ? "the supervisor" : "mpd");
}

/* One scenario, somebody dying at that stop; false: there are not so many. */
static bool play(const struct deaths *deaths, struct world *world, const struct scenario *scenario,
		 unsigned kill_at, struct totals *totals)
{
	struct stepper stepper;
	bool has_killed;
	int error;

	name_it(deaths, scenario, kill_at);
	if (scenario->prepare)
		scenario->prepare(world);
	if (scenario->time != AT_START)
		world_connect_again(world, &world->watcher);
	stepper = aim(deaths, world, scenario, kill_at);
	error = stepper_begin(&stepper);
	if (error == -EPERM)
		harness_skip("this user may not trace mpd");
	assert_int_equal(error, 0);
	scenario->act(world);
	world_settle(world);
	has_killed = stepper_end(&stepper);
	world_check(world, scenario->target, scenario->clients);
	replace_what_is_alone(world, scenario);
	clear(world);
	totals->kills++;
	if (!has_killed)
		totals->calls += stepper.stops / 2;
	now[0] = '\0';
	return has_killed;
}

/* The last round is the one that nobody is killed in. */
static void play_one(const struct deaths *deaths, struct world *world,
		     const struct scenario *scenario, struct totals *totals)
{
	unsigned kill_at = deaths->first, step = deaths->step, kills = totals->kills;
	int64_t begin_ns = harness_now_ns();

	if (deaths->step_by_day && harness_scale() < LONG_RUN)
		step = deaths->step_by_day;
	while (play(deaths, world, scenario, kill_at, totals))
		kill_at += step;
	totals->scenarios++;
	print_message("%s: %u kills in %.1f s\n", scenario->name, totals->kills - kills,
		      (double)(harness_now_ns() - begin_ns) / 1e9);
}

static bool is_meant(const struct deaths *deaths, const struct scenario *scenario)
{
	return scenario->time >= deaths->first_time && scenario->time <= deaths->last_time;
}

/* How many of the table are wanted; and of these, how many here. */
static unsigned count_wanted(const struct deaths *deaths, const char *wanted, unsigned *ret_here)
{
	unsigned count = 0;

	*ret_here = 0;
	for (unsigned i = 0; i < scenario_count; i++) {
		bool is_wanted = !wanted || strstr(scenarios[i].name, wanted);

		count += is_wanted;
		*ret_here += is_wanted && is_meant(deaths, &scenarios[i]);
	}
	return count;
}

static void play_all(const struct deaths *deaths, struct world *world, struct totals *totals)
{
	const char *wanted = getenv("MPD_SCENARIO");

	for (unsigned i = 0; i < scenario_count; i++)
		if (is_meant(deaths, &scenarios[i]) &&
		    (!wanted || strstr(scenarios[i].name, wanted)))
			play_one(deaths, world, &scenarios[i], totals);
}

void deaths_go_through(const struct deaths *deaths)
{
	const char *wanted = getenv("MPD_SCENARIO");
	struct totals totals = { 0 };
	struct world world;
	unsigned here;

	if (count_wanted(deaths, wanted, &here) == 0)
		fail_msg("no scenario is called '%s'", wanted);
	if (here == 0)
		harness_skip("MPD_SCENARIO names none of these");
	atexit(print_now);
	if (deaths->engine)
		assert_int_equal(setenv("MP_WAIT_ENGINE", deaths->engine, 1), 0);
	world_begin(&world);
	play_all(deaths, &world, &totals);
	print_message("%s: %u scenarios, %u system calls, %u kills, 0 failures, %s\n",
		      victims[deaths->victim], totals.scenarios, totals.calls, totals.kills,
		      world.watcher.welcome.engine);
	world_end(&world);
}
