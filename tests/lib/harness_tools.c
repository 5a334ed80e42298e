/* SPDX-License-Identifier: MIT
 *
 * What tests use while they run: children, time, an endpoint of their own.
 * Knows: fork, clocks, mkdtemp, the environment libshm reads. Does not know: the runner.
 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MPD_LEAVES_MS 8000
#define LOOK_MS 10
#define CONNECT_MS 1000

/* What harness_fork hands to the child's own cmocka run. */
struct child_work {
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static void run_child(void **state)
{
	struct child_work *work = *state;

	work->result = work->fn(work->arg);
}

pid_t harness_fork(int (*fn)(void *arg), void *arg)
{
	struct child_work work = { fn, arg, 1 };
	const struct CMUnitTest tests[] = { { "child", run_child, NULL, NULL, &work } };
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child)
		return child;
	/* A failing assert must end here and not in the parent's copy of the runner. */
	cmocka_set_message_output(CM_OUTPUT_SUBUNIT);
	if (cmocka_run_group_tests_name("child", tests, NULL, NULL) != 0)
		work.result = 1;
	fflush(NULL);
	_exit(work.result);
}

int harness_wait(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void harness_join(pid_t child)
{
	assert_int_equal(harness_wait(child), 0);
}

void harness_kill(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	harness_wait(child);
}

int64_t harness_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void harness_sleep_ms(unsigned ms)
{
	struct timespec left = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

bool harness_until(bool (*is_true)(void *arg), void *arg, unsigned ms)
{
	int64_t deadline_ns = harness_now_ns() + (int64_t)ms * 1000000;

	while (!is_true(arg)) {
		if (harness_now_ns() >= deadline_ns)
			return false;
		harness_sleep_ms(1);
	}
	return true;
}

bool harness_retry(bool (*is_good)(void *arg), void *arg, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		if (i > 0)
			print_message("once more\n");
		if (is_good(arg))
			return true;
	}
	return false;
}

void harness_endpoint_begin(struct harness_endpoint *endpoint)
{
	snprintf(endpoint->directory, sizeof endpoint->directory, "/tmp/libshm-test-XXXXXX");
	assert_non_null(mkdtemp(endpoint->directory));
	snprintf(endpoint->socket, sizeof endpoint->socket, "%s/mpd.sock", endpoint->directory);
	assert_int_equal(setenv("MP_ENDPOINT", endpoint->socket, 1), 0);
	/* Not the file of whoever runs the tests. */
	assert_int_equal(setenv("XDG_CONFIG_HOME", endpoint->directory, 1), 0);
#ifdef HARNESS_MPD
	assert_int_equal(setenv("MP_MPD", HARNESS_MPD, 0), 0);
#endif
}

/* Nobody listens: mpd has left or was killed. */
static bool is_refused(void *arg)
{
	const struct harness_endpoint *endpoint = arg;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result;

	strncpy(address.sun_path, endpoint->socket, sizeof address.sun_path - 1);
	result = connect(fd, (struct sockaddr *)&address, sizeof address);
	close(fd);
	return result < 0;
}

/* mpd takes its socket along when it leaves; one that was killed leaves it behind. A connection
 * keeps mpd awake a little, so ask that way seldom. */
static bool wait_refused(struct harness_endpoint *endpoint)
{
	for (unsigned ms = 0; ms < MPD_LEAVES_MS; ms += LOOK_MS) {
		if (access(endpoint->socket, F_OK) < 0)
			return true;
		if (ms % CONNECT_MS == 0 && is_refused(endpoint))
			return true;
		harness_sleep_ms(LOOK_MS);
	}
	return is_refused(endpoint);
}

static void remove_directory(const char *directory)
{
	DIR *all = opendir(directory);
	struct dirent *entry;

	while (all && (entry = readdir(all)))
		if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
			unlinkat(dirfd(all), entry->d_name, 0);
	if (all)
		closedir(all);
	rmdir(directory);
}

bool harness_endpoint_end(struct harness_endpoint *endpoint)
{
	bool has_left = wait_refused(endpoint);

	if (!has_left)
		fprintf(stderr, "mpd still answers at %s\n", endpoint->socket);
	remove_directory(endpoint->directory);
	unsetenv("MP_ENDPOINT");
	return has_left;
}
