/* SPDX-License-Identifier: MIT
 *
 * See serve.h. Leaving: the socket is moved out of sight first, so that nobody new can connect;
 * whoever had connected before is still in the queue, and then mpd stays.
 */
#include "serve.h"

#include "ctl.h"
#include "doctor.h"
#include "endpoint.h"
#include "log.h"
#include "loop.h"
#include "reaper.h"
#include "registry.h"
#include "rescue.h"
#include "segment.h"
#include "store.h"
#include "version.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEWCOMER_NS INT64_C(10000000)
#define FIRST_CLIENT_NS INT64_C(3000000000) /* whoever started mpd may be slow to come */

static struct serve_plan plan;
static struct loop_timer leave_timer;
static uint64_t started_ns;
static bool is_private, is_after_crash;

static const struct segment_keepers keepers = {
	.roster = reaper_roster,
	.begun = doctor_begin,
	.ending = doctor_end,
	.watch_clients = reaper_watch_table,
	.changed = reaper_changed,
};

uint64_t version_started_ns(void)
{
	return started_ns;
}

static bool is_unused(void)
{
	return ctl_client_count() == 0 && reaper_is_idle() && !segment_any_kept();
}

/* Whoever was accepted a moment ago may have his first words under way. */
static void leave(void *arg, unsigned events)
{
	int64_t now = clock_now_ns();

	if (!is_unused() || !endpoint_hide(plan.endpoint))
		return;
	if (now - ctl_accept() > NEWCOMER_NS && is_unused()) {
		log_info("unused, leaving");
		loop_stop();
		return;
	}
	endpoint_show(plan.endpoint);
	if (is_unused())
		loop_timer_set(&leave_timer, now + NEWCOMER_NS);
}

static void reconsider(void)
{
	if (!is_private)
		return;
	if (!is_unused())
		loop_timer_set(&leave_timer, DEADLINE_NEVER);
	else if (leave_timer.deadline_ns == DEADLINE_NEVER)
		loop_timer_set(&leave_timer, clock_now_ns() + plan.grace_ns);
}

static void take_signal(void *arg, unsigned events)
{
	struct signalfd_siginfo info;
	int fd = (int)(intptr_t)arg;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1) {
		log_dump();
		return;
	}
	log_info("told to end (signal %u)", info.ssi_signo);
	loop_stop();
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return loop_add(fd, POLLIN, take_signal, (void *)(intptr_t)fd) ? 0 : -ENOMEM;
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int take_lock(void)
{
	int fd = store_take("lock");

	if (fd >= 0)
		return fd;
	fd = endpoint_lock(plan.endpoint);
	if (fd >= 0)
		store_put("lock", fd, -1);
	return fd;
}

static int take_socket(void)
{
	int fd = store_take("listen");

	if (fd >= 0) {
		/* The mpd before us may have died while it was leaving. */
		if (access(plan.endpoint, F_OK) < 0)
			endpoint_show(plan.endpoint);
		return fd;
	}
	fd = endpoint_listen(plan.endpoint, &is_after_crash);
	if (fd >= 0)
		store_put("listen", fd, -1);
	return fd;
}

static int open_parts(int listen_fd)
{
	int error = loop_open();

	if (error == 0)
		error = registry_open(store_take("registry"));
	if (error == 0)
		error = reaper_open(store_take("roster"), reconsider);
	if (error == 0)
		error = open_signals();
	if (error < 0)
		return error;
	segment_configure(plan.endpoint, plan.grace_ns, &keepers);
	leave_timer.deadline_ns = DEADLINE_NEVER;
	leave_timer.fn = leave;
	error = ctl_open(listen_fd, strcmp(plan.endpoint, SYSTEM_ENDPOINT) == 0, reconsider);
	if (error < 0)
		return error;
	if (!segment_adopt_all() || is_after_crash)
		rescue_all(plan.endpoint);
	return 0;
}

static int run(int listen_fd)
{
	int error = open_parts(listen_fd);

	if (error < 0)
		return error;
	if (is_private && is_unused())
		loop_timer_set(&leave_timer, clock_now_ns() + (plan.grace_ns > FIRST_CLIENT_NS ?
							       plan.grace_ns : FIRST_CLIENT_NS));
	log_info("serving %s with %s", plan.endpoint, loop_engine());
	store_say("READY=1");
	error = loop_run();
	store_say("STOPPING=1");
	loop_close();
	return error;
}

int serve(const struct serve_plan *given)
{
	bool is_in_use = false;
	int lock_fd, error;

	plan = *given;
	is_private = !plan.is_kept && strcmp(plan.endpoint, SYSTEM_ENDPOINT) != 0;
	started_ns = (uint64_t)clock_now_ns();
	prctl(PR_SET_NAME, "mpd");
	raise_limits();
	lock_fd = take_lock();
	if (lock_fd == -EAGAIN) {
		log_info("another mpd serves %s", plan.endpoint);
		return 0;
	}
	error = lock_fd < 0 ? lock_fd : take_socket();
	if (error >= 0) {
		error = run(error);
		is_in_use = error == 0 && !reaper_is_idle();
	}
	if (error < 0)
		log_error("%s: %s", plan.endpoint, strerror(-error));
	if (lock_fd >= 0)
		endpoint_remove(plan.endpoint, lock_fd, is_in_use);
	return error < 0;
}
