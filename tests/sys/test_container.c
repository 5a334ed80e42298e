/* SPDX-License-Identifier: MIT
 *
 * Proves: `mpd --foreground --supervise` is a good process 1 of a container: it reaps orphans,
 * restarts a killed mpd with all it had, stays when nobody uses it, ends cleanly on SIGTERM and
 * says with its exit code how it ended.
 */
#include "raw_client.h"
#include "world.h"

#include <libshm/base.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define GRACE "50"
#define LONGER_THAN_GRACE_MS 400

static pid_t first; /* process 1, by its number here */

/* Its /proc shows its own processes; ours stays as it is. */
static int become_container(void *arg)
{
	const char *endpoint = harness_endpoint()->socket;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return 99;
	execl(getenv("MP_MPD"), "mpd", "--foreground", "--supervise", "--endpoint", endpoint,
	      "--grace", GRACE, NULL);
	return 98;
}

/* The namespace of children is this process's from here on: each test has a process of its own. */
static void start_container(void)
{
	if (!world_unshare(CLONE_NEWPID))
		harness_skip("this user may not make pid namespaces");
	first = harness_fork(become_container, NULL);
}

/* A child of process 1 other than `but`; 0: there is none. */
static pid_t child_of_first(pid_t but)
{
	DIR *all = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	assert_non_null(all);
	while ((entry = readdir(all)) != NULL) {
		pid_t pid = atoi(entry->d_name);
		char path[40];

		snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
		if (pid > 0 && pid != but && access(path, F_OK) == 0 && raw_parent_of(pid) == first)
			found = pid;
	}
	closedir(all);
	return found;
}

/* Never kill(0): that is us. */
static void kill_child(pid_t child)
{
	assert_true(child > 1);
	assert_int_equal(kill(child, SIGKILL), 0);
}

static bool has_no_other_child(void *mpd)
{
	return child_of_first(*(pid_t *)mpd) == 0;
}

static bool has_another_child(void *mpd)
{
	return child_of_first(*(pid_t *)mpd) != 0;
}

static int leave_an_orphan(void *arg)
{
	if (fork() == 0)
		for (;;)
			pause();
	return 0;
}

static void end_container(int code)
{
	assert_true(first > 1);
	assert_int_equal(kill(first, SIGTERM), 0);
	assert_int_equal(harness_wait(first), code);
	assert_int_equal(access(harness_endpoint()->socket, F_OK), -1);
}

#ifdef __SANITIZE_ADDRESS__
/* Its search for leaks starts a thread, which whoever unshared its PID namespace cannot. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static void process_1_reaps_orphans(void **state)
{
	struct raw raw;
	pid_t mpd, orphan;

	start_container();
	raw_connect(&raw);
	mpd = child_of_first(0);
	assert_true(mpd > 0);
	harness_join(harness_fork(leave_an_orphan, NULL));
	assert_true(harness_until(has_another_child, &mpd, 10000));
	orphan = child_of_first(mpd);
	kill_child(orphan);
	/* A zombie would stay its child. */
	assert_true(harness_until(has_no_other_child, &mpd, 10000));
	raw_close(&raw);
	end_container(0);
}

static void killed_mpd_of_a_container_is_back_with_all_it_had(void **state)
{
	struct raw_segment kept, again;
	struct raw raw;

	start_container();
	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "kept", 0, MP_KEEP, &kept), 0);
	raw_format(&raw, &kept, "kept");
	kill_child(child_of_first(0));
	raw_close(&raw);
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, 1);
	assert_int_equal(raw_open(&raw, "kept", 0, MP_EXISTING, &again), 0);
	assert_int_equal(again.opened.generation, kept.opened.generation);
	raw_forget(&again);
	raw_forget(&kept);
	raw_close(&raw);
	end_container(0);
}

static void container_does_not_end_because_nobody_uses_it(void **state)
{
	struct raw raw;

	start_container();
	raw_connect(&raw);
	raw_close(&raw);
	harness_sleep_ms(LONGER_THAN_GRACE_MS);
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, 0);
	raw_close(&raw);
	end_container(0);
}

static void container_that_cannot_serve_ends_with_1(void **state)
{
	const char *path = harness_endpoint()->socket;

	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	start_container();
	assert_int_equal(harness_wait(first), 1);
	unlink(path);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(process_1_reaps_orphans),
	HARNESS_TEST_WITH_MPD(killed_mpd_of_a_container_is_back_with_all_it_had),
	HARNESS_TEST_WITH_MPD(container_does_not_end_because_nobody_uses_it),
	HARNESS_TEST_WITH_MPD(container_that_cannot_serve_ends_with_1),
};

HARNESS_MAIN(tests)
