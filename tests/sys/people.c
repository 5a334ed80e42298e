/* SPDX-License-Identifier: MIT
 *
 * See people.h. The mount namespace is what makes /run/libshm ours: nobody else on the machine sees
 * it, and it is gone with the test. Knows: the system's endpoint. Does not know: the protocol.
 */
#include "people.h"

#include "harness.h"
#include "libshm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define LOG_BYTES 65536
#define ARGUMENTS_MAX 32

static struct program mpd;

static void make_own_run(void)
{
	if (geteuid() != 0)
		harness_skip("only root can be several users");
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0)
		harness_skip("no mount namespace can be had here");
}

static bool answers(void *arg)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool is_there;

	assert_int_equal(wire_address(WIRE_SYSTEM_ENDPOINT, &address), 0);
	is_there = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	close(fd);
	return is_there;
}

static void start_mpd(unsigned mpd_user, const char *const *extra)
{
	gid_t crew = CREW;
	char user[16];
	const char *wish = getenv("MP_MPD");
	const char *arguments[ARGUMENTS_MAX] = { wish ? wish : program_built("mpd/mpd"),
						 "--system", "--foreground", "--supervise",
						 "--log", "debug" };
	unsigned count = 6;

	/* It inherits a group that it has to give up. */
	assert_int_equal(setgroups(1, &crew), 0);
	snprintf(user, sizeof user, "%u", mpd_user);
	if (mpd_user != ROOT) {
		arguments[count++] = "--user";
		arguments[count++] = user;
	}
	for (unsigned i = 0; extra && extra[i]; i++)
		arguments[count++] = extra[i];
	program_start(&mpd, (char *const *)(uintptr_t)arguments);
}

static void serve(unsigned mpd_user, const char *const *extra)
{
	start_mpd(mpd_user, extra);
	if (!harness_until(answers, NULL, PATIENCE_MS))
		fail_msg("mpd does not serve: %s", people_log());
}

void people_begin(unsigned mpd_user, const char *const *extra)
{
	make_own_run();
	unsetenv("XDG_RUNTIME_DIR");
	setenv("XDG_CONFIG_HOME", "/nowhere", 1);
	/* Tools and raw clients; libshm finds it by itself where a test takes that away. */
	setenv("MP_ENDPOINT", WIRE_SYSTEM_ENDPOINT, 1);
	serve(mpd_user, extra);
}

static bool is_another(void *arg)
{
	pid_t pid = people_mpd();

	return pid && pid != *(pid_t *)arg && answers(NULL);
}

void people_kill_mpd(void)
{
	pid_t old = people_mpd();

	assert_int_equal(kill(old, SIGKILL), 0);
	assert_true(harness_until(is_another, &old, PATIENCE_MS));
}

/* The runner reaps it, but not before the test's end. */
static bool is_gone(void *arg)
{
	char state = program_state(*(pid_t *)arg);

	return !state || state == 'Z';
}

/* The supervisor first, and stopped: it would start another one. */
void people_kill_both(void)
{
	pid_t child = people_mpd();

	assert_true(child > 0);
	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(kill(mpd.pid, SIGKILL), 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	program_wait(&mpd, PATIENCE_MS / 1000);
	program_free(&mpd);
	assert_true(harness_until(is_gone, &child, PATIENCE_MS));
}

void people_begin_again(unsigned mpd_user)
{
	serve(mpd_user, NULL);
}

void people_end(void)
{
	if (kill(mpd.pid, SIGTERM) < 0)
		fail_msg("mpd is gone: %s", people_log());
	program_wait(&mpd, PATIENCE_MS / 1000);
	if (mpd.code != 0)
		fail_msg("mpd ended with %d: %s", mpd.code, mpd.text);
	program_free(&mpd);
}

const char *people_log(void)
{
	static char text[LOG_BYTES];
	ssize_t bytes = pread(mpd.output, text, sizeof text - 1, 0);

	text[bytes > 0 ? bytes : 0] = '\0';
	return text;
}

bool people_log_has(void *text)
{
	return strstr(people_log(), text) != NULL;
}

pid_t people_supervisor(void)
{
	return mpd.pid;
}

pid_t people_mpd(void)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", mpd.pid, mpd.pid);
	file = fopen(path, "re");
	assert_non_null(file);
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	return pid;
}

void people_become(unsigned user)
{
	gid_t crew = CREW;

	assert_int_equal(setgroups(user == ALICE || user == BOB, &crew), 0);
	assert_int_equal(setresgid(user, user, user), 0);
	assert_int_equal(setresuid(user, user, user), 0);
}

struct work {
	unsigned user;
	int (*fn)(void *arg);
	void *arg;
};

static int work(void *arg)
{
	struct work *todo = arg;

	people_become(todo->user);
	return todo->fn(todo->arg);
}

void people_do(unsigned user, int (*fn)(void *arg), void *arg)
{
	struct work todo = { user, fn, arg };

	harness_join(harness_fork(work, &todo));
}

static int live(void *arg)
{
	struct people_child *self = arg;

	people_become(self->user);
	return self->fn(self, self->arg);
}

void people_start(struct people_child *child)
{
	char byte;

	assert_int_equal(pipe2(child->ready, O_CLOEXEC), 0);
	child->pid = harness_fork(live, child);
	close(child->ready[1]);
	if (read(child->ready[0], &byte, 1) != 1)
		fail_msg("the child of user %u is not ready: %d", child->user,
			 harness_wait(child->pid));
	close(child->ready[0]);
}

void people_say_ready(struct people_child *self)
{
	assert_int_equal(write(self->ready[1], "", 1), 1);
}

void people_stay(void)
{
	for (;;)
		pause();
}
