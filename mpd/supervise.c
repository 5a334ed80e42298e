/* SPDX-License-Identifier: MIT
 *
 * See supervise.h. The same protocol as systemd's store, so that either may be the parent: what mpd
 * has stored comes back as LISTEN_FDS. If this process is killed, mpd goes on without it.
 */
#include "supervise.h"

#include "endpoint.h"
#include "keep.h"
#include "log.h"
#include "store.h"

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
#define EXIT_UNSTARTED 1
#define PAUSE_NS INT64_C(100000000)

#define STATUS_BYTES 320

static const struct supervise_plan *plan;
static int our_end, their_end, signals;
static bool is_ready, was_ever_ready, is_told_to_end;
static char status_text[STATUS_BYTES]; /* what mpd said last */

/* Why there is no mpd, to whoever asked for it. */
static void complain(const char *text)
{
	log_error("%s", text);
	if (plan->is_background && !was_ever_ready)
		dprintf(STDERR_FILENO, "mpd: %s\n", text);
}

/* The one who started us has what he wanted. */
static void let_go(void)
{
	int null = plan->is_background ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
	if (plan->ready_fd >= 0 && write(plan->ready_fd, "", 1) < 0)
		log_debug("nobody waits for the start any more");
}

static void become_ready(void)
{
	is_ready = true;
	if (!was_ever_ready)
		let_go();
	was_ever_ready = true;
}

static bool begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

/* What the service manager behind us is told too: of that mpd, but in our own name. */
static bool is_passed_on(const char *line)
{
	static const char *const words[] = { "READY=1", "STATUS=", "STOPPING=1", "WATCHDOG=1",
					     "ERRNO=" };

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (begins(line, words[i]))
			return true;
	return false;
}

struct message {
	const char *name;
	bool is_put, is_forget;
	char passed_on[MESSAGE_BYTES + 2];
	size_t used;
};

static void obey_line(const char *line, struct message *message)
{
	message->is_put |= strcmp(line, "FDSTORE=1") == 0;
	message->is_forget |= strcmp(line, "FDSTOREREMOVE=1") == 0;
	if (begins(line, "FDNAME="))
		message->name = line + strlen("FDNAME=");
	if (begins(line, "STATUS="))
		snprintf(status_text, sizeof(status_text), "%s", line + strlen("STATUS="));
	if (strcmp(line, "READY=1") == 0)
		become_ready();
	if (is_passed_on(line))
		message->used += (size_t)snprintf(message->passed_on + message->used,
						  sizeof(message->passed_on) - message->used,
						  "%s\n", line);
}

/* The lines of a message are at most as long as it, with one line break more. */
static void obey(char *text, struct wire_fds *fds)
{
	struct message message = { .name = "" };
	char *rest;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		obey_line(line, &message);
	if (message.is_put)
		keep_put(message.name, fds);
	else
		wire_close_fds(fds);
	if (message.is_forget)
		keep_forget(message.name);
	if (message.used)
		store_say(message.passed_on);
}

/* Everything mpd has said so far; after its death, everything it had said. */
static void drain(void)
{
	char text[MESSAGE_BYTES + 1];

	for (;;) {
		struct wire_fds fds = { 0 };
		int bytes = wire_receive(our_end, text, MESSAGE_BYTES, &fds);

		if (bytes == -EAGAIN)
			return;
		if (bytes <= 0) {
			log_error("what mpd has stored is lost (%s): it would be missing after a "
				  "kill; start mpd anew when it suits", strerror(-bytes));
			if (bytes != -EMFILE && bytes != -EMSGSIZE)
				return;
			continue;
		}
		text[bytes] = '\0';
		obey(text, &fds);
	}
}

/* Where a service manager has put our number, the child's own stands: we pass on what it says. */
static int replace_watchdog_pid(void)
{
	const char *text = getenv("WATCHDOG_PID");
	char number[24];

	if (!text || atoi(text) != (int)getppid())
		return 0;
	snprintf(number, sizeof(number), "%d", (int)getpid());
	return setenv("WATCHDOG_PID", number, 1);
}

static int prepare_child(void)
{
	sigset_t held;
	int null;

	/* What we pass on may come before mpd has set itself up: it waits until then. */
	sigemptyset(&held);
	sigaddset(&held, SIGUSR1);
	sigaddset(&held, SIGHUP);
	sigprocmask(SIG_SETMASK, &held, NULL);
	if (replace_watchdog_pid() < 0)
		return -ENOMEM;
	null = plan->is_background ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	return keep_lay_out(their_end);
}

static pid_t start(void)
{
	pid_t pid = fork();
	int error;

	if (pid != 0)
		return pid;
	error = prepare_child();
	if (error == 0)
		execv("/proc/self/exe", plan->arguments);
	log_error("mpd cannot be started: %s; is /proc mounted?", strerror(error ? -error : errno));
	_exit(EXIT_UNSTARTED);
}

/* Whatever is sent to us is meant for mpd too, if there is one. */
static void take_signals(pid_t child)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			log_reopen();
		is_told_to_end |= info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
		if (info.ssi_signo != SIGCHLD && child > 0)
			kill(child, info.ssi_signo == SIGINT ? SIGTERM : (int)info.ssi_signo);
	}
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

static int watch(pid_t child)
{
	struct pollfd wait[] = { { .fd = our_end, .events = POLLIN },
				 { .fd = signals, .events = POLLIN } };
	int status = 0;

	while (!has_ended(child, &status)) {
		poll(wait, ARRAY_LEN(wait), -1);
		drain();
		take_signals(child);
	}
	drain();
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
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	signals = keep_out_of_the_way(signals);
	our_end = keep_out_of_the_way(pair[0]);
	their_end = keep_out_of_the_way(pair[1]);
	/* Of this end only: mpd waits for room, the supervisor never waits for a message. */
	return fcntl(our_end, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* A clean end, one that somebody wanted, or one that mpd has told its reasons for. */
static int end_with(int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

	if (code != 0 && plan->is_background && !was_ever_ready)
		complain(status_text[0] ? status_text : "it ended at once");
	return code;
}

static void tell_of_death(int status)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "mpd was ended by signal %d (%s), starting it again with %u descriptors",
		 WTERMSIG(status), strsignal(WTERMSIG(status)), keep_count());
	log_warning("%s", text);
	snprintf(text, sizeof(text), "STATUS=mpd was ended by signal %d, starting it again\n",
		 WTERMSIG(status));
	store_say(text);
}

/* What living clients have is in our hands, and whatever was short may be there a little later. Who
 * was never served is told at once. */
static bool is_worth_another(int status)
{
	return was_ever_ready && !is_ready && WIFEXITED(status) &&
	       WEXITSTATUS(status) == EXIT_UNSTARTED;
}

/* Exit status of the mpd that was started, or of one that could not be. */
static int run_once(void)
{
	pid_t child;

	is_ready = false;
	child = start();
	if (child >= 0)
		return watch(child);
	complain("no process can be made for mpd; raise the limit (ulimit -u), or end others");
	take_signals(0);
	return W_EXITCODE(EXIT_UNSTARTED, 0);
}

/* `ret_was_killed`: it had no time to say what is left in use. */
static int keep_alive(bool *ret_was_killed)
{
	unsigned early = 0;

	for (;;) {
		int status = run_once();
		bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM;

		*ret_was_killed = WIFSIGNALED(status);
		if (is_told_to_end || (!is_killed && !is_worth_another(status)))
			return end_with(status);
		if (is_killed)
			tell_of_death(status);
		else
			log_warning("mpd did not come up again: what its clients have is kept "
				    "in %u descriptors, and it is tried again", keep_count());
		early = is_ready ? 0 : early + 1;
		if (early >= EARLY_DEATHS || !is_killed)
			clock_sleep_ns(PAUSE_NS);
	}
}

/* A listening socket that was handed down says where mpd serves; all that was is mpd's. */
static void take_over(char path[static ENDPOINT_BYTES], bool *ret_is_activated)
{
	struct wire_fds fds = { .count = 1 };
	const char *name;

	*ret_is_activated = false;
	while ((fds.fd[0] = store_take_any(&name)) >= 0) {
		if (endpoint_is_listening(fds.fd[0]) && endpoint_of_socket(fds.fd[0], path) == 0)
			*ret_is_activated = true;
		keep_put(name, &fds);
	}
}

/* The socket of an mpd before ours, if ours did not come up, or that of ours, if it was killed in
 * the end, tells the next one to look for what that one had. */
static int run_locked(const char *path, int lock_fd, bool is_activated)
{
	struct wire_fds lock = { .count = 1, .fd = { lock_fd } };
	bool is_found = endpoint_exists(path), was_killed = false;
	int status;

	keep_put("lock", &lock);
	status = keep_alive(&was_killed);
	endpoint_remove(path, lock_fd,
			is_activated || was_killed || (is_found && !was_ever_ready));
	return status;
}

int supervise_run(const struct supervise_plan *given)
{
	char path[ENDPOINT_BYTES], text[ENDPOINT_BYTES + 200];
	bool is_activated;
	int lock_fd, error;

	plan = given;
	prctl(PR_SET_NAME, "mpd-supervise");
	store_raise_limit(); /* else it could keep less than mpd can make */
	if (plan->is_background)
		log_be_silent();
	snprintf(path, sizeof(path), "%s", plan->endpoint);
	take_over(path, &is_activated);
	lock_fd = endpoint_lock(path);
	if (lock_fd == -EAGAIN)
		return 0; /* another one was faster */
	error = lock_fd < 0 ? lock_fd : open_channels();
	if (error < 0) {
		if (lock_fd >= 0)
			endpoint_remove(path, lock_fd, true);
		snprintf(text, sizeof(text), "%s cannot be served: %s", path,
			 endpoint_advice(error));
		complain(text);
		return 1;
	}
	return run_locked(path, lock_fd, is_activated);
}
