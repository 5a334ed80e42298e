/* SPDX-License-Identifier: MIT
 *
 * Proves: what barrier.h promises, in processes that meet, are stopped and killed.
 */
#include "harness.h"
#include "harness_mpd.h"

#include "barrier_internal.h"
#include "client.h"
#include "harness_segment.h"

#include <libshm/event.h>
#include <libshm/observe.h>
#include <libshm/process.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTIES 4
#define ROUNDS 200

/* What children leave behind, in memory of their own. */
struct told {
	_Atomic int result[PARTIES];
	char why[PARTIES][256];
	_Atomic unsigned came, mistakes;
};

/* One test: a segment, a barrier in it, what children were told. */
struct world {
	mp_segment *segment;
	mp_barrier *barrier;
	struct told *told;
};

struct party {
	struct world *world;
	unsigned number;
	mp_process *process;
};

static void begin(struct world *world, uint32_t parties, int (*action)(void *), void *arg)
{
	struct mp_barrier_opts opts = { .parties = parties, .action = action, .arg = arg };

	world->told = mmap(NULL, sizeof *world->told, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(mp_segment_open("s", NULL, &world->segment), 0);
	assert_int_equal(mp_barrier_open(world->segment, "b", &opts, &world->barrier), 0);
}

static void end(struct world *world)
{
	mp_barrier_close(world->barrier);
	mp_segment_close(world->segment);
	munmap(world->told, sizeof *world->told);
}

static int wait_once(void *arg)
{
	struct party *party = arg;
	struct told *told = party->world->told;
	int result = mp_barrier_wait(party->world->barrier, MP_FOREVER, NULL);

	if (result < 0)
		snprintf(told->why[party->number], sizeof told->why[0], "%s", mp_explain());
	told->result[party->number] = result;
	return 0;
}

static void start(struct world *world, struct party *parties, unsigned count,
		  int (*fn)(void *arg))
{
	for (unsigned i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof name, "party-%u", i);
		parties[i] = (struct party){ .world = world, .number = i };
		world->told->result[i] = 1;
		assert_int_equal(mp_process_start(world->segment,
						  &(struct mp_process_opts){ .name = name }, fn,
						  &parties[i], &parties[i].process), 0);
	}
}

static void start_waits(struct world *world, struct party *parties, unsigned count)
{
	uint64_t before = load_relaxed(&world->barrier->shared->waits);

	start(world, parties, count, wait_once);
	while (load_relaxed(&world->barrier->shared->waits) < before + count)
		harness_sleep_ms(1);
	harness_segment_await_asleep(world->segment->seg, count);
}

static void join(struct party *party)
{
	int exitcode = 1;

	assert_int_equal(mp_process_join(party->process, MP_FOREVER), 0);
	assert_int_equal(mp_process_exitcode(party->process, &exitcode), 0);
	assert_int_equal(exitcode, 0);
	mp_process_close(party->process);
}

static void was_told(const struct party *party, int result, const char *why)
{
	const struct told *told = party->world->told;

	assert_int_equal(told->result[party->number], result);
	assert_non_null(strstr(told->why[party->number], why));
}

static void reap_killed(struct party *party)
{
	assert_int_equal(mp_process_join(party->process, MP_FOREVER), 0);
	mp_process_close(party->process);
}

/* --- meeting --- */

static int meet_again(void *arg)
{
	struct party *party = arg;
	struct told *told = party->world->told;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		int index = -1;

		atomic_fetch_add(&told->came, 1);
		if (mp_barrier_wait(party->world->barrier, MP_FOREVER, &index) != 0 || index < 0 ||
		    index >= PARTIES || atomic_load(&told->came) < i * PARTIES)
			atomic_fetch_add(&told->mistakes, 1);
	}
	return 0;
}

static void processes_go_on_together(void **state)
{
	struct party parties[PARTIES];
	struct world world;

	begin(&world, PARTIES, NULL, NULL);
	start(&world, parties, PARTIES, meet_again);
	for (unsigned i = 0; i < PARTIES; i++)
		join(&parties[i]);
	assert_int_equal(world.told->mistakes, 0);
	assert_int_equal(world.told->came, PARTIES * ROUNDS);
	end(&world);
}

static int wait_briefly(void *arg)
{
	return mp_barrier_wait(arg, MP_SEC(20), NULL);
}

static void forked_child_may_come_as_the_first_thing_it_does(void **state)
{
	struct world world;
	pid_t child;

	begin(&world, 2, NULL, NULL);
	child = harness_fork(wait_briefly, world.barrier);
	assert_int_equal(mp_barrier_wait(world.barrier, MP_SEC(20), NULL), 0);
	harness_join(child);
	end(&world);
}

static void timeout_of_a_process_is_told_to_the_others_with_its_name(void **state)
{
	struct party parties[2];
	struct world world;
	char me[32];

	begin(&world, 4, NULL, NULL);
	start_waits(&world, parties, 2);
	assert_int_equal(mp_barrier_wait(world.barrier, MP_MSEC(10), NULL), -ETIMEDOUT);
	snprintf(me, sizeof me, "[%d] waited no longer", getpid());
	for (unsigned i = 0; i < 2; i++) {
		join(&parties[i]);
		was_told(&parties[i], -ENOTCONN, me);
	}
	end(&world);
}

/* --- deaths --- */

static void killed_waiter_breaks_it_for_the_others_who_are_told_his_name(void **state)
{
	struct party parties[3];
	struct world world;
	char dead[64];

	begin(&world, PARTIES, NULL, NULL);
	start_waits(&world, parties, 3);
	snprintf(dead, sizeof dead, "party-1[%d] died in its wait",
		 mp_process_pid(parties[1].process));
	assert_int_equal(mp_process_kill(parties[1].process), 0);
	for (unsigned i = 0; i < 3; i += 2) {
		join(&parties[i]);
		was_told(&parties[i], -ENOTCONN, dead);
	}
	assert_int_equal(mp_barrier_is_broken(world.barrier), 1);
	assert_int_equal(mp_barrier_wait(world.barrier, MP_FOREVER, NULL), -ENOTCONN);
	assert_non_null(strstr(mp_explain(), dead));
	reap_killed(&parties[1]);
	assert_int_equal(mp_barrier_reset(world.barrier), 0);
	start_waits(&world, parties, 3);
	assert_int_equal(mp_barrier_wait(world.barrier, MP_FOREVER, NULL), 0);
	for (unsigned i = 0; i < 3; i++)
		join(&parties[i]);
	end(&world);
}

/* Those who wait watch each other. */
static void killed_waiter_is_seen_by_the_others_while_mpd_is_stopped(void **state)
{
	struct party parties[3];
	struct world world;
	pid_t mpd;

	begin(&world, PARTIES, NULL, NULL);
	mpd = harness_find_mpd();
	for (unsigned victim = 0; victim < 3; victim++) {
		start_waits(&world, parties, 3);
		assert_int_equal(kill(mpd, SIGSTOP), 0);
		assert_int_equal(mp_process_kill(parties[victim].process), 0);
		for (unsigned i = 0; i < 3; i++) {
			struct pollfd ends = { mp_process_fd(parties[i].process), POLLIN, 0 };

			assert_int_equal(poll(&ends, 1, 50000), 1); /* we ourselves do nothing */
		}
		assert_int_equal(kill(mpd, SIGCONT), 0);
		for (unsigned i = 0; i < 3; i++) {
			if (i == victim) {
				reap_killed(&parties[i]);
				continue;
			}
			join(&parties[i]);
			was_told(&parties[i], -ENOTCONN, "died in its wait");
		}
		assert_int_equal(mp_barrier_reset(world.barrier), 0);
	}
	end(&world);
}

static int act_for_ever(void *arg)
{
	struct world *world = arg;

	atomic_store(&world->told->came, 1);
	for (;;)
		pause();
	return 0;
}

static void killed_in_the_action_breaks_it(void **state)
{
	struct party parties[2], last[1];
	struct world world;

	begin(&world, 3, act_for_ever, &world);
	start_waits(&world, parties, 2);
	start(&world, last, 1, wait_once);
	while (!atomic_load(&world.told->came))
		harness_sleep_ms(1);
	assert_int_equal(mp_barrier_waiting(world.barrier), 3);
	assert_int_equal(mp_process_kill(last->process), 0);
	for (unsigned i = 0; i < 2; i++)
		join(&parties[i]);
	was_told(&parties[1], -ENOTCONN, "party-0[");
	was_told(&parties[1], -ENOTCONN, "died in its wait");
	reap_killed(last);
	end(&world);
}

static int stay(void *arg)
{
	for (;;)
		pause();
	return arg != NULL;
}

static void death_of_one_who_does_not_wait_breaks_nothing(void **state)
{
	struct party parties[3], bystander[1];
	struct world world;

	begin(&world, PARTIES, NULL, NULL);
	start_waits(&world, parties, 3);
	start(&world, bystander, 1, stay);
	assert_int_equal(mp_process_kill(bystander->process), 0);
	reap_killed(bystander); /* joined: it was swept */
	assert_int_equal(mp_barrier_is_broken(world.barrier), 0);
	assert_int_equal(mp_barrier_waiting(world.barrier), 3);
	assert_int_equal(mp_barrier_wait(world.barrier, MP_FOREVER, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		join(&parties[i]);
		was_told(&parties[i], 0, "");
	}
	end(&world);
}

static void killed_waiter_after_all_had_met_breaks_nothing(void **state)
{
	struct party parties[1];
	struct world world;

	begin(&world, 2, NULL, NULL);
	start_waits(&world, parties, 1);
	assert_int_equal(kill(mp_process_pid(parties->process), SIGSTOP), 0);
	assert_int_equal(mp_barrier_wait(world.barrier, MP_FOREVER, NULL), 0);
	assert_int_equal(mp_process_kill(parties->process), 0);
	reap_killed(parties);
	assert_int_equal(mp_barrier_is_broken(world.barrier), 0);
	end(&world);
}

static int fork_and_come_out(void *arg)
{
	struct world *world = arg;
	pid_t child = fork();
	int status;

	if (child == 0)
		return 0;
	if (waitpid(child, &status, 0) != child)
		return -ENOMEM;
	atomic_store(&world->told->came, WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 99);
	return 0;
}

static void child_forked_in_the_action_is_none_of_the_parties(void **state)
{
	struct world world;
	pid_t me = getpid();
	int result;

	begin(&world, 1, fork_and_come_out, &world);
	result = mp_barrier_wait(world.barrier, MP_FOREVER, NULL);
	if (getpid() != me)
		_exit(result == -ENOTCONN && strstr(mp_explain(), "forked") ? 7 : 1);
	assert_int_equal(result, 0);
	assert_int_equal(world.told->came, 7);
	assert_int_equal(mp_barrier_is_broken(world.barrier), 0);
	end(&world);
}

/* --- held up --- */

static void *meet_one(void *arg)
{
	return mp_barrier_wait(arg, MP_FOREVER, NULL) == 0 ? NULL : arg;
}

static void meet(mp_barrier *barrier, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		pthread_t thread;
		void *failed;

		pthread_create(&thread, NULL, meet_one, barrier);
		assert_int_equal(mp_barrier_wait(barrier, MP_FOREVER, NULL), 0);
		pthread_join(thread, &failed);
		assert_null(failed);
	}
}

static void break_and_mend(mp_barrier *barrier)
{
	assert_int_equal(mp_barrier_abort(barrier), 0);
	assert_int_equal(mp_barrier_reset(barrier), 0);
}

static void stop(struct party *party)
{
	siginfo_t info;

	assert_int_equal(kill(mp_process_pid(party->process), SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, (id_t)mp_process_pid(party->process), &info, WSTOPPED), 0);
}

static void go_on(struct party *party)
{
	assert_int_equal(kill(mp_process_pid(party->process), SIGCONT), 0);
	join(party);
}

static void one_that_was_stopped_is_told_how_his_own_turn_ended(void **state)
{
	struct party parties[1];
	struct world world;

	begin(&world, 2, NULL, NULL);
	/* passed; then some were broken and some were not */
	start_waits(&world, parties, 1);
	stop(parties);
	meet_one(world.barrier);
	break_and_mend(world.barrier);
	meet(world.barrier, 2);
	break_and_mend(world.barrier);
	go_on(parties);
	was_told(parties, 0, "");
	/* broken; then they met */
	start_waits(&world, parties, 1);
	stop(parties);
	break_and_mend(world.barrier);
	meet(world.barrier, 3);
	go_on(parties);
	was_told(parties, -ENOTCONN, "called mp_barrier_abort");
	end(&world);
}

static void one_that_was_stopped_for_long_is_told_so_too(void **state)
{
	struct party parties[1];
	struct world world;

	begin(&world, 2, NULL, NULL);
	break_and_mend(world.barrier);
	start_waits(&world, parties, 1);
	stop(parties);
	meet_one(world.barrier);
	meet(world.barrier, 3 * BARRIER_HISTORY_BITS);
	go_on(parties);
	was_told(parties, 0, "");
	start_waits(&world, parties, 1);
	stop(parties);
	break_and_mend(world.barrier);
	meet(world.barrier, 3 * BARRIER_HISTORY_BITS);
	go_on(parties);
	was_told(parties, -ENOTCONN, "in use again");
	end(&world);
}

/* --- tools --- */

static void tools_see_how_many_have_come_who_is_missing_and_who_broke_it(void **state)
{
	const struct mp_snapshot *snapshot;
	struct party parties[2], bystander[1];
	mp_observer *observer;
	struct world world;

	begin(&world, 3, NULL, NULL);
	start_waits(&world, parties, 2);
	start(&world, bystander, 1, stay);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->sync_count, 1);
	assert_int_equal(snapshot->is_torn, 0);
	assert_int_equal(snapshot->syncs[0].id, mp_barrier_id(world.barrier));
	assert_string_equal(snapshot->syncs[0].kind, "barrier");
	assert_string_equal(snapshot->syncs[0].state, "2/3");
	assert_int_equal(snapshot->syncs[0].waiters, 2);
	assert_int_equal(snapshot->syncs[0].waits, 2);
	assert_non_null(strstr(snapshot->syncs[0].detail, "missing"));
	assert_non_null(strstr(snapshot->syncs[0].detail, "party-0[")); /* the bystander */
	assert_null(strstr(snapshot->syncs[0].detail, "party-1["));
	assert_int_equal(mp_process_kill(bystander->process), 0);
	reap_killed(bystander);
	assert_int_equal(mp_process_kill(parties[1].process), 0);
	join(&parties[0]);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_string_equal(snapshot->syncs[0].state, "broken: died");
	assert_int_equal(snapshot->syncs[0].waiters, 0);
	assert_non_null(strstr(snapshot->syncs[0].detail, "party-1["));
	assert_int_equal(mp_barrier_reset(world.barrier), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_string_equal(snapshot->syncs[0].state, "0/3");
	assert_string_equal(snapshot->syncs[0].detail, "");
	mp_observe_close(observer);
	reap_killed(&parties[1]);
	end(&world);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(processes_go_on_together),
	HARNESS_TEST_WITH_MPD(forked_child_may_come_as_the_first_thing_it_does),
	HARNESS_TEST_WITH_MPD(timeout_of_a_process_is_told_to_the_others_with_its_name),
	HARNESS_TEST_WITH_MPD(killed_waiter_breaks_it_for_the_others_who_are_told_his_name),
	HARNESS_TEST_WITH_MPD(killed_waiter_is_seen_by_the_others_while_mpd_is_stopped),
	HARNESS_TEST_WITH_MPD(killed_in_the_action_breaks_it),
	HARNESS_TEST_WITH_MPD(death_of_one_who_does_not_wait_breaks_nothing),
	HARNESS_TEST_WITH_MPD(killed_waiter_after_all_had_met_breaks_nothing),
	HARNESS_TEST_WITH_MPD(child_forked_in_the_action_is_none_of_the_parties),
	HARNESS_TEST_WITH_MPD(one_that_was_stopped_is_told_how_his_own_turn_ended),
	HARNESS_TEST_WITH_MPD(one_that_was_stopped_for_long_is_told_so_too),
	HARNESS_TEST_WITH_MPD(tools_see_how_many_have_come_who_is_missing_and_who_broke_it),
};

HARNESS_MAIN(tests)
