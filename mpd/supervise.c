/* SPDX-License-Identifier: MIT
 *
 * See supervise.h. The same protocol as systemd's store, so that either may be the parent: what mpd
 * has stored comes back as LISTEN_FDS. If this process is killed, mpd goes on without it.
 */
#include "supervise.h"

#include "endpoint.h"
#include "keep.h"
#include "log.h"

#include "libshm/clock.h"
#include "libshm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_BYTES 512
#define EARLY_DEATHS 5 /* in a row before READY; then there is a pause before the next start */
#define PAUSE_NS INT64_C(100000000)

static int our_end, their_end, signals;
static bool is_ready;

static void obey(char *text, struct wire_fds *fds, int ready_fd)
{
	const char *name = "";
	bool is_put = false, is_forget = false;
	char *rest;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		is_put |= strcmp(line, "FDSTORE=1") == 0;
		is_forget |= strcmp(line, "FDSTOREREMOVE=1") == 0;
		if (strncmp(line, "FDNAME=", 7) == 0)
			name = line + 7;
		if (strcmp(line, "READY=1") != 0)
			continue;
		is_ready = true;
		if (ready_fd >= 0 && write(ready_fd, "", 1) < 0)
			log_debug("nobody waits for the start any more");
	}
	if (is_put)
		keep_put(name, fds);
	else
		wire_close_fds(fds);
	if (is_forget)
		keep_forget(name);
}

/* Everything mpd has said so far; after its death, everything it had said. */
static void drain(int ready_fd)
{
	char text[MESSAGE_BYTES + 1];

	for (;;) {
		struct wire_fds fds = { 0 };
		int bytes = wire_receive(our_end, text, MESSAGE_BYTES, &fds);

		if (bytes == -EAGAIN)
			return;
		if (bytes <= 0) {
			log_error("a message of mpd was lost: %s", strerror(-bytes));
			if (bytes != -EMFILE && bytes != -EMSGSIZE)
				return;
			continue;
		}
		text[bytes] = '\0';
		obey(text, &fds, ready_fd);
	}
}

static pid_t start(char *const *arguments)
{
	pid_t pid = fork();
	sigset_t none;
	int error;

	if (pid != 0)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	error = keep_lay_out(their_end);
	if (error == 0)
		execv("/proc/self/exe", arguments);
	log_error("mpd cannot be started: %s", strerror(error ? -error : errno));
	_exit(1);
}

static void take_signals(pid_t child)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			kill(child, SIGTERM);
}

/* Also the orphans that fall to us where we are process 1. */
static bool has_ended(pid_t child, int *ret_status)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != child)
			continue;
		*ret_status = status;
		return true;
	}
	return false;
}

static int watch(pid_t child, int ready_fd)
{
	struct pollfd wait[] = { { .fd = our_end, .events = POLLIN },
				 { .fd = signals, .events = POLLIN } };
	int status = 0;

	while (!has_ended(child, &status)) {
		poll(wait, ARRAY_LEN(wait), -1);
		drain(ready_fd);
		take_signals(child);
	}
	drain(ready_fd);
	return status;
}

static int open_channels(void)
{
	sigset_t set;
	int pair[2];

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	our_end = pair[0];
	their_end = pair[1];
	/* Of this end only: mpd waits for room, the supervisor never waits for a message. */
	return fcntl(our_end, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int keep_alive(const struct supervise_plan *plan)
{
	unsigned early = 0;

	for (;;) {
		pid_t child;
		int status;

		is_ready = false;
		child = start(plan->arguments);
		if (child < 0)
			return 1;
		status = watch(child, plan->ready_fd);
		if (!WIFSIGNALED(status) || WTERMSIG(status) == SIGTERM)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
		log_warning("mpd was ended by signal %d, starting it again with %u descriptors",
			    WTERMSIG(status), keep_count());
		early = is_ready ? 0 : early + 1;
		if (early >= EARLY_DEATHS)
			clock_sleep_ns(PAUSE_NS);
	}
}

int supervise_run(const struct supervise_plan *plan)
{
	struct wire_fds lock = { .count = 1 };
	int error, status;

	prctl(PR_SET_NAME, "mpd-supervise");
	lock.fd[0] = endpoint_lock(plan->endpoint);
	if (lock.fd[0] == -EAGAIN)
		return 0; /* another one was faster */
	error = lock.fd[0] < 0 ? lock.fd[0] : open_channels();
	if (error < 0) {
		log_error("%s: %s", plan->endpoint, strerror(-error));
		return 1;
	}
	keep_put("lock", &lock);
	status = keep_alive(plan);
	endpoint_remove(plan->endpoint, lock.fd[0], false);
	return status;
}
