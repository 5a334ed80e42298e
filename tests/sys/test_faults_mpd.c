/* SPDX-License-Identifier: MIT
 *
 * Proves: whichever call into the kernel or the heap fails in mpd, mpd goes on, drops at most the
 * client whom the call was for and says so in its log, and its other clients notice nothing.
 */
#include "fault.h"
#include "fault_client.h"

#include "libshm/slot.h"

#include <libshm/base.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT "kept"
#define SETTLE_MS 10000
#define WRONG_SHOWN_MAX 12
#define NTH_MAX 12 /* a loop that goes on waiting has no last call */

struct world {
	pid_t supervisor, mpd;
	char log[128], page[128];
	struct raw sibling;       /* connected and attached all the time */
	struct raw_segment kept;
	unsigned fds;             /* of mpd, at rest */
	unsigned dropped;         /* clients that saw their connection end */
};

/* What clients do while a call fails; the last status, -EPIPE if one was dropped. */
typedef int scenario(void);

/* --- what clients do --- */

static int hello(void)
{
	struct raw raw;
	int result = fault_connect(&raw);

	raw_close(&raw);
	return result;
}

static int attach_and_leave(const char *name)
{
	struct proto_opened opened;

	return fault_attach_and_leave(name, 4 << 20, &opened);
}

static int attach_to_new(void)
{
	return attach_and_leave("new");
}

/* Both want it: the second waits until the first has formatted it, or is gone. */
static int leave_half_made(void)
{
	struct raw_segment segment = { .fd = -1 };
	struct raw raw;
	int result = fault_connect(&raw);

	if (result == 0)
		result = raw_open(&raw, "half", 4 << 20, 0, &segment);
	raw_close(&raw);
	if (segment.fd >= 0)
		close(segment.fd);
	return result < 0 ? result : attach_and_leave("half");
}

static int unlink_it(void)
{
	struct raw_segment segment = { .fd = -1 };
	struct raw raw;
	int result = fault_connect(&raw);

	if (result == 0)
		result = raw_open(&raw, "unlinked", 4 << 20, MP_KEEP, &segment);
	if (result == 0)
		result = fault_format(&raw, &segment, "unlinked");
	if (result == 0)
		result = raw_unlink(&raw, "unlinked");
	raw_close(&raw);
	if (segment.fd >= 0)
		close(segment.fd);
	return result;
}

static int look(void)
{
	struct proto_empty empty = { 0 };
	struct proto_segment observe;
	struct wire_fds fds = { 0 };
	uint8_t list[sizeof(struct proto_list) + sizeof(struct proto_listed)];
	struct proto_listed row;
	struct raw raw;
	int result = fault_connect(&raw);

	if (result == 0)
		result = raw_ask(&raw, PROTO_LIST, &empty, sizeof empty, list, sizeof list, NULL);
	if (result == 0) {
		memcpy(&row, list + sizeof(struct proto_list), sizeof row);
		observe.segment = row.segment;
		result = raw_ask(&raw, PROTO_OBSERVE, &observe, sizeof observe, NULL, 0, &fds);
		wire_close_fds(&fds);
	}
	raw_close(&raw);
	return result;
}

static int attach_and_die(void)
{
	struct raw_segment segment = { .fd = -1 };
	struct raw raw;
	int result = fault_connect(&raw);

	if (result == 0)
		result = raw_open(&raw, KEPT, 0, 0, &segment);
	if (result == 0)
		result = fault_take_part(&raw, &segment);
	kill(getpid(), SIGKILL);
	return result;
}

static int run_scenario(void *run)
{
	return -(*(scenario **)run)();
}

/* In a process of its own, as clients are. Who killed himself has done well. */
static int run_apart(scenario *run)
{
	int code = harness_wait(harness_fork(run_scenario, &run));

	return code == -SIGKILL ? 0 : -code;
}

/* --- mpd and its log --- */

static void start_mpd(struct world *world)
{
	int log = open(world->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(log, STDERR_FILENO);
		setsid();
		execl(MPD_FAULTY, "mpd", "--foreground", "--supervise", "--endpoint",
		      getenv("MP_ENDPOINT"), "--grace", "100", "--config", "none", NULL);
		_exit(127);
	}
	close(log);
	world->supervisor = child;
}

/* "... 12 more like this were left out in 5 s: ..." */
static unsigned left_out(const char *line)
{
	const char *at = strstr(line, " more like this were left out");

	if (!at)
		return 1;
	while (at > line && at[-1] >= '0' && at[-1] <= '9')
		at--;
	return (unsigned)strtoul(at, NULL, 10);
}

/* How many clients the log says were dropped; a flood of the same is told as a number. */
static unsigned count_dropped(const struct world *world)
{
	FILE *log = fopen(world->log, "re");
	unsigned count = 0;
	char line[512];

	assert_non_null(log);
	while (fgets(line, sizeof line, log))
		if (strstr(line, "is dropped: "))
			count += left_out(line);
	fclose(log);
	return count;
}

static bool is_at_rest(void *arg)
{
	struct world *world = arg;
	uint32_t used = 0;

	for (uint32_t i = SLOT_FIRST; i < seg_clients_high(world->kept.seg); i++)
		used += client_word_state(slot_client_word(world->kept.seg, i)) != SLOT_FREE;
	return used == 1 && raw_count(&world->sibling) == 1 &&
	       (!world->fds || raw_lasting_fd_count(world->mpd) == world->fds);
}

static void begin(struct world *world)
{
	const char *directory = harness_endpoint()->directory;

	*world = (struct world){ .fds = 0 };
	snprintf(world->log, sizeof world->log, "%s/log", directory);
	snprintf(world->page, sizeof world->page, "%s/page", directory);
	fault_begin(world->page);
	start_mpd(world);
	raw_connect(&world->sibling);
	raw_attach(&world->sibling, KEPT, 0, &world->kept);
	world->mpd = (pid_t)world->sibling.welcome.pid;
	assert_true(harness_until(is_at_rest, world, SETTLE_MS));
	world->fds = raw_lasting_fd_count(world->mpd);
}

static void end(struct world *world)
{
	raw_close(&world->sibling);
	raw_forget(&world->kept);
	assert_int_equal(harness_wait(world->supervisor), 0);
	assert_in_range(count_dropped(world), world->dropped, UINT32_MAX);
	unlink(world->log);
	unlink(world->page);
}

/* --- the loops --- */

/* mpd has dealt with all that came before: it answers its connections in turn. */
static void await_mpd_has_read(void)
{
	for (unsigned i = 0; i < 2; i++)
		(void)hello();
}

/* The sibling has had its answer, but mpd may be about to look whether it wants more: a call that
 * fails there would be the sibling's. */
static void arm(const struct world *world, const struct fault_plan *plan)
{
	assert_int_equal(hello(), 0);
	fault_arm(plan, world->mpd);
}

static const char *judge(struct world *world, int result)
{
	struct raw raw;

	if (result == FAULT_NO_ANSWER)
		return "a client waits for an answer in vain";
	/* It is kept where its maker was dropped before he removed it. */
	(void)raw_unlink(&world->sibling, "unlinked");
	if (fault_connect(&raw) < 0)
		return "mpd does not answer";
	raw_close(&raw);
	if ((pid_t)raw.welcome.pid != world->mpd)
		return "mpd has died";
	if (!harness_until(is_at_rest, world, SETTLE_MS))
		return "something is left in mpd or the segment";
	return NULL;
}

static bool run_planned(struct world *world, const char *name, scenario *run,
			const struct fault_plan *plan)
{
	const char *wrong;
	int result;

	arm(world, plan);
	result = run_apart(run);
	await_mpd_has_read();
	fault_disarm();
	/* Who seems to have hung up himself is not worth a line. */
	if ((result == -EPIPE || result == -ECONNRESET) && plan->error != FAULT_EOF &&
	    plan->error != ECONNRESET)
		world->dropped++;
	wrong = judge(world, result);
	if (wrong)
		print_message("%s: the %u. %s answers %s: %d, %s\n", name, plan->nth,
			      fault_name(plan->call), fault_error_name(plan->error),
			      result, wrong);
	return !wrong;
}

static unsigned run_place(struct world *world, const char *name, scenario *run,
			  struct fault_plan plan, unsigned *cases)
{
	unsigned wrong = 0;

	for (unsigned i = 0; (plan.error = fault_error(plan.call, i)) != 0; i++) {
		/* It says that nobody is there to answer to: not so here. */
		if (plan.call == FAULT_SENDMSG && plan.error == EPIPE)
			continue;
		wrong += !run_planned(world, name, run, &plan);
		++*cases;
	}
	return wrong;
}

static void run_all(const char *name, scenario *run)
{
	unsigned counts[FAULT_KINDS], cases = 0, wrong = 0;
	struct world world;

	begin(&world);
	arm(&world, NULL);
	assert_int_equal(run_apart(run), 0);
	await_mpd_has_read();
	fault_disarm();
	assert_true(harness_until(is_at_rest, &world, SETTLE_MS));
	for (unsigned i = 0; i < FAULT_KINDS; i++)
		counts[i] = fault_count((enum fault_call)i);
	for (unsigned call = 0; call < FAULT_KINDS; call++)
		for (unsigned nth = 1; nth <= counts[call] && nth <= NTH_MAX; nth++)
			if (wrong < WRONG_SHOWN_MAX)
				wrong += run_place(&world, name, run,
						   (struct fault_plan){ (enum fault_call)call,
									nth, 0 }, &cases);
	print_message("%s: %u cases, %u wrong\n", name, cases, wrong);
	assert_int_equal(wrong, 0);
	assert_true(cases > 0);
	end(&world);
}

static void greeting_survives_each_failing_call_of_mpd(void **state)
{
	run_all("greet", hello);
}

static void new_segment_survives_each_failing_call_of_mpd(void **state)
{
	run_all("attach to a new segment", attach_to_new);
}

static void half_made_segment_survives_each_failing_call_of_mpd(void **state)
{
	run_all("leave a segment half made", leave_half_made);
}

static void unlinking_survives_each_failing_call_of_mpd(void **state)
{
	run_all("unlink", unlink_it);
}

static void looking_survives_each_failing_call_of_mpd(void **state)
{
	run_all("list and observe", look);
}

static void death_of_a_client_survives_each_failing_call_of_mpd(void **state)
{
	run_all("die", attach_and_die);
}

static void new_segment_survives_each_failing_call_of_mpd_with_epoll(void **state)
{
	setenv("MP_WAIT_ENGINE", "futex", 1);
	run_all("attach to a new segment, epoll", attach_to_new);
}

static void death_of_a_client_survives_each_failing_call_of_mpd_with_epoll(void **state)
{
	setenv("MP_WAIT_ENGINE", "futex", 1);
	run_all("die, epoll", attach_and_die);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(greeting_survives_each_failing_call_of_mpd),
	HARNESS_TEST_WITH_MPD(new_segment_survives_each_failing_call_of_mpd),
	HARNESS_TEST_WITH_MPD(half_made_segment_survives_each_failing_call_of_mpd),
	HARNESS_TEST_WITH_MPD(unlinking_survives_each_failing_call_of_mpd),
	HARNESS_TEST_WITH_MPD(looking_survives_each_failing_call_of_mpd),
	HARNESS_TEST_WITH_MPD(death_of_a_client_survives_each_failing_call_of_mpd),
	HARNESS_TEST_WITH_MPD(new_segment_survives_each_failing_call_of_mpd_with_epoll),
	HARNESS_TEST_WITH_MPD(death_of_a_client_survives_each_failing_call_of_mpd_with_epoll),
};

HARNESS_MAIN(tests)
