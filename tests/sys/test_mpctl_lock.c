/* SPDX-License-Identifier: MIT
 *
 * Proves: mpctl lock runs a command while it holds the lock, ends as the command ended, says who
 * has the lock when it cannot have it; a command never outlives the hold, has the signals meant for
 * it and no descriptor of mpctl's.
 */
#include "mpctl_world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOON_S 30

static void exit_codes_are_those_of_the_command(void **state)
{
	struct raw raw;

	mpctl_begin(&raw);
	mpctl_expect("$C lock app/gate -- true", 0, "");
	mpctl_expect("$C lock app/gate sh -c 'echo $0 $1; exit 7' -t 3", 7, "-t 3\n");
	mpctl_expect("$C lock app/gate -- sh -c 'kill -9 $$'", 128 + SIGKILL, "");
	mpctl_expect_in("$C lock app/gate -- $D/none", 127, "mpctl: ");
	mpctl_expect_in("$C lock app/gate -- $D", 126, "cannot be run");
	mpctl_expect_in("$C put app/jobs a; $C lock app/jobs -- echo ran", 125, "another kind");
	mpctl_expect_in("$C lock -x app/none -- echo ran", 125, "no lock 'none'");
	/* It is free after each of them. */
	mpctl_expect("$C lock -t 0 app/gate -- echo mine", 0, "mine\n");
	mpctl_expect_in("$C info app/gate", 0, "free; taken 6 times");
	mpctl_end(&raw);
}

static void who_has_it_is_told_when_the_time_is_over(void **state)
{
	struct program holder;
	struct raw raw;

	mpctl_begin(&raw);
	program_start(&holder, (char *[]){ "sh", "-c", "exec $C lock app/gate -- sleep 100",
					   NULL });
	mpctl_await("$C info app/gate", "held by mpctl:sleep[");
	mpctl_expect_in("$C lock -t 0.05 app/gate -- echo ran", 124, "held by mpctl:sleep[");
	mpctl_expect_in("$C lock -t 0 app/gate -- echo ran", 124, "held by mpctl:sleep[");
	assert_int_equal(kill(holder.pid, SIGTERM), 0);
	program_wait(&holder, SOON_S);
	assert_int_equal(holder.code, 128 + SIGTERM);
	program_free(&holder);
	mpctl_end(&raw);
}

/* Two at once would both find the file, or one would miss the other's line. */
static void only_one_command_runs_at_a_time(void **state)
{
	struct raw raw;

	mpctl_begin(&raw);
	mpctl_expect("add() { $C lock app/gate -- sh -c 'mkdir $D/in || echo twice;"
		     " n=$(cat $D/n 2>/dev/null || echo 0); echo $((n + 1)) >$D/n; rmdir $D/in'; };"
		     "for i in 1 2 3 4; do (for j in 1 2 3 4; do add; done) & done; wait; cat $D/n",
		     0, "16\n");
	mpctl_end(&raw);
}

static bool is_gone(void *arg)
{
	char state = program_state(*(pid_t *)arg);

	return state == 0 || state == 'Z' || state == 'X';
}

static pid_t pid_in(const char *name)
{
	FILE *file = fopen(mpctl_path(name), "re");
	int pid = 0;

	if (file && fscanf(file, "%d\n", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

static bool has_pid(void *arg)
{
	return pid_in(arg) > 0;
}

static void a_command_is_killed_with_mpctl_and_the_next_holder_is_told(void **state)
{
	struct program holder;
	struct raw raw;
	pid_t command;

	mpctl_begin(&raw);
	program_start(&holder, (char *[]){ "sh", "-c", "exec $C lock app/gate -- sh -c 'trap \"\""
					   " TERM HUP; echo $$ >$D/pid; exec sleep 100'", NULL });
	assert_true(harness_until(has_pid, "pid", SOON_S * 1000));
	command = pid_in("pid");
	assert_int_equal(kill(holder.pid, SIGKILL), 0);
	program_wait(&holder, SOON_S);
	program_free(&holder);
	assert_true(harness_until(is_gone, &command, SOON_S * 1000));
	mpctl_expect("$C lock -t 30 app/gate -- echo mine", 0,
		     "mpctl: lock 'gate': its last holder died holding it, what it guards may be "
		     "half changed\nmine\n");
	mpctl_expect("$C lock -t 30 app/gate -- echo mine", 0, "mine\n");
	mpctl_end(&raw);
}

static void signals_reach_the_command_and_mpctl_stays_until_it_has_ended(void **state)
{
	static const struct {
		int number;
		const char *name;
	} signals[] = { { SIGTERM, "TERM" }, { SIGINT, "INT" }, { SIGHUP, "HUP" },
			{ SIGUSR1, "USR1" } };
	struct raw raw;

	mpctl_begin(&raw);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct program holder;
		char script[256];

		snprintf(script, sizeof(script), "exec $C lock app/gate -- sh -c 'trap \"exit 5\" "
			 "%s; echo $$ >$D/%s; while :; do sleep 0.02; done'", signals[i].name,
			 signals[i].name);
		program_start(&holder, (char *[]){ "sh", "-c", script, NULL });
		assert_true(harness_until(has_pid, (void *)signals[i].name, SOON_S * 1000));
		assert_int_equal(kill(holder.pid, signals[i].number), 0);
		program_wait(&holder, SOON_S);
		assert_int_equal(holder.code, 5);
		program_free(&holder);
	}
	mpctl_end(&raw);
}

static void a_command_inherits_what_mpctl_was_given_and_nothing_else(void **state)
{
	struct raw raw;

	mpctl_begin(&raw);
	/* Descriptors, blocked and ignored signals: as without mpctl. */
	mpctl_expect("ls /proc/self/fd >$D/plain; $C lock app/gate -- ls /proc/self/fd >$D/locked;"
		     "diff $D/plain $D/locked", 0, "");
	mpctl_expect("set -- grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; \"$@\" >$D/plain;"
		     "$C lock app/gate -- \"$@\" >$D/locked; diff $D/plain $D/locked", 0, "");
	mpctl_expect("echo in | $C lock app/gate -- cat", 0, "in\n");
	mpctl_expect_in("$C -e $MP_ENDPOINT lock app/gate -- sh -c '$C info app/gate'", 0,
			"held by mpctl:sh[");
	mpctl_end(&raw);
}

static void a_lock_that_was_removed_meanwhile_ends_as_the_command(void **state)
{
	struct raw raw;

	mpctl_begin(&raw);
	mpctl_expect("$C lock app/gate -- sh -c '$C rm app/gate app; exit 3'", 3, "");
	mpctl_expect("$C list", 0, "");
	mpctl_end(&raw);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(exit_codes_are_those_of_the_command),
	HARNESS_TEST_WITH_MPD(who_has_it_is_told_when_the_time_is_over),
	HARNESS_TEST_WITH_MPD(only_one_command_runs_at_a_time),
	HARNESS_TEST_WITH_MPD(a_command_is_killed_with_mpctl_and_the_next_holder_is_told),
	HARNESS_TEST_WITH_MPD(signals_reach_the_command_and_mpctl_stays_until_it_has_ended),
	HARNESS_TEST_WITH_MPD(a_command_inherits_what_mpctl_was_given_and_nothing_else),
	HARNESS_TEST_WITH_MPD(a_lock_that_was_removed_meanwhile_ends_as_the_command),
};

HARNESS_MAIN(tests)
