/* SPDX-License-Identifier: MIT
 *
 * Proves: mptop on a terminal shows a deadlock with all its names, a full queue, every view and
 * key, at any size and while it is resized, without colours and without UTF-8; it shows the
 * segments of a dead mpd and says so; it leaves when the terminal does, and sleeps between looks.
 * Knows: the screen's texts. Does not know: how they are drawn.
 */
#include "harness.h"
#include "json_check.h"
#include "pty_driver.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOON 10000 /* ms; a screen is there much earlier */
#define ACTORS 4

/* A sanitizer's own work at the exit would need another terminal. */
#define COMMON "ASAN_OPTIONS=detect_leaks=0", "LC_ALL=", "LANG=", "NO_COLOR="
static const char *const xterm[] = { COMMON, "TERM=xterm", "LC_CTYPE=C.UTF-8", NULL };

struct scene {
	pid_t actors[ACTORS];
};

struct role {
	const char *name;
	int (*play)(mp_segment *segment);
};

static mp_lock *open_lock(mp_segment *segment, const char *name)
{
	mp_lock *lock;

	assert_int_equal(mp_lock_open(segment, name, NULL, &lock), 0);
	return lock;
}

static bool is_locked(void *arg)
{
	return mp_lock_is_locked(arg) == 1;
}

/* Take the first, then ask for the second once the other has it: the embrace of every textbook. */
static int embrace(mp_segment *segment, const char *first, const char *second)
{
	mp_lock *mine = open_lock(segment, first), *other = open_lock(segment, second);

	assert_int_equal(mp_lock_acquire(mine, MP_FOREVER), 0);
	assert_true(harness_until(is_locked, other, SOON));
	return mp_lock_acquire(other, MP_FOREVER);
}

static int play_loader(mp_segment *segment)
{
	return embrace(segment, "cfg.lock", "db.lock");
}

static int play_writer(mp_segment *segment)
{
	return embrace(segment, "db.lock", "cfg.lock");
}

static int play_feeder(mp_segment *segment)
{
	const struct mp_queue_opts opts = { .capacity = 2 };
	mp_queue *jobs;

	assert_int_equal(mp_queue_open(segment, "jobs", &opts, &jobs), 0);
	while (mp_queue_put(jobs, "x", 1, MP_FOREVER) == 0)
		;
	return 1;
}

static int play_reader(mp_segment *segment)
{
	mp_queue *news;
	mp_barrier *turn;
	mp_event *go;
	char buf[64];

	assert_int_equal(mp_barrier_open(segment, "turn", &(struct mp_barrier_opts){ .parties = 2 },
					 &turn), 0);
	assert_int_equal(mp_barrier_wait(turn, MP_NOW, NULL), -ETIMEDOUT);
	assert_int_equal(mp_event_open(segment, "go", NULL, &go), 0);
	assert_int_equal(mp_queue_open(segment, "news", NULL, &news), 0);
	return mp_queue_get(news, buf, sizeof(buf), MP_FOREVER);
}

static const struct role roles[ACTORS] = {
	{ "loader", play_loader }, { "writer", play_writer },
	{ "feeder", play_feeder }, { "reader", play_reader },
};

static int act(void *arg)
{
	const struct role *role = arg;
	const struct mp_segment_opts opts = { .client_name = role->name };
	mp_segment *segment;

	assert_int_equal(mp_segment_open("scene", &opts, &segment), 0);
	return role->play(segment);
}

/* Threads take part from their first acquire, put or get on. */
static uint32_t threads_on_stage(uint32_t *ret_waiting)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	uint32_t count = 0;

	*ret_waiting = 0;
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	if (mp_observe_refresh(observer) == 1 && mp_observe_snapshot(observer, 0, &snapshot) == 0)
		count = snapshot->thread_count;
	for (uint32_t i = 0; i < count; i++)
		*ret_waiting += snapshot->threads[i].is_waiting;
	mp_observe_close(observer);
	return count;
}

static bool are_on_stage(void *arg)
{
	uint32_t waiting;

	return threads_on_stage(&waiting) == *(unsigned *)arg;
}

static bool do_all_wait(void *unused)
{
	uint32_t waiting;

	return threads_on_stage(&waiting) == ACTORS && waiting == ACTORS;
}

/* One after the other, so that their slots and with them the order of names are known. */
static void scene_begin(struct scene *scene)
{
	for (unsigned i = 0; i < ACTORS; i++) {
		unsigned expected = i + 1;

		scene->actors[i] = harness_fork(act, (void *)&roles[i]);
		assert_true(harness_until(are_on_stage, &expected, SOON));
	}
	assert_true(harness_until(do_all_wait, NULL, SOON));
}

static void scene_end(struct scene *scene)
{
	for (unsigned i = 0; i < ACTORS; i++)
		harness_kill(scene->actors[i]);
}

/* The mptop of this build, three folders up and one down. */
static char *mptop_path(void)
{
	static char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 16);

	assert_true(length > 0);
	path[length] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/mptop/mptop");
	return path;
}

static void start(struct pty *pty, int rows, int columns, const char *const *environment,
		  char *option)
{
	char *argv[] = { mptop_path(), "-d", "0.2", option, NULL };

	if (access("/lib/terminfo/x/xterm", R_OK) < 0 &&
	    access("/usr/share/terminfo/x/xterm", R_OK) < 0)
		harness_skip("no terminfo of xterm (ncurses-base)");
	pty_start(pty, rows, columns, argv, environment);
}

static void quit(struct pty *pty)
{
	int code;

	pty_send(pty, "q");
	code = pty_end(pty, SOON);
	if (code)
		pty_dump(pty);
	assert_int_equal(code, 0);
	assert_int_equal(pty->unknown, 0);
}

static void overview_names_the_deadlock_and_the_full_queue(void **state)
{
	struct scene scene;
	struct pty pty;
	char text[128];

	scene_begin(&scene);
	start(&pty, 24, 80, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	snprintf(text, sizeof(text), "loader[%d] ? db.lock ? writer[%d] ? cfg.lock",
		 scene.actors[0], scene.actors[1]);
	assert_true(pty_expect(&pty, text, SOON));
	assert_true(pty_expect(&pty, "full 2/2, 1 blocked in put", SOON));
	assert_true(pty_expect(&pty, "[1]Overview", SOON));
	assert_true(pty_expect(&pty, "mpd 0.", SOON));
	assert_true(pty_expect(&pty, "Procs   4 run 0 blocked 4", SOON));
	/* Worst first, and the alarm above all. */
	assert_true(pty_find(&pty, "DEADLOCK") < pty_find(&pty, "[1]Overview"));
	assert_true(pty_find(&pty, "CRIT") < pty_find(&pty, "full 2/2"));
	assert_true(pty.colours > 0 && pty.non_ascii > 0);
	/* The dead release what they held: the cycle is gone. */
	kill(scene.actors[0], SIGKILL);
	assert_true(pty_expect_gone(&pty, "DEADLOCK", SOON));
	quit(&pty);
	scene_end(&scene);
}

static void every_view_has_its_key_and_its_columns(void **state)
{
	struct scene scene;
	struct pty pty;

	scene_begin(&scene);
	start(&pty, 24, 110, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	pty_send(&pty, "2");
	assert_true(pty_expect(&pty, "[2]Procs", SOON));
	assert_true(pty_expect(&pty, "BLOCKED ON", SOON));
	assert_true(pty_expect(&pty, "news (empty)", SOON));
	assert_true(pty_expect(&pty, "jobs (full)", SOON));
	pty_send(&pty, "3");
	assert_true(pty_expect(&pty, "[3]Locks", SOON));
	assert_true(pty_expect(&pty, "WAIT#", SOON));
	assert_true(pty_expect(&pty, "cfg.lock", SOON));
	pty_send(&pty, "\t");
	assert_true(pty_expect(&pty, "[4]Queues", SOON));
	assert_true(pty_expect(&pty, "BLK(p/g)", SOON));
	assert_true(pty_expect(&pty, "2/2", SOON));
	pty_send(&pty, "5");
	assert_true(pty_expect(&pty, "[5]Syncs", SOON));
	assert_true(pty_expect(&pty, "barrier turn is broken: timeout; 0 waiting", SOON));
	assert_true(pty_expect(&pty, "by: reader[", SOON));
	pty_send(&pty, "j");
	assert_true(pty_expect(&pty, "event go is clear; 0 waiting", SOON));
	pty_send(&pty, "\t");
	assert_true(pty_expect(&pty, "[1]Overview", SOON));
	quit(&pty);
	scene_end(&scene);
}

/* Not in one moment: a screen may come in pieces. */
static bool is_feeder_first(void *arg)
{
	struct pty *pty = arg;

	pty_settle(pty, 10);
	return pty_find(pty, "feeder ") > 0 &&
	       pty_find(pty, "feeder ") < pty_find(pty, "reader ");
}

static bool is_reader_first(void *arg)
{
	struct pty *pty = arg;

	pty_settle(pty, 10);
	return pty_find(pty, "reader ") > 0 &&
	       pty_find(pty, "reader ") < pty_find(pty, "feeder ");
}

static void keys_filter_sort_pause_and_help(void **state)
{
	struct scene scene;
	struct pty pty;

	scene_begin(&scene);
	start(&pty, 24, 100, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	pty_send(&pty, "2/read");
	assert_true(pty_expect(&pty, "Filter: read", SOON));
	assert_true(pty_expect_gone(&pty, "feeder", SOON));
	pty_send(&pty, "\r");
	assert_true(pty_expect(&pty, "(Esc: all)", SOON));
	assert_true(pty_expect(&pty, "reader", SOON));
	pty_send(&pty, "\033");
	assert_true(pty_expect(&pty, "feeder", SOON));
	/* By name: the next but one column. */
	pty_send(&pty, ">>");
	assert_true(pty_expect(&pty, "NAME?", SOON));
	assert_true(harness_until(is_feeder_first, &pty, SOON));
	pty_send(&pty, "I");
	assert_true(harness_until(is_reader_first, &pty, SOON));
	pty_send(&pty, " ");
	assert_true(pty_expect(&pty, "PAUSED", SOON));
	pty_send(&pty, " ");
	assert_true(pty_expect(&pty, "LIVE", SOON));
	pty_send(&pty, "+");
	assert_true(pty_expect(&pty, "400ms", SOON));
	pty_send(&pty, "h");
	assert_true(pty_expect(&pty, "processes: blocked on, holds, sleeps", SOON));
	pty_send(&pty, "q");
	assert_true(pty_expect(&pty, "[2]Procs", SOON));
	quit(&pty);
	scene_end(&scene);
}

static void the_cursor_moves_and_its_row_is_told_in_full(void **state)
{
	struct scene scene;
	struct pty pty;

	scene_begin(&scene);
	start(&pty, 24, 100, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	pty_send(&pty, "4");
	assert_true(pty_expect(&pty, "jobs: 2 of 2 messages", SOON));
	pty_send(&pty, "j");
	assert_true(pty_expect(&pty, "news: 0 of 1024 messages", SOON));
	pty_send(&pty, "\033OA");
	assert_true(pty_expect(&pty, "jobs: 2 of 2 messages", SOON));
	pty_send(&pty, "\033OF\033OB\033[6~");
	assert_true(pty_expect(&pty, "news: 0 of 1024 messages", SOON));
	pty_send(&pty, "\033OH\033[5~");
	assert_true(pty_expect(&pty, "jobs: 2 of 2 messages", SOON));
	quit(&pty);
	scene_end(&scene);
}

static void reason_against_uring_stands_in_the_head_and_at_its_process(void **state)
{
	struct scene scene;
	struct pty pty;

	setenv("MP_WAIT_ENGINE", "futex", 1);
	scene_begin(&scene);
	start(&pty, 24, 120, xterm, NULL);
	assert_true(pty_expect(&pty, "why futex: MP_WAIT_ENGINE asks for futex", SOON));
	pty_send(&pty, "2");
	assert_true(pty_expect(&pty, "not in io_uring: MP_WAIT_ENGINE asks for futex", SOON));
	quit(&pty);
	scene_end(&scene);
}

static void any_size_will_do(void **state)
{
	static const int sizes[][2] = { { 10, 40 }, { 4, 20 }, { 1, 1 }, { 2, 7 }, { 60, 230 },
		{ 3, 200 }, { 50, 5 }, { 24, 80 } };
	struct scene scene;
	struct pty pty;

	scene_begin(&scene);
	start(&pty, 10, 40, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	pty_send(&pty, "2");
	assert_true(pty_expect(&pty, "BLOCKED", SOON));
	assert_true(pty_find(&pty, "loader") > 0 && pty_find(&pty, "reader") > 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pty_resize(&pty, sizes[i][0], sizes[i][1]);
		for (const char *key = "1234h?"; *key; key++) {
			pty_send(&pty, (char[]){ *key, '\0' });
			pty_settle(&pty, 30);
		}
	}
	pty_send(&pty, "2");
	assert_true(pty_expect(&pty, "[2]Procs", SOON));
	assert_true(pty_expect(&pty, "jobs (full)", SOON));
	pty_resize(&pty, 4, 20);
	assert_true(pty_expect(&pty, "BLOCKED", SOON));
	/* Room for one row: loader or writer, whoever waits longer. */
	assert_true(pty_expect(&pty, "er   ", SOON));
	quit(&pty);
	scene_end(&scene);
}

static void without_utf8_or_colours_nothing_of_them_is_drawn(void **state)
{
	static const char *const c_locale[] = { COMMON, "TERM=xterm", "LC_CTYPE=C", NULL };
	static const char *const no_color[] = { COMMON, "TERM=xterm", "LC_CTYPE=C.UTF-8",
		"NO_COLOR=1", NULL };
	static const char *const vt100[] = { COMMON, "TERM=vt100", "LC_CTYPE=C.UTF-8", NULL };
	static const char *const unsaid[] = { COMMON, "TERM=vt100", "LC_CTYPE=", NULL };
	static const char *const missing[] = { COMMON, "TERM=xterm", "LC_CTYPE=xx_XX.UTF-8", NULL };
	static const char *const latin[] = { COMMON, "TERM=xterm", "LC_CTYPE=xx_XX", NULL };
	const struct {
		const char *const *environment;
		char *option;
		bool is_ascii, is_colourless;
	} ways[] = {
		{ c_locale, NULL, true, false },
		{ xterm, "--ascii", true, false },
		{ xterm, "--no-color", false, true },
		{ no_color, NULL, false, true },
		{ vt100, NULL, false, true },
		{ unsaid, NULL, true, true },
		{ missing, NULL, false, false },
		{ latin, NULL, true, false },
	};
	struct scene scene;

	scene_begin(&scene);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct pty pty;

		start(&pty, 24, 80, ways[i].environment, ways[i].option);
		assert_true(pty_expect(&pty, "DEADLOCK", SOON));
		pty_send(&pty, "4");
		assert_true(pty_expect(&pty, "2/2", SOON));
		assert_int_equal(pty.non_ascii == 0, ways[i].is_ascii);
		assert_int_equal(pty.colours == 0, ways[i].is_colourless);
		quit(&pty);
	}
	scene_end(&scene);
}

/* State, parent and time used, from /proc; state 'X' when there is no such process. */
struct process {
	char state;
	int parent;
	long user_ticks, kernel_ticks;
};

static struct process look_at(pid_t pid)
{
	struct process process = { .state = 'X' };
	char path[64], text[1024] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return process;
	if (fgets(text, sizeof(text), file))
		assert_int_equal(sscanf(strrchr(text, ')'), ") %c %d %*d %*d %*d %*d %*u %*u %*u "
					"%*u %*u %ld %ld", &process.state, &process.parent,
					&process.user_ticks, &process.kernel_ticks), 4);
	fclose(file);
	return process;
}

static bool is_dead(void *arg)
{
	char state = look_at(*(pid_t *)arg).state;

	return state == 'X' || state == 'Z';
}

/* mpd and the one that would start it again. */
static void kill_mpd(void)
{
	struct mp_endpoint_info info;
	mp_observer *observer;
	pid_t mpd, supervisor;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_int_equal(info.is_mpd_alive, 1);
	mp_observe_close(observer);
	mpd = (pid_t)info.mpd_pid;
	supervisor = look_at(mpd).parent;
	assert_true(supervisor > 1);
	kill(supervisor, SIGKILL);
	kill(mpd, SIGKILL);
	assert_true(harness_until(is_dead, &mpd, SOON));
}

static void a_dead_mpd_is_said_and_its_segments_are_shown(void **state)
{
	struct scene scene;
	struct pty before, after;

	scene_begin(&scene);
	start(&before, 24, 100, xterm, NULL);
	assert_true(pty_expect(&before, "DEADLOCK", SOON));
	kill_mpd();
	assert_true(pty_expect(&before, "does not answer: programs run on", SOON));
	assert_true(pty_expect(&before, "mpd DEAD", SOON));
	assert_true(pty_expect(&before, "DEADLOCK", SOON));
	start(&after, 24, 100, xterm, NULL);
	assert_true(pty_expect(&after, "does not answer: programs run on", SOON));
	assert_true(pty_expect(&after, "DEADLOCK", SOON));
	pty_send(&after, "2");
	assert_true(pty_expect(&after, "jobs (full)", SOON));
	quit(&after);
	quit(&before);
	scene_end(&scene);
}

static void when_the_terminal_goes_mptop_goes(void **state)
{
	struct pty pty;

	start(&pty, 24, 80, xterm, NULL);
	assert_true(pty_expect(&pty, "[1]Overview", SOON));
	close(pty.fd);
	pty.fd = -1;
	assert_int_not_equal(pty_end(&pty, SOON), -1000);
}

static void a_signal_ends_it_with_the_terminal_restored(void **state)
{
	struct pty pty;

	start(&pty, 24, 80, xterm, NULL);
	assert_true(pty_expect(&pty, "[1]Overview", SOON));
	kill(pty.pid, SIGTERM);
	assert_int_equal(pty_end(&pty, SOON), 0);
}

static long cpu_ticks(pid_t pid)
{
	struct process process = look_at(pid);

	return process.user_ticks + process.kernel_ticks;
}

/* At five looks a second; the figure is 1 % at one look. */
static bool is_idle_mostly(void *arg)
{
	struct pty *pty = arg;
	long before = cpu_ticks(pty->pid), ticks;

	pty_settle(pty, 2000);
	ticks = cpu_ticks(pty->pid) - before;
	print_message("%ld ticks in 2 s\n", ticks);
	return ticks * 20 <= 2 * sysconf(_SC_CLK_TCK);
}

static void it_sleeps_between_two_looks(void **state)
{
	struct scene scene;
	struct pty pty;

	scene_begin(&scene);
	start(&pty, 24, 80, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	assert_true(harness_retry(is_idle_mostly, &pty, 3));
	quit(&pty);
	scene_end(&scene);
}

/* Everything the program says on its output; its exit code must be `code`. */
static char *run(const char *command, int code)
{
	char line[4352], *text = calloc(1, 1 << 20);
	FILE *pipe;

	snprintf(line, sizeof(line), "%s %s", mptop_path(), command);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	assert_true(fread(text, 1, (1 << 20) - 1, pipe) > 0);
	assert_int_equal(WEXITSTATUS(pclose(pipe)), code);
	return text;
}

static void json_is_one_valid_object_a_line(void **state)
{
	struct scene scene;
	struct pty pty;
	unsigned lines = 0;
	char *text, *rest, *line;

	scene_begin(&scene);
	/* Wait for the scene. */
	start(&pty, 24, 80, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	quit(&pty);
	text = run("--json -n 3 -d 0.1 --fail-on=deadlock", 3);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		lines++;
		if (!json_is_valid(line))
			fail_msg("not JSON: %s", line);
		assert_int_equal(strncmp(line, "{\"v\":1,", 7), 0);
		assert_non_null(strstr(line, "\"name\":\"scene\""));
		assert_non_null(strstr(line, "\"blocked_putters\":1"));
		assert_non_null(strstr(line, "\"members\":2"));
		assert_non_null(strstr(line, "\"totals\":{\"processes\":4,"));
	}
	assert_int_equal(lines, 3);
	free(text);
	scene_end(&scene);
}

static void a_process_with_several_segments_is_one_process(void **state)
{
	static const char *const names[] = { "north", "east", "south" };
	mp_segment *segments[3];
	char *text;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mp_segment_open(names[i], NULL, &segments[i]), 0);
	text = run("--once", 0);
	if (!strstr(text, "\nProcs   1 run 1 blocked 0 stuck 0 dead 0 ") || !strstr(text, "3 segs"))
		fail_msg("not one process in:\n%s", text);
	free(text);
	text = run("--json", 0);
	assert_non_null(strstr(text, "\"totals\":{\"processes\":1,"));
	free(text);
	for (unsigned i = 0; i < 3; i++)
		mp_segment_close(segments[i]);
}

static bool is_one_death_printed(void *unused)
{
	char *text = run("--once", 0);
	bool is_printed = strstr(text, " 1 death, ") != NULL;

	free(text);
	return is_printed;
}

static void a_single_print_has_complete_names_and_says_the_cycle_in_one_line(void **state)
{
	struct scene scene;
	struct pty pty;
	char expected[160], *text;

	scene_begin(&scene);
	start(&pty, 24, 80, xterm, NULL);
	assert_true(pty_expect(&pty, "DEADLOCK", SOON));
	quit(&pty);
	text = run("--once", 0);
	snprintf(expected, sizeof(expected), "  loader[%d] -> db.lock -> writer[%d] -> cfg.lock -> "
		 "loader[%d]\n", scene.actors[0], scene.actors[1], scene.actors[0]);
	if (!strstr(text, expected) || strncmp(strstr(text, "DEADLOCK"), "DEADLOCK ", 9) != 0)
		fail_msg("no %s in:\n%s", expected, text);
	assert_non_null(strstr(text, "full 2/2, 1 blocked in put"));
	assert_non_null(strstr(text, " 0 deaths, "));
	free(text);
	/* The feeder: nobody waits for what it holds. */
	kill(scene.actors[2], SIGKILL);
	assert_true(harness_until(is_one_death_printed, NULL, SOON));
	scene_end(&scene);
}

static void wrong_usage_is_told_and_ends_with_2(void **state)
{
	static const char *const wrong[] = { "--bogus", "-d x", "-n 0", "--view=nothing", "extra",
		"--fail-on=rain", "-d 0.0001", "-d 0.09", "-d 3601", "-d nan", "-d inf", "-d -1" };
	char *text;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char command[64];

		snprintf(command, sizeof(command), "%s 2>&1", wrong[i]);
		text = run(command, 2);
		assert_non_null(strstr(text, "mptop"));
		free(text);
	}
	text = run("--once -d 0.1", 0);
	free(text);
	text = run("--help", 0);
	assert_non_null(strstr(text, "--fail-on"));
	free(text);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(overview_names_the_deadlock_and_the_full_queue),
	HARNESS_TEST_WITH_MPD(every_view_has_its_key_and_its_columns),
	HARNESS_TEST_WITH_MPD(keys_filter_sort_pause_and_help),
	HARNESS_TEST_WITH_MPD(the_cursor_moves_and_its_row_is_told_in_full),
	HARNESS_TEST_WITH_MPD(reason_against_uring_stands_in_the_head_and_at_its_process),
	HARNESS_TEST_WITH_MPD(any_size_will_do),
	HARNESS_TEST_WITH_MPD(without_utf8_or_colours_nothing_of_them_is_drawn),
	HARNESS_TEST_WITH_MPD(a_dead_mpd_is_said_and_its_segments_are_shown),
	HARNESS_TEST_WITH_MPD(when_the_terminal_goes_mptop_goes),
	HARNESS_TEST_WITH_MPD(a_signal_ends_it_with_the_terminal_restored),
	HARNESS_TEST_WITH_MPD(it_sleeps_between_two_looks),
	HARNESS_TEST_WITH_MPD(json_is_one_valid_object_a_line),
	HARNESS_TEST_WITH_MPD(a_process_with_several_segments_is_one_process),
	HARNESS_TEST_WITH_MPD(a_single_print_has_complete_names_and_says_the_cycle_in_one_line),
	HARNESS_TEST_WITH_MPD(wrong_usage_is_told_and_ends_with_2),
};

HARNESS_MAIN(tests)
