/* SPDX-License-Identifier: MIT
 *
 * Proves: in each kernel and sandbox that gives less than the newest gives, programs and mpd work
 * as elsewhere, each alone and all together, and everybody is told what they do without.
 */
#include "kernels_work.h"
#include "program.h"
#include "raw_client.h"
#include "world.h"

#include "libshm/probe.h"
#include "libshm/uring_compat.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULES_MAX 8

#define NO_PEERPIDFD { SYS_getsockopt, 2, WORLD_SO_PEERPIDFD, WORLD_FAILS(ENOPROTOOPT) }
#define NO_PIDFD_OPEN { SYS_pidfd_open, WORLD_ANY, 0, WORLD_FAILS(ENOSYS) }

struct world {
	const char *name;
	enum probe_reason reason; /* why not io_uring */
	struct world_rule rules[RULES_MAX];
	unsigned count;
};

static const struct world without_uring[] = {
	{ "EPERM", PROBE_FORBIDDEN, { WORLD_URING(WORLD_FAILS(EPERM)) }, 3 },
	{ "ENOSYS", PROBE_MISSING, { WORLD_URING(WORLD_FAILS(ENOSYS)) }, 3 },
	{ "killed", PROBE_KILLS, { WORLD_URING(WORLD_KILLS) }, 3 },
	{ "SIGSYS", PROBE_KILLS, { WORLD_URING(WORLD_SIGNALS) }, 3 },
	{ "nothing that came after Linux 5.2", PROBE_MISSING,
	  { WORLD_URING(WORLD_FAILS(ENOSYS)), NO_PEERPIDFD, NO_PIDFD_OPEN,
	    { SYS_pidfd_getfd, WORLD_ANY, 0, WORLD_FAILS(ENOSYS) },
	    { SYS_close_range, WORLD_ANY, 0, WORLD_FAILS(ENOSYS) },
	    { WORLD_FUTEX_WAITV, WORLD_ANY, 0, WORLD_FAILS(ENOSYS) } }, 8 },
};

/* Linux 6.6 has io_uring, and no opcode to wait for a word. One that tells of it and cannot do it
 * is found out by the self-test. */
static const struct world without_words[] = {
	{ "no futex opcodes", PROBE_NO_WORDS,
	  { { SYS_io_uring_register, 1, IORING_REGISTER_PROBE, WORLD_ASKS } }, 1 },
	{ "futex opcodes that fail", PROBE_UNTRUE,
	  { { SYS_io_uring_setup, WORLD_ANY, 0, WORLD_ASKS } }, 1 },
};

static const struct world without_pidfds[] = {
	{ "no SO_PEERPIDFD", PROBE_NONE, { NO_PEERPIDFD }, 1 },
	{ "no pidfd_open", PROBE_NONE, { NO_PEERPIDFD, NO_PIDFD_OPEN }, 2 },
};

/* Who is in the world; the others are where this test is. */
enum { CLIENTS = 1, MPD = 2, MPTOP = 4 };
static const unsigned casts[] = { CLIENTS, MPD, CLIENTS | MPD | MPTOP };

struct play {
	const struct world *world;
	unsigned who;
	int told[2];
	int keeper; /* of worlds that ask */
};

static void enter(const struct play *play, unsigned part)
{
	if (!(play->who & part))
		return;
	if (play->world->rules[0].answer == WORLD_ASKS)
		world_enter_kept(play->world->rules, play->world->count, play->keeper);
	else
		world_enter(play->world->rules, play->world->count);
}

/* What the part should say: the world's reason, or what this test's own environment asks for. */
static const char *reason_of(const struct play *play, unsigned part)
{
	bool is_asked = getenv("MP_WAIT_ENGINE") && strcmp(getenv("MP_WAIT_ENGINE"), "futex") == 0;

	if (is_asked)
		return probe_reason_text(PROBE_ASKED);
	return probe_reason_text(play->who & part ? play->world->reason : PROBE_NONE);
}

static int start_mpd(void *arg)
{
	struct play *play = arg;

	enter(play, MPD);
	close(play->keeper); /* mpd needs no keeper for what it starts */
	raw_start(NULL, NULL);
	return 0;
}

/* Works, says so, and stays to be looked at. */
static int be_client(void *arg)
{
	struct play *play = arg;
	mp_segment *segment;

	enter(play, CLIENTS);
	segment = work_through();
	work_check_engine(segment, reason_of(play, CLIENTS));
	assert_int_equal(write(play->told[1], "", 1), 1);
	for (;;)
		pause();
	return 0;
}

static int be_mptop(void *arg)
{
	const struct play *play = arg;

	enter(play, MPTOP);
	work_look(reason_of(play, CLIENTS), reason_of(play, MPD));
	return 0;
}

static bool is_mpd_gone(void *arg)
{
	return raw_mpd_count() == 0;
}

static int keep(void *arg)
{
	int *ends = arg;

	close(ends[1]);
	world_keep(ends[0]);
	return 0;
}

static pid_t start_keeper(struct play *play)
{
	int ends[2];
	pid_t keeper;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	keeper = harness_fork(keep, ends);
	close(ends[0]);
	play->keeper = ends[1];
	return keeper;
}

static void perform(const struct world *world, unsigned who)
{
	struct play play = { .world = world, .who = who };
	pid_t client, keeper = start_keeper(&play);
	struct raw raw;
	char byte;

	print_message("%s: %u\n", world->name, who);
	assert_int_equal(pipe(play.told), 0);
	harness_join(harness_fork(start_mpd, &play));
	raw_connect(&raw); /* it serves, and was started in its world */
	client = harness_fork(be_client, &play);
	close(play.told[1]);
	if (read(play.told[0], &byte, 1) != 1)
		fail_msg("%s, %u: the client ended with %d", world->name, who,
			 harness_wait(client));
	close(play.told[0]);
	harness_join(harness_fork(be_mptop, &play));
	harness_kill(client);
	raw_close(&raw);
	assert_true(harness_until(is_mpd_gone, NULL, 10000));
	close(play.keeper);
	harness_join(keeper);
}

static void perform_all(const struct world *worlds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (unsigned j = 0; j < sizeof casts / sizeof casts[0]; j++)
			perform(&worlds[i], casts[j]);
}

/* In a child: the test itself decides nothing for its children. */
static int tell_reason(void *arg)
{
	return (int)probe_reason();
}

static void need_uring(void)
{
	int reason = harness_wait(harness_fork(tell_reason, NULL));

	if (reason != PROBE_NONE)
		harness_skip(probe_reason_text((uint32_t)reason));
}

static void everything_works_where_uring_is_refused(void **state)
{
	need_uring();
	perform_all(without_uring, sizeof without_uring / sizeof without_uring[0]);
}

static void everything_works_where_uring_cannot_wait_for_words(void **state)
{
	need_uring();
	perform_all(without_words, sizeof without_words / sizeof without_words[0]);
}

static void everything_works_without_pidfds(void **state)
{
	int reason = harness_wait(harness_fork(tell_reason, NULL));

	if (reason != PROBE_NONE && reason != PROBE_ASKED)
		harness_skip(probe_reason_text((uint32_t)reason));
	perform_all(without_pidfds, sizeof without_pidfds / sizeof without_pidfds[0]);
}

/* --- nobody started mpd --- */

static int opens_alone(void *arg)
{
	mp_segment *segment;

	world_enter(((const struct world *)arg)->rules, ((const struct world *)arg)->count);
	assert_int_equal(mp_segment_open("alone", NULL, &segment), 0);
	mp_segment_close(segment);
	return 0;
}

static void program_that_would_be_killed_starts_an_mpd_that_is_not(void **state)
{
	harness_join(harness_fork(opens_alone, (void *)(uintptr_t)&without_uring[2]));
}

/* --- asked for and refused --- */

static int insists(void *arg)
{
	const struct world *world = arg;
	mp_segment *segment;
	mp_queue *queue;
	char byte = 'x';

	setenv("MP_WAIT_ENGINE", "uring", 1);
	world_enter(world->rules, world->count);
	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_true(mp_queue_get(queue, &byte, 1, MP_SEC(1)) < 0);
	assert_non_null(strstr(mp_explain(), "'q'"));
	assert_non_null(strstr(mp_explain(), probe_reason_text(world->reason)));
	assert_non_null(strstr(mp_explain(), "unset it"));
	/* What does not wait needs no engine. */
	assert_int_equal(mp_queue_put(queue, &byte, 1, MP_SEC(1)), 0);
	assert_int_equal(mp_queue_get(queue, &byte, 1, MP_SEC(1)), 1);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static void wait_that_asks_for_what_is_refused_fails_with_a_sentence(void **state)
{
	need_uring();
	for (size_t i = 0; i < 4; i++)
		harness_join(harness_fork(insists, (void *)(uintptr_t)&without_uring[i]));
}

struct asked_mpd {
	const struct world *world;
	const char *sentence;
};

static int asks_mpd(void *arg)
{
	const struct asked_mpd *asked = arg;
	char *arguments[] = { getenv("MP_MPD"), (char *)"--foreground", NULL };
	struct program program;
	struct raw raw;

	setenv("MP_WAIT_ENGINE", "uring", 1);
	world_enter(asked->world->rules, asked->world->count);
	program_start(&program, arguments);
	raw_connect(&raw);
	assert_string_equal(raw.welcome.engine, "epoll");
	assert_int_equal(raw.welcome.engine_reason, asked->world->reason);
	raw_close(&raw);
	assert_int_equal(kill(program.pid, SIGTERM), 0);
	program_wait(&program, 30);
	assert_int_equal(program.code, 0);
	assert_non_null(strstr(program.text, probe_reason_text(asked->world->reason)));
	assert_non_null(strstr(program.text, asked->sentence));
	program_free(&program);
	return 0;
}

static void mpd_that_cannot_obey_says_so_and_serves(void **state)
{
	struct asked_mpd asked = { .sentence = "MP_WAIT_ENGINE cannot be obeyed" };

	need_uring();
	for (size_t i = 0; i < 4; i++) {
		asked.world = &without_uring[i];
		harness_join(harness_fork(asks_mpd, &asked));
	}
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(everything_works_where_uring_is_refused),
	HARNESS_TEST_WITH_MPD(everything_works_where_uring_cannot_wait_for_words),
	HARNESS_TEST_WITH_MPD(everything_works_without_pidfds),
	HARNESS_TEST_WITH_MPD(program_that_would_be_killed_starts_an_mpd_that_is_not),
	HARNESS_TEST_WITH_MPD(wait_that_asks_for_what_is_refused_fails_with_a_sentence),
	HARNESS_TEST_WITH_MPD(mpd_that_cannot_obey_says_so_and_serves),
};

HARNESS_MAIN(tests)
