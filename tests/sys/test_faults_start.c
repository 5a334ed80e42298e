/* SPDX-License-Identifier: MIT
 *
 * Proves: whichever call of mpd or its supervisor fails once while they start, start again, look
 * for what was lost, end, or find that another mpd serves already: mpd serves in the end with all
 * that living clients have, or ends with a code and a sentence, and nothing is left. There is never
 * a second one beside it.
 */
#include "fault.h"
#include "fault_client.h"

#include "libshm/slot.h"

#include <libshm/base.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT "kept"   /* the runner is attached to it */
#define SHELF "shelf" /* nobody is: MP_KEEP */
#define MARK 0x5a
#define SETTLE_MS 15000
#define WRONG_SHOWN_MAX 8
#define NTH_MAX 6 /* places a kind of call; 20 times as many at night */
#define SENTENCE_BYTES 20
#define STAYS "10000"
#define RUNNING INT32_MIN

struct world {
	const char *path;      /* the log, emptied at each start */
	pid_t supervisor, mpd; /* supervisor 0: none was started, or it was waited for */
	int code;              /* of the supervisor, RUNNING if it has not ended */
	int second;            /* of one beside it; 0: it was right */
	struct raw_segment kept;
	struct raw sibling;    /* its connection, over once mpd was killed */
	pid_t actor;           /* attached to it too, and dies with mpd */
	bool has_kept;
	unsigned fds, supervisor_fds; /* at rest; 0: not known yet */
};

/* What fails in it, and what is to hold then: NULL or what is wrong. */
struct scenario {
	const char *what, *grace;
	void (*begin)(struct world *world); /* nothing fails */
	void (*act)(struct world *world);
	const char *(*judge)(struct world *world);
};

static char log_path[128], page_path[128];
static struct proto_opened *seen; /* what a client was told last, in a shared page */

/* --- mpd and its supervisor --- */

static const char *grace; /* ms: how long an mpd stays that nobody uses */

static pid_t start(bool is_first)
{
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (is_first ? O_TRUNC : 0);
	int log = open(log_path, flags, 0600);
	pid_t child;

	assert_true(log >= 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(log, STDERR_FILENO);
		setsid();
		execl(MPD_FAULTY, "mpd", "--foreground", "--supervise", "--endpoint",
		      getenv("MP_ENDPOINT"), "--grace", grace, "--config", "none", NULL);
		_exit(127);
	}
	close(log);
	return child;
}

static void start_supervisor(struct world *world)
{
	world->supervisor = start(true);
	world->code = RUNNING;
}

/* Waits no longer than for what has happened already. */
static bool has_ended(void *arg)
{
	struct world *world = arg;
	int status;

	if (world->code == RUNNING && waitpid(world->supervisor, &status, WNOHANG) != 0)
		world->code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
	return world->code != RUNNING;
}

static int attach_apart(void *arg)
{
	struct world *world = arg;

	return -fault_attach_and_leave(world->has_kept ? KEPT : "new", 0, seen);
}

/* In a process of its own: this one has a byte of the roster, which it would lose. */
static bool is_served(struct world *world)
{
	return harness_wait(harness_fork(attach_apart, world)) == 0;
}

static bool is_decided(void *arg)
{
	return has_ended(arg) || is_served(arg);
}

static bool is_alone(void *count)
{
	return raw_mpd_count() == *(unsigned *)count;
}

/* The log has a line that says something. */
static bool has_sentence(void)
{
	FILE *log = fopen(log_path, "re");
	char line[512];
	bool is_found = false;

	assert_non_null(log);
	while (fgets(line, sizeof line, log))
		is_found |= strlen(line) > SENTENCE_BYTES;
	fclose(log);
	return is_found;
}

static bool is_there(const char *suffix)
{
	char path[160];

	snprintf(path, sizeof path, "%s%s", getenv("MP_ENDPOINT"), suffix);
	return access(path, F_OK) == 0;
}

static bool has_files(void)
{
	return is_there("") || is_there(".lock") || is_there(".leaving") || is_there(".left");
}

/* SIGTERM, and nothing fails: mpd's files go, and whatever a failing call has left there. */
static const char *end_well(struct world *world)
{
	unsigned none = 0;

	if (kill(world->supervisor, SIGTERM) < 0 || !harness_until(has_ended, world, SETTLE_MS))
		return "it does not end";
	if (world->code != 0)
		return "it ends with a code though it was told to end";
	if (!harness_until(is_alone, &none, SETTLE_MS))
		return "a process is left";
	return has_files() ? "a file is left" : NULL;
}

static const char *judge_refusal(struct world *world)
{
	unsigned none = 0;

	if (world->code == 0)
		return "it ends as if all were well";
	if (world->code < 0)
		return "it is ended by a signal";
	if (!has_sentence())
		return "it ends without a word";
	return harness_until(is_alone, &none, SETTLE_MS) ? NULL : "mpd is left";
}

/* --- a start --- */

static void begin_nothing(struct world *world)
{
	(void)world;
}

static const char *start_again(struct world *world)
{
	start_supervisor(world);
	if (!harness_until(is_decided, world, SETTLE_MS) || world->code != RUNNING)
		return "the next one does not come up";
	return end_well(world);
}

static const char *judge_start(struct world *world)
{
	const char *wrong;

	if (!harness_until(is_decided, world, SETTLE_MS))
		return "it neither serves nor ends";
	fault_disarm();
	if (world->code == RUNNING)
		return end_well(world);
	wrong = judge_refusal(world);
	return wrong ? wrong : start_again(world);
}

/* --- a restart --- */

static int be_actor(void *ready)
{
	struct raw_segment segment;
	struct raw raw;

	raw_connect(&raw);
	raw_attach(&raw, KEPT, 0, &segment);
	assert_int_equal(write(*(int *)ready, "", 1), 1);
	pause();
	return 0;
}

static void start_actor(struct world *world)
{
	int channel[2];
	char byte;

	assert_int_equal(pipe2(channel, O_CLOEXEC), 0);
	world->actor = harness_fork(be_actor, &channel[1]);
	close(channel[1]);
	assert_int_equal(read(channel[0], &byte, 1), 1);
	close(channel[0]);
}

static void make_shelf(struct raw *raw)
{
	struct raw_segment shelf;

	assert_int_equal(raw_open(raw, SHELF, 4 << 20, MP_KEEP, &shelf), 0);
	raw_format(raw, &shelf, SHELF);
	close(shelf.fd);
}

static void begin_kept(struct world *world)
{
	start_supervisor(world);
	raw_connect(&world->sibling);
	make_shelf(&world->sibling);
	raw_attach(&world->sibling, KEPT, 0, &world->kept);
	*raw_page(&world->kept) = MARK;
	world->mpd = (pid_t)world->sibling.welcome.pid;
	world->has_kept = true;
	world->fds = world->supervisor_fds = 0;
}

static void kill_actor(struct world *world)
{
	if (world->actor)
		harness_kill(world->actor);
	world->actor = 0;
}

static void kill_mpd(struct world *world)
{
	kill(world->mpd, SIGKILL);
	kill_actor(world);
}

static bool is_lone_client(struct world *world)
{
	struct seg *seg = world->kept.seg;
	uint32_t used = 0;

	for (uint32_t i = SLOT_FIRST; i < seg_clients_high(seg); i++)
		used += client_word_state(slot_client_word(seg, i)) != SLOT_FREE;
	return used == 1;
}

static bool is_at_rest(void *arg)
{
	struct world *world = arg;

	return is_lone_client(world) && raw_mpd_count() == 2 &&
	       (!world->fds || raw_lasting_fd_count(world->mpd) == world->fds) &&
	       (!world->supervisor_fds ||
		raw_fd_count(world->supervisor) == world->supervisor_fds);
}

static const char *judge_segments(struct world *world, bool is_same_number, unsigned wanted)
{
	struct raw raw;
	unsigned count;

	raw_connect_as_observer(&raw);
	count = raw_count(&raw);
	close(raw.socket);
	world->mpd = (pid_t)raw.welcome.pid;
	if (raw_is_swept(&world->kept))
		return "a living client was taken for dead";
	if (seen->generation != world->kept.opened.generation ||
	    (is_same_number && seen->segment != world->kept.opened.segment))
		return "a name has another memory than its living client";
	if (*raw_page(&world->kept) != MARK)
		return "the memory of a living client was given away";
	return count == wanted ? NULL : "a segment is lost, or one is left";
}

static const char *judge_restart(struct world *world)
{
	const char *wrong;

	if (!harness_until(is_decided, world, SETTLE_MS))
		return "there is no mpd again";
	fault_disarm();
	if (world->code != RUNNING)
		return "the supervisor has ended, and what clients have is lost";
	wrong = judge_segments(world, true, 2);
	if (!wrong && !harness_until(is_at_rest, world, SETTLE_MS))
		wrong = !is_lone_client(world) ? "a dead client is not swept" :
			raw_mpd_count() != 2 ? "there is a second mpd" : "a descriptor is left";
	return wrong;
}

static void act_restart(struct world *world)
{
	kill_mpd(world);
}

/* --- both are gone --- */

/* The kernel lets go of a killed mpd's lock and socket one after the other. */
static bool is_free(void *arg)
{
	char path[160];
	struct raw raw;
	int lock;

	(void)arg;
	snprintf(path, sizeof path, "%s.lock", getenv("MP_ENDPOINT"));
	lock = open(path, O_RDWR | O_CLOEXEC);
	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0) {
		close(lock);
		return false;
	}
	raw_dial(&raw);
	if (lock >= 0)
		close(lock);
	if (raw.socket >= 0)
		close(raw.socket);
	return raw.socket < 0;
}

static void kill_both(struct world *world)
{
	kill(-world->supervisor, SIGKILL);
	harness_until(has_ended, world, SETTLE_MS);
	assert_true(harness_until(is_free, NULL, SETTLE_MS));
}

static void act_rescue(struct world *world)
{
	kill_both(world);
	kill_actor(world);
	start_supervisor(world);
}

static const char *judge_rescue(struct world *world)
{
	const char *wrong = NULL;

	if (!harness_until(is_decided, world, SETTLE_MS))
		return "it neither serves nor ends";
	fault_disarm();
	if (world->code != RUNNING) {
		wrong = judge_refusal(world);
		start_supervisor(world);
		if (!wrong && (!harness_until(is_decided, world, SETTLE_MS) ||
			       world->code != RUNNING))
			wrong = "the next one does not come up";
	}
	return wrong ? wrong : judge_segments(world, false, 1);
}

/* --- an end --- */

static void begin_served(struct world *world)
{
	start_supervisor(world);
	assert_true(harness_until(is_decided, world, SETTLE_MS));
	assert_int_equal(world->code, RUNNING);
}

static void act_end(struct world *world)
{
	kill(world->supervisor, SIGTERM);
}

static void act_leave(struct world *world)
{
	assert_true(harness_until(is_decided, world, SETTLE_MS));
}

static const char *judge_end(struct world *world)
{
	unsigned none = 0;
	const char *wrong = NULL;

	if (!harness_until(has_ended, world, SETTLE_MS))
		return "it does not end";
	fault_disarm();
	if (world->code != 0)
		wrong = judge_refusal(world);
	else if (!harness_until(is_alone, &none, SETTLE_MS))
		wrong = "a process is left";
	if (!wrong)
		wrong = start_again(world);
	if (!wrong)
		begin_served(world);
	return wrong;
}

/* --- a second one --- */

static void act_second(struct world *world)
{
	pid_t second = start(false);
	int code = harness_wait(second);

	world->second = code == 0 || (code > 0 && has_sentence()) ? 0 : code;
	kill_actor(world);
}

static const char *judge_second(struct world *world)
{
	pid_t mpd = world->mpd;
	const char *wrong;

	if (world->second != 0)
		return world->second < 0 ? "the second was ended by a signal"
					 : "the second ends without a word";
	if (!harness_until(is_decided, world, SETTLE_MS) || world->code != RUNNING)
		return "the first does not answer any more";
	fault_disarm();
	wrong = judge_segments(world, true, 2);
	if (world->mpd != mpd)
		return "the second serves";
	return wrong ? wrong : is_there(".lock") ? NULL : "the lock file is gone";
}

/* --- the loops --- */

static void raze(struct world *world)
{
	kill_actor(world);
	if (world->supervisor > 1)
		kill_both(world);
	if (world->has_kept) {
		raw_close(&world->sibling);
		raw_forget(&world->kept);
	}
	*world = (struct world){ .code = RUNNING };
}

static const char *run_case(const struct scenario *scenario, struct world *world,
			    const struct fault_plan *plan)
{
	const char *wrong;

	if (world->has_kept)
		start_actor(world);
	fault_arm(plan, FAULT_GUESTS);
	scenario->act(world);
	wrong = scenario->judge(world);
	fault_disarm();
	return wrong;
}

static void show_log(void)
{
	FILE *log = fopen(log_path, "re");
	char line[512];

	while (log && fgets(line, sizeof line, log))
		print_message("    %s", line);
	if (log)
		fclose(log);
}

static bool run_planned(const struct scenario *scenario, struct world *world,
			const struct fault_plan *plan)
{
	const char *wrong = run_case(scenario, world, plan);

	if (!wrong)
		return true;
	print_message("%s: the %u. %s answers %s: %s\n", scenario->what, plan->nth,
		      fault_name(plan->call), fault_error_name(plan->error), wrong);
	show_log();
	raze(world);
	scenario->begin(world);
	return false;
}

/* All errors at night; else one of each place, in turn. */
static unsigned run_place(const struct scenario *scenario, struct world *world,
			  struct fault_plan plan, unsigned *cases)
{
	unsigned errors = 0, wrong = 0;

	while (fault_error(plan.call, errors) != 0)
		errors++;
	for (unsigned i = 0; i < errors; i++) {
		if (harness_scale() == 1 && i != (plan.nth - 1) % errors)
			continue;
		plan.error = fault_error(plan.call, i);
		wrong += !run_planned(scenario, world, &plan);
		++*cases;
	}
	return wrong;
}

static void begin_page(void)
{
	const char *directory = harness_endpoint()->directory;

	snprintf(log_path, sizeof log_path, "%s/log", directory);
	snprintf(page_path, sizeof page_path, "%s/page", directory);
	fault_begin(page_path);
	seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
}

static void run_unharmed(const struct scenario *scenario, struct world *world,
			 unsigned counts[FAULT_KINDS])
{
	const char *wrong = run_case(scenario, world, NULL);

	if (wrong)
		fail_msg("%s: %s, though nothing fails", scenario->what, wrong);
	for (unsigned i = 0; i < FAULT_KINDS; i++)
		counts[i] = fault_count((enum fault_call)i);
}

static void run_all(const struct scenario *scenario)
{
	unsigned counts[FAULT_KINDS], cases = 0, wrong = 0;
	struct world world = { .code = RUNNING };

	begin_page();
	grace = scenario->grace;
	scenario->begin(&world);
	run_unharmed(scenario, &world, counts);
	for (unsigned call = 0; call < FAULT_KINDS; call++)
		for (unsigned nth = 1; nth <= counts[call] && nth <= NTH_MAX * harness_scale();
		     nth++)
			if (wrong < WRONG_SHOWN_MAX)
				wrong += run_place(scenario, &world,
						   (struct fault_plan){ (enum fault_call)call,
									nth, 0 }, &cases);
	print_message("%s: %u cases, %u wrong\n", scenario->what, cases, wrong);
	raze(&world);
	munmap(seen, sizeof *seen);
	unlink(log_path);
	unlink(page_path);
	assert_int_equal(wrong, 0);
	assert_true(cases > 0);
}

static void start_survives_each_failing_call(void **state)
{
	run_all(&(struct scenario){ "start", STAYS, begin_nothing, start_supervisor, judge_start });
}

static void restart_survives_each_failing_call(void **state)
{
	run_all(&(struct scenario){ "restart", STAYS, begin_kept, act_restart, judge_restart });
}

static void search_for_what_was_lost_survives_each_failing_call(void **state)
{
	run_all(&(struct scenario){ "rescue", STAYS, begin_kept, act_rescue, judge_rescue });
}

static void end_survives_each_failing_call(void **state)
{
	run_all(&(struct scenario){ "end", STAYS, begin_served, act_end, judge_end });
}

static void leaving_survives_each_failing_call(void **state)
{
	run_all(&(struct scenario){ "leave", "60", begin_served, act_leave, judge_end });
}

static void second_mpd_never_serves_beside_the_first_whichever_call_fails(void **state)
{
	run_all(&(struct scenario){ "second", STAYS, begin_kept, act_second, judge_second });
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(start_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(restart_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(search_for_what_was_lost_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(end_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(leaving_survives_each_failing_call),
	HARNESS_TEST_WITH_MPD(second_mpd_never_serves_beside_the_first_whichever_call_fails),
};

HARNESS_MAIN(tests)
