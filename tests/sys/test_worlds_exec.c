/* SPDX-License-Identifier: MIT
 *
 * Proves: a client that executes another program, or itself anew, is swept as one that died, also
 * while a forked child of its idles and while mpd is away; its child and whatever it became live
 * on; and nobody is taken for such a one who is not.
 */
#include "program.h"
#include "raw_client.h"

#include "libshm/slot.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE MP_SEC(20)
#define PATIENCE_MS 20000

/* A client that holds the lock, forks a child that does nothing, and becomes `argv`. */
struct becoming {
	char *const *argv;
	bool has_child;
	int ready[2];  /* it has the lock: its child's pid */
	int go[2];     /* become it */
	int input[2];  /* the new program's stdin: it leaves at its end */
	int output[2]; /* and its stdout */
};

static void open_pipes(struct becoming *becoming)
{
	assert_int_equal(pipe2(becoming->ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(becoming->go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(becoming->input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(becoming->output, O_CLOEXEC), 0);
}

static void close_pipe(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static int idle(void *unused)
{
	for (;;)
		pause();
	return 0;
}

static int become(void *arg)
{
	struct becoming *becoming = arg;
	mp_segment *segment;
	mp_lock *lock;
	pid_t child = 0;
	char byte;

	assert_int_equal(mp_segment_open("exec", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	if (becoming->has_child)
		child = harness_fork(idle, NULL);
	assert_int_equal(write(becoming->ready[1], &child, sizeof child), sizeof child);
	assert_int_equal(read(becoming->go[0], &byte, 1), 1);
	dup2(becoming->input[0], STDIN_FILENO);
	dup2(becoming->output[1], STDOUT_FILENO);
	execv(becoming->argv[0], becoming->argv);
	return 1;
}

struct heir {
	mp_segment *segment;
	mp_lock *lock;
	pid_t client, child;
};

static void begin(struct becoming *becoming, struct heir *heir)
{
	open_pipes(becoming);
	heir->client = harness_fork(become, becoming);
	assert_int_equal(read(becoming->ready[0], &heir->child, sizeof heir->child),
			 sizeof heir->child);
	assert_int_equal(mp_segment_open("exec", NULL, &heir->segment), 0);
	assert_int_equal(mp_lock_open(heir->segment, "lock", NULL, &heir->lock), 0);
}

static void go(struct becoming *becoming)
{
	assert_int_equal(write(becoming->go[1], "x", 1), 1);
	close(becoming->output[1]);
}

static void expect_inheritance(struct heir *heir)
{
	assert_int_equal(mp_lock_acquire(heir->lock, PATIENCE), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(heir->lock), 0);
}

static void expect_alive(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

static unsigned count_processes(void)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	unsigned count;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	count = snapshot->process_count;
	mp_observe_close(observer);
	return count;
}

static bool are_two(void *unused)
{
	return count_processes() == 2;
}

/* The idle child is no child of this process. */
static void end_child(struct heir *heir)
{
	if (!heir->child)
		return;
	assert_int_equal(kill(heir->child, 0), 0);
	assert_int_equal(kill(heir->child, SIGKILL), 0);
	heir->child = 0;
}

static void end(struct becoming *becoming, struct heir *heir)
{
	end_child(heir);
	mp_lock_close(heir->lock);
	mp_segment_close(heir->segment);
	close_pipe(becoming->ready);
	close_pipe(becoming->go);
	close_pipe(becoming->input);
	close(becoming->output[0]);
}

static void client_that_became_another_program_is_swept_while_its_child_idles(void **state)
{
	char *argv[] = { (char *)"/bin/sleep", (char *)"60", NULL };
	struct becoming becoming = { .argv = argv, .has_child = true };
	struct heir heir;

	begin(&becoming, &heir);
	go(&becoming);
	expect_inheritance(&heir);
	expect_alive(heir.client);
	harness_kill(heir.client);
	end(&becoming, &heir);
}

/* What the new image said when it was attached. */
static void expect_attached(struct becoming *becoming)
{
	char text[200] = "";

	assert_true(read(becoming->output[0], text, sizeof text - 1) > 0);
	assert_string_equal(text, "0: attached\n");
}

static void end_image(struct becoming *becoming, struct heir *heir)
{
	assert_true(harness_until(are_two, NULL, PATIENCE_MS));
	end_child(heir); /* which has the pipe too */
	close(becoming->input[1]);
	becoming->input[1] = -1;
	harness_join(heir->client);
}

static void client_that_became_itself_anew_is_swept(void **state)
{
	char *argv[] = { strdup(program_built("tests/sys/client-here")), (char *)"exec", NULL };
	struct becoming becoming = { .argv = argv };
	struct heir heir;

	begin(&becoming, &heir);
	go(&becoming);
	expect_attached(&becoming);
	expect_inheritance(&heir);
	expect_alive(heir.client);
	end_image(&becoming, &heir);
	end(&becoming, &heir);
	free(argv[0]);
}

static bool is_executed(void *arg)
{
	char path[40], name[32] = "";
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)*(pid_t *)arg);
	file = fopen(path, "re");
	assert_non_null(file);
	(void)!fgets(name, sizeof name, file);
	fclose(file);
	return strncmp(name, "client-here", 11) == 0 || strncmp(name, "sleep", 5) == 0;
}

/* mpd is killed, and its supervisor stopped, so that the next one comes after the exec. */
static void become_while_mpd_is_away(struct becoming *becoming, struct heir *heir)
{
	pid_t mpd, supervisor;
	struct raw raw;

	begin(becoming, heir);
	raw_connect(&raw);
	mpd = (pid_t)raw.welcome.pid;
	raw_close(&raw);
	supervisor = raw_parent_of(mpd);
	program_stop(supervisor);
	assert_int_equal(kill(mpd, SIGKILL), 0);
	go(becoming);
	assert_true(harness_until(is_executed, &heir->client, PATIENCE_MS));
	assert_int_equal(kill(supervisor, SIGCONT), 0);
}

static void client_that_became_another_program_while_mpd_was_away_is_swept(void **state)
{
	char *argv[] = { (char *)"/bin/sleep", (char *)"60", NULL };
	struct becoming becoming = { .argv = argv, .has_child = true };
	struct heir heir;

	become_while_mpd_is_away(&becoming, &heir);
	expect_inheritance(&heir);
	expect_alive(heir.client);
	harness_kill(heir.client);
	end(&becoming, &heir);
}

static void client_that_became_itself_anew_while_mpd_was_away_is_swept(void **state)
{
	char *argv[] = { strdup(program_built("tests/sys/client-here")), (char *)"exec", NULL };
	struct becoming becoming = { .argv = argv, .has_child = true };
	struct heir heir;

	become_while_mpd_is_away(&becoming, &heir);
	expect_attached(&becoming);
	expect_inheritance(&heir);
	end_image(&becoming, &heir);
	end(&becoming, &heir);
	free(argv[0]);
}

/* --- who is not such a one --- */

struct pair {
	int ready[2];
	uint32_t clients[2], generations[2];
};

/* Two clients in one process, as two copies of libshm would be; then it closes all descriptors: no
 * byte is locked, no connection is left, and yet both use the memory. */
static int be_two(void *arg)
{
	struct pair *pair = arg;
	struct raw raws[2];

	for (unsigned i = 0; i < 2; i++) {
		struct raw_segment segment;

		raw_connect(&raws[i]);
		raw_attach(&raws[i], "twins", 0, &segment);
		pair->clients[i] = segment.client;
		pair->generations[i] = segment.generation;
	}
	assert_int_equal(write(pair->ready[1], pair, sizeof *pair), sizeof *pair);
	close_range(3, ~0U, 0);
	for (;;)
		pause();
	return 0;
}

static void two_clients_of_one_process_are_not_taken_for_an_executed_one(void **state)
{
	struct raw_segment segment, theirs;
	struct pair pair;
	struct raw raw;
	pid_t child;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "twins", 0, &segment);
	assert_int_equal(pipe2(pair.ready, O_CLOEXEC), 0);
	child = harness_fork(be_two, &pair);
	close(pair.ready[1]);
	assert_int_equal(read(pair.ready[0], &pair, sizeof pair), sizeof pair);
	harness_sleep_ms(1500); /* mpd looks again after a second */
	for (unsigned i = 0; i < 2; i++) {
		theirs = segment;
		theirs.client = pair.clients[i];
		theirs.generation = pair.generations[i];
		assert_false(raw_is_swept(&theirs));
	}
	harness_kill(child);
	assert_true(harness_until(raw_is_swept, &theirs, PATIENCE_MS));
	close(pair.ready[0]);
	raw_close(&raw);
	raw_forget(&segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(client_that_became_another_program_is_swept_while_its_child_idles),
	HARNESS_TEST_WITH_MPD(client_that_became_itself_anew_is_swept),
	HARNESS_TEST_WITH_MPD(client_that_became_another_program_while_mpd_was_away_is_swept),
	HARNESS_TEST_WITH_MPD(client_that_became_itself_anew_while_mpd_was_away_is_swept),
	HARNESS_TEST_WITH_MPD(two_clients_of_one_process_are_not_taken_for_an_executed_one),
};

HARNESS_MAIN(tests)
