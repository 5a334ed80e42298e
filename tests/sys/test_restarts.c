/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd may be killed again and again while clients open, use, close and remove segments, and
 * some of them are killed too; its supervisor may be killed with it, before it, or alone. What a
 * client was told holds afterwards: each name means the memory it meant, once; what was removed is
 * gone; what a living client has is never lost; no older mpd greets anybody after a newer one has.
 * Nothing grows: descriptors and memory of the two, records, slots of clients. And an mpd that is
 * killed before it serves is started again ten times a second at most, for as long as it takes.
 */
#include "mpd_pair.h"
#include "raw_client.h"
#include "restart_worker.h"

#include "libshm/cc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RESTARTS 60
#define BATCH 20
#define STEPS_BETWEEN 4
#define PATIENCE_MS 30000
#define ROWS_MAX (WORKERS * NAMES_EACH + 8)
#define FDS_A_SEGMENT 2
#ifdef __SANITIZE_ADDRESS__ /* keeps what was given back for a while */
#define RSS_SLACK_KB 65536
#define MPD_SLACK_KB 65536
#else
#define RSS_SLACK_KB 256
#define MPD_SLACK_KB 1024
#endif

struct scene {
	struct restart_books *books;
	pid_t workers[WORKERS];
	struct mpd_pair pair;
	struct raw watcher;
	uint64_t latest_start_ns; /* of all that have greeted */
	unsigned kills, pairs, workers_killed;
	unsigned supervisor_fds; /* but for those of segments */
	char text[200]; /* what is not right */
};

/* --- processes --- */

struct job {
	struct restart_books *books;
	unsigned number;
};

static int work(void *arg)
{
	struct job *job = arg;

	return restart_work(job->books, job->number);
}

static void start_worker(struct scene *scene, unsigned number)
{
	struct job job = { scene->books, number };

	scene->workers[number] = harness_fork(work, &job);
}

static void kill_worker(struct scene *scene, unsigned number)
{
	harness_kill(scene->workers[number]);
	scene->books->is_parked[number] = 0;
	scene->workers_killed++;
	start_worker(scene, number);
}

/* Whoever greets now is not older than any that has greeted before: two do not serve at once. */
static bool is_greeted(void *arg)
{
	struct scene *scene = arg;

	if (raw_try_connect(&scene->watcher, true)) {
		assert_true(scene->watcher.welcome.started_ns >= scene->latest_start_ns);
		scene->latest_start_ns = scene->watcher.welcome.started_ns;
		return true;
	}
	return false;
}

static void connect_watcher(struct scene *scene)
{
	raw_close(&scene->watcher);
	assert_true(harness_until(is_greeted, scene, PATIENCE_MS));
}

static pid_t mpd_of(const struct scene *scene)
{
	return (pid_t)scene->watcher.welcome.pid;
}

static bool is_mpd_dead(void *arg)
{
	return mpd_pair_is_dead(mpd_of(arg));
}

static bool is_supervisor_dead(void *arg)
{
	struct scene *scene = arg;

	return !mpd_pair_is_kept(&scene->pair);
}

/* Where nobody serves any more, the next client starts a pair. */
static bool is_served(void *arg)
{
	struct scene *scene = arg;

	if (is_greeted(scene))
		return true;
	if (!mpd_pair_is_kept(&scene->pair) && raw_mpd_count() == 0)
		mpd_pair_start(&scene->pair, RAW_GRACE);
	return false;
}

/* --- kills --- */

static void kill_mpd(struct scene *scene)
{
	assert_int_equal(kill(mpd_of(scene), SIGKILL), 0);
	assert_true(harness_until(is_mpd_dead, scene, PATIENCE_MS));
	connect_watcher(scene);
}

/* An mpd that was left alone goes on; without it, who comes finds what clients have, and nothing
 * that nobody had: books.pairs tells which that may be. */
static void have_pair(struct scene *scene)
{
	assert_true(harness_until(is_supervisor_dead, scene, PATIENCE_MS));
	do { /* also one that the supervisor had started just before */
		(void)kill(mpd_of(scene), SIGKILL);
		assert_true(harness_until(is_mpd_dead, scene, PATIENCE_MS));
		raw_close(&scene->watcher);
		assert_true(harness_until(is_served, scene, PATIENCE_MS));
	} while (raw_parent_of(mpd_of(scene)) != scene->pair.supervisor);
	assert_true(mpd_pair_look_at_registry(&scene->pair));
	scene->pairs++;
	scene->books->pairs++;
}

static void kill_supervisor_then_mpd(struct scene *scene)
{
	assert_int_equal(kill(scene->pair.supervisor, SIGKILL), 0);
	assert_int_equal(kill(mpd_of(scene), SIGKILL), 0);
	have_pair(scene);
}

static void kill_mpd_then_supervisor(struct scene *scene)
{
	assert_int_equal(kill(mpd_of(scene), SIGKILL), 0);
	assert_int_equal(kill(scene->pair.supervisor, SIGKILL), 0);
	have_pair(scene);
}

struct progress {
	struct restart_books *books;
	uint64_t wanted;
};

static bool has_progressed(void *arg)
{
	const struct progress *progress = arg;

	return progress->books->steps >= progress->wanted;
}

/* Each of them has done something, or its successor. */
static void await_steps(struct scene *scene, unsigned steps)
{
	struct progress progress = { scene->books, scene->books->steps + steps };

	assert_true(harness_until(has_progressed, &progress, PATIENCE_MS));
}

static void kill_supervisor_and_later_mpd(struct scene *scene)
{
	pid_t mpd = mpd_of(scene);

	assert_int_equal(kill(scene->pair.supervisor, SIGKILL), 0);
	assert_true(harness_until(is_supervisor_dead, scene, PATIENCE_MS));
	await_steps(scene, STEPS_BETWEEN);
	connect_watcher(scene);
	assert_int_equal(mpd_of(scene), mpd);
	have_pair(scene);
}

static void kill_somebody(struct scene *scene, bool is_supervisor_s_turn)
{
	static void (*const with_supervisor[])(struct scene *scene) = {
		kill_supervisor_then_mpd, kill_mpd_then_supervisor, kill_supervisor_and_later_mpd,
	};
	unsigned kind = scene->kills % 6;

	scene->books->pairs += is_supervisor_s_turn && kind == 0;
	if (is_supervisor_s_turn && kind == 0)
		with_supervisor[scene->pairs % ARRAY_LEN(with_supervisor)](scene);
	else
		kill_mpd(scene);
	if (kind == 3)
		kill_worker(scene, scene->kills / 6 % WORKERS);
	scene->kills++;
}

/* --- what there is, and what clients were told --- */

static bool are_parked(void *arg)
{
	const struct scene *scene = arg;
	unsigned parked = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		parked += scene->books->is_parked[i];
	return parked == WORKERS;
}

static bool complain(struct scene *scene, const char *name, const char *what, long number)
{
	snprintf(scene->text, sizeof scene->text, "'%s': %s (%ld)", name, what, number);
	return false;
}

static unsigned count_rows(const struct proto_listed *rows, int count, const char *name,
			   unsigned *ret_clients)
{
	unsigned found = 0;

	for (int i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		found++;
		*ret_clients = rows[i].clients;
	}
	return found;
}

/* One name of one worker; adds what there is of it. */
static bool is_name_right(struct scene *scene, const struct proto_listed *rows, int count,
			  unsigned worker, unsigned number, unsigned *ret_there)
{
	struct name_books *name = &scene->books->names[worker][number];
	bool may_be_lost = restart_may_be_lost(scene->books, name);
	unsigned clients = 0, found;
	char text[32];

	restart_name(worker, number, text);
	found = count_rows(rows, count, text, &clients);
	*ret_there += found;
	if (found != (name->state != NAME_ABSENT) && !(may_be_lost && found == 0))
		return complain(scene, text, "so often there", found);
	if (found && clients != (name->state == NAME_OPEN))
		return complain(scene, text, "so many clients", clients);
	return true;
}

static unsigned count_records(const struct scene *scene)
{
	unsigned count = 0;

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		count += load_acquire(&scene->pair.records[i].state) != REGISTRY_FREE;
	return count;
}

static bool is_holding_right(struct scene *scene, unsigned segments)
{
	unsigned fds = raw_fd_count(scene->pair.supervisor);

	if (count_records(scene) != segments)
		return complain(scene, "registry", "so many records", count_records(scene));
	if (mpd_pair_count_stored(&scene->pair) != segments * FDS_A_SEGMENT)
		return complain(scene, "supervisor", "so many segments' descriptors",
				mpd_pair_count_stored(&scene->pair));
	if (!scene->supervisor_fds)
		scene->supervisor_fds = fds - segments * FDS_A_SEGMENT;
	if (fds != scene->supervisor_fds + segments * FDS_A_SEGMENT)
		return complain(scene, "supervisor", "so many descriptors", fds);
	if (raw_mpd_count() != 2)
		return complain(scene, "mpd", "so many processes", raw_mpd_count());
	return true;
}

static bool is_all_right(void *arg)
{
	struct proto_listed rows[ROWS_MAX];
	struct scene *scene = arg;
	unsigned there = 0, clients = 0;
	int count = raw_list(&scene->watcher, rows, ROWS_MAX);

	if (count < 0 || count > ROWS_MAX)
		return complain(scene, "list", "no list", count);
	for (unsigned i = 0; i < WORKERS * NAMES_EACH; i++)
		if (!is_name_right(scene, rows, count, i / NAMES_EACH, i % NAMES_EACH, &there))
			return false;
	if (count_rows(rows, count, COMMON, &clients) != 1 || clients != WORKERS)
		return complain(scene, COMMON, "so many clients", clients);
	if ((unsigned)count != there + 1)
		return complain(scene, "list", "so many segments", count);
	return is_holding_right(scene, (unsigned)count);
}

/* Each kill of a worker may have come between a message and what was written of it. */
static void compare(struct scene *scene)
{
	struct restart_books *books = scene->books;

	books->is_pausing = 1;
	assert_true(harness_until(are_parked, scene, PATIENCE_MS));
	if (!harness_until(is_all_right, scene, PATIENCE_MS))
		fail_msg("after %u kills: %s", scene->kills, scene->text);
	assert_int_equal(books->a, books->b);
	books->is_pausing = 0;
}

/* --- what does not grow --- */

static long rss_kb(pid_t pid)
{
	char path[40], line[256];
	long kb = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	fclose(file);
	return kb;
}

/* The same supervisor through all of the batch, and as many segments at most. */
static void run_batch(struct scene *scene, bool has_supervisor_s_turns)
{
	long supervisor_kb, mpd_kb = rss_kb(mpd_of(scene));
	pid_t supervisor = scene->pair.supervisor;

	kill_somebody(scene, false);
	supervisor_kb = rss_kb(scene->pair.supervisor);
	for (unsigned i = 1; i < BATCH; i++) {
		await_steps(scene, STEPS_BETWEEN);
		kill_somebody(scene, has_supervisor_s_turns);
	}
	compare(scene);
	assert_in_range(rss_kb(mpd_of(scene)), 1, mpd_kb + MPD_SLACK_KB);
	if (has_supervisor_s_turns)
		return;
	assert_int_equal(scene->pair.supervisor, supervisor);
	assert_in_range(rss_kb(supervisor), 1, supervisor_kb + RSS_SLACK_KB);
}

static void begin(struct scene *scene)
{
	*scene = (struct scene){ .pair = { .gate = -1 },
				 .watcher = { .socket = -1, .roster = -1 } };
	scene->books = mmap(NULL, sizeof *scene->books, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(scene->books != MAP_FAILED);
	mpd_pair_start(&scene->pair, RAW_GRACE);
	connect_watcher(scene);
	assert_true(mpd_pair_look_at_registry(&scene->pair));
	for (unsigned i = 0; i < WORKERS; i++)
		start_worker(scene, i);
}

static void end(struct scene *scene)
{
	scene->books->is_ending = 1;
	for (unsigned i = 0; i < WORKERS; i++)
		harness_join(scene->workers[i]);
	raw_close(&scene->watcher);
	assert_int_equal(mpd_pair_await(&scene->pair), 0);
	mpd_pair_reap();
	munmap(scene->books, sizeof *scene->books);
}

static void restarts_under_load_lose_and_leave_nothing(void **state)
{
	unsigned wanted = RESTARTS * harness_scale();
	struct scene scene;

	begin(&scene);
	while (scene.kills < wanted)
		run_batch(&scene, scene.kills / BATCH % 3 != 2);
	print_message("%u kills, %u of them with the supervisor; %u workers killed; %llu steps\n",
		      scene.kills, scene.pairs, scene.workers_killed,
		      (unsigned long long)scene.books->steps);
	end(&scene);
}

/* --- who is killed before it serves --- */

#define PAUSES_WANTED 6
#define KILLS_AT_ONCE 5 /* of mpd's supervisor: EARLY_DEATHS, and its pause behind each more */
#define PAUSE_NS INT64_C(100000000)

/* It takes a name when it begins to serve. */
static bool is_early(pid_t child)
{
	char path[40], name[32] = "";
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)child);
	file = fopen(path, "re");
	if (file && !fgets(name, sizeof name, file))
		name[0] = '\0';
	if (file)
		fclose(file);
	return strcmp(name, "mpd\n") != 0;
}

/* Without a pause: it takes a start no longer than a millisecond to be over. Stopped while it is
 * looked at. */
static bool kill_next_early(struct scene *scene)
{
	int64_t deadline_ns = harness_now_ns() + PATIENCE_MS * INT64_C(1000000);
	pid_t child = 0, former = mpd_of(scene);
	bool was_early;

	while (!child || child == former) {
		child = mpd_pair_child(&scene->pair);
		assert_true(harness_now_ns() < deadline_ns);
	}
	assert_int_equal(kill(child, SIGSTOP), 0);
	was_early = is_early(child);
	assert_int_equal(kill(child, SIGKILL), 0);
	scene->watcher.welcome.pid = (uint32_t)child;
	return was_early;
}

/* How many pauses there must have been: one behind each early death but the first in a row. */
static unsigned kill_early_ones(struct scene *scene)
{
	int64_t deadline_ns = harness_now_ns() + PATIENCE_MS * INT64_C(1000000);
	unsigned in_a_row = 0, pauses = 0;

	while (pauses < PAUSES_WANTED && harness_now_ns() < deadline_ns) {
		in_a_row = kill_next_early(scene) ? in_a_row + 1 : 0;
		pauses += in_a_row >= KILLS_AT_ONCE;
	}
	return pauses;
}

static void mpd_that_is_killed_before_it_serves_is_started_again_after_a_pause(void **state)
{
	struct scene scene = { .pair = { .gate = -1 },
			       .watcher = { .socket = -1, .roster = -1 } };
	struct raw_segment segment, found;
	int64_t begin_ns;
	struct raw raw;

	mpd_pair_start(&scene.pair, RAW_GRACE);
	connect_watcher(&scene);
	raw_connect(&raw);
	raw_attach(&raw, "survivor", 0, &segment);
	assert_int_equal(kill(mpd_of(&scene), SIGKILL), 0);
	begin_ns = harness_now_ns();
	if (kill_early_ones(&scene) < PAUSES_WANTED)
		harness_skip("this machine is too slow to kill mpd before it serves");
	raw_close(&raw);
	raw_connect(&raw); /* the last pause was over */
	assert_true(harness_now_ns() - begin_ns >= PAUSES_WANTED * PAUSE_NS);
	assert_int_equal(raw_open(&raw, "survivor", 0, MP_EXISTING, &found), 0);
	assert_int_equal(found.opened.generation, segment.opened.generation);
	raw_forget(&found);
	raw_forget(&segment);
	raw_close(&raw);
	raw_close(&scene.watcher);
	assert_int_equal(mpd_pair_await(&scene.pair), 0);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(restarts_under_load_lose_and_leave_nothing),
	HARNESS_TEST_WITH_MPD(
		mpd_that_is_killed_before_it_serves_is_started_again_after_a_pause),
};

HARNESS_MAIN(tests)
